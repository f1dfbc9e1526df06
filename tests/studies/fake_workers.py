"""Run workers that train nothing in several processes; a program of its own, so that it may fork.

python -m tests.studies.fake_workers URL FOLDER
"""

import json
import os
import random
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import sqlalchemy
import tensorboard.backend.event_processing.event_accumulator  # noqa: F401  # imported once, not in each process

from rnn_tasks.runs.files import CONFIG, SUMMARY, write_atomically
from rnn_tasks.studies.outcome import Failure
from rnn_tasks.studies.plan import Plan, PlannedRun, Variant
from rnn_tasks.studies.progress import Progress
from rnn_tasks.studies.queue import RunQueue, Timing
from rnn_tasks.studies.worker import Worker
from tests.helpers.studies import made_summary

AXES = {"network": tuple(Variant(name) for name in "abcd")}
TOGETHER, KILLED = (Plan(name, "", (), {}, AXES, tuple(range(3)), None, None) for name in ("together", "killed"))
TIMING = Timing(poll=0.02, heartbeat=1, grace=2)  # dead workers are noticed soon
TRAINED = "trained"
"""The file with a line for each completed training of a run."""

STATEMENTS = (10, 200)
"""The least and the largest number of database statements before a process is killed."""

PAIRS = 4
"""Number of pairs of processes that are killed."""


class FakeWorker(Worker):
    """A worker that writes a summary for each run instead of training it, unless the run has one."""

    def train_or_resume(self, run: PlannedRun, scratch_attempt: int = 0) -> Failure | None:
        folder = self.folder / run.name
        if not (folder / SUMMARY).is_file():
            folder.mkdir(parents=True, exist_ok=True)
            (folder / CONFIG).touch()
            with (self.folder.parent / TRAINED).open("a") as file:
                file.write(f"{run.name}\n")
            loss = ord(run.group[0]) + run.seed / 10
            write_atomically(folder / SUMMARY, made_summary(100 + run.seed, **{"val/loss": loss}))
        return None


def fork(plan: Plan, url: str, folder: Path, statements: int = 0) -> int:
    """Start a worker.

    Args:
        plan: The study.
        url: The URL of the database.
        folder: The folder of the study.
        statements: The number of database statements after which the worker is killed; 0 for never.

    Returns:
        The ID of its process.
    """
    pid = os.fork()
    if pid:
        return pid
    if statements:
        count = 0

        def kill(*_: Any) -> None:
            nonlocal count
            count += 1
            if count == statements:
                os.kill(os.getpid(), signal.SIGKILL)

        sqlalchemy.event.listen(sqlalchemy.Engine, "before_cursor_execute", kill)
    status = 1
    try:
        FakeWorker(plan, url, folder / "runs", Progress(plan, 1), threading.Event(), TIMING).work()
        status = 0
    finally:
        os._exit(status)


def ended(*workers: int) -> list[int]:
    """Wait for workers, and return their exit statuses; negative for a signal."""
    return [os.waitstatus_to_exitcode(os.waitpid(worker, 0)[1]) for worker in workers]


def main() -> None:
    """Print exit statuses: of two workers on one study, of killed workers on another, and of the last two on that."""
    url, folder = sys.argv[1], Path(sys.argv[2])
    # Do late imports once, before all forks.
    RunQueue(TOGETHER, f"sqlite:///{folder / 'warm.db'}").close()
    draw, killed = random.Random(0), list[int]()
    shared = ended(*(fork(TOGETHER, url, folder / TOGETHER.name) for _ in range(2)))
    for _ in range(PAIRS):
        killed += ended(*(fork(KILLED, url, folder / KILLED.name, draw.randint(*STATEMENTS)) for _ in range(2)))
    last = ended(*(fork(KILLED, url, folder / KILLED.name) for _ in range(2)))
    print(json.dumps([shared, killed, last]))


if __name__ == "__main__":
    main()
