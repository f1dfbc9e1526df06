"""How the seconds and the memory of a training step grow with length, hidden size and batch.

``python -m benchmarks.growth LENGTH HIDDEN BATCH`` prints those of one size, in a process of its own.
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
    """Yield the exponents of seconds and memory, and the peak memory at a long delay."""
    rounds = 1 if quick else 4
    yield from exponents("length", {n: (n, 128, 20) for n in (1_000, 3_000, 10_000)}, rounds, 1.05)
    if not quick:
        yield from exponents("length", {n: (n, 128, 20) for n in (100, 300, 1_000)}, rounds)
        yield from exponents("hidden", {n: (100, n, 32) for n in (64, 128, 256, 512, 1_024)}, rounds)
        yield from exponents("batch", {n: (100, 128, n) for n in (16, 64, 256, 1_024)}, rounds)
    peaks = [one_size(10_020, 128, 20)["peak"] / 2**30 for _ in range(rounds)]
    yield Row("growth", "copy, delay 10,000, hidden 128, batch 20", "peak memory of the process, GiB", peaks, 4)


def exponents(name: str, sizes: dict[int, tuple[int, ...]], rounds: int, bound: float | None = None) -> Iterator[Row]:
    """Yield the exponents of seconds and memory, fitted in each round, for sizes by the number that grows."""
    found: dict[str, list[float]] = {"seconds": [], "memory": []}
    for round_index in range(rounds):
        numbers = sorted(sizes, reverse=round_index % 2 == 1)
        results = [one_size(*sizes[number]) for number in numbers]
        for quantity, values in found.items():
            values.append(exponent(numbers, [result[quantity] for result in results]))
    for quantity, values in found.items():
        yield Row("growth", f"{name} {min(sizes):,} to {max(sizes):,}", f"exponent of {quantity}", values, bound)


def exponent(sizes: Sequence[float], values: Sequence[float]) -> float:
    """Return b of ``value = a * size**b``, fitted to the logarithms by least squares.

    Example:
        >>> round(exponent([1, 10, 100], [3, 300, 30_000]), 6)
        2.0
    """
    return statistics.linear_regression([*map(math.log, sizes)], [*map(math.log, values)]).slope


def one_size(*size: int) -> Any:
    """Return ``seconds`` and bytes of a step of length, hidden size and batch: its own ``memory``, and the ``peak``."""
    return json.loads(python(["-m", "benchmarks.growth", *map(str, size)], Path.cwd())[1])


def memory(field: str) -> int:
    """Return bytes of this process (Linux): ``VmRSS``, in use now, or ``VmHWM``, the most that were in use."""
    found = re.search(rf"{field}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(found[1]) * 1024 if found else 0


def main(length: int, hidden_size: int, batch: int) -> None:
    """Train for some steps of a size, and print seconds and bytes as JSON."""
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")  # large pages, as the command line asks for
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
