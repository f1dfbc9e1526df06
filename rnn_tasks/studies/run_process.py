"""Train one run of a study in a child process, which ends when its worker ends."""

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from multiprocessing import resource_tracker
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from rnn_tasks.cli.exit_status import one_line_errors
from rnn_tasks.cli.resume import fit_or_resume
from rnn_tasks.cli.shipped import PACKAGE
from rnn_tasks.cli.working_folder import allow_named_modules, restrict_working_folder

WORKER_GONE = 75
"""Exit status of a run whose worker has ended."""

START_METHOD = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
CONTEXT: Any = multiprocessing.get_context(START_METHOD)
"""Runs are forked from a process that has done all imports, since imports take longer than many runs."""

LOCK = threading.Lock()
"""Held by the thread that starts a process or asks for its exit status: multiprocessing reads a status only once."""

SAFE_PATH = "PYTHONSAFEPATH"
"""With this variable, a Python process does not import files of its working folder in place of installed modules."""

GROUP_SIGNALS = {getattr(signal, name) for name in ("SIGTERM", "SIGHUP", "SIGUSR1") if hasattr(signal, name)}
"""Signals that a system may send to all processes of a study at once. The worker passes them on to its runs."""


def start(arguments: Sequence[str], folder: Path, log: Path) -> BaseProcess:
    """Start a process that trains a run.

    Args:
        arguments: The arguments of ``rnn-tasks``, which begin with ``fit`` or ``resume``.
        folder: The run folder.
        log: The file to which the output of the run is appended.

    Returns:
        The process.
    """
    CONTEXT.set_forkserver_preload([__name__, "rnn_tasks.cli.trainer"])
    values = (list(arguments), folder, str(log), os.getcwd(), {**os.environ, SAFE_PATH: "1"})
    process: BaseProcess = CONTEXT.Process(target=train, args=values)
    with LOCK, safe_path(), blocked_signals():
        process.start()
    return process


def exit_status(process: BaseProcess) -> int | None:
    """Return the exit status of a process; None while the process runs."""
    with LOCK:
        return process.exitcode


def kill(process: BaseProcess) -> None:
    """Kill a process and the processes that it has started, such as those of a distributed training.

    Args:
        process: A process from :func:`start`.
    """
    if process.pid is not None and hasattr(os, "killpg"):
        with contextlib.suppress(ProcessLookupError, PermissionError):  # all have ended
            os.killpg(process.pid, signal.SIGKILL)
    with LOCK:
        process.kill()


@contextlib.contextmanager
def safe_path() -> Iterator[None]:
    """Set ``SAFE_PATH`` for the processes that are started meanwhile."""
    before = os.environ.get(SAFE_PATH)
    os.environ[SAFE_PATH] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[SAFE_PATH]
        else:
            os.environ[SAFE_PATH] = before


@contextlib.contextmanager
def blocked_signals() -> Iterator[None]:
    """Block ``GROUP_SIGNALS`` in the processes that are started meanwhile: the server that forks the runs must stay."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # Python starts it first, and then unblocks SIGTERM
    before = signal.pthread_sigmask(signal.SIG_BLOCK, GROUP_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def train(arguments: list[str], folder: Path, log: str, working_folder: str, environment: Mapping[str, str]) -> None:
    """Train a run; this is the main function of the process.

    Args:
        arguments: The arguments of ``rnn-tasks``.
        folder: The run folder.
        log: The file for the output.
        working_folder: The working directory.
        environment: The environment variables.

    Raises:
        SystemExit: With the exit status of ``rnn-tasks``, if the run fails.
    """
    if hasattr(os, "setsid"):
        os.setsid()  # the worker handles Ctrl-C
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, GROUP_SIGNALS)
    threading.Thread(target=end_with_worker, daemon=True).start()
    os.chdir(working_folder)
    os.environ.clear()
    os.environ.update(environment)
    output, nothing = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666), os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (output, 1), (output, 2)):
        os.dup2(source, target)
    # A strategy such as ddp starts the same command line again, for the other processes of the run.
    sys.argv = [str(PACKAGE / "__main__.py"), *arguments]
    warnings.filterwarnings("ignore", "LightningCLI's args parameter")  # it need not see both
    sys.stdout, sys.stderr = (
        os.fdopen(os.dup(number), "w", buffering=1, encoding="utf-8", errors="backslashreplace") for number in (1, 2)
    )
    restrict_working_folder()
    allow_named_modules(arguments)  # the user's own layers may be in the working directory
    with one_line_errors():
        fit_or_resume(arguments, folder)


def end_with_worker() -> None:
    """Exit at once when the worker has ended, with all processes that this one has started."""
    worker = multiprocessing.parent_process()
    if worker is not None:
        wait([worker.sentinel])
        if hasattr(os, "killpg"):
            os.killpg(os.getpgid(0), signal.SIGKILL)
        os._exit(WORKER_GONE)
