"""Rows of a study, one a run, and their summary over seeds, in which what was not solved is never averaged away."""

import csv
import io
import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rnn_tasks.studies.plan import Cell, Plan
from rnn_tasks.studies.queue import DRAWN, REASON, RESULT, State


@dataclass(frozen=True)
class Row:
    """A run.

    Args:
        cell: Which one.
        state: What has become of it.
        result: Figures of its summary, and its curves; empty if it has none.
        reason: Why it failed; empty if it did not.
    """

    cell: Cell
    state: State
    result: Mapping[str, Any]
    reason: str = ""

    def metric(self, *names: str) -> float | None:
        """The first of some metrics that it has and that is a number."""
        metrics = self.result.get("metrics") or {}
        found = (metrics.get(name) for name in names)
        return next((float(v) for v in found if isinstance(v, int | float) and math.isfinite(v)), None)

    @property
    def solved(self) -> bool:
        """Whether its task was solved, in validation and in the test."""
        return self.result.get("verdict") == "solved"

    @property
    def solved_at(self) -> int | None:
        """The step at which validation said so; None if it was not solved."""
        return self.result.get("solved_at") if self.solved else None


def rows_of(plan: Plan, states: Mapping[str, State], results: Mapping[str, Mapping[str, Any]]) -> list[Row]:
    """A row for each run of a study, in the study's order.

    Args:
        plan: The study.
        states: Of each run, by name.
        results: Attributes of those that have ended.
    """
    found = []
    for cell in plan.cells():
        ended = results.get(cell.name, {})
        drawn = plan.drawn(cell, ended.get(DRAWN, {}))
        found.append(Row(drawn, states[cell.name], ended.get(RESULT, {}), str(ended.get(REASON, ""))))
    return found


def groups_of(rows: Sequence[Row]) -> dict[tuple[str, ...], list[Row]]:
    """The runs of each combination of variants, whatever their seed, in their order."""
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(row.cell.group, []).append(row)
    return groups


def censored_median(values: Sequence[float | None], budgets: Sequence[float]) -> str:
    """The median of steps to solve, of which some are only known to be more than a budget.

    Args:
        values: Of each run; None for one that was not solved.
        budgets: The steps that each run did.

    Example:
        >>> censored_median([30, 40, None], [30, 40, 400]), censored_median([30, None, None], [30, 400, 200])
        ('40', '> 200')
        >>> censored_median([], [])
        '-'
    """
    if not values:
        return "-"
    median = statistics.median_high([math.inf if value is None else value for value in values])
    if math.isfinite(median):
        return f"{median:,.0f}"
    return f"> {min(b for v, b in zip(values, budgets, strict=True) if v is None):,.0f}"


def spread(values: Sequence[float | None], form: str) -> str:
    """The median of what is known, and its range.

    Example:
        >>> spread([1.0, 3.0, 2.0], ".1f"), spread([None], ".1f"), spread([2.0, 2.0], ".0f")
        ('2.0 (1.0 to 3.0)', '-', '2')
    """
    known = sorted(value for value in values if value is not None)
    if not known:
        return "-"
    low, middle, high = (format(value, form) for value in (known[0], statistics.median(known), known[-1]))
    return middle if low == high else f"{middle} ({low} to {high})"


def share_of_baseline(row: Row) -> float | None:
    """The loss as a share of the baseline's."""
    loss, baseline = row.metric("test/loss", "val/loss"), (row.result.get("baseline") or {}).get("loss")
    return None if loss is None or not baseline else loss / baseline


def number(row: Row, name: str) -> float | None:
    """A figure of the summary."""
    value = row.result.get(name)
    return float(value) if isinstance(value, int | float) else None


