"""Exceptions as one line on standard error and an exit status."""

import errno
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from rnn_tasks.errors import DivergedError, InterruptedRunError, UsageError
from rnn_tasks.printable import printable

NOT_WRITABLE = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some space",
    errno.EACCES: "choose another folder",
    errno.EPERM: "choose another folder",
    errno.EROFS: "choose another folder",
    errno.EEXIST: "choose another folder",
    errno.ENOTDIR: "choose another folder",
    errno.EISDIR: "choose another folder",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.EFBIG: "raise the limit on the size of files",
}
"""What a user can do when a file cannot be written, by the number of the system error."""


NO_MEMORY = ("can't allocate memory", "not enough memory", "Storage size calculation overflowed")
"""Phrases of torch's RuntimeError for a tensor that is too large."""


def is_out_of_memory(error: Exception) -> bool:
    """Return whether an exception of Python, NumPy or torch says that the memory is too small."""
    is_torch = type(error).__name__ == "OutOfMemoryError" or any(phrase in str(error) for phrase in NO_MEMORY)
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and is_torch)


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Report an exception of the block as one line on standard error and an exit status.

    An exception that this package does not expect, for instance of a user's own class, is raised with its traceback.

    Raises:
        SystemExit: With status 2 for a usage error, 1 for a failure, 128 plus the number of a signal.
    """
    try:
        yield
    except UsageError as error:
        exit_with(2, error)
    except DivergedError as error:
        exit_with(1, f"the run diverged: {error}")
    except InterruptedRunError as error:
        exit_with(128 + error.signum)
    except KeyboardInterrupt:
        exit_with(128 + signal.SIGINT)
    except BrokenPipeError:
        exit_with(1)
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        exit_with(1, f"not enough memory ({str(error) or 'MemoryError'}); use smaller sizes, such as --data.batch_size")
    except ModuleNotFoundError as error:
        exit_with(1, f"{error}; install it, or leave out what needs it (RNN_TASKS_DEBUG=1 shows what does)")
    except OSError as error:
        advice = NOT_WRITABLE.get(error.errno or 0)
        if advice is None:
            raise
        path = f"{error.filename}: " if error.filename else ""
        exit_with(1, f"{path}{error.strerror or error}; {advice}, then try again")
    except SystemExit as error:
        if isinstance(error.__context__, KeyboardInterrupt):  # Lightning exits with status 1
            exit_with(128 + signal.SIGINT)
        raise


def exit_with(status: int, message: object = "") -> NoReturn:
    """Print a message on one line, unless it is empty, and exit; RNN_TASKS_DEBUG=1 shows the traceback instead.

    Args:
        status: Exit status of the process.
        message: What is wrong and what to do.

    Raises:
        SystemExit: With this status.
    """
    if os.environ.get("RNN_TASKS_DEBUG") and message:
        raise  # the exception that is being handled
    text = printable(" ".join(str(message).split()))
    if text:
        print(f"rnn-tasks: error: {text}", file=sys.stderr)
    sys.exit(status)
