"""One run of a study in a process of its own, which ends when the worker that started it does."""

import multiprocessing
import os
import sys
import threading
from collections.abc import Mapping, Sequence
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

LOST = 75
"""Exit status of a run whose worker is gone."""

WAYS = multiprocessing.get_all_start_methods()
CONTEXT: Any = multiprocessing.get_context("forkserver" if "forkserver" in WAYS else "spawn")
"""Runs are forked off a process that has imported everything once, which takes longer than many a run."""


def start(words: Sequence[str], log: Path) -> BaseProcess:
    """Begin to train as ``rnn-tasks`` with the same words does.

    Args:
        words: Behind ``rnn-tasks``.
        log: What the run says is added to this file.

    Returns:
        Its process.
    """
    CONTEXT.set_forkserver_preload([__name__, "rnn_tasks.cli.trainer"])
    process: BaseProcess = CONTEXT.Process(target=train, args=(list(words), str(log), os.getcwd(), dict(os.environ)))
    process.start()
    return process


def train(words: list[str], log: str, folder: str, environment: Mapping[str, str]) -> None:
    """Be that process.

    Args:
        words: Behind ``rnn-tasks``.
        log: The file that is written to.
        folder: Where to work.
        environment: Its variables.
    """
    os.setsid()  # Ctrl-C is the worker's to handle
    threading.Thread(target=end_with_the_worker, daemon=True).start()
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    said, nothing = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666), os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (said, 1), (said, 2)):
        os.dup2(source, target)
    # What the worker's own words were is nothing to this run, and Lightning warns of it.
    sys.argv = ["rnn-tasks"]
    sys.stdout, sys.stderr = (os.fdopen(os.dup(number), "w", buffering=1) for number in (1, 2))
    from rnn_tasks.commands import main

    main(words)


def end_with_the_worker() -> None:
    """Leave at once when the worker is gone."""
    worker = multiprocessing.parent_process()
    if worker is not None:
        wait([worker.sentinel])
        os._exit(LOST)
