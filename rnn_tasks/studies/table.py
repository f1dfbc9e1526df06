"""Put the runs of a study into a table, and summarise the table over seeds.

In medians of steps to solve, an unsolved run counts as more than the steps that it did.
"""

import contextlib
import math
import re
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd
from pandas.api.types import is_numeric_dtype

from rnn_tasks.printable import printable
from rnn_tasks.studies.plan import Plan
from rnn_tasks.studies.queue import OPENING, RunQueue, RunState
from rnn_tasks.studies.rows import DRAWN, REASON, RESULT, is_number
from rnn_tasks.studies.search import objective_of
from rnn_tasks.studies.storage import translate_database_errors

VALUES = [
    "verdict",
    "stopped",
    "steps",
    "solved_at",
    "sequences",
    "seconds",
    "parameters",
    "state_size",
    "data_digest",
    "machine",
]
"""Keys of ``summary.json`` that become columns."""

COUNTS = ("steps", "solved_at", "sequences", "parameters", "state_size")
TYPES = {**dict.fromkeys(COUNTS, "Int64"), "seconds": "float"}
"""Types of numeric columns; columns of metrics are float."""

NUMBER = r"[-+]?(\d+\.?\d*|\.\d+|inf|nan)(e[-+]?\d+)?"
NUMBERS = re.compile(rf"\s*{NUMBER}(\s+{NUMBER})*\s*", re.IGNORECASE)
"""Matches one or more numbers with spaces between them."""

CHANGED = "done with other settings:"
"""How the reason of a run begins that was done before its settings changed."""

NOT_IN_CSV = ["objective", "baseline", "curves", "sample", "versions", "first_losses"]
"""Columns that ``runs.csv`` omits: the objective of a search, three mappings, a generated text, and a list."""


def read_runs(plan: Plan, url: str, opening: float = OPENING) -> pd.DataFrame:
    """Return the runs of a study as a table, see :func:`runs_table`.

    A run that was done with other settings than those of the plan is pending; its reason names the settings.

    Args:
        plan: The study.
        url: The URL of its database.
        opening: Seconds during which opening the database is tried again.

    Raises:
        UsageError: The database cannot be opened, or fails.
    """
    with translate_database_errors(url), contextlib.closing(RunQueue(plan, url, opening=opening)) as queue:
        return runs_in(queue)


def runs_in(queue: RunQueue) -> pd.DataFrame:
    """Return the runs of a study as a table, see :func:`read_runs`.

    Args:
        queue: The queue of the study.
    """
    states, results = queue.states(), queue.results()
    for name, settings in queue.changed().items():
        states[name] = RunState.PENDING
        drawn = results.get(name, {}).get(DRAWN, {})
        results[name] = {DRAWN: drawn, REASON: f"{CHANGED} {', '.join(settings)}"}
    return runs_table(queue.plan, states, results)


