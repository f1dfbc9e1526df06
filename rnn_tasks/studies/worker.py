"""Doing the runs of a study: a worker takes one after the other, each in a process of its own."""

import contextlib
import shutil
import signal
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any, NamedTuple

import optuna
import yaml
from filelock import FileLock, Timeout

from rnn_tasks.errors import UsageError
from rnn_tasks.runs.files import CONFIG, read_summary, write_atomically
from rnn_tasks.studies import run_process
from rnn_tasks.studies.plan import Cell, Plan
from rnn_tasks.studies.queue import ANEW, NO_ROOM, PASSING, REASON, RESULT, Ledger, State, told_in_one_line, unfinished
from rnn_tasks.studies.ranking import best_so_far
from rnn_tasks.studies.search import objective_of
from rnn_tasks.studies.table import Row, rows_of

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


PROBE = 1 << 16
"""Bytes that are written to see whether there is room."""


class Failure(NamedTuple):
    """Why a run has no result.

    Attributes:
        reason: In a line.
        passing: Whether it lies not with the run, so that another time may be better: a full disk, or a signal.
    """

    reason: str
    passing: bool = False


class RunFailedError(Exception):
    """A run that has ended without a result, for a reason that may pass; it is in the database."""


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
        self.ended: dict[str, Row] = {}
        self.lock = threading.Lock()

    def begin(self, ledger: Ledger) -> None:
        """One line: how many runs are to be done, and what has become of the others."""
        states = ledger.states().values()
        of = {state: sum(value is state for value in states) for state in State}
        again = f", {of[State.FAILED]} failed (once more: --retry-failed)" if of[State.FAILED] else ""
        left = unfinished(states)
        print(f"{self.plan.name}: {left} of {len(states)} runs to do, {of[State.DONE]} done already{again}", flush=True)

    def say(self, name: str, what: str, rows: Sequence[Row], seconds: float) -> None:
        """One line: what came of a run, how many there are of each kind, the time left, and the best so far.

        Args:
            name: Of the run.
            what: Came of it.
            rows: All runs of the study.
            seconds: That it took.
        """
        with self.lock:
            self.seconds.append(seconds)
            # What ended here a moment ago, another worker of this process has not found in the database yet.
            self.ended |= {row.cell.name: row for row in rows if row.cell.name == name}
            rows = [self.ended.get(row.cell.name, row) for row in rows]
            of = {state: sum(row.state is state for row in rows) for state in State}
            left = sum(self.seconds) / len(self.seconds) * unfinished(row.state for row in rows) / self.jobs
            counts = ", ".join(f"{count} {state.value}" for state, count in of.items() if count)
            best = best_so_far(self.plan, rows)
            parts = [f"{name}: {what} ({seconds:.0f} s)", counts, f"{hours(left)} left", *([best] if best else [])]
            print("; ".join(parts), flush=True)


def hours(seconds: float) -> str:
    """Seconds as ``h:mm:ss``."""
    return f"{int(seconds) // 3600}:{int(seconds) // 60 % 60:02}:{int(seconds) % 60:02}"