COLUMNS: dict[str, Callable[[Sequence[Row]], str]] = {
    "solved": lambda rows: f"{sum(row.solved for row in rows)} of {len(rows)}",
    "steps to solve": lambda rows: censored_median(
        [row.solved_at for row in rows if row.result], [number(row, "steps") or 0 for row in rows if row.result]
    ),
    "accuracy": lambda rows: spread([row.metric("test/worst_accuracy", "test/accuracy") for row in rows], ".4f"),
    "training perplexity": lambda rows: spread([row.metric("train_epoch/perplexity") for row in rows], ".3f"),
    "perplexity": lambda rows: spread([row.metric("test/perplexity", "val/perplexity") for row in rows], ".3f"),
    "loss / baseline": lambda rows: spread([share_of_baseline(row) for row in rows], ".3f"),
    "parameters": lambda rows: spread([number(row, "parameters") for row in rows], ",.0f"),
    "seconds": lambda rows: spread([number(row, "seconds") for row in rows], ".1f"),
}


def summary_table(plan: Plan, rows: Sequence[Row]) -> tuple[list[str], list[list[str]]]:
    """Column names, and a row for each combination of variants; columns without any figure are left out.

    Args:
        plan: The study.
        rows: Its runs.
    """
    groups = groups_of(rows)
    cells = {name: [column(of) for of in groups.values()] for name, column in COLUMNS.items()}
    kept = {name: values for name, values in cells.items() if set(values) != {"-"}}
    body = [[*group, *(values[index] for values in kept.values())] for index, group in enumerate(groups)]
    return [*plan.axes, *kept], body


def steps_table(plan: Plan, rows: Sequence[Row], axis: str) -> tuple[list[str], list[list[str]]]:
    """Steps to solve, a column for each value of an axis and a row for each combination of the others.

    Args:
        plan: The study.
        rows: Its runs.
        axis: The axis.

    Returns:
        Column names, and the rows.
    """
    others = [name for name in plan.axes if name != axis]
    values = [variant.name for variant in plan.axes[axis]]
    lines: dict[tuple[str, ...], dict[str, list[Row]]] = {}
    for row in rows:
        key = tuple(row.cell.variants[name].name for name in others)
        lines.setdefault(key, {}).setdefault(row.cell.variants[axis].name, []).append(row)
    body = [[*key, *(censored_spread(of.get(value, [])) for value in values)] for key, of in lines.items()]
    return [*others, *values], body


def censored_spread(rows: Sequence[Row]) -> str:
    """The median of the steps to solve and its range, where ``>`` marks runs that were not solved.

    Args:
        rows: Runs that differ in their seed alone.
    """
    known = [row for row in rows if row.result]
    solved = [row.solved_at for row in known]
    budgets = [number(row, "steps") or 0 for row in known]
    median = censored_median(solved, budgets)
    found = sorted(steps for steps in solved if steps is not None)
    if not found:
        return median
    low, high = censored_median([found[0]], [0]), censored_median([found[-1]], [0])
    if len(found) < len(known):
        high = censored_median([None], [min(b for s, b in zip(solved, budgets, strict=True) if s is None)])
    return median if low == high else f"{median} ({low} to {high})"


def as_markdown(columns: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    """A table in Markdown.

    Example:
        >>> print(as_markdown(["a"], [["1"]]))
        | a |
        |---|
        | 1 |
    """
    lines = [f"| {' | '.join(columns)} |", "|" + "---|" * len(columns)]
    return "\n".join([*lines, *(f"| {' | '.join(cells)} |" for cells in body)])


def as_csv(plan: Plan, rows: Sequence[Row]) -> str:
    """One row a run: its variants, its seed, what has become of it, and its figures.

    Args:
        plan: The study.
        rows: Its runs.
    """
    metrics = sorted({name for row in rows for name in row.result.get("metrics") or {}})
    figures = ["verdict", "stopped", "steps", "solved_at", "sequences", "seconds", "parameters"]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    axes = [*rows[0].cell.variants] if rows else [*plan.axes]
    writer.writerow(["run", *axes, "seed", "state", *figures, *metrics, "reason"])
    for row in rows:
        first = [row.cell.name, *row.cell.group, row.cell.seed, row.state.value]
        values = [row.result.get(name) for name in figures]
        measured = [(row.result.get("metrics") or {}).get(name) for name in metrics]
        writer.writerow([*first, *values, *measured, row.reason])
    return text.getvalue()
