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
"""Attributes of a trial: the name of its run, its result, why it failed, and whether a retry may succeed."""

ATTEMPT, FROM_SCRATCH, DRAWN = "attempt", "anew", "drawn"
"""More attributes: the number of the attempt, the last attempt that began in an empty folder, and a search's values."""

ATTEMPTS = 3
"""Attempts to open a database that another worker may be creating."""

DRIVER = "its driver is not installed; PostgreSQL's comes with pip install 'rnn-tasks[postgresql]'"


@dataclass(frozen=True)
class Timing:
    """The times of workers that share a study, in seconds.

    Attributes:
        poll: Between two looks at the runs of other workers.
        heartbeat: Between two heartbeats of a worker, ``>= 1``.
        grace: Without a heartbeat, after which a worker of another machine counts as dead.
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
    PENDING = "to come"


class RunQueue:
    """The runs of a study, each done once, however many workers there are and however often they are killed.

    Each run is queued as a trial by the first worker that comes. If several workers queue a run, only its first trial
    counts. Runs of dead workers are queued again. Runs that failed for a reason are queued again only by
    :meth:`retry`, as a new attempt. The runs of a search are queued one at a time, so that each is drawn with all
    earlier results.

    Args:
        plan: The study.
        url: The URL of the database, in the form of SQLAlchemy.
        timing: The times of its workers.

    Raises:
        UsageError: The database cannot be opened, or its study is another one of the same name.
    """

    def __init__(self, plan: Plan, url: str, timing: Timing = TIMING) -> None:
        self.plan, self.timing = plan, timing
        self.runs = {run.name: run for run in plan.runs()}
        # SQLite cannot lock a row: without a lock, Optuna may give one trial to two workers that ask at the same time.
        database = url.partition(":///")[2] if url.startswith("sqlite:") else ""
        folder = Path(database).parent
        require(folder.is_dir(), f"the storage {url} cannot be opened: there is no folder {folder}")
        self.database = Path(database) if database else None
        self.file_lock = FileLock(f"{database}.lock") if database else None
        self.unclaimed: dict[int, float] = {}
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        warnings.filterwarnings("ignore", category=ExperimentalWarning)  # heartbeats are experimental
        self.study = self._open(plan.name, url)

    def _open(self, name: str, url: str) -> optuna.Study:
        """Open the study, and create it and its database if needed."""
        for attempt in range(ATTEMPTS):
            try:
                with self.lock():
                    if self.database and not self.database.exists():
                        create_sqlite(self.database)
                    heartbeat, grace = self.timing.heartbeat, self.timing.grace
                    self.storage = Storage(url, heartbeat_interval=heartbeat, grace_period=grace)
                    return optuna.create_study(storage=self.storage, study_name=name, load_if_exists=True)
            except Exception as error:  # each database has its own errors, some when two workers create its tables
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
        """Return the lock that only one worker holds at a time; it does nothing for databases that lock rows."""
        return self.file_lock or contextlib.nullcontext()

    def enqueue_missing(self) -> None:
        """Queue the runs without a trial that counts; of a search the next one, unless a run waits."""
        with self.lock():
            trials = self.trials_of_runs()
            missing = [name for name, of in trials.items() if not any(counts(trial) for trial in last_attempt(of))]
            if self.plan.search is not None:
                waits = any(trial.state == TrialState.WAITING for of in trials.values() for trial in of)
                missing = missing[: 0 if waits else 1]
            for name in missing:
                self.enqueue(name, trials[name])

    def retry(self, all_failed: bool = False) -> None:
        """Queue failed runs again whose failure was transient, such as a full disk.

        Args:
            all_failed: Whether to queue the other failed runs too, to be trained from scratch.
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
            earlier: Its trials so far, from which a search takes the values that it drew.
            new_attempt: Whether to count a new attempt.
            from_scratch: Whether this attempt begins in an empty folder.
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
        """Return all trials as they are now."""
        return self.study.get_trials(deepcopy=False)

    def trials_of_runs(self) -> dict[str, list[FrozenTrial]]:
        """Return the trials of each run, by its name, in their order."""
        trials: dict[str, list[FrozenTrial]] = {name: [] for name in self.runs}
        for trial in self.trials():
            name = trial.user_attrs.get(RUN_NAME)
            if name in trials:
                trials[name].append(trial)
        return trials

    def do_next(self, do: Callable[[Trial, PlannedRun], float], catch: tuple[type[Exception], ...] = ()) -> None:
        """Take a pending run and do it; do nothing if no run is pending.

        If this worker was taken for dead meanwhile, the run belongs to another worker, and the result is dropped.

        Args:
            do: The function that does the run; the trial takes the value that it returns.
            catch: Errors that fail the run and are not raised.
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
            The run, of a search with its values; None if the trial has no run, or another trial counts for it.
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
        with contextlib.suppress(ValueError):  # an axis has more values since; the attribute alone names the run
            for axis, variants in self.plan.axes.items():
                trial.suggest_categorical(axis, tuple(variant.name for variant in variants))
            trial.suggest_categorical("seed", self.plan.seeds)
        return run

    def release_dead(self) -> None:
        """Fail the trials of dead workers: those of this machine at once, those of others after a long silence."""
        with self.lock():
            for trial in self.trials():
                if trial.state == TrialState.RUNNING and self.is_lost(trial):
                    with contextlib.suppress(ValueError, RuntimeError):  # another worker was faster
                        self.study.tell(trial.number, state=TrialState.FAIL)
        optuna.storages.fail_stale_trials(self.study)

    def is_lost(self, trial: FrozenTrial) -> bool:
        """Return whether no worker does a running trial; the caller holds the lock.

        An unclaimed trial belongs to a dead worker if there is a lock, since a claiming worker holds it. Without a
        lock, an unclaimed trial is lost after the grace period.
        """
        if WORKER in trial.user_attrs:
            return is_dead(str(trial.user_attrs[WORKER]))
        now = time.monotonic()
        silent = now - self.unclaimed.setdefault(trial.number, now)
        return self.file_lock is not None or silent > self.timing.grace

    def states(self) -> dict[str, RunState]:
        """Return the state of each run, by its name."""
        states = {}
        for name, trials in self.trials_of_runs().items():
            of_trials = (state_of(trial) for trial in last_attempt(trials))
            begun = (state for state in of_trials if state not in (None, RunState.PENDING))
            states[name] = next(begun, None) or RunState.PENDING
        return states

    def results(self) -> dict[str, Mapping[str, Any]]:
        """Return the attributes of the trials of runs that are done or have failed, by the name of the run."""
        results: dict[str, Mapping[str, Any]] = {}
        for name, trials in self.trials_of_runs().items():
            ended = [trial for trial in last_attempt(trials) if state_of(trial) in (RunState.DONE, RunState.FAILED)]
            results.update((name, trial.user_attrs) for trial in islice(ended, 1))
        return results


def attempt_of(trial: FrozenTrial) -> int:
    """Return the number of the attempt that a trial belongs to, from 0."""
    return int(trial.user_attrs.get(ATTEMPT, 0))


def last_attempt(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """Return the trials of a run's last attempt."""
    last = max(map(attempt_of, trials), default=0)
    return [trial for trial in trials if attempt_of(trial) == last]


def state_of(trial: FrozenTrial) -> RunState | None:
    """Return the state of a trial's run; None for a trial that was passed over, or whose worker died."""
    if trial.state == TrialState.COMPLETE:
        return RunState.DONE
    if trial.state in (TrialState.FAIL, TrialState.PRUNED):
        return RunState.FAILED if REASON in trial.user_attrs else None
    return RunState.RUNNING if trial.state == TrialState.RUNNING else RunState.PENDING


def counts(trial: FrozenTrial) -> bool:
    """Return whether a trial stands for its run: pending, running, done, or failed for a reason."""
    return state_of(trial) is not None


def unfinished(states: Iterable[RunState]) -> int:
    """Return the number of runs that are neither done nor failed."""
    return sum(state in (RunState.RUNNING, RunState.PENDING) for state in states)
