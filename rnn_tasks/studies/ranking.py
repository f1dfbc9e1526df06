"""The best run of a study so far, and the table of a search, best run first."""

import math

import pandas as pd

from rnn_tasks.studies.plan import Plan
from rnn_tasks.studies.table import COLUMNS, first_finite, loss_share, run_names, steps_to_solve

OBJECTIVES = {"loss": "validation loss", "steps": "steps to solve, unless that is above the budget"}

SHOWN = 20
"""Runs of a search in its table; the CSV has all runs."""


def best_so_far(plan: Plan, runs: pd.DataFrame) -> str:
    """Return the best run in a few words; empty if no run is the best.

    The best run of a search has the least objective. Else it solved in the fewest steps; if no run solved, it has the
    lowest test perplexity, or else the lowest loss as a share of the baseline's.

    Args:
        plan: The study.
        runs: Its runs.
    """
    if not plan.has_one_task:
        return ""
    if plan.search is not None:
        best = ranked(runs).iloc[:1]
        objective = best["objective"].iloc[0]
        name, *variants, _ = best.index[0]
        values = ", ".join(f"{axis} {variant}" for axis, variant in zip(plan.axes, variants, strict=True))
        if not math.isfinite(objective):
            return ""
        return f"best {name} ({values}): {objective:.4g} {OBJECTIVES[plan.search.objective]}"
    for values, text in (
        (steps_to_solve(runs), "solved in {:,.0f} steps"),
        (first_finite(runs, "test/perplexity"), "perplexity {:.3f}"),
        (loss_share(runs), "{:.3f} of the baseline's loss"),
    ):
        known = values.dropna()
        if not known.empty:
            value, name = min(zip(known, run_names(known), strict=True))
            return f"best {name}: {text.format(value)}"
    return ""


def ranked(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the runs of a search by its objective, best run first; runs without a result come last, in their order."""
    return runs.sort_values("objective", kind="stable")


def search_table(runs: pd.DataFrame) -> tuple[list[str], list[list[str]]]:
    """Return column names, and a row for each of the best runs of a search; columns without any value are left out.

    Args:
        runs: The runs of a search.
    """
    best = ranked(runs[runs["steps"].notna()]).head(SHOWN)
    rows = [best.iloc[[number]] for number in range(len(best))]
    cells = {"validation loss": ["-" if math.isnan(v) else f"{v:.4g}" for v in first_finite(best, "val/loss")]}
    cells |= {name: [column(row) for row in rows] for name, column in COLUMNS.items() if name != "solved"}
    kept = {name: values for name, values in cells.items() if set(values) - {"-"}}
    body = [[*names, *values] for (*names, _), *values in zip(best.index, *kept.values(), strict=True)]
    return [*best.index.names[:-1], *kept], body
