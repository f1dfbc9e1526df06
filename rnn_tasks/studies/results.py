"""The results of studies with a tuned axis as one table, in the form in which results are kept and compared."""

import json
from collections.abc import Sequence

import pandas as pd

from rnn_tasks.studies.plan import Plan
from rnn_tasks.studies.queue import RunState
from rnn_tasks.studies.table import csv_text

INDEX = ("task", "layer", "stage", "seed", "rates")
"""What a row is: the task and the layer, ``tune`` or ``final``, the seed, and the setting of the learning rates."""

VALUES = ("steps", "solved_at", "seconds", "parameters", "state_size", "data_digest", "first_losses", "machine")
"""Columns that a result keeps as they are."""

SCORES = ("accuracy", "worst_accuracy", "exact_match", "loss", "loss_share")
"""Scores of the test that are columns of their own, if the task has them."""

GROUPS = tuple(f"{score}_by_" for score in ("accuracy", "exact_match", "loss"))
"""How the names of scores by group and by length begin."""


def results_of(plan: Plan, runs: pd.DataFrame) -> pd.DataFrame:
    """Return the results of a study, one row for each run that is done.

    Args:
        plan: A study with the axes ``task``, ``layer`` and ``rates``, of which ``rates`` is tuned.
        runs: Its runs, see :func:`rnn_tasks.studies.table.read_runs`.

    Returns:
        The columns ``INDEX``, ``budget`` (optimizer steps), ``VALUES``, ``SCORES``, ``val_loss``, ``groups`` (the
        scores by group and by length, as JSON), and the versions ``rnn_tasks`` and ``torch``.
    """
    done = runs[runs["state"] == RunState.DONE.value].reset_index()
    stages = {True: "tune", False: "final"}
    tuning_seed = None if plan.tuning is None else plan.tuning.seed
    table = done.assign(stage=[stages[seed == tuning_seed] for seed in done["seed"]])
    budgets = {run.name: plan.options_of(run).get("trainer.max_steps") for run in plan.runs()}
    measured = done[[name for name in done.columns if name.startswith("test/")]]
    groups = [groups_of_run(values) for values in measured.to_dict("records")]
    return pd.DataFrame(
        {
            **{name: table[name] for name in INDEX},
            "budget": table["run"].map(budgets),
            **{name: table[name] for name in VALUES},
            **{score: table.get(f"test/{score}", pd.Series(float("nan"), table.index)) for score in SCORES},
            "val_loss": table.get("val/loss"),
            "groups": groups,
            **{name: [versions.get(name, "") for versions in table["versions"]] for name in ("rnn_tasks", "torch")},
        }
    )


def groups_of_run(metrics: dict[str, float]) -> str:
    """Return the scores by group and by length of a run as JSON, rounded to four digits.

    Args:
        metrics: The metrics of the test by name; a missing one is NaN.

    Example:
        >>> groups_of_run({"test/loss": 1.0, "test/accuracy_by_length/31": 0.98765, "test/loss_by_lag/2": float("nan")})
        '{"accuracy_by_length/31": 0.9877}'
    """
    names = {name: name.removeprefix("test/") for name in metrics}
    kept = {names[name]: round(value, 4) for name, value in metrics.items() if value == value}
    return json.dumps({name: value for name, value in kept.items() if name.startswith(GROUPS)})


def results_csv(tables: Sequence[pd.DataFrame]) -> str:
    """Return the results of several studies as CSV, in a fixed order of rows.

    Args:
        tables: The results of each study, see :func:`results_of`.
    """
    return csv_text(pd.concat(tables).sort_values(list(INDEX), kind="stable"), index=False)
