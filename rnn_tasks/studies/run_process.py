"""Train one run of a study in a child process, which ends when its worker ends."""

import multiprocessing
import os
import sys
import threading
from collections.abc import Mapping, Sequence
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from rnn_tasks.cli.exit_status import one_line_errors
from rnn_tasks.cli.resume import fit_or_resume

WORKER_GONE = 75
"""Exit status of a run whose worker has ended."""

START_METHOD = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
CONTEXT: Any = multiprocessing.get_context(START_METHOD)
"""Runs are forked from a process that has done all imports, since imports take longer than many runs."""


def start(arguments: Sequence[str], log: Path) -> BaseProcess:
    """Start a process that trains a run.

    Args:
        arguments: The arguments of ``rnn-tasks``, which begin with ``fit`` or ``resume``.
        log: The file to which the output of the run is appended.

    Returns:
        The process.
    """
    CONTEXT.set_forkserver_preload([__name__, "rnn_tasks.cli.trainer"])
    values = (list(arguments), str(log), os.getcwd(), dict(os.environ))
    process: BaseProcess = CONTEXT.Process(target=train, args=values)
    process.start()
    return process


def train(arguments: list[str], log: str, folder: str, environment: Mapping[str, str]) -> None:
    """Train a run; this is the main function of the process.

    Args:
        arguments: The arguments of ``rnn-tasks``.
        log: The file for the output.
        folder: The working directory.
        environment: The environment variables.

    Raises:
        SystemExit: With the exit status of ``rnn-tasks``, if the run fails.
    """
    os.setsid()  # the worker handles Ctrl-C
    threading.Thread(target=end_with_worker, daemon=True).start()
    os.chdir(folder)
    if folder not in sys.path:
        sys.path.append(folder)  # the user's own layers may be in the working directory
    os.environ.clear()
    os.environ.update(environment)
    output, nothing = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666), os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (output, 1), (output, 2)):
        os.dup2(source, target)
    sys.argv = ["rnn-tasks"]  # LightningCLI warns if it gets arguments and sys.argv has others
    sys.stdout, sys.stderr = (os.fdopen(os.dup(number), "w", buffering=1) for number in (1, 2))
    with one_line_errors():
        fit_or_resume(arguments)


def end_with_worker() -> None:
    """Exit at once when the worker has ended."""
    worker = multiprocessing.parent_process()
    if worker is not None:
        wait([worker.sentinel])
        os._exit(WORKER_GONE)
