"""Interleaved timing (A B B A), so that whatever else the machine does meets all contestants alike."""

import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

from torch.utils.benchmark import Timer

from benchmarks.table import NotMeasuredError, Row

ROOT = Path(__file__).parent.parent


def interleaved(contestants: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Measure each contestant once a round, every second round in reverse order.

    Args:
        contestants: By name, functions that do the work and return its seconds.
        rounds: Number of rounds.

    Returns:
        By name, the seconds of each round.

    Example:
        >>> calls = []
        >>> contestants = {name: lambda name=name: calls.append(name) or 1.0 for name in "AB"}
        >>> interleaved(contestants, 2), calls
        ({'A': [1.0, 1.0], 'B': [1.0, 1.0]}, ['A', 'B', 'B', 'A'])
    """
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for round_index in range(rounds):
        for name in list(contestants)[:: -1 if round_index % 2 else 1]:
            seconds[name].append(contestants[name]())
    return seconds


def torch_timer(work: Callable[[], object], num_threads: int = 1, seconds: float = 0.1) -> Callable[[], float]:
    """Return a function that repeats the work for some seconds, and returns the median seconds of one repetition."""
    timer = Timer("work()", globals={"work": work}, num_threads=num_threads)
    return lambda: float(timer.blocked_autorange(min_run_time=seconds).median)


def python(arguments: Sequence[str], folder: Path) -> tuple[float, str]:
    """Run Python with arguments in a folder; return its seconds and its standard output.

    Raises:
        NotMeasuredError: The process failed.
    """
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    command, environment = [sys.executable, *arguments], {**os.environ, "PYTHONPATH": path}
    start = perf_counter()
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    seconds = perf_counter() - start
    if done.returncode:
        lines = (done.stderr.strip() or done.stdout.strip() or "no output").splitlines()
        raise NotMeasuredError(f"{' '.join(arguments[:4])}: {lines[-1]}")
    return seconds, done.stdout


def ratio_row(group: str, case: str, seconds: Mapping[str, Sequence[float]], over: str, under: str, **rest: Any) -> Row:
    """Return the row of the times of ``over`` divided by those of ``under``; ``rest`` are arguments of Row."""
    ratios = [first / second for first, second in zip(seconds[over], seconds[under], strict=True)]
    times = [statistics.median(seconds[name]) for name in (over, under)]
    return Row(group, case, f"{over} / {under}", ratios, times=times, **rest)
