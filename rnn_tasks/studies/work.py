"""Doing the runs of a study: a worker takes one after the other, each in a process of its own."""

import contextlib
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import optuna
import yaml
from filelock import FileLock, Timeout

from rnn_tasks.errors import UsageError
from rnn_tasks.runs.files import CONFIG, read_summary, write_atomically
from rnn_tasks.studies.ledger import REASON, RESULT, Ledger, State, unfinished
from rnn_tasks.studies.plan import Cell, Plan

POLL = 1.0
"""Seconds between two looks at what other workers do."""

KEPT = (
    "verdict",
    "solved_at",
    "steps",
    "sequences",
    "seconds",
    "parameters",
    "stopped",
    "metrics",
    "baseline",
    "versions",
)
"""Of summary.json, in the database."""

CURVES = ("val/loss", "val/accuracy", "val/worst_accuracy", "val/perplexity", "gradient_norm/before_clipping")
MAX_POINTS = 400


class RunFailedError(Exception):
    """A run that has ended without a result; its reason is in the database."""


class InterruptedStudyError(Exception):
    """The study is to end; the run that was under way is done another time."""


class Progress:
    """What is said while a study is worked on.

    Args:
        plan: The study.
        jobs: Runs at a time.
    """

    def __init__(self, plan: Plan, jobs: int) -> None:
        self.plan, self.jobs = plan, jobs
        self.seconds: list[float] = []
        self.lock = threading.Lock()

    def say(self, name: str, what: str, states: Mapping[str, State], seconds: float) -> None:
        """One line: what came of a run, how many there are of each kind, and the time left."""
        with self.lock:
            self.seconds.append(seconds)
            of = {state: sum(value is state for value in states.values()) for state in State}
            left = sum(self.seconds) / len(self.seconds) * unfinished(states.values()) / self.jobs
            counts = ", ".join(f"{count} {state.value}" for state, count in of.items() if count)
            print(f"{name}: {what} ({seconds:.0f} s); {counts}; {hours(left)} left", flush=True)


def hours(seconds: float) -> str:
    """Seconds as ``h:mm:ss``."""
    return f"{int(seconds) // 3600}:{int(seconds) // 60 % 60:02}:{int(seconds) % 60:02}"


def work_on(plan: Plan, address: str, folder: Path, jobs: int) -> bool:
    """Do all runs that are to be done, and wait for those of other workers.

    Args:
        plan: The study.
        address: Of the database.
        folder: Where run folders go.
        jobs: Runs at a time.

    Returns:
        Whether every run is done, and none has failed.

    Raises:
        UsageError: The database cannot be opened.
    """
    progress, stop = Progress(plan, jobs), threading.Event()
    Ledger(plan, address).enqueue_missing()
    with ThreadPoolExecutor(jobs) as pool:
        workers = [pool.submit(Worker(plan, address, folder, progress, stop).work) for _ in range(jobs)]
        try:
            for worker in workers:
                worker.result()
        except BaseException:
            stop.set()
            raise
    return all(state is State.DONE for state in Ledger(plan, address).states().values())


class Worker:
    """Takes one run after the other until there are none.

    Args:
        plan: The study.
        address: Of the database.
        folder: Where run folders go.
        progress: Says what happens.
        stop: Set when all is to end.
    """

    def __init__(self, plan: Plan, address: str, folder: Path, progress: Progress, stop: threading.Event) -> None:
        self.plan, self.address, self.folder, self.progress, self.stop = plan, address, folder, progress, stop

    def work(self) -> None:
        """Do runs, and wait for those that other workers do, which may die."""
        self.ledger = Ledger(self.plan, self.address)
        while not self.stop.is_set():
            self.ledger.release_dead()
            self.ledger.enqueue_missing()
            states = self.ledger.states().values()
            if State.TO_COME in states:
                with contextlib.suppress(InterruptedStudyError):
                    self.ledger.do_next(self.do, catch=(RunFailedError,))
            elif State.RUNNING in states:
                time.sleep(POLL)
            else:
                return

    def do(self, trial: optuna.Trial, cell: Cell) -> float:
        """Do a run, and note what came of it; the trial's value is its final loss.

        Args:
            trial: Stands for the run.
            cell: The run.

        Raises:
            RunFailedError: It failed.
        """
        start = time.monotonic()
        reason = self.run(cell)
        result = result_of(self.folder / cell.name)
        if not reason and not result:
            reason = "it ended without a summary"
        if result:
            trial.set_user_attr(RESULT, result)
        if reason:
            trial.set_user_attr(REASON, reason)
        states = {**self.ledger.states(), cell.name: State.FAILED if reason else State.DONE}
        what = reason or f"{result.get('verdict')} after {result['steps']:,} steps"
        self.progress.say(cell.name, what, states, time.monotonic() - start)
        if reason:
            raise RunFailedError(reason)
        return float(result["metrics"].get("test/loss", result["metrics"].get("val/loss", "nan")))

    def run(self, cell: Cell) -> str:
        """Train a run in its folder, or go on with it.

        Args:
            cell: The run.

        Returns:
            Why it failed; empty if it did not.
        """
        place = self.folder / cell.name
        self.folder.mkdir(parents=True, exist_ok=True)
        if (place / CONFIG).is_file():
            words = ["resume", str(place)]
        else:
            parts = {"save_dir": self.folder.parent, "name": self.folder.name, "version": cell.name}
            where = [f"--trainer.logger.init_args.{name}={value}" for name, value in parts.items()]
            words = [*self.plan.words(cell, self.overlay(cell)), *where]
        lock = FileLock(self.folder / f".{cell.name}.lock")
        try:
            with lock.acquire(timeout=60):  # until a run whose worker was killed has noticed it
                return self.train(words, place)
        except Timeout:
            return "another process still trains in its folder"

    def overlay(self, cell: Cell) -> list[str]:
        """The file with the config of a run's variants, if they have one."""
        overlay = self.plan.overlay(cell)
        if not overlay:
            return []
        path = self.folder / f"{cell.name}.yaml"
        write_atomically(path, yaml.safe_dump(overlay))
        return [str(path)]

    def train(self, words: list[str], place: Path) -> str:
        """Run a command line; what it says goes into a file beside its folder."""
        log = place.with_suffix(f"{place.suffix}.log")
        command = [sys.executable, "-m", "rnn_tasks.studies.child", *words]
        with (
            log.open("ab") as output,
            # A session of its own: Ctrl-C is the worker's to handle.
            subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
            ) as process,
        ):
            while process.poll() is None:
                if self.stop.wait(0.02):
                    process.terminate()  # it saves its state
                    raise InterruptedStudyError
        if process.returncode == 0:
            log.unlink()
            return ""
        said = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
        told = [line.partition("error:")[2].strip() for line in said if "error:" in line]
        return [f"exit status {process.returncode}", *said[-1:], *told[-1:]][-1]


def result_of(place: Path) -> dict[str, Any]:
    """What came of a run: figures of its summary, and its curves; empty without a summary.

    Args:
        place: Its folder.
    """
    try:
        summary = read_summary(place)
    except UsageError:
        return {}
    if not summary:
        return {}
    from rnn_tasks.report.subject import read_curves

    curves = {}
    for name, curve in read_curves(place).items():
        if name in CURVES or name.startswith("spectral_norm/"):
            stride = -(-len(curve.steps) // MAX_POINTS)
            curves[name] = [(curve.steps[::-stride][::-1] + 1).tolist(), curve.values[::-stride][::-1].tolist()]
    return {**{name: summary[name] for name in KEPT if name in summary}, "curves": curves}
