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
from rnn_tasks.studies.plan import Plan, PlannedRun, Variant
from rnn_tasks.studies.queue import RunQueue, RunState, Timing
from rnn_tasks.studies.rows import ATTEMPT, FROM_SCRATCH, REASON, RUN_NAME, TRANSIENT, WORKER
from rnn_tasks.studies.storage import without_password
from rnn_tasks.studies.worker_id import is_alive_here, is_dead, start_time

PLAN = Plan("small", "", (), {}, {"network": (Variant("rnn"), Variant("qr"))}, (0, 1), None, None)
NAMES = [run.name for run in PLAN.runs()]


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'study.db'}"


def take(queue: RunQueue, value: float | None = 1.0, reason: str = "", transient: bool = False) -> str | None:
    """Do the next run, and return its name; None if no run is pending."""
    names: list[str] = []

    def do(trial: optuna.Trial, run: PlannedRun) -> float:
        names.append(run.name)
        if reason:
            if transient:
                trial.set_user_attr(TRANSIENT, True)
            trial.set_user_attr(REASON, reason)
            raise ValueError(reason)
        assert value is not None
        return value

    queue.do_next(do, catch=(ValueError,))
    return names[0] if names else None


def test_queue_does_each_run_once(url: str) -> None:
    queue = RunQueue(PLAN, url)
    for _ in range(3):
        queue.enqueue_missing()
    assert [take(queue) for _ in range(4)] == NAMES
    queue.enqueue_missing()
    assert take(queue) is None  # Optuna then creates a trial without a run
    assert set(queue.states().values()) == {RunState.DONE}
    assert set(queue.results()) == set(NAMES)


def test_run_queued_by_two_workers_is_done_once(url: str) -> None:
    one, other = RunQueue(PLAN, url), RunQueue(PLAN, url)
    for queue in (one, other):  # as if neither had seen the trials of the other
        for name in NAMES:
            queue.study.enqueue_trial({}, user_attrs={RUN_NAME: name})
    done = [take(queue) for queue in (one, other) * 4]
    assert sorted(name for name in done if name) == sorted(NAMES)


@pytest.mark.slow
def test_concurrent_threads_do_each_run_once(url: str) -> None:
    plan = replace(PLAN, seeds=tuple(range(10)))
    RunQueue(plan, url).enqueue_missing()

    def work(_: int) -> list[str | None]:
        queue = RunQueue(plan, url)
        return [take(queue) for _ in range(12)]

    with ThreadPoolExecutor(3) as pool:
        done = [name for names in pool.map(work, range(3)) for name in names if name]
    assert sorted(done) == sorted(run.name for run in plan.runs())


def test_failed_run_is_not_repeated(url: str) -> None:
    queue = RunQueue(PLAN, url)
    queue.enqueue_missing()
    assert take(queue, reason="it diverged") == NAMES[0]
    queue.enqueue_missing()
    assert [take(queue) for _ in range(3)] == NAMES[1:]
    assert queue.states()[NAMES[0]] is RunState.FAILED
    assert queue.results()[NAMES[0]][REASON] == "it diverged"


def test_run_of_dead_worker_is_repeated(url: str) -> None:
    queue = RunQueue(PLAN, url)
    queue.enqueue_missing()
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    trial = queue.study.ask()
    run = queue.claim(trial)
    assert run is not None
    assert queue.states()[run.name] is RunState.RUNNING
    queue.release_dead()  # this process is alive
    assert queue.states()[run.name] is RunState.RUNNING
    host = str(trial.user_attrs[WORKER]).partition(":")[0]
    trial.set_user_attr(WORKER, f"{host}:{ended.pid}:1")
    queue.release_dead()
    queue.enqueue_missing()
    assert queue.trials()[trial.number].state == TrialState.FAIL
    assert sorted(str(take(queue)) for _ in range(4)) == sorted(NAMES)


