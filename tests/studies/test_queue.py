import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from rnn_tasks.errors import UsageError
from rnn_tasks.studies.plan import Cell, Plan, Variant
from rnn_tasks.studies.queue import (
    ANEW,
    ATTEMPT,
    CELL,
    PASSING,
    REASON,
    WORKER,
    Ledger,
    State,
    is_dead,
    lives_here,
    shown,
    started,
)

PLAN = Plan("small", "", (), {}, {"network": (Variant("rnn"), Variant("qr"))}, (0, 1), None, None)
NAMES = [cell.name for cell in PLAN.cells()]


@pytest.fixture
def address(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'study.db'}"


def take(ledger: Ledger, value: float | None = 1.0, reason: str = "", passing: bool = False) -> str | None:
    """Do one run: its name, or None for a trial that stands for none."""
    names: list[str] = []

    def do(trial: optuna.Trial, cell: Cell) -> float:
        names.append(cell.name)
        if reason:
            if passing:
                trial.set_user_attr(PASSING, True)
            trial.set_user_attr(REASON, reason)
            raise ValueError(reason)
        assert value is not None
        return value

    ledger.do_next(do, catch=(ValueError,))
    return names[0] if names else None


def test_every_run_is_enqueued_once_and_done_once(address: str) -> None:
    ledger = Ledger(PLAN, address)
    for _ in range(3):
        ledger.enqueue_missing()
    assert [take(ledger) for _ in range(4)] == NAMES
    ledger.enqueue_missing()
    assert take(ledger) is None  # Optuna makes one up, which is nobody's run
    assert set(ledger.states().values()) == {State.DONE}
    assert set(ledger.results()) == set(NAMES)


def test_what_two_workers_have_enqueued_is_done_once(address: str) -> None:
    one, other = Ledger(PLAN, address), Ledger(PLAN, address)
    for ledger in (one, other):  # as if each had looked before the other wrote
        for name in NAMES:
            ledger.study.enqueue_trial({}, user_attrs={CELL: name})
    done = [take(ledger) for ledger in (one, other) * 4]
    assert sorted(name for name in done if name) == sorted(NAMES)


def test_threads_that_work_at_once_do_each_run_once(address: str) -> None:
    plan = replace(PLAN, seeds=tuple(range(10)))
    Ledger(plan, address).enqueue_missing()

    def work(_: int) -> list[str | None]:
        ledger = Ledger(plan, address)
        return [take(ledger) for _ in range(12)]

    with ThreadPoolExecutor(3) as pool:
        done = [name for names in pool.map(work, range(3)) for name in names if name]
    assert sorted(done) == sorted(cell.name for cell in plan.cells())


def test_a_run_that_failed_with_a_reason_is_not_done_again(address: str) -> None:
    ledger = Ledger(PLAN, address)
    ledger.enqueue_missing()
    assert take(ledger, reason="it diverged") == NAMES[0]
    ledger.enqueue_missing()
    assert [take(ledger) for _ in range(3)] == NAMES[1:]
    assert ledger.states()[NAMES[0]] is State.FAILED
    assert ledger.results()[NAMES[0]][REASON] == "it diverged"


def test_a_run_whose_worker_died_is_done_again(address: str) -> None:
    ledger = Ledger(PLAN, address)
    ledger.enqueue_missing()
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    with pytest.warns(UserWarning, match="Heartbeat"):  # asked for outside of optimize, so that it stays open
        trial = ledger.study.ask()
    cell = ledger.claim(trial)
    assert cell is not None
    assert ledger.states()[cell.name] is State.RUNNING
    ledger.release_dead()  # this process lives
    assert ledger.states()[cell.name] is State.RUNNING
    host = str(trial.user_attrs[WORKER]).partition(":")[0]
    trial.set_user_attr(WORKER, f"{host}:{gone.pid}:1")
    ledger.release_dead()
    ledger.enqueue_missing()
    assert ledger.trials()[trial.number].state == TrialState.FAIL
    assert sorted(str(take(ledger)) for _ in range(4)) == sorted(NAMES)


def test_a_run_that_failed_for_a_reason_that_may_have_passed_is_tried_again_and_others_if_asked(address: str) -> None:
    ledger = Ledger(PLAN, address)
    ledger.enqueue_missing()
    assert take(ledger, reason="it diverged") == NAMES[0]
    assert take(ledger, reason="no space", passing=True) == NAMES[1]
    assert [take(ledger) for _ in range(2)] == NAMES[2:]
    ledger.retry()
    states = ledger.states()
    assert (states[NAMES[0]], states[NAMES[1]]) == (State.FAILED, State.TO_COME)
    assert take(ledger) == NAMES[1]
    ledger.retry(all_of_them=True)
    ledger.retry(all_of_them=True)  # once: it waits
    ledger.enqueue_missing()
    waiting = [trial for trial in ledger.trials() if trial.state == TrialState.WAITING]
    assert [(t.user_attrs[CELL], t.user_attrs[ATTEMPT], t.user_attrs[ANEW]) for t in waiting] == [(NAMES[0], 1, 1)]
    assert take(ledger) == NAMES[0]
    assert set(ledger.states().values()) == {State.DONE}
    assert REASON not in ledger.results()[NAMES[0]]


