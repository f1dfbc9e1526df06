"""Published figures and the runs that are to reproduce them, as a YAML holds them, and the comparison with ours."""

import csv
import difflib
import io
import math
import statistics
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import yaml

from rnn_tasks.errors import UsageError, require
from rnn_tasks.studies.plan import STUDIES, Cell, Plan, checked, plan_of
from rnn_tasks.studies.table import Row, number

FIGURES = STUDIES / "published" / "figures.yaml"
NAME = "reproduce"
"""Of the study that the runs make up."""

RUN_KEYS = {"configs", "set", "overlay", "seeds", "minutes", "dear"}
WAYS = ("metric", "curve", "function")
FIGURE_KEYS = {*WAYS, "what", "run", "published", "tolerance", "decimals", "source", "because"}
NUMBERS = ("seconds", "steps", "parameters")
"""Of a summary, beside its metrics."""

ROUNDING = 1e-9
"""By which a difference of decimal fractions may miss."""


class Verdict(Enum):
    """What a comparison says."""

    WITHIN = "within"
    OUTSIDE = "outside"
    NOT_RUN = "not run"
    FAILED = "failed"


@dataclass(frozen=True)
class Figure:
    """A published figure.

    Args:
        name: Its name.
        what: What was measured, of what.
        run: The run that is to reproduce it; None if nothing is trained for it.
        way: Where ours comes from: ``metric`` of the summary, the last value of a ``curve``, or a ``function``.
        of: The name of that metric, curve or function.
        low: The least published value.
        high: The greatest; the same, where one value was published.
        tolerance: How far from these ours may be, ``>= 0``.
        decimals: Of our value, as it is shown.
        source: Who published it, and where.
        because: Why ours is known to be, or may be, outside; empty if that is not expected.
    """

    name: str
    what: str
    run: str | None
    way: str
    of: str
    low: float
    high: float
    tolerance: float
    decimals: int
    source: str
    because: str = ""

    @property
    def published(self) -> str:
        """The published value, or its range."""
        return f"{self.low}" if self.low == self.high else f"{self.low} to {self.high}"


@dataclass(frozen=True)
class Effort:
    """What a run costs.

    Args:
        minutes: Of one seed on one of two cores, ``> 0``.
        seeds: Its seeds.
        dear: Whether it is only done when it is asked for.
    """

    minutes: float
    seeds: tuple[int, ...]
    dear: bool

    @property
    def total(self) -> float:
        """Minutes of all seeds, one after another."""
        return self.minutes * len(self.seeds)

    @property
    def time(self) -> str:
        """These minutes in words."""
        return f"{self.total:g} minute{'' if self.total == 1 else 's'}"


@dataclass(frozen=True)
class SomeRuns(Plan):
    """A study of which only some runs are meant.

    Args:
        names: The names of these runs.
    """

    names: frozenset[str] = frozenset()

    @property
    def compares(self) -> bool:
        """They are of several tasks."""
        return False

    def cells(self) -> list[Cell]:
        """These runs."""
        return [cell for cell in super().cells() if cell.name in self.names]


@dataclass(frozen=True)
class Published:
    """All figures, and the study of their runs.

    Args:
        study: Has the runs as its only axis.
        efforts: What each run costs, by its name.
        figures: In the order in which they are shown.
    """

    study: Plan
    efforts: Mapping[str, Effort]
    figures: tuple[Figure, ...]

    def plan(self, runs: Collection[str]) -> Plan:
        """The study of some runs, each with its own seeds.

        Args:
            runs: Their names.
        """
        cells = [cell for cell in self.study.cells() if run_of(cell) in runs]
        names = frozenset(cell.name for cell in cells if cell.seed in self.efforts[run_of(cell)].seeds)
        return SomeRuns(**vars(self.study), names=names)

    def chosen(self, names: Sequence[str], everything: bool = False) -> list[Figure]:
        """The figures that are meant, in their order.

        Args:
            names: Of figures or of runs; none for those whose runs are not dear.
            everything: Whether the dear ones are meant too.

        Raises:
            UsageError: A name that is neither.
        """
        known = {*self.efforts, *(figure.name for figure in self.figures)}
        for name in names:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {close[0]}?" if close else "rnn-tasks reproduce --list shows them"
            require(name in known, f"no figure or run {name}; {hint}")
        if names:
            return [figure for figure in self.figures if figure.name in names or figure.run in names]
        return [f for f in self.figures if everything or f.run is None or not self.efforts[f.run].dear]


