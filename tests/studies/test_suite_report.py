"""The report and the CSV of a study that compares layers over tasks with a tuned setting."""

import csv
from contextlib import closing
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
import pytest

from rnn_tasks.report.blocks import Paragraph, Picture, Table
from rnn_tasks.studies.plan import Plan, PlannedRun, Tuning, Variant
from rnn_tasks.studies.queue import RunQueue, RunState
from rnn_tasks.studies.report import SUMMARY, write_study
from rnn_tasks.studies.results import results_csv, results_of
from rnn_tasks.studies.rows import RESULT
from rnn_tasks.studies.suite_report import is_suite, suite_sections
from rnn_tasks.studies.table import runs_in

STEPS: dict[str, dict[str, int | None]] = {"lru": {"slow": 200, "fast": 100}, "gru": {"slow": None, "fast": None}}
AXES = {
    "task": (Variant("recall", options={"trainer.max_steps": 400}),),
    "layer": tuple(Variant(name) for name in STEPS),
    "rates": (Variant("slow"), Variant("fast")),
}
PLAN = Plan("suite", "Which layer recalls?", (), {}, AXES, (0, 1, 2), None, None, tuning=Tuning("rates", 9))
BASELINE = {"loss": 2.3, "accuracy": 0.1, "plateaus": [{"name": "knows some", "accuracy": 0.38, "loss": 1.2}]}


@pytest.fixture
def done(tmp_path: Path) -> Any:
    """Return the runs of the study, all done."""

    def do(trial: optuna.Trial, run: PlannedRun) -> float:
        steps = STEPS[run.variants["layer"].name][run.variants["rates"].name]
        result = {
            "verdict": "learning" if steps is None else "solved",
            "steps": steps or 400,
            "solved_at": steps and steps + run.seed,
            "parameters": 1000,
            "state_size": 64,
            "first_losses": [2.25, 2.125],
            "data_digest": "abc",
            "baseline": BASELINE,
            "metrics": {"val/loss": 1.0, "test/worst_accuracy": 0.375, "test/accuracy_by_length/30": 0.5},
        }
        trial.set_user_attr(RESULT, result)
        return 1.0

    with closing(RunQueue(PLAN, f"sqlite:///{tmp_path / 'study.db'}")) as queue:
        while True:
            queue.enqueue_missing()
            if RunState.PENDING not in queue.states().values():
                return runs_in(queue)
            queue.do_next(do)


def test_suite_has_tasks_layers_and_a_tuned_axis() -> None:
    assert is_suite(PLAN)
    assert not is_suite(Plan("grid", "", (), {}, {**AXES, "size": (Variant("1"),)}, (0,), 1, 1, tuning=PLAN.tuning))


def test_report_shows_all_seeds_plateaus_and_differences(done: Any, tmp_path: Path) -> None:
    page = write_study(PLAN, done, tmp_path / "report", "rnn-tasks study run suite")
    text = (page.parent / SUMMARY).read_text()
    assert "| lru | 3 of 3 | 101 | 100, 101, 102 | 0.375, 0.375, 0.375 | fast |" in text
    assert "| gru | 0 of 3 | > 400 | none | 0.375, 0.375, 0.375 | slow |" in text.replace("&gt;", ">")
    assert "| lru | 0.500 |" in text
    assert "| lru | 3 | 1.00 (1.00 to 1.00) | 1,000 | 64 |" in text
    shown = page.read_text()
    assert "Budget: 400 steps. Score: accuracy. References: chance 0.1; knows some 0.38." in shown
    assert "Differences between two layers on a task that have the same sign with every seed: 1." in shown
    assert "at most 0 on average" in shown


def test_report_draws_curves_of_tasks_that_differ_in_a_number(done: Any) -> None:
    runs = results_of(PLAN, done)
    harder = pd.concat([runs.assign(task="recall_pairs_4"), runs.assign(task="recall_pairs_8")])
    tasks = ["recall_pairs_4", "recall_pairs_8"]
    sections = suite_sections(harder, ["lru", "gru"], tasks, {("lru", "recall_pairs_4"): "yes"})
    assert [section.key for section in sections] == [
        "matrix",
        "difficulty",
        "task_recall_pairs_4",
        "task_recall_pairs_8",
        "solved",
        "differences",
    ]
    pictures = [block for section in sections for block in section.blocks if isinstance(block, Picture)]
    assert [axis.get_xlabel() for axis in pictures[1].draw(7.6).axes] == ["recall pairs"]
    (table,) = [block for block in sections[2].blocks if isinstance(block, Table) and "theory" in block.columns]
    assert [row[-1] for row in table.rows] == ["yes", "-"]


def test_report_says_if_no_setting_is_chosen_yet(done: Any) -> None:
    trials = results_of(PLAN, done).query("stage == 'tune'")
    (section,) = suite_sections(trials, ["lru", "gru"], ["recall"])
    assert section.blocks == [Paragraph("No run with a chosen setting is done yet.")]


def test_results_have_a_row_for_each_trial_and_run(done: Any) -> None:
    rows = list(csv.DictReader(results_csv([results_of(PLAN, done)]).splitlines()))
    assert len(rows) == 4 + 6
    final = [row for row in rows if (row["layer"], row["stage"]) == ("lru", "final")]
    assert [(row["rates"], row["seed"], row["solved_at"], row["budget"]) for row in final] == [
        ("fast", "0", "100", "400"),
        ("fast", "1", "101", "400"),
        ("fast", "2", "102", "400"),
    ]
    assert final[0]["groups"] == '{"length/30": 0.5}'
    assert final[0]["references"] == '{"chance": 0.1, "knows some": 0.38}'
    assert final[0]["first_losses"] == "2.25 2.125"
    assert (final[0]["data_digest"], final[0]["state_size"], final[0]["worst_accuracy"]) == ("abc", "64", "0.375")
