"""Published results, the runs that reproduce them, and the comparison with our values."""

import difflib
import math
import statistics
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from rnn_tasks.errors import require
from rnn_tasks.studies.plan import Plan, PlannedRun

ROUNDING = 1e-9
"""Difference that rounding errors of decimal fractions may cause."""


class Verdict(Enum):
    """The outcome of a comparison."""

    WITHIN = "within"
    OUTSIDE = "outside"
    NOT_RUN = "not run"
    FAILED = "failed"


@dataclass(frozen=True)
class PublishedResult:
    """A published number.

    Args:
        name: The name of the result.
        what: The quantity, and the network that it was measured on.
        run: The name of the run that reproduces the result; None if no training is needed.
        source_kind: The origin of our value: a ``metric`` of the summary, the last value of a ``curve``, or a
            ``function``.
        key: The name of the metric, curve or function.
        low: The least published value.
        high: The greatest published value; equal to ``low`` if one value was published.
        tolerance: The largest accepted distance of our value from the published range, ``>= 0``.
        decimals: The number of decimals with which our value is shown.
        source: The publication and the place in it, or how we computed a value that nobody published.
        known_deviation: Why our value is, or may be, outside the tolerance; empty if it should be within.
    """

    name: str
    what: str
    run: str | None
    source_kind: str
    key: str
    low: float
    high: float
    tolerance: float
    decimals: int
    source: str
    known_deviation: str = ""

    @property
    def is_published(self) -> bool:
        """Whether somebody published the value; otherwise the source begins with "not published"."""
        return not self.source.startswith("not published")

    @property
    def published(self) -> str:
        """The published value, or its range."""
        return f"{self.low}" if self.low == self.high else f"{self.low} to {self.high}"

    def distance(self, value: float) -> float:
        """Return the distance of a value from the published range: 0 within the range, negative below it."""
        return max(value - self.high, 0.0) + min(value - self.low, 0.0)


@dataclass(frozen=True)
class RunCost:
    """The cost of a run.

    Args:
        minutes: Minutes per seed on one of two cores, ``> 0``.
        seeds: The seeds of the run.
        slow: Whether the run is done only on request (by name, or with ``--all``).
    """

    minutes: float
    seeds: tuple[int, ...]
    slow: bool

    @property
    def total(self) -> float:
        """The minutes of all seeds, done one after another."""
        return self.minutes * len(self.seeds)

    @property
    def time(self) -> str:
        """The total as text, such as ``2 minutes``."""
        return f"{self.total:g} minute{'' if self.total == 1 else 's'}"


@dataclass(frozen=True)
class SomeRuns(Plan):
    """A study of which only some runs are done.

    Args:
        names: The names of the runs to do.
    """

    names: frozenset[str] = frozenset()

    @property
    def has_one_task(self) -> bool:
        """False: the runs have several tasks."""
        return False

    def runs(self) -> list[PlannedRun]:
        """Return the runs to do."""
        return [run for run in super().runs() if run.name in self.names]


@dataclass(frozen=True)
class Published:
    """All published results, and the study of their runs.

    Args:
        study: The study, with ``run`` as its only axis.
        costs: The cost of each run, by its name.
        results: The results, in the order of the tables.
    """

    study: Plan
    costs: Mapping[str, RunCost]
    results: tuple[PublishedResult, ...]

    def plan(self, runs: Collection[str]) -> Plan:
        """Return the study of some runs, each with the seeds that its cost lists.

        Args:
            runs: The names of the runs.
        """
        planned = [(run, run.variants["run"].name) for run in self.study.runs()]
        names = {run.name for run, name in planned if name in runs and run.seed in self.costs[name].seeds}
        return SomeRuns(**vars(self.study), names=frozenset(names))

    def choose(self, names: Sequence[str], include_slow: bool = False) -> list[PublishedResult]:
        """Return results by name, in the order of the tables.

        Args:
            names: Names of results or runs; without names, all results whose runs are not slow.
            include_slow: Whether to include the results of slow runs if there are no names.

        Raises:
            UsageError: A name is neither a result nor a run.
        """
        valid = {*self.costs, *(result.name for result in self.results)}
        for name in names:
            close = difflib.get_close_matches(name, valid, n=1)
            hint = f"did you mean {close[0]}?" if close else "rnn-tasks reproduce --list shows all"
            require(name in valid, f"no result or run {name}; {hint}")
        if names:
            return [result for result in self.results if result.name in names or result.run in names]
        return [r for r in self.results if include_slow or r.run is None or not self.costs[r.run].slow]


def lines_of(published: Published, results: Sequence[PublishedResult]) -> list[str]:
    """Return a line for each result with the cost of its run, and a line with the total cost.

    Args:
        published: All published results.
        results: The results to list.
    """
    lines = []
    for result in results:
        cost = None if result.run is None else published.costs[result.run]
        time = "no training" if cost is None else f"{cost.time} ({result.run})"
        if cost is not None and cost.slow:
            time += ", with --all or by name"
        lines.append(f"{result.name}  {result.what}: {result.published}  {result.source}  {time}")
    total = math.ceil(sum(cost.total for cost in published.costs.values() if not cost.slow) / 2)
    return [*lines, f"about {total} min with --jobs 2 on two cores, without the slow runs"]


@dataclass(frozen=True)
class Comparison:
    """A published result beside our values.

    Args:
        result: The published result.
        verdict: The outcome of the comparison.
        values: Our value of each seed; empty without values.
        note: Why the result is outside its tolerance, why its run failed, or the command that does its run.
    """

    result: PublishedResult
    verdict: Verdict
    values: tuple[float, ...] = ()
    note: str = ""

    @property
    def difference(self) -> float | None:
        """The distance of our median from the published range, negative below it; None without our values."""
        return self.result.distance(statistics.median(self.values)) if self.values else None

    @property
    def ours(self) -> str:
        """Our median, and the range if there are several seeds; ``never`` stands for a step that was not reached."""
        if not self.values:
            return "-"
        low, middle, high = (
            "never" if math.isinf(value) else f"{value:,.{self.result.decimals}f}"
            for value in (min(self.values), statistics.median(self.values), max(self.values))
        )
        return middle if len(self.values) == 1 else f"{middle} ({low} to {high})"


def compare(result: PublishedResult, values: Sequence[float]) -> Comparison:
    """Compare the median of our values with a published result.

    Args:
        result: The published result.
        values: Our value of each seed, at least one; infinite for a step that was not reached.
    """
    if abs(result.distance(statistics.median(values))) <= result.tolerance + ROUNDING:
        return Comparison(result, Verdict.WITHIN, tuple(values))
    note = result.known_deviation or "the reason is not known"
    return Comparison(result, Verdict.OUTSIDE, tuple(values), note)
