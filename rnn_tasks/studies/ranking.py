"""Rank the runs of a study, and write the table of a search."""

import math

import pandas as pd

from rnn_tasks.studies.plan import Plan
from rnn_tasks.studies.table import COLUMNS, first_finite, loss_share, run_names, steps_to_solve

OBJECTIVES = {"loss": "validation loss", "steps": "steps to solve (unsolved if above the budget)"}
"""The objective of a search in words."""

SHOWN = 20
"""The number of runs in the table of a search; the CSV has all runs."""


def best_so_far(plan: Plan, runs: pd.DataFrame) -> str:
    """Return a phrase about the best run so far; empty if the runs cannot be ranked.

    The best run of a search has the lowest objective. The best run of a grid was solved in the fewest steps; without
    solved runs, it has the lowest test perplexity, or else the lowest loss as a share of the baseline loss.

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
        (loss_share(runs), "{:.3f} of the baseline loss"),
    ):
        finite = values.dropna()
        if not finite.empty:
            value, name = min(zip(finite, run_names(finite), strict=True))
            return f"best {name}: {text.format(value)}"
    return ""


def ranked(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the runs of a search sorted by the objective, best run first; runs without a result come last."""
    return runs.sort_values("objective", kind="stable")


def search_table(runs: pd.DataFrame) -> tuple[list[str], list[list[str]]]:
    """Return column names, and a row for each of the best runs of a search, without empty columns.

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
