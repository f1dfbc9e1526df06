"""Interleaved timing (A B B A), so that other load on the machine affects all contestants equally."""

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
    """Measure each contestant once per round, in every second round in reverse order.

    Args:
        contestants: Functions that do some work and return its seconds, by name.
        rounds: Number of rounds.

    Returns:
        The seconds of each round, by name.

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
    """Return a function that repeats the work for ``seconds`` or more and returns the median seconds per repetition."""
    timer = Timer("work()", globals={"work": work}, num_threads=num_threads)
    return lambda: float(timer.blocked_autorange(min_run_time=seconds).median)


def python(arguments: Sequence[str], folder: Path) -> tuple[float, str]:
    """Run Python with arguments in a folder; return the seconds and the standard output of the process.

    Raises:
        NotMeasuredError: The process failed; the message ends with the last line of its output.
    """
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    command, environment = [sys.executable, *arguments], {**os.environ, "PYTHONPATH": path}
    start = perf_counter()
    process = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    seconds = perf_counter() - start
    if process.returncode:
        lines = (process.stderr.strip() or process.stdout.strip() or "no output").splitlines()
        raise NotMeasuredError(f"python {' '.join(arguments[:4])} failed: {lines[-1]}")
    return seconds, process.stdout


def ratio_row(
    group: str, case: str, seconds: Mapping[str, Sequence[float]], numerator: str, denominator: str, **options: Any
) -> Row:
    """Return a row of ratios of seconds, one for each round; ``options`` are further arguments of :class:`Row`."""
    ratios = [first / second for first, second in zip(seconds[numerator], seconds[denominator], strict=True)]
    times = [statistics.median(seconds[name]) for name in (numerator, denominator)]
    return Row(group, case, f"{numerator} / {denominator}", ratios, times=times, **options)
