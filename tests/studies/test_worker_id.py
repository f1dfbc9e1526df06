import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from rnn_tasks.studies import worker_id
from rnn_tasks.studies.worker_id import is_alive_here, is_dead, machine, own_id, start_time

HERE, ME = socket.gethostname(), os.getpid()


def test_this_process_is_alive() -> None:
    assert is_alive_here(own_id())
    assert not is_dead(own_id())
    assert is_alive_here(f"{HERE}:{ME}:{start_time(ME)}")  # as version 0.1.0 wrote it


def test_later_process_with_same_id_is_another_worker() -> None:
    assert is_dead(f"{machine()}:{ME}:1")
    assert is_dead(f"{HERE}:{ME}:1")


def test_ended_process_is_dead_before_and_after_its_parent_waits() -> None:
    process = subprocess.Popen([sys.executable, "-S", "-c", "input()"], stdin=subprocess.PIPE)
    worker = f"{machine()}:{process.pid}:{start_time(process.pid)}"
    assert is_alive_here(worker)
    process.communicate(b"\n")
    assert is_dead(worker)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_process_id_of_another_user_is_not_a_living_worker() -> None:
    lines = "import os, sys; from rnn_tasks.studies.worker_id import is_dead; os.setresuid(65534, 65534, 65534); "
    process = subprocess.run([sys.executable, "-c", f"{lines}sys.exit(is_dead('{HERE}:1:999'))"], check=False)
    assert process.returncode == 1


@pytest.mark.parametrize("part", ["boot", "namespace", "host"])
def test_equal_host_name_is_not_the_same_machine(part: str) -> None:
    host, boot, namespace = machine().split("/")
    other = {"boot": f"{host}/0/{namespace}", "namespace": f"{host}/{boot}/0", "host": f"x/{boot}/{namespace}"}
    worker = f"{other[part]}:{ME}:{start_time(ME)}"
    assert not is_dead(worker)
    assert not is_alive_here(worker)


def test_nothing_is_known_without_a_list_of_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_id, "PROCESSES", tmp_path)  # as on Windows and macOS
    assert own_id().endswith(f"//:{ME}:")
    assert not is_dead(f"{HERE}:{ME}:1")
    assert not is_alive_here(own_id())


@pytest.mark.parametrize("worker", ["", ":", "::", f"{HERE}", f"{HERE}:x:y", f"{HERE}:{'9' * 5000}:1", "[1]"])
def test_strange_identity_raises_nothing(worker: str) -> None:
    is_dead(worker)
    assert not is_alive_here(worker)
