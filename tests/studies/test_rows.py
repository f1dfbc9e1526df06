"""Changed rows of the database of a study."""

import copy
import json
import math
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import FrozenTrial

from rnn_tasks.errors import UsageError
from rnn_tasks.studies.pictures import band, quantity_of
from rnn_tasks.studies.plan import Plan, PlannedRun, Range, Search, Variant
from rnn_tasks.studies.plan_file import read_plan
from rnn_tasks.studies.queue import RunQueue, RunState
from rnn_tasks.studies.ranking import best_so_far, ranked, search_table
from rnn_tasks.studies.report import counts_line, failures_section, samples_section, versions_line, write_study
from rnn_tasks.studies.rows import DRAWN, REASON, RESULT, RUN_NAME, damage_of
from rnn_tasks.studies.table import as_csv, read_runs, runs_in, summary_table
from tests.helpers.command_line import RnnTasks
from tests.helpers.studies import plan_file

GRID = Plan("small", "", (), {}, {"network": (Variant("rnn"), Variant("qr"))}, (0,), 4, None)
RANGES = {"rate": Range("a", 0.001, 0.1), "size": Range("b", 8, 64)}
SEARCH = Plan("s", "", (), {}, {"rate": (), "size": ()}, (0,), 4, None, ranges=RANGES, search=Search("tpe", 2, "steps"))

VALID: dict[str, Any] = {
    "verdict": "learning",
    "solved_at": 3,
    "steps": 4,
    "sequences": 16,
    "seconds": 1.5,
    "parameters": 100,
    "stopped": "steps",
    "metrics": {"val/loss": 1.0, "test/accuracy": 0.5},
    "baseline": {"loss": 2.0},
    "versions": {"torch": "2.13.0"},
    "sample": "temperature 0\nit has been",
    "curves": {"val/loss": [[2, 4], [1.5, 1.0]]},
}

STRANGE: list[Any] = [None, True, -1, 2**70, 1.5, math.nan, "x\x1b[31m|<b>", [1], {}, {"a": 1}, [[{}]]]
STRANGE += [[[2, 1], [1.0, 2.0]], [[1, 2], [1.0]]]
"""Values that somebody might write into a row."""


class Rows(RunQueue):
    """A queue whose trials are in memory.

    Attributes:
        rows: The trials.
    """

    rows: list[FrozenTrial]

    def trials(self) -> list[FrozenTrial]:
        return self.rows


def queue_of(plan: Plan, folder: Path) -> Rows:
    """Return the queue of a study whose two runs are done."""
    queue = Rows(plan, f"sqlite:///{folder / 'study.db'}")
    queue.rows = []

    def do(trial: optuna.Trial, run: PlannedRun) -> float:
        trial.set_user_attr(RESULT, VALID)
        return 1.0

    for _ in plan.runs():
        queue.enqueue_missing()
        queue.do_next(do)
        queue.rows = RunQueue.trials(queue)
    return queue


def changed_once(values: Any) -> Iterator[Any]:
    """Yield copies of a nested value, in each of which one part has another value."""
    yield from STRANGE
    parts = values.items() if isinstance(values, dict) else enumerate(values) if isinstance(values, list) else ()
    for key, part in parts:
        for changed in changed_once(part):
            new = copy.copy(values)
            new[key] = changed
            yield new


@pytest.mark.slow
@pytest.mark.parametrize("plan", [GRID, SEARCH], ids=["grid", "search"])
def test_no_changed_row_ends_the_report(plan: Plan, tmp_path: Path) -> None:
    queue = queue_of(plan, tmp_path)
    first, second = queue.rows
    other = second.user_attrs[RUN_NAME]
    tried, seen = 0, set[str]()
    for attributes in changed_once({**first.user_attrs, REASON: "it diverged"}):
        if not isinstance(attributes, dict):
            continue
        row = copy.copy(first)
        row.user_attrs = attributes
        queue.rows, queue.damages = [row, second], {}
        if attributes.get(RUN_NAME) == other:
            continue
        runs = runs_in(queue)
        assert runs.loc[other]["state"].tolist() == ["done"]
        assert runs.loc[other]["steps"].tolist() == [4]
        if attributes.get(RESULT) != VALID and damage_of(attributes.get(RESULT)):
            assert runs["state"].iloc[0] in ("failed", "pending")
            assert runs["steps"].isna().iloc[0]
        tried += 1
        outcome = f"{runs.iloc[0].to_dict()}{runs.index[0]}"
        if outcome in seen:
            continue
        seen.add(outcome)
        search_table(ranked(runs)) if plan.search else summary_table(runs)
        for read in (as_csv, counts_line, versions_line, failures_section, samples_section):
            read(runs)
        best_so_far(plan, runs)
        band(runs, "val/loss")
        quantity_of(runs, "loss").median()
        queue.changed()
        queue.retry()
    assert tried > 300


