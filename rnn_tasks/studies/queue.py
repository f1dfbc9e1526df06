"""The queue of a study's runs: an Optuna study in a database that several workers share."""

import contextlib
import time
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import islice
from pathlib import Path
from typing import Any

import optuna
from filelock import FileLock
from optuna.exceptions import ExperimentalWarning
from optuna.trial import FrozenTrial, Trial, TrialState

from rnn_tasks.errors import UsageError, require
from rnn_tasks.studies.plan import Plan, PlannedRun
from rnn_tasks.studies.search import draw, sampler_of
from rnn_tasks.studies.storage import WORKER, Storage, create_sqlite, first_line, without_password
from rnn_tasks.studies.worker_id import is_dead, own_id

RUN_NAME, RESULT, REASON, TRANSIENT = "cell", "result", "reason", "passing"
"""Attributes of a trial: name, result, reason of failure of its run, and whether the failure was transient.

Databases of version 0.1.0 hold these values, so they stay.
"""

ATTEMPT, FROM_SCRATCH, DRAWN = "attempt", "anew", "drawn"
"""More attributes: the number of the attempt, the last attempt from scratch, and the drawn values of a search."""

ATTEMPTS = 3
"""Attempts to open a database that another worker may be creating."""

DRIVER = "its driver is not installed; PostgreSQL's comes with pip install 'rnn-tasks[postgresql]'"


@dataclass(frozen=True)
class Timing:
    """Intervals of the workers of a study, in seconds.

    Attributes:
        poll: Time between two checks of the runs of other workers.
        heartbeat: Time between two heartbeats of a worker, ``>= 1``.
        grace: Time without a heartbeat after which a worker of another machine counts as dead.
    """

    poll: float = 1.0
    heartbeat: int = 10
    grace: int = 60


TIMING = Timing()


class RunState(Enum):
    """The state of a run of a study."""

    DONE = "done"
    FAILED = "failed"
    RUNNING = "running"
    PENDING = "pending"


