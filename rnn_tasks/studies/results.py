"""The results of studies with a tuned axis as one table, in the form in which results are kept and compared."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

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

SCORE_OF_TASK = {"counting": "exact_match", "adding": "loss_share"}
"""The score by which a task is solved, by the first word of its name; else the accuracy of the worst condition."""

DIGITS = "%.6g"
"""How numbers are written: two runs of the same machine agree in more digits, and two machines in fewer."""


def score_of(task: str) -> str:
    """Return the column of the score by which a task is solved.

    Args:
        task: The name of the task, or its name and what else describes it.

    Example:
        >>> score_of("parity"), score_of("adding"), score_of("adding_length_200")
        ('worst_accuracy', 'loss_share', 'loss_share')
    """
    return SCORE_OF_TASK.get(task.split("_")[0], "worst_accuracy")


def results_of(plan: Plan, runs: pd.DataFrame) -> pd.DataFrame:
    """Return the results of a study, one row for each run that is done.

    Args:
        plan: A study with the axes ``task``, ``layer`` and ``rates``, of which ``rates`` is tuned.
        runs: Its runs, see :func:`rnn_tasks.studies.table.read_runs`.

    Returns:
        The columns ``INDEX``, ``budget`` (optimizer steps), ``VALUES``, ``SCORES``, ``val_loss``, ``references`` (the
        score of a guess and of partial solutions by name, as JSON), ``groups`` (the score by group and by length, as
        JSON), and the versions ``rnn_tasks`` and ``torch``.
    """
    done = runs[runs["state"] == RunState.DONE.value].reset_index()
    stages = {True: "tune", False: "final"}
    tuning_seed = None if plan.tuning is None else plan.tuning.seed
    table = done.assign(stage=[stages[seed == tuning_seed] for seed in done["seed"]])
    budgets = {run.name: plan.options_of(run).get("trainer.max_steps") for run in plan.runs()}
    measured = done[[name for name in done.columns if name.startswith("test/")]]
    scores = [score_of(task) for task in table["task"]]
    groups = [groups_of_run(*of) for of in zip(measured.to_dict("records"), scores, strict=True)]
    references = [references_of_run(*of) for of in zip(table["baseline"], scores, strict=True)]
    return pd.DataFrame(
        {
            **{name: table[name] for name in INDEX},
            "budget": table["run"].map(budgets),
            **{name: table[name] for name in VALUES},
            **{score: table.get(f"test/{score}", pd.Series(float("nan"), table.index)) for score in SCORES},
            "val_loss": table.get("val/loss"),
            "references": references,
            "groups": groups,
            **{name: [versions.get(name, "") for versions in table["versions"]] for name in ("rnn_tasks", "torch")},
        }
    )


def groups_of_run(metrics: dict[str, float], score: str) -> str:
    """Return the score of a run by group and by length as JSON, rounded to four digits.

    Args:
        metrics: The metrics of the test by name; a missing one is NaN.
        score: The score by which the task is solved, one of ``SCORES``.

    Example:
        >>> groups_of_run({"test/loss": 1.0, "test/accuracy_by_length/31": 0.98765}, "worst_accuracy")
        '{"length/31": 0.9877}'
    """
    start = f"test/{score.removeprefix('worst_').removesuffix('_share')}_by_"
    kept = {name: value for name, value in metrics.items() if name.startswith(start) and value == value}
    return json.dumps({name.removeprefix(start): round(value, 4) for name, value in kept.items()})


def references_of_run(baseline: Mapping[str, Any], score: str) -> str:
    """Return the score of a guess and of partial solutions by name as JSON, rounded to four digits.

    Args:
        baseline: The baseline of the task in the summary of the run.
        score: The score by which the task is solved, one of ``SCORES``.

    Example:
        >>> references_of_run(
        ...     {"accuracy": 0.25, "plateaus": [{"name": "the latest", "accuracy": 0.5}]}, "worst_accuracy"
        ... )
        '{"chance": 0.25, "the latest": 0.5}'
    """
    name = score.removeprefix("worst_").removesuffix("_share")
    whole = baseline.get("loss", math.nan) if score == "loss_share" else 1.0
    predictors = [{"name": "chance", **baseline}, *baseline.get("plateaus", [])]
    kept = {of["name"]: of[name] / whole for of in predictors if name in of}
    return json.dumps({of: round(value, 4) for of, value in kept.items()})


def results_csv(tables: Sequence[pd.DataFrame]) -> str:
    """Return the results of several studies as CSV, in a fixed order of rows.

    Args:
        tables: The results of each study, see :func:`results_of`.
    """
    return csv_text(pd.concat(tables).sort_values(list(INDEX), kind="stable"), index=False, digits=DIGITS)
