"""The committed results of known layers, beside which a profile shows its layer."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from rnn_tasks.cli.shipped import CONFIGS
from rnn_tasks.errors import UsageError, require
from rnn_tasks.studies.results import INDEX

RESULTS = CONFIGS.parent / "results" / "memory_suite_1.csv"
"""The results of version 1 of the memory suite: inside the package in a wheel, beside it in a checkout."""

KNOWN = ("rnn", "qr_rnn", "lstm", "lru", "deltanet")
"""The layers whose results a card shows."""

COLUMNS = (*INDEX, "budget", "steps", "solved_at", "parameters", "state_size", "data_digest", "worst_accuracy")
"""The columns that are needed."""


def known_results(path: Path, tasks: Sequence[str]) -> pd.DataFrame:
    """Return the final runs of the known layers on some tasks; no rows if the file does not exist.

    Args:
        path: A CSV of :func:`rnn_tasks.studies.results.results_csv`.
        tasks: The names of the tasks.

    Raises:
        UsageError: The file cannot be read, or lacks a column.
    """
    if not path.is_file():
        return pd.DataFrame(columns=list(COLUMNS))
    try:
        table = pd.read_csv(path, dtype={"data_digest": str})
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read: {error}") from error
    lacking = [name for name in COLUMNS if name not in table.columns]
    require(not lacking, f"{path} has no column {', '.join(lacking)}")
    return table[(table["stage"] == "final") & table["layer"].isin(KNOWN) & table["task"].isin(tasks)]


def comparable(known: pd.DataFrame, own: pd.DataFrame, budgets: Mapping[str, int]) -> tuple[pd.DataFrame, list[str]]:
    """Return the known results whose budgets and sequences are those of the own runs, and a line for each gap.

    Results of another version of a task are left out: with the same seed, their digest of the data differs.

    Args:
        known: The results of known layers, see :func:`known_results`.
        own: The own runs, with the columns ``task``, ``seed`` and ``data_digest``.
        budgets: The largest number of optimizer steps of each task.
    """
    kept, lines = [], []
    for task, of_task in own.groupby("task", sort=False):
        digests = dict(zip(of_task["seed"], of_task["data_digest"], strict=True))
        absent, changed = [], []
        for layer in KNOWN:
            rows = known[(known["task"] == task) & (known["layer"] == layer)]
            expected = rows["seed"].map(digests)
            if rows.empty:
                absent.append(layer)
            elif (expected.notna() & (expected != rows["data_digest"])).any() or (
                rows["budget"] != budgets[task]
            ).any():
                changed.append(layer)
            else:
                kept.append(rows)
        lines += [f"{task}: the committed results have no {', '.join(absent)}"] if absent else []
        lines += (
            [f"{task}: the committed {', '.join(changed)} had other sequences or another budget"] if changed else []
        )
    return (pd.concat(kept) if kept else known[:0]), lines
