import os
from pathlib import Path

import pytest

from rnn_tasks.errors import UsageError
from rnn_tasks.runs.find import find_run
from rnn_tasks.runs.names import LONGEST, name_problem, require_run_name

GOOD = ["gru_delay8", "lr=0.003", "5", "2026-11-28", "a+b", "ünï", "version3", "x" * LONGEST]
BAD = ["", "x" * (LONGEST + 1), "a/b", "a\\b", ".", "..", ".x", "-x", "_x", "a b", "a\nb", "a:b", "*", "\0", "\udcff"]
READ_AS_SOMETHING_ELSE = ["version_3", "Version_x", "version_", "checkpoints", "Checkpoints", "x.ckpt", "x."]


@pytest.mark.parametrize("name", GOOD)
def test_a_run_can_have_a_plain_name(name: str) -> None:
    assert name_problem(name) is None


@pytest.mark.parametrize("name", [*BAD, *READ_AS_SOMETHING_ELSE])
def test_a_run_cannot_have_a_strange_name(name: str) -> None:
    with pytest.raises(UsageError, match="the name of a run must") as caught:
        require_run_name(name)
    assert str(caught.value).endswith(f", got {name!r}")
    assert "\n" not in str(caught.value)


def make_run(folder: Path, seconds: int) -> Path:
    """Create a run folder whose config was written at a time."""
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text("model: {}")
    os.utime(folder / "config.yaml", (seconds, seconds))
    return folder


def test_find_run_returns_the_newest_of_named_and_other_runs(tmp_path: Path) -> None:
    make_run(tmp_path / "echo/b", 1)
    assert find_run("echo", tmp_path).folder.name == "b"
    make_run(tmp_path / "echo/version_1", 4)
    make_run(tmp_path / "echo/version_10", 2)  # copied: the number decides, not the time
    assert find_run("echo", tmp_path).folder.name == "version_10"
    make_run(tmp_path / "echo/a", 3)
    assert find_run("echo", tmp_path).folder.name == "a"
    make_run(tmp_path / "echo/.scratch", 9)
    make_run(tmp_path / "echo/version_x", 9)
    assert find_run("echo", tmp_path).folder.name == "a"


def test_find_run_accepts_task_and_name(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "echo/gru_delay8", 1)
    assert find_run("echo/gru_delay8", tmp_path).folder == folder
    with pytest.raises(UsageError, match=r"no run 'echo/gru'.*there are runs of echo"):
        find_run("echo/gru", tmp_path)
