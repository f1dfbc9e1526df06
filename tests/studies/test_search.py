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
from rnn_tasks.studies.plan import Cell, Plan, Range, Search, Variant
from rnn_tasks.studies.queue import RESULT, WORKER, Ledger, State
from rnn_tasks.studies.search import objective_of
from rnn_tasks.studies.table import rows_of

AXES = {"rate": (), "network": (Variant("rnn"), Variant("gru"))}
RANGES = {"rate": Range("model.optimizer.lr", 1e-4, 1e-1, log=True)}


def search(sampler: str, runs: int = 6, objective: str = "loss") -> Plan:
    return Plan(
        "s", "", (), {}, AXES, (0,), 100, None, ranges=RANGES, search=Search(sampler, runs, objective)
    )  # fmt: skip


def address(folder: Path) -> str:
    return f"sqlite:///{folder / 'study.db'}"


def loss_of(cell: Cell) -> float:
    """Least at a rate of 0.01 and for a GRU."""
    rate = cell.variants["rate"].value
    assert rate is not None
    return abs(math.log10(rate) + 2) + (cell.variants["network"].name == "rnn")


def work(ledger: Ledger, runs: int) -> list[Cell]:
    """Do so many runs: as they were drawn."""
    cells: list[Cell] = []

    def do(trial: optuna.Trial, cell: Cell) -> float:
        cells.append(cell)
        trial.set_user_attr(RESULT, {"metrics": {"val/loss": loss_of(cell)}, "steps": 100})
        return loss_of(cell)

    for _ in range(runs):
        ledger.enqueue_missing()
        ledger.do_next(do)
    return cells


def drawn(cells: Sequence[Cell]) -> list[tuple[str, ...]]:
    return [(cell.name, *cell.group) for cell in cells]


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_the_same_seed_draws_the_same_runs_whoever_does_them(tmp_path: Path, sampler: str) -> None:
    plan, interrupted = search(sampler), tmp_path / "interrupted"
    interrupted.mkdir()
    with closing(Ledger(plan, address(tmp_path))) as ledger:
        cells = work(ledger, 6)
        ledger.enqueue_missing()
        assert set(ledger.states().values()) == {State.DONE}
        rows = rows_of(plan, ledger.states(), ledger.results())
    again = []
    for _ in range(2):
        with closing(Ledger(plan, address(interrupted))) as ledger:
            again += work(ledger, 3)
    assert drawn(again) == drawn(cells)
    assert [name for name, *_ in drawn(cells)] == [f"run{number:04}" for number in range(1, 7)]
    assert len({cell.group for cell in cells}) == 6
    assert [row.cell for row in rows] == cells
    other = tmp_path / "other"
    other.mkdir()
    with closing(Ledger(replace(plan, seeds=(1,)), address(other))) as ledger:
        assert drawn(work(ledger, 1)) != drawn(cells[:1])


def test_values_are_drawn_between_their_bounds_and_become_options(tmp_path: Path) -> None:
    plan = search("random", 12)
    with closing(Ledger(plan, address(tmp_path))) as ledger:
        cells = work(ledger, 12)
    rates = [cell.variants["rate"].value or 0 for cell in cells]
    assert 1e-4 <= min(rates) < 1e-3 < 1e-2 < max(rates) <= 1e-1  # each power of ten is as likely
    assert {cell.variants["network"].name for cell in cells} == {"rnn", "gru"}
    assert f"--model.optimizer.lr={cells[0].variants['rate'].name}" in plan.words(cells[0])
    whole = Range("model.core.hidden_size", 8, 64)
    assert whole.variant(12).options == {"model.core.hidden_size": 12}
    assert RANGES["rate"].variant(0.0123456).name == "0.01235"


def test_what_is_known_leads_the_search(tmp_path: Path) -> None:
    plan = search("tpe", 40)
    with closing(Ledger(plan, address(tmp_path))) as ledger:
        cells = work(ledger, 40)
    early, late = cells[:10], cells[-10:]  # the first ten are drawn before anything is known
    assert sum(map(loss_of, late)) < sum(map(loss_of, early)) / 2


def test_the_run_of_a_dead_worker_is_the_next_and_has_the_same_values(tmp_path: Path) -> None:
    plan = search("tpe")
    with closing(Ledger(plan, address(tmp_path))) as ledger:
        work(ledger, 2)
        ledger.enqueue_missing()
        with pytest.warns(UserWarning, match="Heartbeat"):
            trial = ledger.study.ask()
        lost = ledger.claim(trial)
        assert lost is not None
        trial.set_user_attr(WORKER, str(trial.user_attrs[WORKER]) + "0")  # one that is gone
        ledger.release_dead()
        assert ledger.trials()[trial.number].state == TrialState.FAIL
        cells = work(ledger, 4)
        assert cells[0] == lost
        assert drawn(cells)[1][0] == "run0004"
        assert set(ledger.states().values()) == {State.DONE}


def test_other_variants_than_those_that_a_search_began_with_are_one_line(tmp_path: Path) -> None:
    plan = search("random")
    with closing(Ledger(plan, address(tmp_path))) as ledger:
        work(ledger, 1)
    axes = {**AXES, "network": (Variant("rnn"), Variant("lstm"))}
    with (
        closing(Ledger(replace(plan, axes=axes), address(tmp_path))) as ledger,
        pytest.raises(UsageError, match="network has other values"),
    ):
        work(ledger, 1)


def test_the_objective_is_of_the_validation_and_who_did_not_solve_is_worse_than_all_who_did() -> None:
    values: dict[str, Any] = {"metrics": {"val/loss": 0.5, "test/loss": 0.1}, "baseline": {"loss": 2.0}}
    assert objective_of(search("tpe"), values) == 0.5
    steps = search("tpe", objective="steps")
    assert objective_of(steps, values) == 125
    assert objective_of(steps, {**values, "solved_at": 100}) == 100
    assert objective_of(steps, {**values, "metrics": {"val/loss": math.nan}}) == math.inf
    assert objective_of(search("tpe"), {}) == math.inf
