import json
import signal
import subprocess
import sys
import threading
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import PendingRollbackError

from rnn_tasks.errors import UsageError
from rnn_tasks.runs.files import SUMMARY, write_atomically
from rnn_tasks.studies.plan import Plan, PlannedRun
from rnn_tasks.studies.queue import RunQueue, RunState, Timing
from rnn_tasks.studies.rows import RESULT, RUN_NAME
from rnn_tasks.studies.storage import is_temporary
from rnn_tasks.studies.worker import Worker, work_on
from tests.helpers.studies import made_summary
from tests.studies.conftest import Server
from tests.studies.fake_workers import KILLED, TOGETHER, TRAINED

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


def assert_every_run_was_done_once(plan: Plan, url: str, folder: Path) -> None:
    names = sorted(run.name for run in plan.runs())
    with closing(RunQueue(plan, url)) as queue:
        states, trials, results = queue.states(), queue.trials(), queue.results()
    assert set(states.values()) == {RunState.DONE}
    done = [trial.user_attrs[RUN_NAME] for trial in trials if trial.state.name == "COMPLETE"]
    assert sorted(done) == names
    trained = (folder / plan.name / TRAINED).read_text().split()
    assert sorted(trained) == names
    steps = {name: of[RESULT]["steps"] for name, of in results.items()}
    assert steps == {run.name: 100 + run.seed for run in plan.runs()}


def test_killed_processes_do_each_run_once(url: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.studies.fake_workers", url, str(tmp_path)]
    process = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=300)
    shared, killed, last = json.loads(process.stdout.splitlines()[-1])
    assert shared == last == [0, 0]
    assert killed.count(-signal.SIGKILL) >= 5
    for plan in (TOGETHER, KILLED):
        assert_every_run_was_done_once(plan, url, tmp_path)


def test_restart_of_the_server_ends_no_worker(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    url, trained = f"{server.url}/postgres", list[str]()
    plan = replace(TOGETHER, name="restarted", seeds=(0,))
    timing = Timing(poll=0.05, heartbeat=0.1, patience=60, first_pause=0.1)

    def train(worker: Worker, run: PlannedRun, scratch_attempt: int = 0) -> None:
        trained.append(run.name)
        folder = worker.folder / run.name
        folder.mkdir(parents=True)
        write_atomically(folder / SUMMARY, made_summary(4, **{"val/loss": 1.0}))
        if len(trained) in (1, 3):
            server.stop(signal.SIGQUIT)  # while the other worker polls the database, or claims its run
            threading.Timer(1, server.start).start()

    monkeypatch.setattr(Worker, "train_or_resume", train)
    assert work_on(plan, url, tmp_path / "runs", 2, timing=timing)
    assert sorted(trained) == sorted(run.name for run in plan.runs())
    error = capsys.readouterr().err
    assert "does not answer" in error
    assert "trying again for up to 60 seconds" in error


def test_missing_server_is_reported_on_one_line(postgresql: str) -> None:
    nowhere = postgresql.replace("studies@", "studies:secret@").rpartition(":")[0] + ":1/postgres"
    with pytest.raises(UsageError, match="cannot be opened") as caught:
        RunQueue(TOGETHER, nowhere)
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)


def test_transaction_of_a_lost_connection_is_temporary() -> None:
    error = StorageInternalError()
    error.__cause__ = PendingRollbackError("Can't reconnect until invalid transaction is rolled back.")
    assert is_temporary(error, "postgresql://a")
    assert not is_temporary(error, "sqlite:///a")