def test_a_new_attempt_whose_worker_died_stays_one(address: str) -> None:
    ledger = Ledger(replace(PLAN, axes={"network": (Variant("rnn"),)}, seeds=(0,)), address)
    ledger.enqueue_missing()
    assert take(ledger, reason="it diverged") == NAMES[0]
    ledger.retry(all_of_them=True)
    with pytest.raises(KeyboardInterrupt):
        ledger.do_next(interrupted)
    ledger.enqueue_missing()
    attempts = [(trial.state, trial.user_attrs[ATTEMPT], trial.user_attrs[ANEW]) for trial in ledger.trials()]
    assert attempts == [(TrialState.FAIL, 0, 0), (TrialState.FAIL, 1, 1), (TrialState.WAITING, 1, 1)]
    assert take(ledger) == NAMES[0]


def interrupted(trial: optuna.Trial, cell: Cell) -> float:
    raise KeyboardInterrupt


def test_a_trial_whose_worker_died_before_it_said_so_is_given_out_again(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = Ledger(PLAN, address)
    ledger.enqueue_missing()
    with pytest.warns(UserWarning, match="Heartbeat"):
        trial = ledger.study.ask()
    lock, ledger.lock = ledger.lock, None  # as with a database that locks rows itself: it may be claiming just now
    ledger.release_dead()
    assert ledger.trials()[trial.number].state == TrialState.RUNNING
    monkeypatch.setattr("rnn_tasks.studies.queue.GRACE", -1)
    ledger.release_dead()
    assert ledger.trials()[trial.number].state == TrialState.FAIL
    with pytest.warns(UserWarning, match="Heartbeat"):
        trial = ledger.study.ask()
    monkeypatch.undo()
    ledger.lock = lock
    ledger.release_dead()
    assert ledger.trials()[trial.number].state == TrialState.FAIL
    ledger.enqueue_missing()
    assert sorted(str(take(ledger)) for _ in range(4)) == sorted(NAMES)


def test_a_study_with_more_seeds_and_variants_than_before_does_what_is_new(address: str) -> None:
    ledger = Ledger(PLAN, address)
    ledger.enqueue_missing()
    assert [take(ledger) for _ in range(4)] == NAMES
    longer = replace(PLAN, axes={"network": (*PLAN.axes["network"], Variant("gru"))}, seeds=(0, 1, 2))
    ledger = Ledger(longer, address)
    ledger.enqueue_missing()
    new = [cell.name for cell in longer.cells() if cell.name not in NAMES]
    assert [take(ledger) for _ in new] == new
    assert set(ledger.states().values()) == {State.DONE}


def test_a_worker_that_was_taken_for_dead_leaves_its_run_to_others(address: str) -> None:
    ledger = Ledger(PLAN, address)
    ledger.enqueue_missing()

    def do(trial: optuna.Trial, cell: Cell) -> float:
        ledger.study.tell(trial.number, state=TrialState.FAIL)
        return 1.0

    ledger.do_next(do)
    ledger.enqueue_missing()
    assert sorted(str(take(ledger)) for _ in range(4)) == sorted(NAMES)


def test_an_address_is_shown_without_its_password() -> None:
    assert shown("postgresql://me:se:cret@host:5432/db?a=b") == "postgresql://me:***@host:5432/db"
    assert shown("sqlite:///a/study.db") == "sqlite:///a/study.db"


def test_who_is_dead() -> None:
    import socket

    here, me = socket.gethostname(), os.getpid()
    assert not is_dead(f"{here}:{me}:{started(me)}")
    assert is_dead(f"{here}:{me}:1") == bool(started(me))  # a number that was given out again
    assert lives_here(f"{here}:{me}:{started(me)}")
    assert not lives_here(f"elsewhere:{me}:{started(me)}")
    assert not is_dead(f"elsewhere:{me}:1")
    assert not is_dead("")


def test_a_storage_that_cannot_be_opened_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be opened") as caught:
        Ledger(PLAN, f"sqlite:///{tmp_path}/nowhere/study.db")
    assert "\n" not in str(caught.value)
