"""The command line in this process, and options that make a run take a second."""

import os
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from rnn_tasks.texts.book import PATH_VARIABLE

SHORT = ["--trainer.max_steps=4", "--trainer.val_check_interval=2", "--trainer.log_every_n_steps=2"]
SMALL = [
    *SHORT,
    "--data.batch_size=4",
    "--data.val_sequences=9",
    "--data.test_sequences=9",
    "--model.core.hidden_size=8",
]
"""Options for a recipe with generated sequences."""

SMALL_TEXT = [*SHORT, "--data.batch_size=4", "--data.sequence_length=8", "--model.core.hidden_size=8"]
SMALL_TEXT += ["--trainer.limit_val_batches=3", "--trainer.limit_test_batches=3"]
"""Options for a recipe that reads a text."""

SMALL_GRAMMAR = [*SMALL_TEXT, "--data.val_characters=2000"]
SMALL_GRAMMAR += ["--data.test_characters=20000", "--data.baseline_characters=20000"]
"""Options for a recipe that reads an endless text."""


def small(task: str) -> list[str]:
    """Return the options that make the recipe of a task small.

    Args:
        task: The name of the recipe.
    """
    if task == "text":
        return [*SMALL_TEXT, f"--data.path={os.environ[PATH_VARIABLE]}"]
    return {"time_machine": SMALL_TEXT, "elman_grammar": SMALL_GRAMMAR}.get(task, SMALL)


@dataclass(frozen=True)
class CommandResult:
    """The exit status of a command, and what it printed."""

    status: int
    out: str
    err: str


RnnTasks = Callable[..., CommandResult]
"""The type of the fixture that runs a command line in this process."""


def run_command(
    command: Callable[[list[str]], object], arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> CommandResult:
    """Run a command in this process.

    The note that the test text is not the published edition of the book is left out of the result.

    Args:
        command: A function that takes the arguments.
        arguments: The arguments of the command line.
        capsys: Captures what the command prints.
    """
    status = 0
    try:
        command(arguments)
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    printed = capsys.readouterr()
    note = f"note: {os.environ.get(PATH_VARIABLE)} is not the edition"
    lines = [line for line in printed.err.splitlines(keepends=True) if not line.startswith(note)]
    return CommandResult(status, printed.out, "".join(lines))
