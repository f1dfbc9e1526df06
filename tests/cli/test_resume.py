from pathlib import Path

import pytest

from rnn_tasks.cli.resume import fit_or_resume, resume_run
from rnn_tasks.errors import UsageError
from rnn_tasks.runs.files import CONFIG, read_summary
from tests.helpers.command_line import RnnTasks


def test_resume_returns_a_finished_run(trained: RnnTasks) -> None:
    finished = resume_run("echo")
    assert finished is not None
    assert finished.folder == Path("lightning_logs/echo/version_0")
    assert finished.summary == read_summary(finished.folder)


def test_resume_trains_longer_with_options(trained: RnnTasks) -> None:
    fit_or_resume(["resume", "echo", "--trainer.max_steps=6"])
    assert read_summary(Path("lightning_logs/echo/version_0"))["steps"] == 6


def test_resume_rejects_a_folder_without_config(trained: RnnTasks) -> None:
    (Path("lightning_logs/echo/version_0") / CONFIG).unlink()
    with pytest.raises(UsageError, match="cannot be resumed"):
        resume_run("lightning_logs/echo/version_0")
