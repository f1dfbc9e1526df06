"""Standard streams on which a print never fails."""

import io
import os
import sys
from typing import Any


class UnfailingFile(io.FileIO):
    """A file that drops what cannot be written, for instance to a pipe that nobody reads."""

    def write(self, data: Any, /) -> int:
        """Write data; return its length in bytes if it cannot be written."""
        try:
            return super().write(data)
        except OSError:
            return memoryview(data).nbytes


def prepare_streams(unfailing: bool) -> None:
    r"""Prepare the standard streams of the process for any text, and for a reader that has gone.

    Characters that the encoding of a stream does not have are written as ``\u0436``.

    Args:
        unfailing: Whether a print never fails. Otherwise it raises a BrokenPipeError if nobody reads it.
    """
    open_closed_streams()
    for number, name in ((1, "stdout"), (2, "stderr")):
        stream = getattr(sys, name)
        if unfailing:
            stream.flush()
            setattr(sys, name, unfailing_stream(number, stream.encoding, stream.line_buffering))
        else:
            stream.reconfigure(errors="backslashreplace")


def open_closed_streams() -> None:
    """Open the standard streams that the process was started without: they read and write nothing.

    Otherwise the next file that is opened would take their place, and receive what is printed.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            nothing = os.open(os.devnull, os.O_RDWR)
            if nothing != number:
                os.dup2(nothing, number)
                os.close(nothing)
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, "r" if name == "stdin" else "w", encoding="utf-8", closefd=False))


def unfailing_stream(number: int, encoding: str = "utf-8", line_buffering: bool = True) -> io.TextIOWrapper:
    r"""Return a text stream that drops what cannot be written, and escapes what its encoding does not have.

    Args:
        number: The file descriptor: 1 for standard output, 2 for standard error.
        encoding: The encoding of the stream.
        line_buffering: Whether each line is written at its end.
    """
    buffer = io.BufferedWriter(UnfailingFile(number, "w", closefd=False))
    return io.TextIOWrapper(buffer, encoding, errors="backslashreplace", line_buffering=line_buffering)


def drop_failing_output() -> None:
    """Send standard output to nowhere if it cannot be written: otherwise Python fails at the end of the process."""
    try:
        sys.stdout.flush()
    except OSError:
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, sys.stdout.fileno())
        os.close(nothing)