def runs_table(plan: Plan, states: Mapping[str, RunState], results: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """Return the runs of a study as a table, one row per run in the order of the plan.

    The index holds the name of the run, the variant of each axis, and the seed. The columns are ``state``, ``VALUES``,
    the metrics by name, ``reason`` (why the run failed or must be done again, else empty), and ``NOT_IN_CSV``. If a run
    lacks a value, the value is missing; a mapping is then empty.

    Args:
        plan: The study.
        states: The state of each run, by its name.
        results: The trial attributes of each run that is done or failed, by the name of the run.
    """
    index, records, metrics = [], [], set[str]()
    columns = {"state", *VALUES, "reason", *NOT_IN_CSV}
    for run in plan.runs():
        attributes = results.get(run.name, {})
        drawn = plan.with_values(run, attributes.get(DRAWN, {}))
        result = attributes.get(RESULT, {})
        values = (result.get("metrics") or {}).items()
        measured = {name: value for name, value in values if is_number(value) and name not in columns}
        metrics |= measured.keys()
        index.append((run.name, *drawn.group, run.seed))
        records.append(
            {
                "state": states[run.name].value,
                **{name: result.get(name) for name in VALUES},
                **measured,
                "reason": str(attributes.get(REASON, "")),
                "objective": objective_of(plan, result),
                "baseline": result.get("baseline") or {},
                "curves": result.get("curves") or {},
                "sample": result.get("sample") or "",
                "versions": result.get("versions") or {},
                "first_losses": " ".join(f"{loss:.6g}" for loss in result.get("first_losses") or []),
            }
        )
    return (
        pd.DataFrame(
            records,
            index=pd.MultiIndex.from_tuples(index, names=["run", *plan.axes, "seed"]),
            columns=["state", *VALUES, *sorted(metrics), "reason", *NOT_IN_CSV],
        )
        .astype({**TYPES, **dict.fromkeys(metrics, "float")})
        .copy()
    )  # astype leaves one array for each column


def run_names(runs: pd.DataFrame | pd.Series) -> list[str]:
    """Return the names of the runs in a table or column."""
    return [*runs.index.get_level_values(0)]


def groups_of(runs: pd.DataFrame, without: str | None = None) -> dict[tuple[str, ...], pd.DataFrame]:
    """Return the runs of each combination of variants, in the order of their first runs.

    Args:
        runs: The runs.
        without: An axis whose variants may differ within a group.
    """
    axes = enumerate(runs.index.names[1:-1], start=1)
    variants = [runs.index.get_level_values(number) for number, axis in axes if axis != without]
    return dict(iter(runs.groupby(variants, sort=False))) if variants else {(): runs}


def with_variant(runs: pd.DataFrame, axis: str, name: str) -> pd.DataFrame:
    """Return the runs with a given variant.

    Args:
        runs: The runs.
        axis: The name of the axis.
        name: The name of the variant.
    """
    return runs[runs.index.get_level_values(1 + runs.index.names[1:-1].index(axis)) == name]


def solved(runs: pd.DataFrame) -> pd.Series:
    """Return whether each run is solved, in validation and in the test."""
    return runs["verdict"] == "solved"


def steps_to_solve(runs: pd.DataFrame) -> pd.Series:
    """Return the steps to solve of each run, up to the first solved validation; missing for an unsolved run."""
    return runs["solved_at"].astype(float).where(solved(runs))


def first_finite(runs: pd.DataFrame, *names: str) -> pd.Series:
    """Return, for each run, the first of the named metrics that is finite; missing if none is finite."""
    values = runs.reindex(columns=[*names]).astype(float)
    return values.where(values.abs() < math.inf).bfill(axis="columns").iloc[:, 0]


def baseline_of(runs: pd.DataFrame, name: str) -> pd.Series:
    """Return a value of the baseline of each run; missing for runs without the value."""
    return runs["baseline"].map(lambda baseline: baseline.get(name)).astype(float)


def loss_share(runs: pd.DataFrame) -> pd.Series:
    """Return the loss of each run as a share of the baseline loss."""
    return first_finite(runs, "test/loss", "val/loss") / baseline_of(runs, "loss")


def censored_median(values: Sequence[float | None] | pd.Series, budgets: Sequence[float] | pd.Series) -> str:
    """Return the median of steps to solve, where an unsolved run counts as more than the steps that it did.

    Args:
        values: The steps to solve of each run; missing for an unsolved run.
        budgets: The steps that each run did.

    Example:
        >>> censored_median([30, 40, None], [30, 40, 400]), censored_median([30, None, None], [30, 400, 200])
        ('40', '> 200')
        >>> censored_median([253, 280, None], [253, 280, 227]), censored_median([], [])
        ('253 to 280', '-')
    """
    steps, limits = pd.Series(values, dtype=float), pd.Series(budgets, dtype=float)
    if steps.empty:
        return "-"
    lowest, highest = statistics.median_high(steps.fillna(limits + 1)), statistics.median_high(steps.fillna(math.inf))
    if not math.isfinite(highest):
        return f"> {lowest - 1:,.0f}"
    return f"{highest:,.0f}" if lowest == highest else f"{lowest:,.0f} to {highest:,.0f}"


def censored_spread(runs: pd.DataFrame) -> str:
    """Return the censored median and the range of the steps to solve, in which ``>`` marks unsolved runs.

    Args:
        runs: Runs that differ only in their seed.
    """
    runs = runs[runs["steps"].notna()]
    steps, budgets = steps_to_solve(runs), runs["steps"]
    median = censored_median(steps, budgets)
    if steps.isna().all():
        return median
    low, high = f"{steps.min():,.0f}", f"{steps.max():,.0f}"
    if steps.isna().any():
        high = f"> {budgets[steps.isna()].min():,.0f}"
    return median if low == high else f"{median} ({low} to {high})"


def spread(values: Sequence[float | None] | pd.Series, form: str) -> str:
    """Return the median and range of values, without those that are missing.

    Example:
        >>> spread([1.0, 3.0, 2.0], ".1f"), spread([None], ".1f"), spread([2.0, 2.0], ".0f")
        ('2.0 (1.0 to 3.0)', '-', '2')
    """
    finite = pd.Series(values, dtype=float).dropna()
    if finite.empty:
        return "-"
    low, middle, high = (format(value, form) for value in (finite.min(), finite.median(), finite.max()))
    return middle if low == high else f"{middle} ({low} to {high})"


COLUMNS: dict[str, Callable[[pd.DataFrame], str]] = {
    "solved": lambda runs: f"{solved(runs).sum()} of {len(runs)}",
    "steps to solve": lambda runs: censored_median(steps_to_solve(runs)[runs["steps"].notna()], runs["steps"].dropna()),
    "accuracy": lambda runs: spread(first_finite(runs, "test/worst_accuracy", "test/accuracy"), ".4f"),
    "training perplexity": lambda runs: spread(first_finite(runs, "train_epoch/perplexity"), ".3f"),
    "perplexity": lambda runs: spread(first_finite(runs, "test/perplexity", "val/perplexity"), ".3f"),
    "loss / baseline": lambda runs: spread(loss_share(runs), ".3f"),
    "parameters": lambda runs: spread(runs["parameters"], ",.0f"),
    "seconds": lambda runs: spread(runs["seconds"], ".1f"),
}
"""The columns of a summary; each function receives the runs of a row."""


def summary_table(runs: pd.DataFrame) -> tuple[list[str], list[list[str]]]:
    """Return column names, and a row for each combination of variants, without empty columns.

    Args:
        runs: The runs of a study.
    """
    groups = groups_of(runs)
    cells = {name: [column(members) for members in groups.values()] for name, column in COLUMNS.items()}
    kept = {name: values for name, values in cells.items() if set(values) != {"-"}}
    body = [[*group, *values] for group, *values in zip(groups, *kept.values(), strict=True)]
    return [*runs.index.names[1:-1], *kept], body


def steps_table(plan: Plan, runs: pd.DataFrame, axis: str) -> tuple[list[str], list[list[str]]]:
    """Return steps to solve, with a column for each value of an axis and a row per combination of the other axes.

    Args:
        plan: The study.
        runs: Its runs.
        axis: The name of the axis.

    Returns:
        Column names, and the rows.
    """
    values = [variant.name for variant in plan.axes[axis]]
    body = [
        [*group, *(censored_spread(with_variant(members, axis, value)) for value in values)]
        for group, members in groups_of(runs, without=axis).items()
    ]
    return [*(name for name in plan.axes if name != axis), *values], body


def as_markdown(columns: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown.

    Example:
        >>> print(as_markdown(["a"], [["1"]]))
        | a |
        |---|
        | 1 |
    """
    rows = [" | ".join(map(markdown_text, cells)) for cells in (columns, *body)]
    return "\n".join([f"| {rows[0]} |", "|" + "---|" * len(columns), *(f"| {cells} |" for cells in rows[1:])])


def markdown_text(text: str) -> str:
    r"""Return a text with escapes, so that Markdown shows the text as it is: no borders of tables, HTML or images.

    Example:
        >>> print(markdown_text("tanh|relu <b>"))
        tanh\|relu \<b>
    """
    return printable(re.sub(r"[\\|<]|(?<=\])\(", r"\\\g<0>", text.replace("\n", " ")))


def as_csv(runs: pd.DataFrame) -> str:
    """Return one row per run: name, variants, seed, state, values, metrics, and reason of failure.

    Args:
        runs: The runs of a study.
    """
    kept = runs.drop(columns=NOT_IN_CSV)
    entries = [tuple(map(csv_cell, entry)) for entry in kept.index]
    kept.index = pd.MultiIndex.from_tuples(entries, names=[csv_cell(name) for name in kept.index.names])
    return csv_text(kept)


def csv_text(table: pd.DataFrame, index: bool = True, digits: str | None = None) -> str:
    """Return a table as CSV in which no cell is a formula for a spreadsheet.

    Args:
        table: The table.
        index: Whether to include the index, whose cells must be safe already.
        digits: The format of numbers that are not whole, such as ``%.6g``; all digits if None.
    """
    safe = table.set_axis([csv_cell(name) for name in table.columns], axis="columns")
    safe = safe.apply(lambda column: column if is_numeric_dtype(column) else column.map(csv_cell))
    return str(safe.to_csv(index=index, lineterminator="\n", float_format=digits))


def csv_cell(value: Any) -> Any:
    """Return a value for a cell of a CSV; a text that a spreadsheet would compute begins with an apostrophe.

    Example:
        >>> csv_cell("=1+2"), csv_cell("-0.5"), csv_cell("a = b"), csv_cell(-1)
        ("'=1+2", '-0.5', 'a = b', -1)
    """
    is_formula = isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r"))
    return f"'{value}" if is_formula and not NUMBERS.fullmatch(value) else value