class RunQueue:
    """The queue of a study's runs. Each run is done once, even with several workers, some of which are killed.

    The first worker queues a trial for each run. If several workers queue the same run, only its first trial counts.
    Runs of dead workers are queued again. Failed runs are queued again only by :meth:`retry`, as a new attempt. The
    runs of a search are queued one at a time, so that the values of each are drawn with all earlier results.

    Args:
        plan: The study.
        url: The URL of the database, in the form of SQLAlchemy.
        timing: The times of its workers.

    Raises:
        UsageError: The database cannot be opened.
    """

    def __init__(self, plan: Plan, url: str, timing: Timing = TIMING) -> None:
        self.plan, self.timing = plan, timing
        self.runs = {run.name: run for run in plan.runs()}
        # SQLite has no row locks: without a file lock, Optuna may give the same trial to two workers.
        database = url.partition(":///")[2] if url.startswith("sqlite:") else ""
        folder = Path(database).parent
        require(folder.is_dir(), f"the storage {url} cannot be opened: there is no folder {folder}")
        self.database = Path(database) if database else None
        self.file_lock = FileLock(f"{database}.lock") if database else None
        self.unclaimed: dict[int, float] = {}
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        warnings.filterwarnings("ignore", category=ExperimentalWarning)  # of heartbeats
        self.study = self._open(plan.name, url)

    def _open(self, name: str, url: str) -> optuna.Study:
        """Open the study; create the study and its database if they do not exist."""
        for attempt in range(ATTEMPTS):
            try:
                with self.lock():
                    if self.database and not self.database.exists():
                        create_sqlite(self.database)
                    heartbeat, grace = self.timing.heartbeat, self.timing.grace
                    self.storage = Storage(url, heartbeat_interval=heartbeat, grace_period=grace)
                    return optuna.create_study(storage=self.storage, study_name=name, load_if_exists=True)
            except (
                Exception
            ) as error:  # each database raises errors of its own, some when two workers create the tables
                if attempt == ATTEMPTS - 1 or isinstance(error, OSError | ImportError):
                    text = DRIVER if isinstance(error, ImportError) else first_line(error)
                    raise UsageError(f"the storage {without_password(url)} cannot be opened: {text}") from error
                time.sleep(0.5)
        raise AssertionError

    def close(self) -> None:
        """Close the connections to the database."""
        self.storage.remove_session()
        self.storage.engine.dispose()

    def lock(self) -> contextlib.AbstractContextManager[Any]:
        """Return the file lock of a SQLite database; for databases with row locks, a context without effect."""
        return self.file_lock or contextlib.nullcontext()

    def enqueue_missing(self) -> None:
        """Queue all runs without a trial that counts; in a search, only the next one, and only if no run waits."""
        with self.lock():
            trials = self.trials_of_runs()
            missing = [name for name in trials if not any(counts(trial) for trial in last_attempt(trials[name]))]
            if self.plan.search is not None:
                a_run_waits = any(trial.state == TrialState.WAITING for own in trials.values() for trial in own)
                missing = missing[: 0 if a_run_waits else 1]
            for name in missing:
                self.enqueue(name, trials[name])

    def retry(self, all_failed: bool = False) -> None:
        """Queue runs again that failed for a transient reason, such as a full disk.

        Args:
            all_failed: Whether to queue all other failed runs too; these are trained from scratch.
        """
        with self.lock():
            for name, trials in self.trials_of_runs().items():
                failed = next((trial for trial in last_attempt(trials) if counts(trial)), None)
                if failed is not None and state_of(failed) is RunState.FAILED:
                    transient = TRANSIENT in failed.user_attrs
                    if transient or all_failed:
                        self.enqueue(name, trials, new_attempt=True, from_scratch=not transient)

    def enqueue(
        self, name: str, earlier: Sequence[FrozenTrial], new_attempt: bool = False, from_scratch: bool = False
    ) -> None:
        """Queue a run.

        Args:
            name: The name of the run.
            earlier: The earlier trials of the run; a search reuses the values that they drew.
            new_attempt: Whether to count a new attempt.
            from_scratch: Whether the new attempt begins in an empty folder.
        """
        run, last = self.runs[name], last_attempt(earlier)
        params: dict[str, Any] = {axis: variant.name for axis, variant in run.variants.items()}
        params["seed"] = run.seed
        if self.plan.search is not None:
            params = next((trial.params for trial in reversed(earlier) if trial.params), {})
        attempt = attempt_of(last[0]) + new_attempt if last else 0
        scratch_attempt = attempt if from_scratch else last[0].user_attrs.get(FROM_SCRATCH, 0) if last else 0
        attributes = {RUN_NAME: name, ATTEMPT: attempt, FROM_SCRATCH: scratch_attempt}
        self.study.enqueue_trial(params, user_attrs=attributes)

    def trials(self) -> list[FrozenTrial]:
        """Return the current state of all trials."""
        return self.study.get_trials(deepcopy=False)

    def trials_of_runs(self) -> dict[str, list[FrozenTrial]]:
        """Return the trials of each run in the order of their numbers, by the name of the run."""
        trials: dict[str, list[FrozenTrial]] = {name: [] for name in self.runs}
        for trial in self.trials():
            name = trial.user_attrs.get(RUN_NAME)
            if name in trials:
                trials[name].append(trial)
        return trials

    def do_next(self, do: Callable[[Trial, PlannedRun], float], catch: tuple[type[Exception], ...] = ()) -> None:
        """Do the next pending run; do nothing without a pending run.

        If another worker took this worker for dead meanwhile, the other worker has the run, and the result is dropped.

        Args:
            do: The function that does the run; its return value becomes the value of the trial.
            catch: Errors that make the run fail and are not raised.
        """
        lost = False
        with contextlib.ExitStack() as lock:

            def objective(trial: Trial) -> float:
                nonlocal lost
                run = self.claim(trial)
                lock.close()
                if run is None:
                    raise optuna.TrialPruned
                try:
                    return do(trial, run)
                finally:
                    lost = self.trials()[trial.number].state.is_finished()

            lock.enter_context(self.lock())
            try:
                self.study.optimize(objective, n_trials=1, catch=catch)
            except (ValueError, AssertionError):  # Optuna's errors for a trial that another worker has ended
                if not lost:
                    raise

    def claim(self, trial: Trial) -> PlannedRun | None:
        """Assign the run of a trial to this worker.

        Args:
            trial: A trial that Optuna has just handed out.

        Returns:
            The run, in a search with its drawn values; None if the trial has no run, or another trial counts.
        """
        run = self.runs.get(str(trial.user_attrs.get(RUN_NAME)))
        if run is None:
            return None
        for other in self.trials_of_runs()[run.name]:
            newer = attempt_of(other) - trial.user_attrs.get(ATTEMPT, 0)
            if newer > 0 or (newer == 0 and other.number < trial.number and counts(other)):
                return None
        trial.set_user_attr(WORKER, own_id())
        if self.plan.search is not None:
            number = 1 + [*self.runs].index(run.name)
            self.study.sampler = sampler_of(self.plan.search, run.seed, number)
            values = draw(self.plan, trial)
            trial.set_user_attr(DRAWN, values)
            return self.plan.with_values(run, values)
        with contextlib.suppress(ValueError):  # the axis has got more values; the attribute names the run
            for axis, variants in self.plan.axes.items():
                trial.suggest_categorical(axis, tuple(variant.name for variant in variants))
            trial.suggest_categorical("seed", self.plan.seeds)
        return run

    def release_dead(self) -> None:
        """Fail the trials of dead workers: at once on this machine, after GRACE seconds on other machines."""
        with self.lock():
            for trial in self.trials():
                if trial.state == TrialState.RUNNING and self.is_lost(trial):
                    with contextlib.suppress(ValueError, RuntimeError):  # another worker was faster
                        self.study.tell(trial.number, state=TrialState.FAIL)
        optuna.storages.fail_stale_trials(self.study)

    def is_lost(self, trial: FrozenTrial) -> bool:
        """Return whether the worker of a running trial is dead. The caller must hold the lock.

        A worker holds the file lock until it has claimed its trial, so an unclaimed trial belongs to a dead worker.
        Without a file lock, an unclaimed trial is lost after the grace period.
        """
        if WORKER in trial.user_attrs:
            return is_dead(str(trial.user_attrs[WORKER]))
        now = time.monotonic()
        silent = now - self.unclaimed.setdefault(trial.number, now)
        return self.file_lock is not None or silent > self.timing.grace

    def states(self) -> dict[str, RunState]:
        """Return the state of each run, by the name of the run."""
        states = {}
        for name, trials in self.trials_of_runs().items():
            trial_states = (state_of(trial) for trial in last_attempt(trials))
            begun = (state for state in trial_states if state not in (None, RunState.PENDING))
            states[name] = next(begun, None) or RunState.PENDING
        return states

    def results(self) -> dict[str, Mapping[str, Any]]:
        """Return the trial attributes of each run that is done or failed, by the name of the run."""
        results: dict[str, Mapping[str, Any]] = {}
        for name, trials in self.trials_of_runs().items():
            ended = [trial for trial in last_attempt(trials) if state_of(trial) in (RunState.DONE, RunState.FAILED)]
            results.update((name, trial.user_attrs) for trial in islice(ended, 1))
        return results


def attempt_of(trial: FrozenTrial) -> int:
    """Return the number of the attempt to which a trial belongs, counted from 0."""
    return int(trial.user_attrs.get(ATTEMPT, 0))


def last_attempt(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """Return the trials of a run's last attempt."""
    last = max(map(attempt_of, trials), default=0)
    return [trial for trial in trials if attempt_of(trial) == last]


def state_of(trial: FrozenTrial) -> RunState | None:
    """Return the state of a trial's run; None for a trial that was skipped or whose worker died."""
    if trial.state == TrialState.COMPLETE:
        return RunState.DONE
    if trial.state in (TrialState.FAIL, TrialState.PRUNED):
        return RunState.FAILED if REASON in trial.user_attrs else None
    return RunState.RUNNING if trial.state == TrialState.RUNNING else RunState.PENDING


def counts(trial: FrozenTrial) -> bool:
    """Return whether a trial represents its run: it is pending, running, done, or failed with a reason."""
    return state_of(trial) is not None


def unfinished(states: Iterable[RunState]) -> int:
    """Return the number of runs that are neither done nor failed."""
    return sum(state in (RunState.RUNNING, RunState.PENDING) for state in states)
