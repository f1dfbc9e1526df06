"""The layers of ``rnn_tasks.cores`` relative to ``torch.nn.GRU``, and ``linear_scan`` relative to a loop with autograd.

``python -m benchmarks.layers [--layers NAME ...] [--scan] [--quick]`` measures some layers, or only ``linear_scan``.
"""

import argparse
import inspect
import itertools
import json
import os
import statistics
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.growth import exponent, memory
from benchmarks.table import Row, as_text
from benchmarks.timing import interleaved, python, ratio_row, torch_timer
from rnn_tasks import cores
from rnn_tasks.cores.linear_scan import linear_scan
from rnn_tasks.cores.matrix_scan import matrix_scan

TIME, BATCH, FEATURES, UNITS = 64, 64, 32, 128

GRU_OVER_OURS = {"IndRNN": 4.0, "MinGRU": 2.5, "LRU": 1.5, "RGLRU": 1.2}
"""Lower bound on the time of ``torch.nn.GRU`` over the time of a layer, by layer."""

OURS_OVER_GRU = {"DeltaNet": 2.5, "MLSTM": 2.5, "SLSTM": 2.5, "S6": 3.0, "LEM": 2.2, "StackRNN": 1.6, "CoRNN": 1.0}
"""Upper bound on the time of a layer over the time of ``torch.nn.GRU``, by layer."""

HEADS = {"DeltaNet": 4, "MLSTM": 4, "RGLRU": 4, "SLSTM": 4}
"""Number of heads of a layer, as in its overlay."""

CHUNKS_OVER_LOOP = 2.0
"""Lower bound on the time of a loop over that of ``matrix_scan``."""

SCANS: tuple[tuple[tuple[int, int, int], torch.dtype, bool, float | None], ...] = (
    ((64, 32, 125), torch.float32, False, 1.3),
    ((4096, 4, 64), torch.float32, False, 8.0),
    ((64, 32, 125), torch.float32, True, None),
    ((4096, 4, 64), torch.float32, True, None),
    ((64, 32, 125), torch.complex64, True, None),
    ((4096, 4, 64), torch.complex64, True, None),
)
"""Time, batch and features; the type; whether the factors are constant; lower bound on the loop's time over ours."""

LENGTHS = (1_000, 10_000, 100_000)


def measure(quick: bool) -> Iterator[Row]:
    """Yield a row for each layer, the rows of ``linear_scan``, and the exponents of its growth with the length."""
    yield from measure_layers(sorted(layers()), quick)
    yield from measure_scan(quick)
    yield from measure_matrix_scan(quick)


def layers() -> dict[str, Callable[..., nn.Module]]:
    """Return the layers of ``rnn_tasks.cores`` that need no argument but the two sizes, by name."""
    classes = {name: getattr(cores, name) for name in cores.__all__}
    return {
        name: value
        for name, value in classes.items()
        if inspect.isclass(value)
        and issubclass(value, cores.Core)
        and not inspect.isabstract(value)
        and required_arguments(value) == ["input_size", "hidden_size"]
    }


def required_arguments(function: Callable[..., Any]) -> list[str]:
    """Return the names of the arguments that have no default."""
    parameters = inspect.signature(function).parameters.values()
    return [parameter.name for parameter in parameters if parameter.default is parameter.empty]


def measure_layers(names: Sequence[str], quick: bool) -> Iterator[Row]:
    """Yield the ratio of the times of both passes, for each layer in rounds of its own beside ``torch.nn.GRU``."""
    case = f"time {TIME}, batch {BATCH}, hidden {UNITS}, input {FEATURES}"
    for name in names:
        contestants = {
            "torch.nn.GRU": layer_pass(nn.GRU(FEATURES, UNITS, batch_first=True)),
            name: layer_pass(layers()[name](FEATURES, UNITS, **({"heads": HEADS[name]} if name in HEADS else {}))),
        }
        seconds = interleaved({key: torch_timer(work) for key, work in contestants.items()}, 3 if quick else 11)
        if name in OURS_OVER_GRU:
            yield ratio_row("layers", case, seconds, name, "torch.nn.GRU", at_most=OURS_OVER_GRU[name])
        else:
            yield ratio_row("layers", case, seconds, "torch.nn.GRU", name, at_least=GRU_OVER_OURS.get(name))


def layer_pass(layer: nn.Module) -> Callable[[], object]:
    """Return a function that runs both passes of a layer over normally distributed inputs."""
    inputs, gradient = torch.randn(BATCH, TIME, FEATURES), torch.randn(BATCH, TIME, UNITS)

    def run() -> None:
        layer.zero_grad()
        layer(inputs)[0].backward(gradient)

    return run


def measure_scan(quick: bool) -> Iterator[Row]:
    """Yield the times of both passes of a loop with autograd over those of ``linear_scan``, and the growth of these."""
    for shape, dtype, is_constant, bound in SCANS:
        leaves = scan_leaves(shape, dtype, is_constant)
        contestants = {"loop": scan_pass(loop, *leaves), "linear_scan": scan_pass(linear_scan, *leaves)}
        seconds = interleaved({name: torch_timer(work) for name, work in contestants.items()}, 3 if quick else 11)
        factors = "constant factors" if is_constant else "factors by step"
        case = "{}, {}, time {:,}, batch {}, features {}".format(str(dtype).removeprefix("torch."), factors, *shape)
        yield ratio_row("layers", case, seconds, "loop", "linear_scan", at_least=bound)
    for name in ("float32", "complex64"):  # factors by step, as in MinGRU, and constant factors, as in LRU
        fitted: dict[str, list[float]] = {"seconds": [], "memory": []}
        for round_index in range(1 if quick else 5):
            lengths = sorted(LENGTHS, reverse=round_index % 2 == 1)
            results = [measure_length(length, name) for length in lengths]
            for quantity, values in fitted.items():
                values.append(exponent(lengths, [result[quantity] for result in results]))
        for quantity, values in fitted.items():
            case = f"linear_scan, {name}, batch 1, features 64, length {LENGTHS[0]:,} to {LENGTHS[-1]:,}"
            yield Row("layers", case, f"exponent of {quantity}", values, at_most=1.05)


