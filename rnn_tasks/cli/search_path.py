"""The path on which Python searches for modules, without the working folder.

This module imports only what Python has already imported when it starts: until its function is called, any other
import could find a file of the working folder.
"""

import os
import sys

import rnn_tasks

VARIABLE = "PYTHONPATH"
"""The environment variable of folders that a Python process searches first."""


def leave_working_folder() -> None:
    """Remove the working folder from the search path, so that no import runs one of its files by accident.

    The folder is also removed from ``PYTHONPATH``, for the processes that this one starts. If this package itself is in
    the working folder, the folder stays, at the end of the path.

    Raises:
        FileNotFoundError: The working folder does not exist.
    """
    folder = os.getcwd()
    has_package = is_same_folder(os.path.join(os.path.dirname(rnn_tasks.__file__), os.pardir), folder)

    def others(entries: list[str]) -> list[str]:
        return [entry for entry in entries if not is_same_folder(entry or os.curdir, folder)]

    sys.path[:] = others(sys.path) + [folder] * has_package
    if VARIABLE in os.environ:
        entries = others(os.environ[VARIABLE].split(os.pathsep)) + [folder] * has_package
        os.environ[VARIABLE] = os.pathsep.join(entries)


def is_same_folder(path: str, folder: str) -> bool:
    """Return whether a path leads to a folder."""
    try:
        return os.path.samefile(path, folder)
    except OSError:
        return False
