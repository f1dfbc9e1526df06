"""Do the runs of a study with parallel workers; each run has its own process."""

import contextlib
import multiprocessing
import shutil
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed, wait
from functools import partial
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import optuna
import yaml
from filelock import FileLock, Timeout

from rnn_tasks.errors import InterruptedRunError
from rnn_tasks.runs.files import CONFIG, write_atomically
from rnn_tasks.studies import run_process
from rnn_tasks.studies.outcome import Failure, exit_failure, has_ended, result_of, write_failure
from rnn_tasks.studies.plan import Plan, PlannedRun
from rnn_tasks.studies.progress import Progress, say
from rnn_tasks.studies.queue import TIMING, RunQueue, RunState, Timing
from rnn_tasks.studies.rows import FROM_SCRATCH, REASON, RESULT, TRANSIENT, attempt_of
from rnn_tasks.studies.search import objective_of
from rnn_tasks.studies.storage import translate_database_errors

ROOM = 1 << 16
"""Number of bytes that are written to check whether the disk is full."""

SLURM_SIGNAL = getattr(signal, "SIGUSR1", None)
"""The signal with which SLURM can announce the end of a job; it ends a study as SIGTERM does."""


class RunFailedError(Exception):
    """A run failed for a transient reason, which is in the database."""


class InterruptedStudyError(Exception):
    """The study was interrupted; the current run is resumed later."""


@contextlib.contextmanager
def signals_interrupt() -> Iterator[None]:
    """Raise an InterruptedRunError at SIGTERM, SIGHUP and ``SLURM_SIGNAL``, as Python does for Ctrl-C.

    A signal that was ignored before, as by ``nohup``, stays so. Handlers can be set only in the main thread.
    """

    def interrupt(signum: int, frame: FrameType | None) -> NoReturn:
        raise InterruptedRunError(signal.SIGTERM if signum == SLURM_SIGNAL else signum)

    previous = {}
    if threading.current_thread() is threading.main_thread():
        heeded = [signum for signum in run_process.GROUP_SIGNALS if signal.getsignal(signum) != signal.SIG_IGN]
        previous = {signum: signal.signal(signum, interrupt) for signum in heeded}
    try:
        yield
    finally:
        for signum, handler in previous.items():
            signal.signal(signum, handler)


def work_on(plan: Plan, url: str, folder: Path, jobs: int, retry_failed: bool = False, timing: Timing = TIMING) -> bool:
    """Do all pending runs, and wait for the runs of other workers.

    Runs whose settings have changed are done again. Runs that failed for a transient reason are retried.

    Args:
        plan: The study.
        url: The URL of the database.
        folder: The folder of the run folders.
        jobs: The number of runs at a time.
        retry_failed: Whether to retry the other failed runs too, from scratch.
        timing: The times of the workers.

    Returns:
        Whether every run is done, and none has failed.

    Raises:
        UsageError: The database cannot be opened, or fails.
        OSError: The database has no room.
        InterruptedRunError: The study was interrupted by SIGTERM or SIGHUP; its runs have saved their state.
    """
    progress, stop = Progress(plan, jobs), threading.Event()
    with (
        signals_interrupt(),
        translate_database_errors(url),
        contextlib.closing(RunQueue(plan, url, timing)) as queue,
    ):
        queue.release_dead()
        changed = queue.redo_changed()
        queue.retry(retry_failed)
        queue.enqueue_missing()
        progress.begin(queue, changed)
        while True:
            with ThreadPoolExecutor(jobs) as pool:
                workers = [pool.submit(Worker(plan, url, folder, progress, stop, timing).work) for _ in range(jobs)]
                try:
                    for worker in as_completed(workers):
                        worker.result()
                except BaseException as error:
                    stop.set()
                    if isinstance(error, KeyboardInterrupt | InterruptedRunError):
                        end_runs(workers, timing.saving)
                    raise
            if not queue.redo_changed():  # trials that were done again may have chosen other variants
                break
        return all(state is RunState.DONE for state in queue.states().values()) and not queue.changed()


def end_runs(workers: Sequence["Future[None]"], seconds: float) -> None:
    """Wait until interrupted runs have saved their state; kill the runs after another signal.

    Args:
        workers: The workers, which have been told to stop.
        seconds: The time that each run has for saving its state.
    """
    if multiprocessing.active_children():
        say(f"interrupted: each run saves its state, for at most {seconds:g} seconds; interrupt again to kill the runs")
    try:
        wait(workers)
    except (KeyboardInterrupt, InterruptedRunError):
        for process in multiprocessing.active_children():
            run_process.kill(process)


