"""The commands, one module each, and the entry point that runs them."""

import gc
import importlib
import os
import sys
from collections.abc import Sequence

from rnn_tasks import __version__
from rnn_tasks.cli.exit_status import one_line_errors
from rnn_tasks.cli.slow_import import slow_import

LARGE_PAGES = ("THP_MEM_ALLOC_ENABLE", "1")
"""Lets torch use large pages: on Linux, a training step on sequences of length 10,000 takes 15 % less time."""

COMMANDS = {  # each command is a module that has a function of the same name
    "analyze": "Write an HTML report of what trained networks remember, and how.",
    "generate": "Continue a text with a trained language model.",
    "reproduce": "Repeat published experiments, and compare their results with ours.",
    "respond": "Print the answers of a trained network to strings.",
    "resume": "Continue a run that was interrupted, or train a finished one for longer.",
    "study": "Compare many runs: each variant with several seeds.",
}


def main(args: Sequence[str] | None = None) -> None:
    """Run a command; report an error as one line on standard error and a non-zero exit status.

    Args:
        args: The arguments of the command line; those of the process if None.

    Raises:
        SystemExit: With status 2 for a usage error, 1 for a failure, 128 plus the number of a signal.
    """
    os.environ.setdefault(*LARGE_PAGES)
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())  # so that configs can name classes of modules in the working folder
    try:
        with one_line_errors():
            run_command(list(sys.argv[1:] if args is None else args), from_shell=args is None)
    finally:
        if args is None:
            gc.freeze()  # skip the last garbage collection: the process ends


def run_command(args: list[str], from_shell: bool) -> None:
    """Call the command that the first argument names; LightningCLI runs the trainer's commands.

    Args:
        args: The arguments of the command line.
        from_shell: Whether they are the arguments of the process.
    """
    if args == ["--version"]:
        print(f"rnn-tasks {__version__}")
    elif args[:1] and args[0] in COMMANDS:
        module = importlib.import_module(f"rnn_tasks.commands.{args[0]}")
        getattr(module, args[0])(args[1:])
    else:
        with slow_import():
            from rnn_tasks.cli.trainer import run_trainer
        # Lightning warns if it receives arguments and the process has some too.
        run_trainer(None if from_shell else args, commands=COMMANDS)
