"""The page of all commands, from their help."""

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from pathlib import Path

from rnn_tasks.commands import COMMANDS, main

ROOT = Path(__file__).parents[2]
TRAINER_COMMANDS = ("fit", "validate", "test", "predict")
STUDY_COMMANDS = ("run", "report", "list", "collect")
HEAD = """# Commands

Each command prints this help with `--help`. The options of a class, such as a task or a layer, are printed by
`rnn-tasks fit --config echo --model.core.help Elman` (`--data.help Echo`,
`--trainer.callbacks.help StopAtAccuracy`). `make help` lists the make targets, all tasks and all models.
[Run folders and resuming](../runs.md#what-can-be-relied-on) explains the exit status of the commands.
"""


@contextmanager
def terminal_width(columns: int) -> Iterator[None]:
    """Set the width of the terminal for which the help is written."""
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = str(columns)
    yield
    if before is None:
        del os.environ["COLUMNS"]
    else:
        os.environ["COLUMNS"] = before


def help_of(*command: str) -> str:
    """Return what a command prints with ``--help``, without paths of this machine."""
    output = io.StringIO()
    with terminal_width(92), redirect_stdout(output), suppress(SystemExit):
        main([*command, "--help"])
    return output.getvalue().replace(f"{ROOT}{os.sep}", "").rstrip()


def commands_page() -> str:
    """Return the page of all commands with their help."""
    commands: list[tuple[str, ...]] = [(name,) for name in (*TRAINER_COMMANDS, *sorted(COMMANDS))]
    position = commands.index(("study",)) + 1
    commands[position:position] = [("study", name) for name in STUDY_COMMANDS]
    parts = [HEAD]
    for command in commands:
        name = " ".join(command)
        parts += [f"## `rnn-tasks {name}`\n", "```{code-block} text", ":class: help\n", help_of(*command), "```\n"]
    return "\n".join(parts)
