"""The queue of a study's runs: an Optuna study in a database that several workers share."""

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import optuna
from filelock import FileLock
from optuna.exceptions import StorageInternalError, UpdateFinishedTrialError
from optuna.trial import FrozenTrial, Trial, TrialState
from sqlalchemy.exc import DBAPIError

from rnn_tasks.errors import UsageError, require
from rnn_tasks.printable import printable
from rnn_tasks.studies.plan import Plan, PlannedRun
from rnn_tasks.studies.rows import (
    ATTEMPT,
    DRAWN,
    FROM_SCRATCH,
    HEARTBEAT,
    REASON,
    RESULT,
    RUN_NAME,
    SETTINGS,
    TRANSIENT,
    WORKER,
    attempt_of,
    damage_of,
    drawn_of,
    readable,
    run_name_of,
    settings_in,
)
from rnn_tasks.studies.search import draw, sampler_of
from rnn_tasks.studies.settings import differences, settings_of
from rnn_tasks.studies.storage import create_sqlite, first_line, is_temporary, open_storage, without_password
from rnn_tasks.studies.tuning import best_of
from rnn_tasks.studies.worker_id import is_alive_here, is_dead, own_id

T = TypeVar("T")


@dataclass(frozen=True)
class Timing:
    """Intervals of the workers of a study, in seconds.

    Attributes:
        poll: Time between two checks of the runs of other workers.
        heartbeat: Time between two heartbeats of a worker.
        grace: Time without a heartbeat after which a worker of another machine counts as dead; a worker whose process
            still exists on this machine counts as dead after ten times as long.
        patience: Time during which an operation is tried again while the database does not answer.
        first_pause: Time before an operation is tried again first; each further pause is twice as long.
        longest_pause: The longest such pause.
        saving: Time that a run has for saving its state after the study was interrupted; then the run is killed.
    """

    poll: float = 1.0
    heartbeat: float = 10
    grace: float = 60
    patience: float = 300
    first_pause: float = 0.5
    longest_pause: float = 30
    saving: float = 30


TIMING = Timing()

AHEAD = 50
"""The number of runs that wait in the queue: whoever reads the database reads all of them."""

OPENING = 1.0
"""Seconds during which opening a database is tried again, since another worker may be creating its tables."""


class RunState(Enum):
    """The state of a run of a study."""

    DONE = "done"
    FAILED = "failed"
    RUNNING = "running"
    PENDING = "pending"


@dataclass(frozen=True)
class Silence:
    """What a queue has seen of the heartbeats of a worker.

    Attributes:
        heartbeat: The last heartbeat that was seen.
        seconds: For how long the heartbeat has not changed.
        seen_at: When the queue last looked, on its own monotonic clock.
    """

    heartbeat: Any
    seconds: float
    seen_at: float


