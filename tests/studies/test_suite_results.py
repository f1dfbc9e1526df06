"""The committed results of the memory suite belong to its studies, and to the data and code of this version."""

import csv
import json
import os
from collections import Counter
from pathlib import Path

import pytest

from rnn_tasks.studies.plan import Plan, PlannedRun
from rnn_tasks.studies.plan_file import read_plan
from tests.helpers.command_line import RnnTasks
from tests.helpers.rotation import chosen_part

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "results/memory_suite_1.csv"
STUDIES = ("memory_suite_core", "memory_suite_further", "memory_suite_blocks")
CHECKED = 3
"""Number of rows that are trained again for two steps, others each day."""


@pytest.fixture(scope="module")
def rows() -> list[dict[str, str]]:
    with RESULTS.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def runs() -> dict[tuple[str, ...], tuple[Plan, PlannedRun]]:
    """Return every possible run of the suite, by task, layer, seed and rates."""
    found: dict[tuple[str, ...], tuple[Plan, PlannedRun]] = {}
    for plan in map(read_plan, STUDIES):
        for run in plan.runs():
            variants = plan.axes["rates"] if not plan.is_trial(run) else (run.variants["rates"],)
            for rates in variants:
                chosen = plan.with_values(run, {"rates": rates.name})
                names = (chosen.variants["task"].name, chosen.variants["layer"].name, str(run.seed), rates.name)
                found[names] = plan, chosen
    return found


def key(row: dict[str, str]) -> tuple[str, ...]:
    return row["task"], row["layer"], row["seed"], row["rates"]


def test_each_row_is_a_run_of_the_suite(rows: list[dict[str, str]], runs: dict[tuple[str, ...], object]) -> None:
    assert len(rows) > 100
    assert [key(row) for row in rows if key(row) not in runs] == []
    assert max(Counter(map(key, rows)).values()) == 1


def test_chosen_setting_is_the_best_of_the_trials(rows: list[dict[str, str]]) -> None:
    trials: dict[tuple[str, str], list[dict[str, str]]] = {}
    for row in rows:
        if row["stage"] == "tune":
            trials.setdefault((row["task"], row["layer"]), []).append(row)
    for row in rows:
        if row["stage"] == "final":
            tried = trials[row["task"], row["layer"]]
            assert len(tried) == 3
            steps = {trial["rates"]: float(trial["solved_at"] or "inf") for trial in tried}
            assert steps[row["rates"]] == min(steps.values()), key(row)


@pytest.mark.slow
@pytest.mark.parametrize("number", range(CHECKED))
def test_row_has_the_data_and_the_first_losses_of_this_version(
    rows: list[dict[str, str]],
    runs: dict[tuple[str, ...], tuple[Plan, PlannedRun]],
    number: int,
    rnn_tasks: RnnTasks,
    working_folder: Path,
) -> None:
    row = rows[(chosen_part() * CHECKED + number) * len(rows) // (10 * CHECKED)]
    plan, run = runs[key(row)]
    overlay = working_folder / "overlay.yaml"
    overlay.write_text(json.dumps(plan.overlay(run)))
    arguments = plan.arguments(run, [os.fspath(overlay)])
    result = rnn_tasks(*arguments, "--trainer.max_steps=2", "--trainer.val_check_interval=2")
    assert result.status == 0, result.err
    (summary,) = working_folder.glob("lightning_logs/*/version_0/summary.json")
    values = json.loads(summary.read_text())
    assert values["data_digest"] == row["data_digest"]
    losses = [float(loss) for loss in row["first_losses"].split()]
    assert values["first_losses"] == pytest.approx(losses, rel=1e-3), key(row)
