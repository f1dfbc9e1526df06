"""What all tests share."""

import hashlib
import os
import random
import shutil
import string
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from rnn_tasks.commands import main
from rnn_tasks.texts.book import FILE_NAME, PATH_VARIABLE


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

SHORT = ["--trainer.max_steps=4", "--trainer.val_check_interval=2", "--trainer.log_every_n_steps=2"]
SMALL = [
    *SHORT,
    "--data.batch_size=4",
    "--data.val_sequences=9",
    "--data.test_sequences=9",
    "--model.core.hidden_size=8",
]
"""What makes a recipe with generated sequences a matter of a moment."""

SMALL_TEXT = [*SHORT, "--data.batch_size=4", "--data.sequence_length=8", "--model.core.hidden_size=8"]
SMALL_TEXT += ["--trainer.limit_val_batches=3", "--trainer.limit_test_batches=3"]
"""And one that reads a text."""


def small(task: str) -> list[str]:
    """What makes the recipe of a task a matter of a moment."""
    if task == "text":
        return [*SMALL_TEXT, f"--data.path={os.environ[PATH_VARIABLE]}"]
    return SMALL_TEXT if task in ("time_machine", "elman_grammar") else SMALL


@pytest.fixture(scope="session")
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A text of 40,000 characters in the place of the book: words from few syllables, in lines."""
    draw = random.Random(0)
    words = ["".join(draw.choices(["ti", "me", "tra", "vel", "ler", "o", "bscu", "re"], k=3)) for _ in range(300)]
    lines = [" ".join(draw.choices(words, k=9)).capitalize() + "." for _ in range(700)]
    file = tmp_path_factory.mktemp("data") / FILE_NAME
    file.write_text(f"The Time Machine, by H. G. Wells. {string.ascii_lowercase}\n" + "\n".join(lines))
    return file


@pytest.fixture(autouse=True)
def no_download(stand_in: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The stand-in is the book, for processes that a test starts too."""
    monkeypatch.setenv(PATH_VARIABLE, str(stand_in))
    monkeypatch.setattr("rnn_tasks.tasks.elman_grammar.NGRAM_CHARACTERS", 20_000)  # a million take two seconds
    monkeypatch.setattr("rnn_tasks.texts.book.SHA1", hashlib.sha1(stand_in.read_bytes()).hexdigest())


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
def trained_logs(tmp_path_factory: pytest.TempPathFactory, stand_in: Path) -> Path:
    """A small run of each task, trained once; to be copied, not changed."""
    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(sys, "argv", ["rnn-tasks"])
        patch.setenv(PATH_VARIABLE, str(stand_in))
        patch.setattr("rnn_tasks.tasks.elman_grammar.NGRAM_CHARACTERS", 20_000)
        patch.setattr("rnn_tasks.texts.book.SHA1", hashlib.sha1(stand_in.read_bytes()).hexdigest())
        for task in ("copy", "echo", "variable_delay_echo", "time_machine", "elman_grammar"):
            main(["fit", "--config", task, *small(task)])
    return folder / "lightning_logs"


@pytest.fixture
def trained(rnn_tasks: RnnTasks, trained_logs: Path) -> RnnTasks:
    """A command line in a folder that holds a run of each task."""
    shutil.copytree(trained_logs, "lightning_logs")
    return rnn_tasks
