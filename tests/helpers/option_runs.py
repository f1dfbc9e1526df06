"""Runs of the command line that try options of the trainer and callbacks of Lightning."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.helpers.command_line import SMALL, CommandResult, RnnTasks

Check = Callable[[Path, CommandResult], None]
"""Checks the effect of options, given the run folder and the result of ``fit``."""

EPOCHS = {
    "data.epoch_sequences": 16,
    "model.schedule": None,
    "trainer.max_steps": -1,
    "trainer.max_epochs": 3,
    "trainer.check_val_every_n_epoch": 1,
    "trainer.val_check_interval": 1.0,
}
"""Options with which the small echo has three epochs of four steps, and a validation after each epoch."""


def nothing(folder: Path, fitted: CommandResult) -> None:
    """Check nothing but what every run must do."""


@dataclass(frozen=True)
class OptionRun:
    """A small run of echo with some options.

    Attributes:
        options: The options by name, without dashes, and their values.
        callbacks: Callbacks that are appended to those of the config, by import path, with their arguments.
        check: Checks the effect of the options.
        continued: Options with which the finished run is resumed for some more steps; None if it cannot be resumed.
        responds: Whether the run has a checkpoint, so that ``respond`` works.
        folder: The run folder.
    """

    options: Mapping[str, Any] = field(default_factory=dict)
    callbacks: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    check: Check = nothing
    continued: Mapping[str, Any] | None = field(default_factory=lambda: {"trainer.max_steps": 6})
    responds: bool = True
    folder: str = "lightning_logs/echo/version_0"


@dataclass(frozen=True)
class RefusedRun:
    """A run that is refused with one line, before a run folder exists.

    Attributes:
        options: As in :class:`OptionRun`.
        callbacks: As in :class:`OptionRun`.
        message: The line, without ``rnn-tasks: error:``.
    """

    message: str
    options: Mapping[str, Any] = field(default_factory=dict)
    callbacks: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def arguments(options: Mapping[str, Any], callbacks: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return the arguments of ``fit`` for a small echo, and write the config with the callbacks."""
    config = [{"class_path": name, "init_args": dict(values)} for name, values in callbacks.items()]
    Path("callbacks.yaml").write_text(yaml.safe_dump({"trainer": {"callbacks+": config}}) if config else "{}\n")
    return ["fit", "--config=echo", "--config=callbacks.yaml", *SMALL, *as_arguments(options)]


def as_arguments(options: Mapping[str, Any]) -> Sequence[str]:
    """Return options as arguments of the command line."""
    return [f"--{name}={json.dumps(value) if not isinstance(value, str) else value}" for name, value in options.items()]


def fit_resume_and_respond(rnn_tasks: RnnTasks, run: OptionRun) -> None:
    """Fit, check the summary and the effect of the options, resume for some more steps, and respond.

    Args:
        rnn_tasks: The command line.
        run: The run.
    """
    fitted = rnn_tasks(*arguments(run.options, run.callbacks))
    assert fitted.status == 0, fitted.err
    folder = Path(run.folder)
    first = summary(folder)
    assert first["stopped"] in ("steps", "epochs")
    assert "test/loss" in first["metrics"]
    run.check(folder, fitted)
    if run.continued is not None:
        resumed = rnn_tasks("resume", run.folder, *as_arguments(run.continued))
        assert resumed.status == 0, resumed.err
        assert summary(folder)["steps"] > first["steps"]
    answered = rnn_tasks("respond", run.folder, "abcdefgh")
    assert answered.status == (0 if run.responds else 2), answered.err
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def is_refused(rnn_tasks: RnnTasks, run: RefusedRun) -> None:
    """Check that a run is refused with one line, and leaves no folder."""
    refused = rnn_tasks(*arguments(run.options, run.callbacks))
    assert (refused.status, refused.err) == (2, f"rnn-tasks: error: {run.message}\n")
    assert not list(Path().glob("**/version_*"))


def summary(folder: Path) -> dict[str, Any]:
    """Return the contents of summary.json."""
    contents: dict[str, Any] = json.loads((folder / "summary.json").read_text())
    return contents
