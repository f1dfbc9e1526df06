import math
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from rnn_tasks.errors import UsageError
from rnn_tasks.studies.plan import Plan, PlannedRun, Range, Search, Variant
from rnn_tasks.studies.queue import RunQueue, RunState
from rnn_tasks.studies.rows import RESULT, WORKER
from rnn_tasks.studies.search import objective_of
from rnn_tasks.studies.table import runs_table

AXES = {"rate": (), "network": (Variant("rnn"), Variant("gru"))}
RANGES = {"rate": Range("model.optimizer.lr", 1e-4, 1e-1, log=True)}


def search(sampler: str, runs: int = 6, objective: str = "loss") -> Plan:
    return Plan(
        "s", "", (), {}, AXES, (0,), 100, None, ranges=RANGES, search=Search(sampler, runs, objective)
    )  # fmt: skip


def url(folder: Path) -> str:
    return f"sqlite:///{folder / 'study.db'}"


def loss_of(run: PlannedRun) -> float:
    """Return a loss that is lowest at a rate of 0.01 with the GRU."""
    rate = run.variants["rate"].value
    assert rate is not None
    return abs(math.log10(rate) + 2) + (run.variants["network"].name == "rnn")


def work(queue: RunQueue, runs: int) -> list[PlannedRun]:
    """Do several runs, and return them with their drawn values."""
    done: list[PlannedRun] = []

    def do(trial: optuna.Trial, run: PlannedRun) -> float:
        done.append(run)
        trial.set_user_attr(RESULT, {"metrics": {"val/loss": loss_of(run)}, "steps": 100})
        return loss_of(run)

    for _ in range(runs):
        queue.enqueue_missing()
        queue.do_next(do)
    return done


def drawn(done: Sequence[PlannedRun]) -> list[tuple[str, ...]]:
    return [(run.name, *run.group) for run in done]


@pytest.mark.parametrize("sampler", [pytest.param("random", marks=pytest.mark.slow), "tpe"])
def test_same_seed_draws_same_values_after_interruption(tmp_path: Path, sampler: str) -> None:
    plan, interrupted = search(sampler), tmp_path / "interrupted"
    interrupted.mkdir()
    with closing(RunQueue(plan, url(tmp_path))) as queue:
        done = work(queue, 6)
        queue.enqueue_missing()
        assert set(queue.states().values()) == {RunState.DONE}
        runs = runs_table(plan, queue.states(), queue.results())
    again = []
    for _ in range(2):
        with closing(RunQueue(plan, url(interrupted))) as queue:
            again += work(queue, 3)
    assert drawn(again) == drawn(done)
    assert [name for name, *_ in drawn(done)] == [f"run{number:04}" for number in range(1, 7)]
    assert len({run.group for run in done}) == 6
    assert [(name, *variants) for name, *variants, _ in runs.index] == drawn(done)
    other = tmp_path / "other"
    other.mkdir()
    with closing(RunQueue(replace(plan, seeds=(1,)), url(other))) as queue:
        assert drawn(work(queue, 1)) != drawn(done[:1])


def test_drawn_values_are_within_bounds_and_options(tmp_path: Path) -> None:
    plan = search("random", 12)
    with closing(RunQueue(plan, url(tmp_path))) as queue:
        done = work(queue, 12)
    rates = [run.variants["rate"].value or 0 for run in done]
    assert 1e-4 <= min(rates) < 1e-3 < 1e-2 < max(rates) <= 1e-1  # each power of ten is equally likely
    assert {run.variants["network"].name for run in done} == {"rnn", "gru"}
    assert f"--model.optimizer.lr={done[0].variants['rate'].name}" in plan.arguments(done[0])
    whole = Range("model.core.hidden_size", 8, 64)
    assert whole.variant(12).options == {"model.core.hidden_size": 12}
    assert RANGES["rate"].variant(0.0123456).name == "0.01235"


@pytest.mark.slow
def test_tpe_improves_with_results(tmp_path: Path) -> None:
    plan = search("tpe", 40)
    with closing(RunQueue(plan, url(tmp_path))) as queue:
        done = work(queue, 40)
    early, late = done[:10], done[-10:]  # the first ten are drawn at random
    assert sum(map(loss_of, late)) < sum(map(loss_of, early)) / 2


def test_run_of_dead_worker_keeps_its_values(tmp_path: Path) -> None:
    plan = search("tpe")
    with closing(RunQueue(plan, url(tmp_path))) as queue:
        work(queue, 2)
        queue.enqueue_missing()
        trial = queue.study.ask()
        lost = queue.claim(trial)
        assert lost is not None
        trial.set_user_attr(WORKER, str(trial.user_attrs[WORKER]) + "0")  # the ID of a dead worker
        queue.release_dead()
        assert queue.trials()[trial.number].state == TrialState.FAIL
        done = work(queue, 4)
        assert done[0] == lost
        assert drawn(done)[1][0] == "run0004"
        assert set(queue.states().values()) == {RunState.DONE}


def test_changed_variants_of_search_are_rejected(tmp_path: Path) -> None:
    plan = search("random")
    with closing(RunQueue(plan, url(tmp_path))) as queue:
        work(queue, 1)
    axes = {**AXES, "network": (Variant("rnn"), Variant("lstm"))}
    with (
        closing(RunQueue(replace(plan, axes=axes), url(tmp_path))) as queue,
        pytest.raises(UsageError, match="the values of network have changed"),
    ):
        work(queue, 1)


def test_objective_ranks_solved_before_unsolved() -> None:
    values: dict[str, Any] = {"metrics": {"val/loss": 0.5, "test/loss": 0.1}, "baseline": {"loss": 2.0}}
    assert objective_of(search("tpe"), values) == 0.5
    steps = search("tpe", objective="steps")
    assert objective_of(steps, values) == 125
    assert objective_of(steps, {**values, "solved_at": 100}) == 100
    assert objective_of(steps, {**values, "metrics": {"val/loss": math.nan}}) == math.inf
    assert objective_of(search("tpe"), {}) == math.inf
