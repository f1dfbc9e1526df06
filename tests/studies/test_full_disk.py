import errno
import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy

from rnn_tasks.runs.files import SUMMARY, write_atomically
from rnn_tasks.studies.outcome import Failure, exit_failure, write_failure
from rnn_tasks.studies.plan import Plan, PlannedRun, Variant
from rnn_tasks.studies.plan_file import read_plan
from rnn_tasks.studies.queue import RunQueue, RunState
from rnn_tasks.studies.rows import REASON
from rnn_tasks.studies.worker import Worker, work_on
from tests.helpers.command_line import RnnTasks
from tests.helpers.studies import made_summary, plan_file

PLAN = Plan("small", "", (), {}, {"network": (Variant("rnn"), Variant("qr"))}, (0, 1), None, None)
NAMES = [run.name for run in PLAN.runs()]


class Disk:
    """A disk on which runs train nothing and write large summaries.

    Args:
        full_for: The runs that find the disk full.
    """

    def __init__(self, full_for: set[str]) -> None:
        self.full_for, self.trained = full_for, list[str]()

    def train(self, worker: Worker, run: PlannedRun) -> Failure | None:
        folder = worker.folder / run.name
        if run.name in self.full_for:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))
        if not (folder / SUMMARY).is_file():
            self.trained.append(run.name)
            folder.mkdir(parents=True)
            metrics = {f"val/loss{number}": 1.0 for number in range(1000)}
            write_atomically(folder / SUMMARY, made_summary(4, **metrics))
        return None


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    disk = Disk(set())
    monkeypatch.setattr(Worker, "train_or_resume", lambda worker, run, scratch_attempt=0: disk.train(worker, run))
    return disk


@contextmanager
def no_room_for_databases() -> Iterator[None]:
    """Let SQLite report a full disk, by a limit on the size of its file."""

    def limit(connection: Any, _: object) -> None:
        connection.execute("PRAGMA max_page_count = 1")

    sqlalchemy.event.listen(sqlalchemy.Engine, "connect", limit)
    try:
        yield
    finally:
        sqlalchemy.event.remove(sqlalchemy.Engine, "connect", limit)


@pytest.mark.slow
def test_run_without_disk_space_is_retried(disk: Disk, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'study.db'}"
    disk.full_for = {NAMES[1]}
    assert not work_on(PLAN, url, tmp_path / "runs", 1)
    with closing(RunQueue(PLAN, url)) as queue:
        assert [state for state in queue.states().values()].count(RunState.DONE) == 3
        assert "No space left on device" in queue.results()[NAMES[1]][REASON]
    disk.full_for = set()
    assert work_on(PLAN, url, tmp_path / "runs", 1)
    assert sorted(disk.trained) == sorted(NAMES)


@pytest.mark.slow
def test_full_database_is_one_line_and_loses_nothing(disk: Disk, rnn_tasks: RnnTasks) -> None:
    path = plan_file()
    with closing(RunQueue(read_plan(path), "sqlite:///study.db")) as queue:
        queue.enqueue_missing()
    command = ("study", "run", path, "--storage", "sqlite:///study.db")
    with no_room_for_databases():
        result = rnn_tasks(*command)
    assert (result.status, len(result.err.splitlines())) == (1, 1)
    assert "database or disk is full; free some space" in result.err
    assert len(disk.trained) == 1
    result = rnn_tasks(*command)
    assert (result.status, result.err) == (0, "")
    assert "2 runs: 2 done." in result.out
    assert sorted(disk.trained) == ["qr-seed0", "rnn-seed0"]


@pytest.mark.slow
@pytest.mark.skipif(os.getuid() != 0, reason="only root can mount a small disk")
def test_run_on_full_disk_fails_until_space_is_freed(rnn_tasks: RnnTasks) -> None:
    path = plan_file(axes={"network": {"rnn": {"configs": "models/rnn"}}})
    runs = Path("lightning_logs/studies/tiny/runs")
    runs.mkdir(parents=True)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", runs], check=False).returncode:
        pytest.skip("nothing can be mounted here")
    try:
        result = rnn_tasks("study", "run", path)
        assert result.status == 1
        assert "1 runs: 1 failed." in result.out
        assert "No space left on device" in result.out
        subprocess.run(["mount", "-o", "remount,size=64m", runs], check=True)
        result = rnn_tasks("study", "run", path)
        assert result.status == 0
        assert "1 runs: 1 done." in result.out
        assert json.loads((runs / "rnn-seed0" / SUMMARY).read_text())["steps"] == 4
    finally:
        subprocess.run(["umount", runs], check=True)


def test_signals_and_full_disks_are_transient_failures() -> None:
    assert exit_failure(-9, "Epoch 1") == Failure("killed by SIGKILL", transient=True)
    assert exit_failure(-40, "") == Failure("killed by signal 40", transient=True)
    assert exit_failure(143, "").transient
    for number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        assert exit_failure(1, f"rnn-tasks: error: a.ckpt: {os.strerror(number)}; free some").transient
    assert exit_failure(1, "rnn-tasks: error: a.ckpt: No space left on device; free some").transient
    assert exit_failure(2, "rnn-tasks: error: no such option") == Failure("no such option")
    assert exit_failure(1, "Traceback\nRuntimeError: value") == Failure("RuntimeError: value")
    assert exit_failure(1, "") == Failure("exit status 1")


def test_only_errors_of_writing_are_failures_of_a_run() -> None:
    for number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EIO, errno.ESTALE):
        error = OSError(number, os.strerror(number), "a.ckpt")
        assert write_failure(error) == Failure(f"a.ckpt: {os.strerror(number)}", transient=True)
    missing = FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), "a.ckpt")
    with pytest.raises(FileNotFoundError):
        write_failure(missing)