class Worker:
    """A worker: does one run after another until no run is left.

    Args:
        plan: The study.
        url: The URL of the database.
        folder: The folder of the run folders.
        progress: Prints the progress of the study.
        stop: Set to stop the study.
        timing: The times of the workers of the study.
    """

    def __init__(
        self,
        plan: Plan,
        url: str,
        folder: Path,
        progress: Progress,
        stop: threading.Event,
        timing: Timing = TIMING,
    ) -> None:
        self.plan, self.url, self.folder, self.progress, self.stop = plan, url, folder, progress, stop
        self.timing = timing

    def work(self) -> None:
        """Do runs until all are done or failed, including the runs of workers that die meanwhile."""
        timing, patience = self.timing, self.timing.patience
        with contextlib.closing(RunQueue(self.plan, self.url, timing, self.stop, patience)) as self.queue:
            while not self.stop.is_set():
                self.queue.release_dead()
                self.queue.enqueue_missing()
                states = self.queue.states().values()
                if RunState.PENDING in states:
                    with contextlib.suppress(InterruptedStudyError):
                        self.queue.do_next(self.do, catch=(RunFailedError,))
                elif RunState.RUNNING in states:
                    self.stop.wait(self.timing.poll)
                else:
                    return

    def do(self, trial: optuna.Trial, run: PlannedRun) -> float:
        """Do a run, and store its outcome in the database.

        Args:
            trial: The trial of the run.
            run: The run.

        Returns:
            The objective of the run.

        Raises:
            RunFailedError: The run failed, and a retry may succeed.
            optuna.TrialPruned: The run failed; a search ranks it after all runs with a result.
        """
        start = time.monotonic()
        try:
            failure = self.train_or_resume(run, attempt_of(trial.user_attrs, FROM_SCRATCH))
            result = result_of(self.folder / run.name)
        except OSError as error:
            failure, result = write_failure(error), {}
        if failure is None and not result:
            failure = Failure("the run ended without a summary")
        attributes: dict[str, Any] = {RESULT: result} if result else {}
        if failure is None:
            state, outcome = RunState.DONE, f"{result.get('verdict')} after {result['steps']:,} steps"
        else:
            state, outcome = RunState.FAILED, failure.reason
            attributes |= {TRANSIENT: True} if failure.transient else {}
            attributes[REASON] = failure.reason
        for name, value in attributes.items():
            self.queue.patiently(partial(trial.set_user_attr, name, value))
        self.progress.end_run(run.name, state, trial.user_attrs, self.queue, outcome, time.monotonic() - start)
        if failure is None:
            return objective_of(self.plan, result)
        raise RunFailedError(failure.reason) if failure.transient else optuna.TrialPruned(failure.reason)

    def train_or_resume(self, run: PlannedRun, scratch_attempt: int = 0) -> Failure | None:
        """Train a run in its folder, or resume it.

        Args:
            run: The run.
            scratch_attempt: The number of the last attempt from scratch, before which the folder of older attempts is
                renamed once; 0 without such an attempt.

        Returns:
            Why the run failed; None if it succeeded.
        """
        folder = self.folder / run.name
        self.folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.folder / f".{run.name}.lock")
        try:
            with lock.acquire(timeout=60):  # a run whose worker was killed needs time to end
                earlier = self.folder / f"{run.name}.earlier{scratch_attempt}"
                if scratch_attempt and folder.exists() and not earlier.exists():
                    folder.rename(earlier)
                arguments = self.arguments(run, folder)
                failure = self.train(arguments, folder)
                if failure is None and arguments[0] == "resume" and not has_ended(folder):
                    # The last checkpoint is of the last step, so nothing is left to resume: train from scratch.
                    shutil.rmtree(folder)
                    failure = self.train(self.arguments(run, folder), folder)
                return failure
        except Timeout:
            return Failure("another process is still training in the folder of the run", transient=True)

    def end(self, process: BaseProcess) -> None:
        """End a run: let it save its state, and kill it if that takes too long.

        Args:
            process: The process of the run.
        """
        deadline = time.monotonic() + self.timing.saving
        process.terminate()
        while run_process.exit_status(process) is None and time.monotonic() < deadline:
            time.sleep(0.02)
        run_process.kill(process)

    def arguments(self, run: PlannedRun, folder: Path) -> list[str]:
        """Return the arguments of ``rnn-tasks`` that start or resume a run.

        Args:
            run: The run.
            folder: The run folder.
        """
        if (folder / CONFIG).is_file():
            return ["resume", str(folder)]
        return self.plan.arguments(run, self.write_overlay(run))

    def write_overlay(self, run: PlannedRun) -> list[str]:
        """Write the overlay of a run to a file, and return a list with its path; empty without an overlay."""
        overlay = self.plan.overlay(run)
        if not overlay:
            return []
        path = self.folder / f"{run.name}.yaml"
        write_atomically(path, yaml.safe_dump(overlay))
        return [str(path)]

    def train(self, arguments: list[str], folder: Path) -> Failure | None:
        """Run ``rnn-tasks`` in a child process; its output goes to a file next to the run folder.

        Args:
            arguments: The arguments of ``rnn-tasks``.
            folder: The run folder.

        Returns:
            Why the run failed; None if it succeeded.

        Raises:
            InterruptedStudyError: The study was interrupted.
            OSError: The output cannot be written.
        """
        log = folder.with_suffix(f"{folder.suffix}.log")
        with log.open("ab") as output:
            size_before = output.tell()
        process = run_process.start(arguments, folder, log)
        while (status := run_process.exit_status(process)) is None:
            if self.stop.wait(0.02):
                self.end(process)
                raise InterruptedStudyError
        run_process.kill(process)  # processes that the run has started must not outlive it
        process.close()
        if status == 0:
            log.unlink()
            return None
        room_test = self.folder / f".{folder.name}.room"
        try:
            write_atomically(room_test, bytes(ROOM))
        except OSError as error:  # the disk is full, so the output may lack the error
            return write_failure(error)
        room_test.unlink()
        return exit_failure(status, log.read_bytes()[size_before:].decode(errors="replace"))
