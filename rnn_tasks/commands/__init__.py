"""The commands, one module each, and the entry point that runs them."""

import os
import sys
from collections.abc import Sequence

from rnn_tasks import __version__
from rnn_tasks.cli.search_path import leave_working_folder

LARGE_PAGES = ("THP_MEM_ALLOC_ENABLE", "1")
"""Lets torch use large pages: on Linux, a training step on sequences of length 10,000 takes 15 % less time."""

COMMANDS = {  # each command is a module that has a function of the same name
    "analyze": "Write an HTML report of what trained networks remember, and how.",
    "explore": "Write a page that runs trained networks in a browser.",
    "export": "Write a trained network as ONNX, for programs without PyTorch.",
    "generate": "Continue a text with a trained language model.",
    "profile": "Write a card of a recurrent layer: what it remembers, for how long, and at what cost.",
    "reproduce": "Repeat published experiments, and compare their results with ours.",
    "respond": "Print the answers of a trained network to strings.",
    "resume": "Continue a run that was interrupted, or train a finished one for longer.",
    "study": "Compare many runs: each variant with several seeds.",
}


ANSWERING = ("generate", "respond")
"""Commands that end when nobody reads their output. The others continue, and print to nobody."""


def main(args: Sequence[str] | None = None) -> None:
    """Run a command; report an error as one line on standard error and a non-zero exit status.

    Args:
        args: The arguments of the command line; those of the process if None.

    Raises:
        SystemExit: With status 2 for a usage error, 1 for a failure, 128 plus the number of a signal.
    """
    has_folder = True
    if args is None:
        try:
            leave_working_folder()  # before any other import
        except FileNotFoundError:
            has_folder = False

    import gc

    from rnn_tasks.cli.exit_status import one_line_errors
    from rnn_tasks.cli.streams import drop_failing_output, prepare_streams
    from rnn_tasks.errors import UsageError

    os.environ.setdefault(*LARGE_PAGES)
    arguments = list(sys.argv[1:] if args is None else args)
    if args is None:
        prepare_streams(unfailing=arguments[:1] not in ([name] for name in ANSWERING))
    try:
        with one_line_errors():
            if arguments == ["--version"]:
                print(f"rnn-tasks {__version__}")
            elif not has_folder:
                raise UsageError("the working folder has been deleted; change to a folder that exists")
            else:
                run_command(arguments, from_shell=args is None)
            if args is None:
                sys.stdout.flush()
    finally:
        if args is None:
            drop_failing_output()
            gc.freeze()  # skip the last garbage collection: the process ends


def run_command(args: list[str], from_shell: bool) -> None:
    """Call the command that the first argument names; LightningCLI runs the trainer's commands.

    Args:
        args: The arguments of the command line.
        from_shell: Whether they are the arguments of the process.
    """
    import importlib

    from rnn_tasks.cli.slow_import import slow_import
    from rnn_tasks.cli.working_folder import allow_named_modules, restrict_working_folder

    if from_shell:
        restrict_working_folder()
    if args[:1] and args[0] in COMMANDS:
        module = importlib.import_module(f"rnn_tasks.commands.{args[0]}")
        getattr(module, args[0])(args[1:])
    else:
        allow_named_modules(args)
        with slow_import():
            from rnn_tasks.cli.trainer import run_trainer
        # Lightning warns if it receives arguments and the process has some too.
        run_trainer(None if from_shell else args, commands=COMMANDS)


def is_child_process() -> bool:
    """Return whether Python's multiprocessing has started this process."""
    processes = sys.modules.get("multiprocessing.process")
    return processes is not None and processes.parent_process() is not None


if is_child_process():
    # Such as a spawned process that loads data: it has the arguments of its parent, and receives objects of classes
    # that the arguments name.
    from rnn_tasks.cli.working_folder import allow_named_modules

    allow_named_modules(sys.argv[1:])
