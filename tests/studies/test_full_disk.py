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
from rnn_tasks.studies.plan import Cell, Plan, Variant, read_plan
from rnn_tasks.studies.queue import REASON, Ledger, State
from rnn_tasks.studies.worker import Failure, Worker, failed, work_on
from tests.conftest import RnnTasks
from tests.studies.test_worker import plan_file

PLAN = Plan("small", "", (), {}, {"network": (Variant("rnn"), Variant("qr"))}, (0, 1), None, None)
NAMES = [cell.name for cell in PLAN.cells()]


class Disk:
    """Runs that train nothing and write much, as far as there is room.

    Args:
        full_for: The runs for which there is none.
    """

    def __init__(self, full_for: set[str]) -> None:
        self.full_for, self.trained = full_for, list[str]()

    def run(self, worker: Worker, cell: Cell, anew: int = 0) -> Failure | None:
        place = worker.folder / cell.name
        if cell.name in self.full_for:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(place))
        if not (place / SUMMARY).is_file():
            self.trained.append(cell.name)
            place.mkdir(parents=True)
            metrics = {f"val/loss{number}": 1.0 for number in range(1000)}
            write_atomically(place / SUMMARY, json.dumps({"metrics": metrics, "stopped": "max_steps", "steps": 4}))
        return None


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    disk = Disk(set())
    monkeypatch.setattr(Worker, "run", lambda worker, cell, anew=0: disk.run(worker, cell, anew))
    return disk


@contextmanager
def no_room_for_databases() -> Iterator[None]:
    """SQLite says itself that the disk is full when a file may not get longer."""

    def limit(connection: Any, _: object) -> None:
        connection.execute("PRAGMA max_page_count = 1")

    sqlalchemy.event.listen(sqlalchemy.Engine, "connect", limit)
    try:
        yield
    finally:
        sqlalchemy.event.remove(sqlalchemy.Engine, "connect", limit)


def test_a_run_without_room_is_a_row_and_is_done_when_the_command_is_given_again(disk: Disk, tmp_path: Path) -> None:
    address = f"sqlite:///{tmp_path / 'study.db'}"
    disk.full_for = {NAMES[1]}
    assert not work_on(PLAN, address, tmp_path / "runs", 1)
    with closing(Ledger(PLAN, address)) as ledger:
        assert [state for state in ledger.states().values()].count(State.DONE) == 3
        assert "No space left on device" in ledger.results()[NAMES[1]][REASON]
    disk.full_for = set()
    assert work_on(PLAN, address, tmp_path / "runs", 1)
    assert sorted(disk.trained) == sorted(NAMES)


def test_a_database_without_room_is_one_line_and_nothing_is_lost(disk: Disk, rnn_tasks: RnnTasks) -> None:
    path = plan_file()
    with closing(Ledger(read_plan(path), "sqlite:///study.db")) as ledger:
        ledger.enqueue_missing()
    words = ("study", "run", path, "--storage", "sqlite:///study.db")
    with no_room_for_databases():
        said = rnn_tasks(*words)
    assert (said.status, len(said.err.splitlines())) == (1, 1)
    assert "database or disk is full; free some space" in said.err
    assert len(disk.trained) == 1
    said = rnn_tasks(*words)
    assert (said.status, said.err) == (0, "")
    assert "2 runs: 2 done." in said.out
    assert sorted(disk.trained) == ["qr-seed0", "rnn-seed0"]


@pytest.mark.skipif(os.getuid() != 0, reason="only root can mount a small disk")
def test_a_full_disk_is_a_row_until_there_is_room_again(rnn_tasks: RnnTasks) -> None:
    path = plan_file(axes={"network": {"rnn": {"configs": "models/rnn"}}})
    runs = Path("lightning_logs/studies/tiny/runs")
    runs.mkdir(parents=True)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", runs], check=False).returncode:
        pytest.skip("nothing can be mounted here")
    try:
        said = rnn_tasks("study", "run", path)
        assert said.status == 1
        assert "1 runs: 1 failed." in said.out
        assert "No space left on device" in said.out
        subprocess.run(["mount", "-o", "remount,size=64m", runs], check=True)
        said = rnn_tasks("study", "run", path)
        assert said.status == 0
        assert "1 runs: 1 done." in said.out
        assert json.loads((runs / "rnn-seed0" / SUMMARY).read_text())["steps"] == 4
    finally:
        subprocess.run(["umount", runs], check=True)


def test_what_the_kernel_or_a_full_disk_ended_may_go_better_another_time() -> None:
    assert failed(-9, "Epoch 1") == Failure("killed by SIGKILL", passing=True)
    assert failed(143, "").passing
    assert failed(1, "rnn-tasks: error: a.ckpt: No space left on device; free some").passing
    assert failed(2, "rnn-tasks: error: no such option") == Failure("no such option")
    assert failed(1, "Traceback\nRuntimeError: value") == Failure("RuntimeError: value")
    assert failed(1, "") == Failure("exit status 1")
