"""The cost of a layer: time of a step, forward and in training, and the memory that training holds."""

import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from typing import NamedTuple

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from rnn_tasks.cores import Core
from rnn_tasks.errors import require

STEPS_OF_BYTES = 1000
"""The number of time steps for which the memory is given."""


class Cost(NamedTuple):
    """The cost of a layer for a batch of sequences.

    Attributes:
        forward_us: Microseconds for one time step of the whole batch, without gradients.
        training_us: Microseconds for one time step of the whole batch, forward and backward, without the optimizer.
        training_bytes: Bytes that autograd holds between forward and backward pass, for each 1,000 time steps of the
            whole batch. Weights are not included, since they do not grow with the number of steps.
    """

    forward_us: float
    training_us: float
    training_bytes: float


def cost_of(core: Core, batch_size: int = 64, time_steps: int = 64, repeats: int = 7) -> Cost:
    """Return the cost of a layer, see :func:`costs_of`.

    Args:
        core: The layer.
        batch_size: As for :func:`costs_of`.
        time_steps: As for :func:`costs_of`.
        repeats: As for :func:`costs_of`.

    Raises:
        UsageError: A number is below 1.

    Example:
        >>> from rnn_tasks.cores import Elman
        >>> cost = cost_of(Elman(3, 4), batch_size=2, time_steps=5, repeats=1)
        >>> cost.training_us > 0, cost.training_bytes > 0
        (True, True)
    """
    return costs_of({"": core}, batch_size, time_steps, repeats)[""]


def costs_of(
    cores: Mapping[str, Core], batch_size: int = 64, time_steps: int = 64, repeats: int = 7
) -> dict[str, Cost]:
    """Return the costs of layers, measured interleaved (A B B A), so that other load on the machine affects all alike.

    Each layer is copied to the CPU and runs in one thread, on normally distributed inputs. Times are medians over the
    repeats. The memory is what autograd saves for ``2 * time_steps`` less what it saves for ``time_steps``.

    Args:
        cores: The layers by name.
        batch_size: The number of sequences, ``>= 1``.
        time_steps: The number of time steps of each sequence, ``>= 1``.
        repeats: How often each pass is measured, ``>= 1``.

    Raises:
        UsageError: A number is below 1.
    """
    for name, value in {"batch_size": batch_size, "time_steps": time_steps, "repeats": repeats}.items():
        require(value >= 1, f"{name} must be at least 1, got {value}")
    copies = {name: deepcopy(core).cpu() for name, core in cores.items()}
    forward: dict[str, list[float]] = {name: [] for name in cores}
    training: dict[str, list[float]] = {name: [] for name in cores}
    with one_thread(), torch.random.fork_rng(devices=[]):
        for core in copies.values():  # the first pass of a layer allocates memory
            train(core, *random_batch(core, batch_size, time_steps))
        for repeat in range(repeats):
            for name in list(copies)[:: -1 if repeat % 2 else 1]:
                inputs, gradient = random_batch(copies[name], batch_size, time_steps)
                forward[name].append(seconds(lambda: run(copies[name], inputs)))  # noqa: B023  # called at once
                training[name].append(seconds(lambda: train(copies[name], inputs, gradient)))  # noqa: B023
        held = {name: bytes_per_step(core, batch_size, time_steps) for name, core in copies.items()}
    per_step = 1e6 / time_steps
    return {
        name: Cost(
            statistics.median(forward[name]) * per_step,
            statistics.median(training[name]) * per_step,
            held[name] * STEPS_OF_BYTES,
        )
        for name in cores
    }


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch compute in one thread, and restore the number of threads at the end."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def random_batch(core: Core, batch_size: int, time_steps: int) -> tuple[Tensor, Tensor]:
    """Return random inputs of a layer, ``(batch, time, input_size)``, and a gradient of its outputs."""
    generator = torch.Generator().manual_seed(0)
    dtype = next((parameter.dtype for parameter in core.parameters() if parameter.is_floating_point()), torch.float32)
    sizes = core.input_size, core.hidden_size
    inputs, gradient = (torch.randn(batch_size, time_steps, size, generator=generator) for size in sizes)
    return inputs.to(dtype), gradient.to(dtype)


def seconds(work: Callable[[], object]) -> float:
    """Return the seconds that a function takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


@torch.no_grad()
def run(core: Core, inputs: Tensor) -> None:
    """Run the forward pass of a layer in evaluation mode, without gradients."""
    core.eval()
    core(inputs)


def train(core: Core, inputs: Tensor, gradient: Tensor) -> None:
    """Run the forward and the backward pass of a layer in training mode; a layer without gradients has no backward."""
    core.train()
    core.zero_grad()
    with torch.enable_grad():
        outputs, _ = core(inputs)
        if outputs.requires_grad:
            outputs.backward(gradient.to(outputs.dtype))


def bytes_per_step(core: Core, batch_size: int, time_steps: int) -> float:
    """Return the bytes that autograd saves for each further time step.

    Args:
        core: The layer.
        batch_size: The number of sequences.
        time_steps: The number of time steps of the shorter of two passes.
    """
    short, long = (
        saved_bytes(core, random_batch(core, batch_size, count)[0]) for count in (time_steps, 2 * time_steps)
    )
    return (long - short) / time_steps


def saved_bytes(core: Core, inputs: Tensor) -> int:
    """Return the bytes of all tensors that autograd saves in a forward pass; shared storage counts once.

    Tensors that an autograd function of the layer keeps in another way than by ``save_for_backward`` are not counted.

    Args:
        core: The layer.
        inputs: ``(batch, time, input_size)``.
    """
    sizes: dict[int, int] = {}

    def pack(saved: Tensor) -> Tensor:
        storage = saved.untyped_storage()
        sizes[storage.data_ptr()] = storage.nbytes()
        return saved

    core.train()
    with torch.enable_grad(), saved_tensors_hooks(pack, lambda saved: saved):
        outputs = core(inputs)  # holds the saved tensors, so that no address is used twice
    del outputs
    return sum(sizes.values())