def work_on(plan: Plan, address: str, folder: Path, jobs: int, retry_failed: bool = False) -> bool:
    """Do all runs that are to be done, and wait for those of other workers.

    Runs that failed for a reason that may have passed are tried again.

    Args:
        plan: The study.
        address: Of the database.
        folder: Where run folders go.
        jobs: Runs at a time.
        retry_failed: Whether to do those that failed for one of their own again too, from the beginning.

    Returns:
        Whether every run is done, and none has failed.

    Raises:
        UsageError: The database cannot be opened, or fails.
        OSError: There is no room for the database.
    """
    progress, stop = Progress(plan, jobs), threading.Event()
    with told_in_one_line(address), contextlib.closing(Ledger(plan, address)) as ledger:
        ledger.release_dead()
        ledger.retry(retry_failed)
        ledger.enqueue_missing()
        progress.begin(ledger)
        with ThreadPoolExecutor(jobs) as pool:
            workers = [pool.submit(Worker(plan, address, folder, progress, stop).work) for _ in range(jobs)]
            try:
                for worker in as_completed(workers):
                    worker.result()
            except BaseException:
                stop.set()
                raise
        return all(state is State.DONE for state in ledger.states().values())


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
        with contextlib.closing(Ledger(self.plan, self.address)) as self.ledger:
            while not self.stop.is_set():
                self.ledger.release_dead()
                self.ledger.enqueue_missing()
                states = self.ledger.states().values()
                if State.TO_COME in states:
                    with contextlib.suppress(InterruptedStudyError):
                        self.ledger.do_next(self.do, catch=(RunFailedError,))
                elif State.RUNNING in states:
                    self.stop.wait(POLL)
                else:
                    return

    def do(self, trial: optuna.Trial, cell: Cell) -> float:
        """Do a run, and note what came of it; the trial's value is what a search makes small.

        Args:
            trial: Stands for the run.
            cell: The run.

        Raises:
            RunFailedError: It failed, and may not another time.
            optuna.TrialPruned: It failed; a search takes that for worse than all that did not.
        """
        start = time.monotonic()
        place = self.folder / cell.name
        try:
            failure = self.run(cell, trial.user_attrs.get(ANEW, 0))
            result = result_of(place)
        except OSError as error:
            failure, result = failure_of(error), {}
        if failure is None and not result:
            failure = Failure("it ended without a summary")
        if result:
            trial.set_user_attr(RESULT, result)
        if failure is not None:
            if failure.passing:
                trial.set_user_attr(PASSING, True)
            trial.set_user_attr(REASON, failure.reason)
        states = {**self.ledger.states(), cell.name: State.DONE if failure is None else State.FAILED}
        rows = rows_of(self.plan, states, {**self.ledger.results(), cell.name: trial.user_attrs})
        what = f"{result.get('verdict')} after {result['steps']:,} steps" if failure is None else failure.reason
        self.progress.say(cell.name, what, rows, time.monotonic() - start)
        if failure is None:
            return objective_of(self.plan, result)
        raise RunFailedError(failure.reason) if failure.passing else optuna.TrialPruned(failure.reason)

    def run(self, cell: Cell, anew: int = 0) -> Failure | None:
        """Train a run in its folder, or go on with it.

        Args:
            cell: The run.
            anew: The attempt that is to begin in an empty folder; what an earlier one left is put aside. 0 if none is.

        Returns:
            Why it failed; None if it did not.
        """
        place = self.folder / cell.name
        self.folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.folder / f".{cell.name}.lock")
        try:
            with lock.acquire(timeout=60):  # until a run whose worker was killed has noticed it
                aside = self.folder / f"{cell.name}.failed{anew}"
                if anew and place.exists() and not aside.exists():
                    place.rename(aside)
                words = self.words(cell, place)
                failure = self.train(words, place)
                if failure is None and words[0] == "resume" and not ended(place):
                    # Its last checkpoint is of its last step, so that there is nothing to go on with.
                    shutil.rmtree(place)
                    failure = self.train(self.words(cell, place), place)
                return failure
        except Timeout:
            return Failure("another process still trains in its folder", passing=True)

    def words(self, cell: Cell, place: Path) -> list[str]:
        """The command line of a run: to begin it, or to go on with it.

        Args:
            cell: The run.
            place: Its folder.
        """
        if (place / CONFIG).is_file():
            return ["resume", str(place)]
        parts = {"save_dir": self.folder.parent, "name": self.folder.name, "version": cell.name}
        where = [f"--trainer.logger.init_args.{name}={value}" for name, value in parts.items()]
        return [*self.plan.words(cell, self.overlay(cell)), *where]

    def overlay(self, cell: Cell) -> list[str]:
        """The file with the config of a run's variants, if they have one."""
        overlay = self.plan.overlay(cell)
        if not overlay:
            return []
        path = self.folder / f"{cell.name}.yaml"
        write_atomically(path, yaml.safe_dump(overlay))
        return [str(path)]

    def train(self, words: list[str], place: Path) -> Failure | None:
        """Run a command line; what it says goes into a file beside its folder.

        Args:
            words: Behind ``rnn-tasks``.
            place: The folder of the run.

        Returns:
            Why it failed; None if it did not.

        Raises:
            InterruptedStudyError: The study is to end.
            OSError: The file cannot be written.
        """
        log = place.with_suffix(f"{place.suffix}.log")
        with log.open("ab") as output:
            before = output.tell()
        process = run_process.start(words, log)
        while process.exitcode is None:
            if self.stop.wait(0.02):
                while process.exitcode is None:  # asked more than once, in case that it was not listening yet
                    process.terminate()  # it saves its state
                    process.join(5)
                raise InterruptedStudyError
        status = process.exitcode
        process.close()
        if status == 0:
            log.unlink()
            return None
        probe = self.folder / f".{place.name}.probe"
        try:
            write_atomically(probe, bytes(PROBE))
        except OSError as error:  # then the file does not say so: it had no room for that
            return failure_of(error)
        probe.unlink()
        return failed(status, log.read_bytes()[before:].decode(errors="replace"))


def ended(place: Path) -> bool:
    """Whether a run has a summary of its end.

    Args:
        place: Its folder.
    """
    return read_summary(place).get("stopped") not in (None, "interrupted")


def failure_of(error: OSError) -> Failure:
    """Why a run failed whose files cannot be written."""
    where = f"{error.filename}: " if error.filename else ""
    return Failure(f"{where}{error.strerror or error}", passing=True)


def failed(status: int, said: str) -> Failure:
    """Why a run failed.

    Args:
        status: How its process ended, as :attr:`multiprocessing.Process.exitcode`.
        said: What it printed.

    Example:
        >>> failed(-9, "Epoch 3").reason, failed(2, "a: error: no option x").reason
        ('killed by SIGKILL', 'no option x')
    """
    if status < 0:
        return Failure(f"killed by {signal.Signals(-status).name}", passing=True)
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    told = [line.partition("error:")[2].strip() for line in lines if "error:" in line]
    reason = [f"exit status {status}", *lines[-1:], *told[-1:]][-1]
    return Failure(reason, passing=status > 128 or NO_ROOM.search(reason) is not None)


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
    from rnn_tasks.report.run_data import read_log

    log, curves = read_log(place), {}
    for name, curve in log.curves.items():
        if name in CURVES or name.startswith("spectral_norm/"):
            stride = -(-len(curve.steps) // MAX_POINTS)
            curves[name] = [(curve.steps[::-stride][::-1] + 1).tolist(), curve.values[::-stride][::-1].tolist()]
    sample = {"sample": log.texts["samples"]} if "samples" in log.texts else {}
    return {**{name: summary[name] for name in KEPT if name in summary}, **sample, "curves": curves}