class RunQueue:
    """The queue of a study's runs. Each run is done once, even with several workers, some of which are killed.

    The workers queue a trial for each of the next runs. If several workers queue the same run, only its first trial
    counts. Runs of dead workers are queued again. Failed runs are queued again only by :meth:`retry`, as a new attempt.
    The runs of a search are queued one at a time, so that the values of each are drawn with all earlier results.

    While a database server does not answer, each operation is tried again, with growing pauses.

    Args:
        plan: The study.
        url: The URL of the database, in the form of SQLAlchemy.
        timing: The times of its workers.
        stop: Set to give up waiting for the database.
        opening: Seconds during which opening the database is tried again.

    Raises:
        UsageError: The database cannot be opened.
    """

    def __init__(
        self,
        plan: Plan,
        url: str,
        timing: Timing = TIMING,
        stop: threading.Event | None = None,
        opening: float = OPENING,
    ) -> None:
        self.plan, self.url, self.timing, self.stop = plan, url, timing, stop or threading.Event()
        self.runs = {run.name: run for run in plan.runs()}
        # SQLite has no row locks: without a file lock, Optuna may give the same trial to two workers.
        database = url.partition(":///")[2] if url.startswith("sqlite:") else ""
        folder = Path(database).parent
        require(folder.is_dir(), f"the storage {url} cannot be opened: there is no folder {folder}")
        self.database = Path(database) if database else None
        self.file_lock = FileLock(f"{database}.lock") if database else None
        self.silences: dict[int, Silence] = {}
        self.damages: dict[int, str] = {}
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.study = self._open(plan.name, opening)

    def _open(self, name: str, seconds: float) -> optuna.Study:
        """Open the study; create the study and its database if they do not exist."""
        deadline, pause = time.monotonic() + seconds, self.timing.first_pause
        while True:
            try:
                with self.lock():
                    if self.database and not self.database.exists():
                        create_sqlite(self.database)
                    self.storage = open_storage(self.url)
                    return optuna.create_study(storage=self.storage, study_name=name, load_if_exists=True)
            except Exception as error:  # each database has errors of its own, some when two workers create the tables
                hopeless = isinstance(error, OSError | ImportError) or time.monotonic() + pause > deadline
                if hopeless or self.stop.wait(pause):
                    text = f"the storage {without_password(self.url)} cannot be opened: {first_line(error)}"
                    raise UsageError(text) from error
                pause = min(2 * pause, self.timing.longest_pause)

    def patiently(self, operation: Callable[[], T]) -> T:
        """Return the result of an operation on the database; try again for some minutes if its server is away.

        Args:
            operation: A function that may be called several times.

        Raises:
            StorageInternalError: The database failed for another reason, or for too long.
        """
        deadline, pause = time.monotonic() + self.timing.patience, self.timing.first_pause
        told = False
        while True:
            try:
                return operation()
            except (StorageInternalError, DBAPIError) as error:
                hopeless = not is_temporary(error, self.url) or time.monotonic() + pause > deadline
                if hopeless or self.stop.is_set():
                    raise
                if not told:
                    text = f"the storage {without_password(self.url)} does not answer: {first_line(error)}"
                    text += f"; trying again for up to {self.timing.patience:g} seconds"
                    print(printable(text), file=sys.stderr, flush=True)
                told = True
            self.stop.wait(pause)
            pause = min(2 * pause, self.timing.longest_pause)

    def close(self) -> None:
        """Close the connections to the database."""
        self.storage.remove_session()
        self.storage.engine.dispose()

    def lock(self) -> contextlib.AbstractContextManager[Any]:
        """Return the file lock of a SQLite database; for databases with row locks, a context without effect."""
        return self.file_lock or contextlib.nullcontext()

    def enqueue_missing(self) -> None:
        """Queue runs without a trial that counts, until ``AHEAD`` runs wait; in a search, until one run waits."""
        with self.lock():
            trials = self.trials_of_runs()
            missing = [name for name in trials if not any(counts(trial) for trial in last_attempt(trials[name]))]
            choices = self.choices()
            if self.plan.tuning is not None:
                missing = [name for name in missing if self.plan.is_trial(self.runs[name]) or name in choices]
            waiting = sum(trial.state == TrialState.WAITING for own in trials.values() for trial in own)
            ahead = AHEAD if self.plan.search is None else 1
            for name in missing[: max(0, ahead - waiting)]:
                self.enqueue(name, trials[name], choices.get(name, {}))

    def choices(self) -> dict[str, dict[str, str]]:
        """Return the best variant of the tuned axis for each run whose trials have ended, by the name of the run.

        Returns:
            The names of the runs, each with the name of the axis and the name of the variant; empty if the study tunes
            no axis.
        """
        if self.plan.tuning is None:
            return {}
        axis, states, results = self.plan.tuning.axis, self.states(), self.results()
        choices = {}
        for name, run in self.runs.items():
            trials = self.plan.trials_of(run)
            if trials and all(states[trial.name] in (RunState.DONE, RunState.FAILED) for trial in trials):
                tried = {trial.variants[axis].name: results.get(trial.name, {}).get(RESULT, {}) for trial in trials}
                choices[name] = {axis: best_of(tried)}
        return choices

    def retry(self, all_failed: bool = False) -> None:
        """Queue runs again that failed for a transient reason, such as a full disk.

        Args:
            all_failed: Whether to queue all other failed runs too; these are trained from scratch.
        """
        with self.lock():
            for name, trials in self.trials_of_runs().items():
                failed = next((trial for trial in last_attempt(trials) if counts(trial)), None)
                if failed is not None and self.state_of_valid(failed) is RunState.FAILED:
                    transient = TRANSIENT in failed.user_attrs
                    if transient or all_failed:
                        drawn = drawn_of(failed.user_attrs)
                        self.enqueue(name, trials, drawn, new_attempt=True, from_scratch=not transient)

    def enqueue(
        self,
        name: str,
        earlier: Sequence[FrozenTrial],
        chosen: Mapping[str, str],
        new_attempt: bool = False,
        from_scratch: bool = False,
    ) -> None:
        """Queue a run.

        Args:
            name: The name of the run.
            earlier: The earlier trials of the run; a search reuses the values that they drew.
            chosen: The name of the best variant of the tuned axis, by the name of the axis; empty for other runs.
            new_attempt: Whether to count a new attempt.
            from_scratch: Whether the new attempt begins in an empty folder.
        """
        run, last = self.plan.with_values(self.runs[name], chosen), last_attempt(earlier)
        params: dict[str, Any] = {axis: variant.name for axis, variant in run.variants.items()}
        params["seed"] = run.seed
        if self.plan.search is not None:
            params = next((trial.params for trial in reversed(earlier) if trial.params), {})
        latest = last[0].user_attrs if last else {}
        attempt = attempt_of(latest) + new_attempt
        scratch_attempt = attempt if from_scratch else attempt_of(latest, FROM_SCRATCH)
        attributes = {RUN_NAME: name, ATTEMPT: attempt, FROM_SCRATCH: scratch_attempt}
        attributes |= {DRAWN: dict(chosen)} if self.plan.tuning is not None else {}
        self.patiently(lambda: self.study.enqueue_trial(params, user_attrs=attributes))

    def trials(self) -> list[FrozenTrial]:
        """Return the current state of all trials.

        Raises:
            UsageError: The database is damaged.
        """
        try:
            return self.patiently(lambda: self.study.get_trials(deepcopy=False))
        except (ValueError, LookupError, TypeError, AttributeError, AssertionError) as error:
            text = f"the storage {without_password(self.url)} is damaged: {first_line(error)}"
            raise UsageError(f"{text}; restore a copy, or move the database and the run folders away") from error

    def trials_of_runs(self) -> dict[str, list[FrozenTrial]]:
        """Return the trials of each run in the order of their numbers, by the name of the run."""
        trials: dict[str, list[FrozenTrial]] = {name: [] for name in self.runs}
        for trial in self.trials():
            name = run_name_of(trial.user_attrs)
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
        with self.lock():
            trial = self.patiently(self.study.ask)
            try:
                run = self.patiently(lambda: self.claim(trial))
            except UsageError:
                self.tell(trial.number, TrialState.FAIL)
                raise
        state, value, problem = TrialState.PRUNED, None, None
        try:
            if run is not None:
                with self.heartbeats(trial):
                    value = do(trial, run)
                state = TrialState.COMPLETE
        except UpdateFinishedTrialError:  # another worker took this worker for dead
            return
        except optuna.TrialPruned:
            pass
        except StorageInternalError:
            with contextlib.suppress(StorageInternalError):  # one try: the database has failed for long, or is full
                self.study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)
            raise
        except BaseException as error:
            state, problem = TrialState.FAIL, error
        self.tell(trial.number, state, value)
        if problem is not None and not isinstance(problem, catch):
            raise problem

    def tell(self, number: int, state: TrialState, value: float | None = None) -> None:
        """End a trial, unless another worker has ended the trial.

        Args:
            number: The number of the trial.
            state: Its new state.
            value: Its value; None unless the state is COMPLETE.
        """
        with contextlib.suppress(UpdateFinishedTrialError):
            self.patiently(lambda: self.study.tell(number, value, state, skip_if_finished=True))

    @contextlib.contextmanager
    def heartbeats(self, trial: Trial) -> Iterator[None]:
        """Count up an attribute of a trial at regular intervals, so that other workers see that this worker is alive.

        Args:
            trial: The trial of a run.
        """
        ended = threading.Event()

        def beat() -> None:
            number = 0
            while not ended.wait(self.timing.heartbeat):
                number += 1
                # The database may be away, or another worker may have ended the trial: the worker itself notices.
                with contextlib.suppress(StorageInternalError, DBAPIError, UpdateFinishedTrialError, LookupError):
                    trial.set_user_attr(HEARTBEAT, number)

        thread = threading.Thread(target=beat, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def claim(self, trial: Trial) -> PlannedRun | None:
        """Assign the run of a trial to this worker.

        Args:
            trial: A trial that Optuna has just handed out.

        Returns:
            The run, in a search with its drawn values; None if the trial has no run, or another trial counts.
        """
        run = self.runs.get(run_name_of(trial.user_attrs))
        if run is None:
            return None
        for other in self.trials_of_runs()[run.name]:
            newer = attempt_of(other.user_attrs) - attempt_of(trial.user_attrs)
            if newer > 0 or (newer == 0 and other.number < trial.number and counts(other)):
                return None
        trial.set_user_attr(WORKER, own_id())
        if self.plan.search is not None:
            number = 1 + [*self.runs].index(run.name)
            self.study.sampler = sampler_of(self.plan.search, run.seed, number)
            values = draw(self.plan, trial)
            trial.set_user_attr(DRAWN, values)
            run = self.plan.with_values(run, values)
        elif self.plan.tuning is not None:
            run = self.plan.with_values(run, drawn_of(trial.user_attrs))
        trial.set_user_attr(SETTINGS, settings_of(self.plan, run))
        if self.plan.search is not None:
            return run
        with contextlib.suppress(ValueError):  # the axis has got more values; the attribute names the run
            for axis, variants in self.plan.axes.items():
                trial.suggest_categorical(axis, tuple(variant.name for variant in variants))
            trial.suggest_categorical("seed", self.plan.seeds)
        return run

    def release_dead(self) -> None:
        """Fail the trials of dead workers, so that their runs can be queued again."""
        with self.lock():
            for trial in self.trials():
                if trial.state == TrialState.RUNNING and self.is_lost(trial):
                    self.tell(trial.number, TrialState.FAIL)

    def is_lost(self, trial: FrozenTrial) -> bool:
        """Return whether the worker of a running trial is dead. The caller must hold the lock.

        The end of a process on this machine is noticed at once. A worker of another machine is dead if its heartbeat
        has not changed for the grace period.

        A worker holds the file lock until it has claimed its trial, so an unclaimed trial belongs to a dead worker.
        Without a file lock, an unclaimed trial is lost after the grace period.
        """
        silence = self.silence_of(trial)
        if WORKER not in trial.user_attrs:
            return self.file_lock is not None or silence > self.timing.grace
        worker = str(trial.user_attrs[WORKER])
        return is_dead(worker) or silence > self.timing.grace * (10 if is_alive_here(worker) else 1)

    def silence_of(self, trial: FrozenTrial) -> float:
        """Return for how many seconds this queue has seen no new heartbeat of a running trial.

        The seconds are those of this queue's monotonic clock, so the clocks of two machines are never compared. The
        time between two looks counts as at most one interval of heartbeats: the database may have been away meanwhile.
        """
        now, heartbeat = time.monotonic(), trial.user_attrs.get(HEARTBEAT)
        last = self.silences.get(trial.number)
        seconds = 0.0
        if last is not None and last.heartbeat == heartbeat:
            seconds = last.seconds + min(now - last.seen_at, self.timing.heartbeat)
        self.silences[trial.number] = Silence(heartbeat, seconds, now)
        return seconds

    def changed(self) -> dict[str, list[str]]:
        """Return the names of the settings that were different when a run was begun, by the name of the run.

        Runs without a difference are missing, and so are runs of version 0.1.0, whose settings are not in the database,
        and runs that a worker is training at the moment.
        """
        changed, choices = {}, self.choices()
        for name, trials in self.trials_of_runs().items():
            last = last_attempt(trials)
            names: set[str] = set()
            for trial in last:
                old = settings_in(trial.user_attrs)
                if old is not None:
                    run = self.plan.with_values(self.runs[name], choices.get(name) or drawn_of(trial.user_attrs))
                    names |= {*differences(old, settings_of(self.plan, run))}
            if names and all(trial.state != TrialState.RUNNING for trial in last):
                changed[name] = sorted(names)
        return changed

    def redo_changed(self) -> dict[str, list[str]]:
        """Queue the runs again whose settings have changed, as new attempts from scratch.

        A run waits while the trials are done again that choose the variant of its tuned axis.

        Returns:
            The names of the settings that have changed, by the name of the run.
        """
        with self.lock():
            changed, trials, choices = self.changed(), self.trials_of_runs(), self.choices()
            for name in list(changed):
                if any(trial.name in changed for trial in self.plan.trials_of(self.runs[name])):
                    del changed[name]
            for name in changed:
                drawn = choices.get(name) or drawn_of(trials[name][-1].user_attrs)
                self.enqueue(name, trials[name], drawn, new_attempt=True, from_scratch=True)
        return changed

    def states(self) -> dict[str, RunState]:
        """Return the state of each run, by the name of the run; a run with a damaged result has failed."""
        states = {}
        for name, trials in self.trials_of_runs().items():
            trial_states = (self.state_of_valid(trial) for trial in last_attempt(trials))
            begun = (state for state in trial_states if state not in (None, RunState.PENDING))
            states[name] = next(begun, None) or RunState.PENDING
        return states

    def state_of_valid(self, trial: FrozenTrial) -> RunState | None:
        """Return the state of a trial's run; a damaged result counts as a failure."""
        state = state_of(trial)
        if state is RunState.DONE and trial.number not in self.damages:
            self.damages[trial.number] = damage_of(trial.user_attrs[RESULT]) if RESULT in trial.user_attrs else ""
        return RunState.FAILED if state is RunState.DONE and self.damages[trial.number] else state

    def results(self) -> dict[str, Mapping[str, Any]]:
        """Return the result, reason and drawn values of each run that is done or failed, by the name of the run."""
        results: dict[str, Mapping[str, Any]] = {}
        for name, trials in self.trials_of_runs().items():
            ended = [trial for trial in last_attempt(trials) if state_of(trial) in (RunState.DONE, RunState.FAILED)]
            results.update((name, readable(trial.user_attrs)) for trial in islice(ended, 1))
        return results


def last_attempt(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """Return the trials of a run's last attempt."""
    last = max((attempt_of(trial.user_attrs) for trial in trials), default=0)
    return [trial for trial in trials if attempt_of(trial.user_attrs) == last]


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
