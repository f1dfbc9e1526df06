"""What a person types: one module for each command, and the entry point that chooses among them."""

import gc
import importlib
import os
import sys
from collections.abc import Sequence

from rnn_tasks import __version__
from rnn_tasks.cli.exit_status import one_line_errors
from rnn_tasks.cli.slow_import import slow_import

LARGE_PAGES = ("THP_MEM_ALLOC_ENABLE", "1")
"""Lets torch ask for large pages: on Linux, a step of a sequence of 10,000 takes 0.85 of the time."""

COMMANDS = {  # each a module with a function of its name
    "analyze": "Write a report of what trained networks remember, for a browser.",
    "generate": "Let a trained language model go on with a text.",
    "reproduce": "Run what published figures need, and print them beside ours.",
    "respond": "Give strings to a trained network and print its answers.",
    "resume": "Go on with a run that was interrupted or that is to be longer.",
    "study": "Compare many runs: variants times seeds, resumable.",
}


def main(args: Sequence[str] | None = None) -> None:
    """Run a command line; a mistake or a failure is one line on standard error and a non-zero exit status.

    Args:
        args: The arguments; None for those of the process.

    Raises:
        SystemExit: With status 2 for a user's mistake, 1 for a failure, 128 plus the number of a signal.
    """
    os.environ.setdefault(*LARGE_PAGES)
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())  # a layer of one's own may lie in the working folder
    try:
        with one_line_errors():
            run_command(list(sys.argv[1:] if args is None else args), from_shell=args is None)
    finally:
        if args is None:
            gc.freeze()  # the process ends, so no object has to be collected


def run_command(args: list[str], from_shell: bool) -> None:
    """Call the command that the first argument names; the trainer's commands are LightningCLI's.

    Args:
        args: The arguments.
        from_shell: Whether these are the arguments of the process.
    """
    if args == ["--version"]:
        print(f"rnn-tasks {__version__}")
    elif args[:1] and args[0] in COMMANDS:
        module = importlib.import_module(f"rnn_tasks.commands.{args[0]}")
        getattr(module, args[0])(args[1:])
    else:
        with slow_import():
            from rnn_tasks.cli.trainer import run_trainer
        # Lightning warns when it is given arguments although the process has some as well.
        run_trainer(None if from_shell else args, commands=COMMANDS)