@dataclass(frozen=True)
class Comparison:
    """A published figure beside ours.

    Args:
        figure: The figure.
        verdict: Whether ours is within its tolerance.
        values: Ours, of each seed; empty if there are none.
        note: Why it is outside or has failed, or how it is run.
    """

    figure: Figure
    verdict: Verdict
    values: tuple[float, ...] = ()
    note: str = ""

    @property
    def difference(self) -> float | None:
        """Our median less the published value, or less the nearer end of its range; None without ours."""
        return distance(statistics.median(self.values), self.figure) if self.values else None

    @property
    def ours(self) -> str:
        """Our median, with its range where there are several seeds; ``never`` for a step that was not reached."""
        if not self.values:
            return "-"
        low, middle, high = (
            "never" if math.isinf(value) else f"{value:,.{self.figure.decimals}f}"
            for value in (min(self.values), statistics.median(self.values), max(self.values))
        )
        return middle if len(self.values) == 1 else f"{middle} ({low} to {high})"


def run_of(cell: Cell) -> str:
    """The name of the run that a cell is a seed of."""
    return cell.variants["run"].name


def distance(value: float, figure: Figure) -> float:
    """How far a value is above what was published, or below, which is negative; 0 in its range.

    Args:
        value: Ours.
        figure: The published one.
    """
    return max(value - figure.high, 0.0) + min(value - figure.low, 0.0)


def compare(figure: Figure, values: Sequence[float]) -> Comparison:
    """Whether the median of ours is within the tolerance.

    Args:
        figure: The published figure.
        values: Ours, of each seed, at least one; infinite for a step that was not reached.
    """
    far = abs(distance(statistics.median(values), figure))
    if far <= figure.tolerance + ROUNDING:
        return Comparison(figure, Verdict.WITHIN, tuple(values))
    return Comparison(figure, Verdict.OUTSIDE, tuple(values), figure.because or "no reason was known beforehand")


def metric_of(row: Row, name: str) -> float | None:
    """A figure of a run's summary; None if it has none of that name.

    Args:
        row: The run.
        name: Of a metric, of a number such as ``seconds``, or ``solved_at``, which is infinite if it was not solved.
    """
    if name == "solved_at":
        return math.inf if row.solved_at is None else row.solved_at
    return number(row, name) if name in NUMBERS else row.metric(name)


COLUMNS = ("figure", "what", "published", "ours", "difference", "tolerance", "verdict", "source")


def table_of(comparisons: Sequence[Comparison]) -> tuple[list[str], list[list[str]]]:
    """Column names, and a row for each figure.

    Args:
        comparisons: The figures.
    """
    body = []
    for one in comparisons:
        figure, far = one.figure, one.difference
        shown = "-" if far is None else "never" if math.isinf(far) else f"{far:+z,.{figure.decimals}f}"
        compared = [figure.published, one.ours, shown, str(figure.tolerance), one.verdict.value]
        body.append([figure.name, figure.what, *compared, figure.source])
    return [*COLUMNS], body


def notes_of(comparisons: Sequence[Comparison]) -> list[list[str]]:
    """Name, verdict and note of each figure that has one; figures with the same verdict and note are one row.

    Args:
        comparisons: The figures.
    """
    names: dict[tuple[str, str], list[str]] = {}
    for one in comparisons:
        if one.note:
            names.setdefault((one.verdict.value, one.note), []).append(one.figure.name)
    return [[", ".join(of), verdict, note] for (verdict, note), of in names.items()]


def count_of(comparisons: Sequence[Comparison]) -> str:
    """How many figures have each verdict.

    Args:
        comparisons: The figures.
    """
    counts = {verdict: sum(one.verdict is verdict for one in comparisons) for verdict in Verdict}
    said = ", ".join(f"{count} {verdict.value}" for verdict, count in counts.items() if count)
    return f"{len(comparisons)} figure{'' if len(comparisons) == 1 else 's'}: {said}."


