"""Growth of the seconds and the memory of a training step with length, hidden size and batch size.

``python -m benchmarks.growth LENGTH HIDDEN BATCH`` prints the seconds and the memory of one size as JSON.
"""

import json
import math
import os
import re
import statistics
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from benchmarks.table import Row
from benchmarks.timing import python, torch_timer
from rnn_tasks.cores import Elman

SYMBOLS = 10


def measure(quick: bool) -> Iterator[Row]:
    """Yield the exponents of seconds and memory, and the peak memory for a long delay."""
    rounds = 1 if quick else 4
    yield from exponents("length", {n: (n, 128, 20) for n in (1_000, 3_000, 10_000)}, rounds, 1.05)
    if not quick:
        yield from exponents("length", {n: (n, 128, 20) for n in (100, 300, 1_000)}, rounds)
        yield from exponents("hidden", {n: (100, n, 32) for n in (64, 128, 256, 512, 1_024)}, rounds)
        yield from exponents("batch", {n: (100, 128, n) for n in (16, 64, 256, 1_024)}, rounds)
    peaks = [measure_size(10_020, 128, 20)["peak"] / 2**30 for _ in range(rounds)]
    yield Row("growth", "copy, delay 10,000, hidden 128, batch 20", "peak memory of the process, GiB", peaks, 4)


def exponents(name: str, sizes: dict[int, tuple[int, ...]], rounds: int, bound: float | None = None) -> Iterator[Row]:
    """Yield the exponents of seconds and memory, fitted in each round.

    Args:
        name: Name of the number that grows.
        sizes: Length, hidden size and batch size, by the number that grows.
        rounds: Number of rounds.
        bound: Upper bound on the exponents.
    """
    fitted: dict[str, list[float]] = {"seconds": [], "memory": []}
    for round_index in range(rounds):
        numbers = sorted(sizes, reverse=round_index % 2 == 1)
        results = [measure_size(*sizes[number]) for number in numbers]
        for quantity, values in fitted.items():
            values.append(exponent(numbers, [result[quantity] for result in results]))
    for quantity, values in fitted.items():
        yield Row("growth", f"{name} {min(sizes):,} to {max(sizes):,}", f"exponent of {quantity}", values, bound)


def exponent(sizes: Sequence[float], values: Sequence[float]) -> float:
    """Return the exponent b of ``value = a * size**b``, fitted to the logarithms by least squares.

    Example:
        >>> round(exponent([1, 10, 100], [3, 300, 30_000]), 6)
        2.0
    """
    return statistics.linear_regression([*map(math.log, sizes)], [*map(math.log, values)]).slope


def measure_size(*size: int) -> Any:
    """Measure a step of a length, hidden size and batch size in a new process.

    Returns:
        ``seconds`` of the step, bytes of ``memory`` that the step adds, and the ``peak`` bytes of the process.
    """
    return json.loads(python(["-m", "benchmarks.growth", *map(str, size)], Path.cwd())[1])


def memory(field: str) -> int:
    """Return the bytes in use by this process (Linux): now for ``VmRSS``, at most so far for ``VmHWM``."""
    match = re.search(rf"{field}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(match[1]) * 1024 if match else 0


def main(length: int, hidden_size: int, batch: int) -> None:
    """Train for some steps of a size; print seconds and bytes as JSON."""
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")  # large pages, which the command line also requests
    layer, readout = Elman(SYMBOLS, hidden_size), nn.Linear(hidden_size, SYMBOLS)
    optimizer = torch.optim.Adam([*layer.parameters(), *readout.parameters()])
    before = memory("VmRSS")

    def step() -> None:
        symbols = torch.randint(SYMBOLS, (batch, length))
        hidden, _ = layer(functional.one_hot(symbols, SYMBOLS).float())
        loss = functional.cross_entropy(readout(hidden).flatten(0, 1), symbols.flatten())
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    seconds, peak = torch_timer(step, seconds=1.5)(), memory("VmHWM")
    print(json.dumps({"seconds": seconds, "memory": max(peak - before, 1), "peak": peak}))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:4]))