def test_transient_failures_are_retried(url: str) -> None:
    queue = RunQueue(PLAN, url)
    queue.enqueue_missing()
    assert take(queue, reason="it diverged") == NAMES[0]
    assert take(queue, reason="no space", transient=True) == NAMES[1]
    assert [take(queue) for _ in range(2)] == NAMES[2:]
    queue.retry()
    states = queue.states()
    assert (states[NAMES[0]], states[NAMES[1]]) == (RunState.FAILED, RunState.PENDING)
    assert take(queue) == NAMES[1]
    queue.retry(all_failed=True)
    queue.retry(all_failed=True)  # no effect, since the run waits already
    queue.enqueue_missing()
    waiting = [trial for trial in queue.trials() if trial.state == TrialState.WAITING]
    assert [(t.user_attrs[RUN_NAME], t.user_attrs[ATTEMPT], t.user_attrs[FROM_SCRATCH]) for t in waiting] == [
        (NAMES[0], 1, 1)
    ]
    assert take(queue) == NAMES[0]
    assert set(queue.states().values()) == {RunState.DONE}
    assert REASON not in queue.results()[NAMES[0]]


def test_attempt_keeps_its_number_when_worker_dies(url: str) -> None:
    queue = RunQueue(replace(PLAN, axes={"network": (Variant("rnn"),)}, seeds=(0,)), url)
    queue.enqueue_missing()
    assert take(queue, reason="it diverged") == NAMES[0]
    queue.retry(all_failed=True)
    with pytest.raises(KeyboardInterrupt):
        queue.do_next(interrupted)
    queue.enqueue_missing()
    attempts = [(trial.state, trial.user_attrs[ATTEMPT], trial.user_attrs[FROM_SCRATCH]) for trial in queue.trials()]
    assert attempts == [(TrialState.FAIL, 0, 0), (TrialState.FAIL, 1, 1), (TrialState.WAITING, 1, 1)]
    assert take(queue) == NAMES[0]


def interrupted(trial: optuna.Trial, run: PlannedRun) -> float:
    raise KeyboardInterrupt


def test_unclaimed_trial_of_dead_worker_is_released(url: str) -> None:
    queue = RunQueue(PLAN, url)
    queue.enqueue_missing()
    trial = queue.study.ask()
    lock = queue.file_lock
    queue.file_lock = None  # as with a database that has row locks: a worker may be claiming the trial
    queue.release_dead()
    assert queue.trials()[trial.number].state == TrialState.RUNNING
    queue.timing = Timing(grace=-1)
    queue.release_dead()
    assert queue.trials()[trial.number].state == TrialState.FAIL
    trial = queue.study.ask()
    queue.timing, queue.file_lock = Timing(), lock
    queue.release_dead()
    assert queue.trials()[trial.number].state == TrialState.FAIL
    queue.enqueue_missing()
    assert sorted(str(take(queue)) for _ in range(4)) == sorted(NAMES)


def test_extended_study_does_only_new_runs(url: str) -> None:
    queue = RunQueue(PLAN, url)
    queue.enqueue_missing()
    assert [take(queue) for _ in range(4)] == NAMES
    longer = replace(PLAN, axes={"network": (*PLAN.axes["network"], Variant("gru"))}, seeds=(0, 1, 2))
    queue = RunQueue(longer, url)
    queue.enqueue_missing()
    new = [run.name for run in longer.runs() if run.name not in NAMES]
    assert [take(queue) for _ in new] == new
    assert set(queue.states().values()) == {RunState.DONE}


def test_worker_taken_for_dead_drops_its_result(url: str) -> None:
    queue = RunQueue(PLAN, url)
    queue.enqueue_missing()

    def do(trial: optuna.Trial, run: PlannedRun) -> float:
        queue.study.tell(trial.number, state=TrialState.FAIL)
        return 1.0

    queue.do_next(do)
    queue.enqueue_missing()
    assert sorted(str(take(queue)) for _ in range(4)) == sorted(NAMES)


def test_url_is_shown_without_password() -> None:
    assert without_password("postgresql://me:se:cret@host:5432/db?a=b") == "postgresql://me:***@host:5432/db"
    assert without_password("sqlite:///a/study.db") == "sqlite:///a/study.db"


def test_dead_and_living_workers_are_told_apart() -> None:
    import socket

    here, me = socket.gethostname(), os.getpid()
    assert not is_dead(f"{here}:{me}:{start_time(me)}")
    assert is_dead(f"{here}:{me}:1") == bool(start_time(me))  # the ID was reused by a later process
    assert is_alive_here(f"{here}:{me}:{start_time(me)}")
    assert not is_alive_here(f"elsewhere:{me}:{start_time(me)}")
    assert not is_dead(f"elsewhere:{me}:1")
    assert not is_dead("")


def test_unusable_storage_is_reported_on_one_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be opened") as caught:
        RunQueue(PLAN, f"sqlite:///{tmp_path}/nowhere/study.db")
    assert "\n" not in str(caught.value)