def test_old_result_with_missing_values_is_not_damaged() -> None:
    assert damage_of({}) == ""
    assert damage_of({"steps": 4, "solved_at": None, "metrics": {"val/loss": math.nan}, "curves": {}}) == ""
    assert damage_of({**VALID, "curves": {"val/loss": [[1, 2], [math.nan, math.inf]]}}) == ""


@pytest.mark.parametrize("name", ["steps", "seconds", "metrics", "curves", "versions"])
def test_damaged_value_is_named_in_the_report(name: str, tmp_path: Path) -> None:
    queue = queue_of(GRID, tmp_path)
    queue.rows[0].user_attrs[RESULT] = {**VALID, name: [1]}
    runs = runs_in(queue)
    assert (runs["state"].iloc[0], runs["reason"].iloc[0]) == ("failed", f"the database has a damaged result: {name}")
    assert queue.states()["rnn-seed0"] is RunState.FAILED


def change(database: Path, statement: str, *values: Any) -> None:
    """Change a database without its library."""
    with sqlite3.connect(database) as connection:
        assert connection.execute(statement, values).rowcount
    connection.close()


ATTRIBUTE = "UPDATE trial_user_attributes SET value_json = ? WHERE key = ? AND trial_id = 1"


@pytest.mark.slow
def test_report_with_damaged_row_shows_the_other_run(tmp_path: Path) -> None:
    queue_of(GRID, tmp_path).close()
    change(tmp_path / "study.db", ATTRIBUTE, json.dumps({**VALID, "curves": {"val/loss": "x"}}), RESULT)
    runs = read_runs(GRID, f"sqlite:///{tmp_path / 'study.db'}")
    page = write_study(GRID, runs, tmp_path / "report", "a command").read_text()
    assert "cannot be drawn" not in page
    assert "the database has a damaged result: curves" in page
    assert "1 done, 1 failed" in page


DAMAGES = {
    "row": (ATTRIBUTE, "{", RESULT),
    "state": ("UPDATE trials SET state = ? WHERE trial_id = 1", "STRANGE"),
    "column": ("ALTER TABLE trials RENAME COLUMN state TO other",),
    "version": ("UPDATE alembic_version SET version_num = ?", "v9"),
}


@pytest.mark.parametrize("damage", [*DAMAGES, "text", "half", "folder"])
def test_damaged_database_is_one_line(damage: str, rnn_tasks: RnnTasks) -> None:
    plan = read_plan(plan_file())
    database = Path("lightning_logs/studies/tiny/study.db")
    database.parent.mkdir(parents=True)
    queue_of(plan, database.parent).close()
    if damage == "text":
        database.write_text("this is not a database" * 100)
    elif damage == "half":
        database.write_bytes(database.read_bytes()[:9000])
    elif damage == "folder":
        database.unlink()
        database.mkdir()
    elif damage == "column":
        with sqlite3.connect(database) as connection:
            connection.execute(*DAMAGES[damage])
    else:
        change(database, *DAMAGES[damage])
    result = rnn_tasks("study", "report", "tiny.yaml")
    assert (result.status, len(result.err.splitlines())) == (2, 1), result.err
    with pytest.raises(UsageError):
        read_runs(plan, f"sqlite:///{database}")


def test_drawn_values_that_are_not_numbers_are_missing(tmp_path: Path) -> None:
    queue = queue_of(SEARCH, tmp_path)
    queue.rows[0].user_attrs[DRAWN] = {"rate": "x", "size": [1]}
    assert [*runs_in(queue).index[0]] == ["run0001", "", "", 0]


def test_baseline_of_a_text_is_not_damaged() -> None:
    baseline = {"loss": 1.0, "accuracy": 0.5, "name": "5-gram", "val": {"loss": 1.0, "name": "5-gram"}}
    assert damage_of({"steps": 1, "baseline": baseline}) == ""
    assert damage_of({"steps": 1, "baseline": {**baseline, "val": {"loss": "x"}}}) == "baseline"


def test_baseline_with_plateaus_and_lengths_is_not_damaged() -> None:
    plateau = {"name": "knows half", "loss": 0.5}
    of_length = {"loss": 1.0, "unit": "mean squared error", "plateaus": [plateau]}
    baseline = {**of_length, "by_length": {"64": of_length}}
    assert damage_of({"steps": 1, "baseline": baseline}) == ""
    for change in (
        {"plateaus": [{"loss": 0.5}]},
        {"plateaus": {"a": 1}},
        {"plateaus": [{**plateau, "loss": "x"}]},
        {"by_length": {"x": of_length}},
        {"by_length": {"64": {"loss": "x"}}},
        {"unit": 1},
    ):
        assert damage_of({"steps": 1, "baseline": {**baseline, **change}}) == "baseline"