def measure_matrix_scan(quick: bool) -> Iterator[Row]:
    """Yield the times of both passes of a loop over those of ``matrix_scan``, with and without the delta rule."""
    heads = HEADS["DeltaNet"]
    for delta in (True, False):
        shape = (BATCH, TIME, heads, UNITS // heads)
        query, key, value = (torch.randn(shape).requires_grad_() for _ in range(3))
        key = functional.normalize(key, dim=-1).detach().requires_grad_()
        gradient = torch.randn(shape)

        def run(scan: Callable[..., tuple[Tensor, Any]], values: Sequence[Tensor] = (query, key, value)) -> object:
            return torch.autograd.grad(scan(*values, delta=delta)[0], values, gradient)  # noqa: B023

        contestants = {"loop": partial(run, matrix_loop), "matrix_scan": partial(run, matrix_scan)}
        seconds = interleaved({name: torch_timer(work) for name, work in contestants.items()}, 3 if quick else 11)
        case = f"{'delta rule' if delta else 'added up'}, time {TIME}, batch {BATCH}, {heads} heads of {shape[3]}"
        yield ratio_row("layers", case, seconds, "loop", "matrix_scan", at_least=CHUNKS_OVER_LOOP)


def matrix_loop(query: Tensor, key: Tensor, value: Tensor, delta: bool) -> tuple[Tensor, Tensor]:
    """Return the outputs ``(batch, time, heads, features)`` and the last state as autograd computes them by step."""
    batch, time, heads, size = query.shape
    by_step = [values.transpose(0, 1).reshape(time, batch * heads, 1, size).unbind(0) for values in (query, key, value)]
    state, outputs = query.new_zeros(batch * heads, size, size), []
    for q, k, v in zip(*by_step, strict=True):
        written = torch.baddbmm(v, k, state, alpha=-1) if delta else v
        state = torch.baddbmm(state, k.transpose(1, 2), written)
        outputs.append(torch.bmm(q, state))
    return torch.stack(outputs).view(time, batch, heads, size).transpose(0, 1), state


def scan_leaves(shape: tuple[int, ...], dtype: torch.dtype, is_constant: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Return factors, terms and start of a recurrence; all of them need a gradient."""
    factors = 0.6 * torch.rand(shape[2:] if is_constant else shape, dtype=dtype)
    leaves = (factors, torch.randn(shape, dtype=dtype), torch.zeros(shape[1:], dtype=dtype))
    return leaves[0].requires_grad_(), leaves[1].requires_grad_(), leaves[2].requires_grad_()


def scan_pass(scan: Callable[[Tensor, Tensor, Tensor], Tensor], a: Tensor, b: Tensor, h0: Tensor) -> Callable[[], Any]:
    """Return a function that runs both passes of a recurrence and returns the states and all gradients."""
    gradient = torch.randn_like(b)

    def run() -> tuple[Tensor, tuple[Tensor, ...]]:
        states = scan(a, b, h0)
        return states, torch.autograd.grad(states, (a, b, h0), gradient)

    return run


def loop(a: Tensor, b: Tensor, h0: Tensor) -> Tensor:
    """Return the states of the recurrence as autograd computes them, step by step."""
    state, states = h0, []
    for factor, term in zip(a.unbind(0) if a.ndim == b.ndim else [a] * len(b), b.unbind(0), strict=True):
        state = factor * state + term
        states.append(state)
    return torch.stack(states)


def measure_length(length: int, dtype: str) -> dict[str, float]:
    """Return the ``seconds`` of both passes at a length, and the bytes of ``memory`` they add, in a new process."""
    command = f"from benchmarks.layers import print_length; print_length({length}, {dtype!r})"
    result: dict[str, float] = json.loads(python(["-c", command], Path.cwd())[1])
    return result


def print_length(length: int, dtype: str) -> None:
    """Measure both passes at a length in this process; print seconds and bytes as JSON."""
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")  # large pages, which the command line also requests

    def work_at(time: int) -> Callable[[], object]:
        return scan_pass(linear_scan, *scan_leaves((time, 1, 64), getattr(torch, dtype), dtype == "complex64"))

    work_at(10)()  # warm-up: loads libraries
    before, work = memory("VmRSS"), work_at(length)
    seconds = statistics.median(torch_timer(work, seconds=0.3)() for _ in range(3))
    print(json.dumps({"seconds": seconds, "memory": max(memory("VmHWM") - before, 1)}))


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure the layers that the arguments name and print a table; None for the arguments of the process."""
    parser = argparse.ArgumentParser("python -m benchmarks.layers", description="Measure the speed of layers.")
    names = sorted(layers())
    parser.add_argument("--layers", nargs="+", choices=names, default=names, help="layers to measure (default: all)")
    parser.add_argument("--scan", action="store_true", help="measure the scans instead of layers")
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    options = parser.parse_args(arguments)
    rows = measure_layers(options.layers, options.quick)
    if options.scan:
        rows = itertools.chain(measure_scan(options.quick), measure_matrix_scan(options.quick))
    print(as_text([*rows]))


if __name__ == "__main__":
    main()
