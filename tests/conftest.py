"""What all tests share."""

import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from rnn_tasks.__main__ import main


@pytest.fixture(autouse=True)
def seeded() -> None:
    """The same weights in every run, whatever ran before; one thread, for several tests run at once."""
    torch.set_num_threads(1)
    torch.manual_seed(0)


@dataclass(frozen=True)
class Said:
    """What a command said and how it ended."""

    status: int
    out: str
    err: str


RnnTasks = Callable[..., Said]

SMALL = [
    "--trainer.max_steps=4",
    "--trainer.val_check_interval=2",
    "--trainer.log_every_n_steps=2",
    "--data.batch_size=4",
    "--data.val_sequences=9",
    "--data.test_sequences=9",
    "--model.core.hidden_size=8",
]
"""What makes a shipped recipe a matter of a moment."""


@pytest.fixture
def rnn_tasks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> RnnTasks:
    """Run a command line in this process, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["rnn-tasks"])
    monkeypatch.setattr(sys, "path", list(sys.path))

    def run(*words: str) -> Said:
        status = 0
        try:
            main([*words])
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else int(end.code is not None)
        said = capsys.readouterr()
        return Said(status, said.out, said.err)

    return run


@pytest.fixture(scope="session")
def trained_logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small run of each task, trained once; to be copied, not changed."""
    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(sys, "argv", ["rnn-tasks"])
        for task in ("copy", "echo", "variable_delay_echo"):
            main(["fit", "--config", task, *SMALL])
    return folder / "lightning_logs"


@pytest.fixture
def trained(rnn_tasks: RnnTasks, trained_logs: Path) -> RnnTasks:
    """A command line in a folder that holds a run of each task."""
    shutil.copytree(trained_logs, "lightning_logs")
    return rnn_tasks
