"""The one door: ``rnn-tasks`` and ``python -m rnn_tasks``."""

import gc
import importlib
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rnn_tasks import __version__
from rnn_tasks.errors import DivergedError, InterruptedRunError, UsageError

LARGE_PAGES = ("THP_MEM_ALLOC_ENABLE", "1")
"""Lets torch, if it is not loaded yet, ask for large pages: a step of a long sequence takes a tenth less on Linux."""

COMMANDS = {  # each a module with a function of its name
    "analyze": "Write a report of what trained networks remember, for a browser.",
    "generate": "Let a trained language model go on with a text.",
    "reproduce": "Run what published figures need, and print them beside ours.",
    "respond": "Give strings to a trained network and print its answers.",
    "resume": "Go on with a run that was interrupted or that is to be longer.",
    "study": "Compare many runs: variants times seeds, resumable.",
}


def main(args: Sequence[str] | None = None) -> None:
    """Run a command line; a mistake or a failure is one line on standard error and an exit status that is not zero.

    Args:
        args: The words, those of the process if None.

    Raises:
        SystemExit: With status 2 for a user's mistake, 1 for a failure, 128 plus the number of a signal.
    """
    os.environ.setdefault(*LARGE_PAGES)
    words = list(sys.argv[1:] if args is None else args)
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())  # a layer of one's own may lie in the working folder
    try:
        dispatch(words, args is None)
    except UsageError as error:
        leave(2, error)
    except DivergedError as error:
        leave(1, f"the run diverged: {error}")
    except InterruptedRunError as error:
        leave(128 + error.signum)
    except KeyboardInterrupt:
        leave(128 + signal.SIGINT)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        leave(1)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        leave(1, f"{where}{error.strerror or error}; free some space or choose another folder, then try again")
    except SystemExit as error:
        if isinstance(error.__context__, KeyboardInterrupt):  # Lightning ends with status 1
            leave(128 + signal.SIGINT)
        raise
    finally:
        if args is None:
            gc.freeze()  # the process ends: nothing needs to be collected


def dispatch(words: list[str], from_shell: bool) -> None:
    """Hand the words to the command that they name."""
    if words == ["--version"]:
        print(f"rnn-tasks {__version__}")
        return
    if words[:1] and words[0] in COMMANDS:
        module = importlib.import_module(f"rnn_tasks.{words[0]}")
        getattr(module, words[0])(words[1:])
    else:
        with collection_paused():
            from rnn_tasks.cli import build
            from rnn_tasks.parsing import Parser

        Parser.commands = COMMANDS
        # Lightning warns when it is given words that the process was given as well.
        build(None if from_shell else words)


@contextmanager
def collection_paused() -> Iterator[None]:
    """Pause the garbage collector, which would search the many objects that an import makes and keeps."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def leave(status: int, message: object = "") -> None:
    """Exit, with a message in one line if there is one; RNN_TASKS_DEBUG=1 shows where it came from."""
    if os.environ.get("RNN_TASKS_DEBUG") and message:
        raise
    text = " ".join(str(message).split())
    if text:
        print(f"rnn-tasks: error: {text}", file=sys.stderr)
    sys.exit(status)


if __name__ == "__main__":
    main()
