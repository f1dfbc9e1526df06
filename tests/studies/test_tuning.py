"""A tuned axis: its variants are tried on a seed of their own, and the best one trains on the other seeds."""

from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest

from rnn_tasks.errors import UsageError
from rnn_tasks.studies.plan import Plan, PlannedRun, Tuning, Variant
from rnn_tasks.studies.plan_file import plan_from
from rnn_tasks.studies.queue import RunQueue, RunState
from rnn_tasks.studies.rows import RESULT
from rnn_tasks.studies.table import runs_in
from rnn_tasks.studies.tuning import best_of

RATES = tuple(Variant(name, options={"model.optimizer.lr": rate}) for name, rate in (("slow", 0.1), ("fast", 0.2)))
AXES = {"network": (Variant("rnn"), Variant("gru")), "rate": RATES}
PLAN = Plan("t", "", (), {}, AXES, (0, 1), 100, None, tuning=Tuning("rate", 7))
BEST = {"rnn": "slow", "gru": "fast"}


def url(folder: Path) -> str:
    return f"sqlite:///{folder / 'study.db'}"


def work(queue: RunQueue, best: dict[str, str], most: int = 99) -> list[PlannedRun]:
    """Do the pending runs of a study whose best variants are given, and return them."""
    done: list[PlannedRun] = []

    def do(trial: optuna.Trial, run: PlannedRun) -> float:
        done.append(run)
        is_best = best[run.variants["network"].name] == run.variants["rate"].name
        result: dict[str, Any] = {"metrics": {"val/loss": 1.0}, "steps": 100, "solved_at": 50 if is_best else None}
        trial.set_user_attr(RESULT, result)
        return 1.0

    while len(done) < most:
        queue.enqueue_missing()
        if RunState.PENDING not in queue.states().values():
            break
        queue.do_next(do)
    return done


def test_plan_tries_each_variant_before_it_trains_the_best() -> None:
    names = [run.name for run in PLAN.runs()]
    trials = ["rnn-slow-seed7", "rnn-fast-seed7", "gru-slow-seed7", "gru-fast-seed7"]
    assert names == [*trials, "rnn-seed0", "rnn-seed1", "gru-seed0", "gru-seed1"]
    assert [PLAN.is_trial(run) for run in PLAN.runs()] == [True] * 4 + [False] * 4
    assert [run.name for run in PLAN.trials_of(PLAN.runs()[-1])] == trials[2:]
    assert PLAN.trials_of(PLAN.runs()[0]) == []


def test_each_combination_trains_with_its_own_best_variant(tmp_path: Path) -> None:
    with closing(RunQueue(PLAN, url(tmp_path))) as queue:
        done = work(queue, BEST)
        assert set(queue.states().values()) == {RunState.DONE}
        table = runs_in(queue)
    assert [(run.group, run.seed) for run in done[:4]] == [(run.group, 7) for run in PLAN.runs()[:4]]
    assert sorted((*run.group, run.seed) for run in done[4:]) == [
        ("gru", "fast", 0),
        ("gru", "fast", 1),
        ("rnn", "slow", 0),
        ("rnn", "slow", 1),
    ]
    assert {PLAN.options_of(run)["model.optimizer.lr"] for run in done[4:]} == {0.1, 0.2}
    assert ("gru-seed1", "gru", "fast", 1) in table.index


def test_run_waits_for_all_trials_of_its_combination(tmp_path: Path) -> None:
    with closing(RunQueue(PLAN, url(tmp_path))) as queue:
        work(queue, BEST, most=3)
        queue.enqueue_missing()
        assert set(queue.choices()) == {"rnn-seed0", "rnn-seed1"}
        with pytest.raises(ZeroDivisionError):
            queue.do_next(lambda trial, run: 1 / 0)  # no reason is stored: the run is queued again
        queue.enqueue_missing()
        assert set(queue.choices()) == {"rnn-seed0", "rnn-seed1"}


def test_runs_are_redone_when_another_variant_is_best(tmp_path: Path) -> None:
    with closing(RunQueue(PLAN, url(tmp_path))) as queue:
        work(queue, BEST)
        assert queue.changed() == {}
    other = replace(RATES[1], options={"model.optimizer.lr": 0.3})
    changed = replace(PLAN, axes={**AXES, "rate": (RATES[0], other)})
    with closing(RunQueue(changed, url(tmp_path))) as queue:
        assert set(queue.redo_changed()) == {"rnn-fast-seed7", "gru-fast-seed7"}
        work(queue, {"rnn": "fast", "gru": "fast"})
        redone = queue.redo_changed()
        assert set(redone) == {"gru-seed0", "gru-seed1"}  # rnn: both rates solve the task in as many steps
        assert redone["gru-seed0"] == ["model.optimizer.lr"]
        assert [run.group for run in work(queue, BEST)] == [("gru", "fast")] * 2
        assert queue.redo_changed() == {}


def test_best_variant_ignores_the_test_and_failed_runs() -> None:
    results: dict[str, dict[str, Any]] = {
        "failed": {},
        "worse": {"metrics": {"val/loss": 0.5, "test/loss": 0.0}, "verdict": "learning"},
        "better": {"metrics": {"val/loss": 0.4, "test/loss": 9.0}, "verdict": "learning"},
        "diverged": {"metrics": {"val/loss": float("nan")}},
    }
    assert best_of(results) == "better"
    assert best_of({**results, "solved": {"solved_at": 75, "metrics": {"val/loss": 3.0}}}) == "solved"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tune": {"axis": "speed", "seed": 7}}, "tune: axis must be one of rate, got speed"),
        ({"tune": {"axis": "rate", "seed": 0}}, "tune: seed 0 is also in seeds"),
        ({"tune": {"axis": "rate"}}, "tune: seed must be a whole number of at least 0, got None"),
        ({"tune": {"axis": "rate", "seed": 7}, "search": {}, "seeds": [1]}, "either a search or a tuned axis"),
    ],
)
def test_mistakes_in_tune_are_reported(changes: dict[str, Any], message: str) -> None:
    values = {"axes": {"rate": {"option": "model.optimizer.lr", "values": [0.1, 0.2]}}, "seeds": [0], **changes}
    with pytest.raises(UsageError, match=message):
        plan_from(values, "name", "study.yaml")