def as_csv(comparisons: Sequence[Comparison]) -> str:
    """One row a figure, with unrounded numbers; ours is the median, beside its seeds' values.

    Args:
        comparisons: The figures.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        ["figure", "what", "low", "high", "ours", "values", "difference", "tolerance", "verdict", "note", "source"]
    )
    for one in comparisons:
        figure = one.figure
        ours = statistics.median(one.values) if one.values else ""
        values = " ".join(str(value) for value in one.values)
        compared = [ours, values, one.difference, figure.tolerance, one.verdict.value, one.note, figure.source]
        writer.writerow([figure.name, figure.what, figure.low, figure.high, *compared])
    return text.getvalue()


def read_figures(path: Path) -> Published:
    """Read the published figures and their runs.

    Args:
        path: The YAML file.

    Raises:
        UsageError: It is not one.
    """
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not valid YAML") from error
    return published_of(values, str(path))


def published_of(values: Any, path: str) -> Published:
    """The published figures that a YAML describes.

    Args:
        values: What the YAML holds.
        path: How a message calls it.

    Raises:
        UsageError: It describes none.
    """
    checked(values, {"about", "runs", "figures"}, path)
    runs, figures = values.get("runs"), values.get("figures")
    for given, name in ((runs, "runs"), (figures, "figures")):
        require(isinstance(given, dict) and bool(given), f"{path}: {name} must be a section with at least one")
    efforts = {str(name): effort_of(given, f"{path}: runs: {name}") for name, given in runs.items()}
    variants = {
        str(name): {key: run[key] for key in run if key in ("configs", "set", "overlay")} for name, run in runs.items()
    }
    seeds = sorted({seed for effort in efforts.values() for seed in effort.seeds})
    study = {"about": values.get("about", ""), "axes": {"run": variants}, "seeds": seeds}
    found = [figure_of(given, str(name), efforts, f"{path}: figures: {name}") for name, given in figures.items()]
    return Published(plan_of(study, NAME, path), efforts, tuple(found))


def effort_of(given: Any, where: str) -> Effort:
    """What a run costs.

    Args:
        given: As in the YAML.
        where: How a message calls it.
    """
    checked(given, RUN_KEYS, where)
    minutes, seeds, dear = given.get("minutes"), given.get("seeds", [0]), given.get("dear", False)
    require(is_number(minutes) and minutes > 0, f"{where}: minutes must be a number above 0")
    require(isinstance(dear, bool), f"{where}: dear must be true or false")
    whole = isinstance(seeds, list) and bool(seeds) and all(type(seed) is int and seed >= 0 for seed in seeds)
    require(whole and len(set(seeds)) == len(seeds), f"{where}: seeds must be numbers, each once")
    return Effort(float(minutes), tuple(seeds), dear)


def figure_of(given: Any, name: str, runs: Collection[str], where: str) -> Figure:
    """A published figure.

    Args:
        given: As in the YAML.
        name: Its name.
        runs: The names that ``run`` may have.
        where: How a message calls it.
    """
    checked(given, FIGURE_KEYS, where)
    run, ways = given.get("run"), [way for way in WAYS if way in given]
    require(len(ways) == 1, f"{where} must have one of {', '.join(WAYS)}")
    require(run is None or run in runs, f"{where}: there is no run {run}")
    require(run is not None or ways == ["function"], f"{where}: a {ways[0]} is that of a run: give run")
    published, tolerance, decimals = given.get("published"), given.get("tolerance"), given.get("decimals", 2)
    ends = published if isinstance(published, list) else [published, published]
    require(
        len(ends) == 2 and all(is_number(end) for end in ends) and ends[0] <= ends[1],
        f"{where}: published must be a number, or the least and the greatest",
    )
    require(is_number(tolerance) and tolerance >= 0, f"{where}: tolerance must be a number of at least 0")
    require(type(decimals) is int and 0 <= decimals <= 9, f"{where}: decimals must be in 0..9")
    for key in ("what", "source", ways[0]):
        require(isinstance(given.get(key), str) and bool(given[key]), f"{where}: {key} must be a text")
    texts = (given["what"], run, ways[0], given[ways[0]])
    bounds = (ends[0], ends[1], tolerance, decimals)
    return Figure(name, *texts, *bounds, given["source"], str(given.get("because", "")))


def is_number(value: Any) -> bool:
    """Whether a value of a YAML is a finite number."""
    return type(value) in (int, float) and math.isfinite(value)
