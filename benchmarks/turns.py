"""Measuring by turns: in each turn everyone once, in the next one backwards, so that all meet the same machine."""

import gc
import os
import resource
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter, process_time
from typing import NamedTuple

from benchmarks.rows import Bound, NotMeasuredError, Row

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Setting:
    """How thoroughly to measure.

    Args:
        quick: Whether everything together has to end within three minutes.
        turns: Turns that the user asked for; None for each group's own number.
    """

    quick: bool = False
    turns: int | None = None

    def count(self, usual: int, quick: int) -> int:
        """The number of turns, where it is usually this one, or that one when it must be quick."""
        return self.turns or (quick if self.quick else usual)


class Lap(NamedTuple):
    """What a piece of work took.

    Attributes:
        seconds: By the clock.
        cpu: Seconds of all cores together.
    """

    seconds: float
    cpu: float

    def each(self, count: float) -> "Lap":
        """The share of one of so many equal pieces."""
        return Lap(self.seconds / count, self.cpu / count)


Laps = Mapping[str, Sequence[Lap]]


def lap(work: Callable[[], object]) -> Lap:
    """Do a piece of work of this process, and time it."""
    started, cpu = perf_counter(), process_time()
    work()
    return Lap(perf_counter() - started, process_time() - cpu)


def in_turn(
    contestants: Mapping[str, Callable[[], object]],
    turns: int,
    timed: Callable[[Callable[[], object]], Lap] = lap,
) -> dict[str, list[Lap]]:
    """Laps of each contestant, one a turn: in the order given, then backwards, and so on.

    Args:
        contestants: What each of them does in a turn, by name.
        turns: How often, ``>= 1``.
        timed: Does it, and times it.

    Example:
        >>> done = []
        >>> laps = in_turn({"a": lambda: done.append("a"), "b": lambda: done.append("b")}, 2)
        >>> done, {name: len(each) for name, each in laps.items()}
        (['a', 'b', 'b', 'a'], {'a': 2, 'b': 2})
    """
    laps: dict[str, list[Lap]] = {name: [] for name in contestants}
    for turn in range(turns):
        for name in order(list(contestants), turn):
            gc.collect()
            laps[name].append(timed(contestants[name]))
    return laps


def order(names: Sequence[str], turn: int) -> list[str]:
    """The names in the order of a turn: every second one goes backwards."""
    return list(names) if turn % 2 == 0 else list(reversed(names))


def ratio_row(
    group: str,
    what: str,
    laps: Laps,
    over: str,
    under: str,
    bound: Bound | None = None,
    ours: str | None = None,
    note: str = "",
) -> Row:
    """The time of one contestant over that of another, turn by turn.

    Args:
        group: Which benchmark it is of.
        what: What was measured.
        laps: Laps of both.
        over: Whose time is divided.
        under: Whose time it is divided by.
        bound: What the median should hold.
        ours: Which of the two is ours; the one that is divided if None.
        note: What else must be known.
    """
    ours = ours or over
    peer = under if ours == over else over
    pairs = list(zip(laps[over], laps[under], strict=True))
    return Row(
        group,
        what,
        f"{over} / {under}",
        tuple(first.seconds / second.seconds for first, second in pairs),
        bound,
        statistics.median(first.cpu / second.cpu for first, second in pairs) if all(b.cpu for _, b in pairs) else None,
        statistics.median(each.seconds for each in laps[ours]),
        statistics.median(each.seconds for each in laps[peer]),
        note=note,
    )


def repeated(work: Callable[[], object], seconds: float) -> tuple[Callable[[], None], int]:
    """A loop over a piece of work that takes about so long, and how often it does it; the work is done to find out."""
    work()
    once = min(lap(work).seconds for _ in range(3))
    count = max(1, round(seconds / max(once, 1e-7)))

    def loop() -> None:
        for _ in range(count):
            work()

    return loop, count


def python(words: Sequence[str], folder: Path) -> str:
    """Run Python in a process of its own, and wait for its end.

    Args:
        words: Its command line.
        folder: Where it runs.

    Returns:
        What it said.

    Raises:
        NotMeasuredError: It failed.
    """
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "PYTHONPATH": path}
    done = subprocess.run(
        [sys.executable, *words], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip() or "nothing said").splitlines()[-1]
        raise NotMeasuredError(f"{' '.join(words[:4])}: {last}")
    return done.stdout


def process_lap(work: Callable[[], object]) -> Lap:
    """As :func:`lap`, for work that is done by processes which have ended when it returns."""
    started, before = perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    work()
    seconds, after = perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    return Lap(seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Let torch use so many CPU threads inside."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
