import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import optuna
import pytest
from optuna.exceptions import StorageInternalError
from optuna.trial import TrialState
from sqlalchemy.exc import OperationalError

from rnn_tasks.errors import UsageError
from rnn_tasks.studies.plan import Plan, PlannedRun, Variant
from rnn_tasks.studies.queue import RunQueue, RunState, Timing
from rnn_tasks.studies.rows import ATTEMPT, FROM_SCRATCH, HEARTBEAT, REASON, RUN_NAME, TRANSIENT, WORKER
from rnn_tasks.studies.storage import first_line, without_password

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


def test_few_runs_wait_at_a_time(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rnn_tasks.studies.queue.AHEAD", 2)
    queue = RunQueue(PLAN, url)
    done = []
    while RunState.PENDING in queue.states().values():
        queue.enqueue_missing()
        assert sum(trial.state == TrialState.WAITING for trial in queue.trials()) <= 2
        done.append(take(queue))
    assert done == NAMES


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


def claimed_elsewhere(queue: RunQueue) -> optuna.Trial:
    """Claim a run for a worker of another machine."""
    queue.enqueue_missing()
    trial = queue.study.ask()
    assert queue.claim(trial) is not None
    trial.set_user_attr(WORKER, "elsewhere:1:1")
    return trial


def test_worker_elsewhere_is_dead_after_silence_on_own_clock(url: str) -> None:
    queue = RunQueue(PLAN, url, Timing(heartbeat=0.05, grace=0.1))
    trial = claimed_elsewhere(queue)
    for number in range(6):
        time.sleep(0.06)
        trial.set_user_attr(HEARTBEAT, number)  # longer than the grace period altogether
        queue.release_dead()
    assert queue.trials()[trial.number].state == TrialState.RUNNING
    for _ in range(3):
        assert queue.trials()[trial.number].state == TrialState.RUNNING
        time.sleep(0.06)
        queue.release_dead()
    assert queue.trials()[trial.number].state == TrialState.FAIL


def test_time_without_looks_at_a_worker_hardly_counts(url: str) -> None:
    queue = RunQueue(PLAN, url, Timing(heartbeat=0.05, grace=0.15))
    trial = claimed_elsewhere(queue)
    queue.release_dead()
    time.sleep(0.3)  # the database is away, or this worker trains
    queue.release_dead()
    assert queue.trials()[trial.number].state == TrialState.RUNNING


def test_living_process_without_heartbeats_is_let_go_later(url: str) -> None:
    queue = RunQueue(PLAN, url, Timing(heartbeat=10, grace=0.02))
    queue.enqueue_missing()
    trial = queue.study.ask()
    assert queue.claim(trial) is not None
    for seconds, state in ((0.1, TrialState.RUNNING), (0.12, TrialState.FAIL)):
        queue.release_dead()
        time.sleep(seconds)
        queue.release_dead()
        assert queue.trials()[trial.number].state == state


def test_worker_counts_up_its_heartbeat(url: str) -> None:
    queue = RunQueue(PLAN, url, Timing(heartbeat=0.02))
    queue.enqueue_missing()
    seen: list[int] = []

    def do(trial: optuna.Trial, run: PlannedRun) -> float:
        for _ in range(3):
            seen.append(queue.trials()[trial.number].user_attrs.get(HEARTBEAT, 0))
            time.sleep(0.1)
        return 1.0

    queue.do_next(do)
    assert seen == sorted(set(seen))


class Database:
    """An operation on a database that fails for some time.

    Args:
        error: The error of the database's driver.
        failures: The number of failures before the operation succeeds.
    """

    def __init__(self, error: Exception, failures: int) -> None:
        self.error, self.failures, self.calls = error, failures, 0

    def __call__(self) -> str:
        self.calls += 1
        if self.calls <= self.failures:
            raise StorageInternalError("an exception is raised") from self.error
        return "done"


GONE = OperationalError("SELECT 1", None, Exception("server closed the connection unexpectedly"))
LOCKED = OperationalError("SELECT 1", None, Exception("database is locked"))
FULL = OperationalError("SELECT 1", None, Exception("could not extend file: No space left on device"))
TABLE = OperationalError("SELECT 1", None, Exception("no such table: trials"))
FAST = Timing(patience=0.2, first_pause=0.01, longest_pause=0.04)


@pytest.mark.parametrize(("server", "error"), [("postgresql://me:secret@host/db", GONE), ("", LOCKED)])
def test_operation_is_tried_again_with_growing_pauses(
    url: str, server: str, error: Exception, capsys: pytest.CaptureFixture[str]
) -> None:
    queue = RunQueue(PLAN, url, FAST)
    queue.url = server or url
    begin = time.monotonic()
    assert queue.patiently(Database(error, 3)) == "done"
    assert time.monotonic() - begin >= 0.01 + 0.02 + 0.04
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert "secret" not in lines[0]
    always = Database(error, 1000)
    with pytest.raises(StorageInternalError):
        queue.patiently(always)
    assert 5 <= always.calls <= 8


@pytest.mark.parametrize(("server", "error"), [("postgresql://host/db", FULL), ("", TABLE)])
def test_lasting_error_of_the_database_is_raised_at_once(url: str, server: str, error: Exception) -> None:
    queue = RunQueue(PLAN, url)
    queue.url = server or url
    operation = Database(error, 1)
    with pytest.raises(StorageInternalError):
        queue.patiently(operation)
    assert operation.calls == 1


def test_interrupted_worker_does_not_wait_for_the_database(url: str) -> None:
    stop = threading.Event()
    queue = RunQueue(PLAN, url, stop=stop)
    queue.url = "postgresql://host/db"
    threading.Timer(0.05, stop.set).start()
    begin = time.monotonic()
    with pytest.raises(StorageInternalError):
        queue.patiently(Database(GONE, 1000))
    assert time.monotonic() - begin < Timing().patience / 10


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ModuleNotFoundError("No module named 'psycopg2'", name="psycopg2"), "rnn-tasks[postgresql]"),
        (ModuleNotFoundError("No module named 'MySQLdb'", name="MySQLdb"), "No module named 'MySQLdb'"),
        (ImportError("no pq wrapper available.\nAttempts made: ..."), "no pq wrapper available."),
    ],
)
def test_only_a_missing_driver_is_said_to_be_missing(error: ImportError, text: str) -> None:
    wrapped = ImportError("Failed to import DB access module.")
    wrapped.__cause__ = error
    assert text in first_line(wrapped)
    assert ("its driver is not installed" in first_line(wrapped)) == ("postgresql" in text)


def test_unusable_storage_is_reported_on_one_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be opened") as caught:
        RunQueue(PLAN, f"sqlite:///{tmp_path}/nowhere/study.db")
    assert "\n" not in str(caught.value)


def test_message_about_the_database_obeys_no_control_character(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    queue = RunQueue(PLAN, url, FAST)
    queue.url = "postgresql://host/\x1b]0;db"
    assert queue.patiently(Database(GONE, 1)) == "done"
    assert "host/\\x1b]0;db does not answer" in capsys.readouterr().err
