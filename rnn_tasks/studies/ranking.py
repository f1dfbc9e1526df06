"""Which run of a study is the best so far, and the table of a search, best first."""

import math
from collections.abc import Sequence

from rnn_tasks.studies.plan import Plan
from rnn_tasks.studies.search import objective_of
from rnn_tasks.studies.table import COLUMNS, Row, share_of_baseline

CALLED = {"loss": "validation loss", "steps": "steps to solve, unless that is above the budget"}

SHOWN = 20
"""Runs of a search in its table; the CSV has all."""


def best_so_far(plan: Plan, rows: Sequence[Row]) -> str:
    """The best run in a few words; empty if there is none.

    In a search that is the one with the least objective; else the one that needed the fewest steps to solve; where
    none did, the one of the lowest perplexity, or of the lowest loss as a share of the baseline's.

    Args:
        plan: The study.
        rows: Its runs.
    """
    if not plan.has_one_task:
        return ""
    if plan.search is not None:
        best = ranked(plan, rows)[0]
        objective = objective_of(plan, best.result)
        if not math.isfinite(objective):
            return ""
        values = ", ".join(f"{axis} {variant.name}" for axis, variant in best.run.variants.items())
        return f"best {best.run.name} ({values}): {objective:.4g} {CALLED[plan.search.objective]}"
    solved = [(row.solved_at, row.run.name) for row in rows if row.solved_at is not None]
    if solved:
        steps, name = min(solved)
        return f"best {name}: solved in {steps:,} steps"
    perplexities = [(value, row.run.name) for row in rows if (value := row.metric("test/perplexity")) is not None]
    if perplexities:
        perplexity, name = min(perplexities)
        return f"best {name}: perplexity {perplexity:.3f}"
    shares = [(value, row.run.name) for row in rows if (value := share_of_baseline(row)) is not None]
    if not shares:
        return ""
    share, name = min(shares)
    return f"best {name}: {share:.3f} of the baseline's loss"


def ranked(plan: Plan, rows: Sequence[Row]) -> list[Row]:
    """The runs of a search by what it makes small, best first; those without a result come last, in their order.

    Args:
        plan: A search.
        rows: Its runs.
    """
    return sorted(rows, key=lambda row: objective_of(plan, row.result))


def search_table(plan: Plan, rows: Sequence[Row]) -> tuple[list[str], list[list[str]]]:
    """Column names, and a row for each of the best runs of a search; columns without any figure are left out.

    Args:
        plan: A search.
        rows: Its runs.
    """
    best = [row for row in ranked(plan, rows) if row.result][:SHOWN]
    cells = {"validation loss": [loss_of(row) for row in best]}
    cells |= {name: [column([row]) for row in best] for name, column in COLUMNS.items() if name != "solved"}
    kept = {name: values for name, values in cells.items() if set(values) - {"-"}}
    body = [[r.run.name, *r.run.group, *(values[i] for values in kept.values())] for i, r in enumerate(best)]
    return ["run", *plan.axes, *kept], body


def loss_of(row: Row) -> str:
    """The final loss in the validation, nats."""
    loss = row.metric("val/loss")
    return "-" if loss is None else f"{loss:.4g}"
