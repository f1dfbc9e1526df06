"""6: how seconds and memory of a training step grow, and characters a second on text against the recipe's own loop."""

import json
import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.interleaved import CLASSIC, step_laps
from benchmarks.rows import Bound, Row
from benchmarks.turns import Setting, python, ratio_row

GIB = 2**30
Size = tuple[int, int, int]
"""Length, hidden size, batch."""

LENGTHS, QUICK_LENGTHS = (100, 300, 1_000, 3_000, 10_000), (1_000, 10_000)
UNITS, QUICK_UNITS = (64, 128, 256, 512, 1_024), (64, 1_024)
BATCHES, QUICK_BATCHES = (16, 64, 256, 1_024), (16, 1_024)
LINEAR_FROM, LINEAR = 1_000, Bound("<=", 1.05)
TOKENS = 32 * 35


def measure(setting: Setting) -> Iterator[Row]:
    """Exponents, the memory of a long delay, and the rate on text."""
    turns = setting.count(5, 1)
    lengths, units, batches = (
        (QUICK_LENGTHS, QUICK_UNITS, QUICK_BATCHES) if setting.quick else (LENGTHS, UNITS, BATCHES)
    )
    long = [length for length in lengths if length >= LINEAR_FROM]
    yield from exponents(f"length {long[0]:,} to {long[-1]:,}", {n: (n, 128, 20) for n in long}, turns, LINEAR)
    if not setting.quick:
        short = [length for length in lengths if length <= LINEAR_FROM]
        yield from exponents(f"length {short[0]:,} to {short[-1]:,}", {n: (n, 128, 20) for n in short}, turns)
    yield from exponents(f"hidden {units[0]} to {units[-1]:,}", {n: (100, n, 32) for n in units}, turns)
    yield from exponents(f"batch {batches[0]} to {batches[-1]:,}", {n: (100, 128, n) for n in batches}, turns)
    peaks = tuple(step((10_020, 128, 20))["peak"] / GIB for _ in range(turns))
    what = "copy, delay 10,000, hidden 128, batch 20: the whole process"
    yield Row("growth", what, "peak memory, GiB", peaks, Bound("<=", 4))
    yield from text(setting)


def step(size: Size) -> dict[str, float]:
    """Seconds and bytes of a training step: of its own, and of the whole process at most.

    Args:
        size: Length, hidden size, batch.
    """
    found: dict[str, float] = json.loads(python(["-m", "benchmarks.one_step", *map(str, size)], Path.cwd()))
    return found


def exponents(what: str, sizes: Mapping[int, Size], turns: int, bound: Bound | None = None) -> Iterator[Row]:
    """The exponents of seconds and memory, a fit in each turn.

    Args:
        what: What grows, from where to where.
        sizes: All sizes, by the number that grows.
        turns: Number of turns.
        bound: On both.
    """
    found: dict[str, list[float]] = {"seconds": [], "memory": []}
    last: dict[int, dict[str, float]] = {}
    for turn in range(turns):
        for number in list(sizes) if turn % 2 == 0 else reversed(list(sizes)):
            last[number] = step(sizes[number])
        for name, values in found.items():
            values.append(exponent(list(sizes), [last[number][name] for number in sizes]))
    for name, values in found.items():
        factor, unit = (1e3, "ms") if name == "seconds" else (2**-20, "MiB")
        note = "; ".join(f"{number:,}: {last[number][name] * factor:,.0f} {unit}" for number in sizes)
        yield Row("growth", what, f"exponent of {name}", tuple(values), bound, note=note)


def exponent(sizes: Sequence[float], values: Sequence[float]) -> float:
    """The slope of a line through sizes and values, both as logarithms: b of ``value = a * size**b``.

    Args:
        sizes: At least two different ones, ``> 0``.
        values: ``> 0``.

    Example:
        >>> round(exponent([1, 10, 100], [3, 300, 30_000]), 6)
        2.0
    """
    return statistics.linear_regression([math.log(size) for size in sizes], [math.log(v) for v in values]).slope


def text(setting: Setting) -> Iterator[Row]:
    """Characters a second under ``fit`` over those of the recipe's loop, both with one thread, then both with two."""
    for count in (1, 2):
        laps = step_laps(CLASSIC, ["fit", "seed"], setting.count(7, 2), setting.quick, [f"--num_threads={count}"])
        what = f"{CLASSIC.what}: both {count} thread{'s' if count > 1 else ''}"
        row = ratio_row("growth", what, laps, "seed", "fit", Bound(">=", 1.2), ours="fit")
        rates = [None if each is None else TOKENS / each for each in (row.ours, row.peer)]
        yield replace(row, ours=rates[0], peer=rates[1], unit="tokens/s")
