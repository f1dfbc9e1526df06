"""Who does which run, and what came of it: an Optuna study in a database that several workers share."""

import contextlib
import errno
import os
import re
import socket
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import Enum
from itertools import islice
from pathlib import Path
from typing import Any

import optuna
from filelock import FileLock
from optuna.exceptions import ExperimentalWarning, StorageInternalError
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, Trial, TrialState

from rnn_tasks.errors import UsageError, require
from rnn_tasks.studies.plan import Cell, Plan
from rnn_tasks.studies.search import draw, sampler_of

CELL, WORKER, RESULT, REASON = "cell", "worker", "result", "reason"
"""Attributes of a trial: the run's name, who does it, what came of it, and why nothing did."""

PASSING, ATTEMPT, ANEW, DRAWN = "passing", "attempt", "anew", "drawn"
"""More of them: that the reason lay not with the run, which time it is that the run is tried, the attempt that began
in an empty folder, and the values that a search drew."""

HEARTBEAT, GRACE = 10, 60
"""Seconds between two signs of life, and without one after which a worker of another machine is taken for dead."""

ATTEMPTS = 3
"""To open a database that another worker may be making."""

DRIVER = "its driver is not installed; PostgreSQL's comes with pip install 'rnn-tasks[postgresql]'"

NO_ROOM = re.compile("is full|no space|quota|file too large|disk i/o", re.IGNORECASE)
"""What systems and databases say where nothing more can be written."""


class State(Enum):
    """What has become of a run."""

    DONE = "done"
    FAILED = "failed"
    RUNNING = "running"
    TO_COME = "to come"


class Storage(RDBStorage):
    """A database in which a worker of this machine is never taken for dead while it lives, however long it slept."""

    def record_heartbeat(self, trial_id: int) -> None:
        with contextlib.suppress(StorageInternalError):  # there is a next time
            super().record_heartbeat(trial_id)

    def _get_stale_trial_ids(self, study_id: int) -> list[int]:
        stale = super()._get_stale_trial_ids(study_id)
        return [number for number in stale if not lives_here(str(self.get_trial_user_attrs(number).get(WORKER, "")))]


@contextlib.contextmanager
def told_in_one_line(address: str) -> Iterator[None]:
    """Make what a database complains of a line for its user.

    Args:
        address: Of the database.

    Raises:
        OSError: There is no room for what was to be written.
        UsageError: Anything else.
    """
    try:
        yield
    except StorageInternalError as error:
        text = complaint(error)
        if NO_ROOM.search(text):
            raise OSError(errno.ENOSPC, text, shown(address)) from error
        raise UsageError(f"the storage {shown(address)} failed: {text}; the same command goes on from here") from error


class Ledger:
    """The runs of a study, each done once, however many workers there are and however often they are killed.

    A run is a trial. All are enqueued by whoever comes first; where several enqueue one, all but the first of them are
    passed over. A trial whose worker has died is failed without a reason and enqueued again; one that has failed with a
    reason is not, unless it is asked for: that is a new attempt. The runs of a search are enqueued one at a time,
    so that each is drawn when the most is known.

    Args:
        plan: The study.
        address: Address of the database, as SQLAlchemy knows it.

    Raises:
        UsageError: The database cannot be opened, or its study is another one of the same name.
    """

    def __init__(self, plan: Plan, address: str) -> None:
        self.plan = plan
        self.cells = {cell.name: cell for cell in plan.cells()}
        # SQLite cannot lock a row, so that Optuna may give one trial to two workers that ask for one at once.
        database = address.partition(":///")[2] if address.startswith("sqlite:") else ""
        folder = Path(database).parent
        require(folder.is_dir(), f"the storage {address} cannot be opened: there is no folder {folder}")
        self.database = Path(database) if database else None
        self.lock = FileLock(f"{database}.lock") if database else None
        self.unclaimed: dict[int, float] = {}
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        warnings.filterwarnings("ignore", category=ExperimentalWarning)  # heartbeats are that, and documented
        self.study = self._open(plan.name, address)

    def _open(self, name: str, address: str) -> optuna.Study:
        """The study in its database; whoever comes first makes both."""
        for attempt in range(ATTEMPTS):
            try:
                with self.turn():
                    if self.database and not self.database.exists():
                        make_whole(self.database)
                    self.storage = Storage(address, heartbeat_interval=HEARTBEAT, grace_period=GRACE)
                    return optuna.create_study(storage=self.storage, study_name=name, load_if_exists=True)
            except Exception as error:  # each database has errors of its own, some when two make its tables at once
                if attempt == ATTEMPTS - 1 or isinstance(error, OSError | ImportError):
                    text = DRIVER if isinstance(error, ImportError) else complaint(error)
                    raise UsageError(f"the storage {shown(address)} cannot be opened: {text}") from error
                time.sleep(0.5)
        raise AssertionError

    def close(self) -> None:
        """Close the connections to the database; it is opened again if need be."""
        self.storage.remove_session()
        self.storage.engine.dispose()

    def turn(self) -> contextlib.AbstractContextManager[Any]:
        """What only one worker at a time may hold, where the database cannot see to that itself."""
        return self.lock or contextlib.nullcontext()

    def enqueue_missing(self) -> None:
        """Enqueue the runs that nobody has done, does or is to do; of a search the next one, if none waits."""
        with self.turn():
            trials = self.trials_of_runs()
            missing = [name for name, of in trials.items() if not any(counts(trial) for trial in last_attempt(of))]
            if self.plan.search is not None:
                waits = any(trial.state == TrialState.WAITING for of in trials.values() for trial in of)
                missing = missing[: 0 if waits else 1]
            for name in missing:
                self.enqueue(name, trials[name])

    def retry(self, all_of_them: bool = False) -> None:
        """Enqueue runs again that failed for a reason that may have passed, such as a full disk.

        Args:
            all_of_them: Whether to enqueue those too that failed for one of their own, to be done from the beginning.
        """
        with self.turn():
            for name, trials in self.trials_of_runs().items():
                failed = next((trial for trial in last_attempt(trials) if counts(trial)), None)
                if failed is not None and state_of(failed) is State.FAILED:
                    passing = PASSING in failed.user_attrs
                    if passing or all_of_them:
                        self.enqueue(name, trials, again=True, anew=not passing)

    def enqueue(self, name: str, before: Sequence[FrozenTrial], again: bool = False, anew: bool = False) -> None:
        """Enqueue a run.

        Args:
            name: Of the run.
            before: The trials that stood for it so far, from which a search takes the values that it drew.
            again: Whether it is a new attempt.
            anew: Whether that begins in an empty folder.
        """
        cell, last = self.cells[name], last_attempt(before)
        params: dict[str, Any] = {axis: variant.name for axis, variant in cell.variants.items()}
        params["seed"] = cell.seed
        if self.plan.search is not None:
            params = next((trial.params for trial in reversed(before) if trial.params), {})
        attempt = attempt_of(last[0]) + again if last else 0
        began = attempt if anew else last[0].user_attrs.get(ANEW, 0) if last else 0
        self.study.enqueue_trial(params, user_attrs={CELL: name, ATTEMPT: attempt, ANEW: began})

    def trials(self) -> list[FrozenTrial]:
        """All trials as they are now."""
        return self.study.get_trials(deepcopy=False)

    def trials_of_runs(self) -> dict[str, list[FrozenTrial]]:
        """The trials that stand or stood for each run, in their order."""
        found: dict[str, list[FrozenTrial]] = {name: [] for name in self.cells}
        for trial in self.trials():
            name = trial.user_attrs.get(CELL)
            if name in found:
                found[name].append(trial)
        return found

    def do_next(self, do: Callable[[Trial, Cell], float], catch: tuple[type[Exception], ...] = ()) -> None:
        """Take a run that is to be done, and do it; nothing happens where there is none left.

        Where this worker was taken for dead meanwhile, the run is another's, and what came of it is not noted.

        Args:
            do: Does it; the trial takes what it returns as its value.
            catch: Errors that fail the run, and nothing else.
        """
        lost = False
        with contextlib.ExitStack() as turn:

            def objective(trial: Trial) -> float:
                nonlocal lost
                cell = self.claim(trial)
                turn.close()
                if cell is None:
                    raise optuna.TrialPruned
                try:
                    return do(trial, cell)
                finally:
                    lost = self.trials()[trial.number].state.is_finished()

            turn.enter_context(self.turn())
            try:
                self.study.optimize(objective, n_trials=1, catch=catch)
            except (ValueError, AssertionError):  # so Optuna complains of a trial that somebody else has ended
                if not lost:
                    raise

    def claim(self, trial: Trial) -> Cell | None:
        """The run that a trial stands for, now this worker's; None if it is none, or another trial's.

        Args:
            trial: As Optuna has just given it out.
        """
        cell = self.cells.get(str(trial.user_attrs.get(CELL)))
        if cell is None:
            return None
        for other in self.trials_of_runs()[cell.name]:
            newer = attempt_of(other) - trial.user_attrs.get(ATTEMPT, 0)
            if newer > 0 or (newer == 0 and other.number < trial.number and counts(other)):
                return None
        trial.set_user_attr(WORKER, f"{socket.gethostname()}:{os.getpid()}:{started(os.getpid())}")
        if self.plan.search is not None:
            number = 1 + [*self.cells].index(cell.name)
            self.study.sampler = sampler_of(self.plan.search, cell.seed, number)
            values = draw(self.plan, trial)
            trial.set_user_attr(DRAWN, values)
            return self.plan.drawn(cell, values)
        with contextlib.suppress(ValueError):  # an axis got longer since: the attribute alone says which run it is
            for axis, variants in self.plan.axes.items():
                trial.suggest_categorical(axis, tuple(variant.name for variant in variants))
            trial.suggest_categorical("seed", self.plan.seeds)
        return cell

    def release_dead(self) -> None:
        """Fail the trials whose workers are gone: of this machine at once, of others after a long silence."""
        with self.turn():
            for trial in self.trials():
                if trial.state == TrialState.RUNNING and self.is_lost(trial):
                    with contextlib.suppress(ValueError, RuntimeError):  # another worker was quicker
                        self.study.tell(trial.number, state=TrialState.FAIL)
        optuna.storages.fail_stale_trials(self.study)

    def is_lost(self, trial: FrozenTrial) -> bool:
        """Whether nobody does a running trial, seen by who has the turn.

        One that was given out and not claimed has a worker that is claiming it, and so has the turn, or died; without
        turns, the second is known only after a while.
        """
        if WORKER in trial.user_attrs:
            return is_dead(str(trial.user_attrs[WORKER]))
        now = time.monotonic()
        return self.lock is not None or now - self.unclaimed.setdefault(trial.number, now) > GRACE

    def states(self) -> dict[str, State]:
        """What has become of each run."""
        found = dict.fromkeys(self.cells, State.TO_COME)
        for name, trials in self.trials_of_runs().items():
            known = (state_of(trial) for trial in last_attempt(trials))
            found[name] = next((state for state in known if state not in (None, State.TO_COME)), State.TO_COME)
        return found

    def results(self) -> dict[str, Mapping[str, Any]]:
        """What came of the runs that are done, and why the others failed, by name."""
        found: dict[str, Mapping[str, Any]] = {}
        for name, trials in self.trials_of_runs().items():
            ended = [trial for trial in last_attempt(trials) if state_of(trial) in (State.DONE, State.FAILED)]
            found.update((name, trial.user_attrs) for trial in islice(ended, 1))
        return found


def make_whole(database: Path) -> None:
    """Make an empty SQLite database that is there with all its tables, or not at all, if its maker is killed.

    Args:
        database: Its file.
    """
    scratch = database.with_name(f".{database.name}.new")
    scratch.unlink(missing_ok=True)
    Storage(f"sqlite:///{scratch}").engine.dispose()
    scratch.replace(database)


def attempt_of(trial: FrozenTrial) -> int:
    """Which time it is that its run is tried, from 0."""
    return int(trial.user_attrs.get(ATTEMPT, 0))


def last_attempt(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """Those trials of a run that are of its last attempt."""
    last = max(map(attempt_of, trials), default=0)
    return [trial for trial in trials if attempt_of(trial) == last]


def state_of(trial: FrozenTrial) -> State | None:
    """What a trial says of its run; None for one that was passed over, or whose worker died."""
    if trial.state == TrialState.COMPLETE:
        return State.DONE
    if trial.state in (TrialState.FAIL, TrialState.PRUNED):
        return State.FAILED if REASON in trial.user_attrs else None
    return State.RUNNING if trial.state == TrialState.RUNNING else State.TO_COME


def counts(trial: FrozenTrial) -> bool:
    """Whether its run is done, or will be, by it."""
    return state_of(trial) is not None


def complaint(error: BaseException) -> str:
    """What a database says is wrong, in its own words and without the statement."""
    said = str(error.__cause__ if isinstance(error, StorageInternalError) else error).strip() or type(error).__name__
    return said.splitlines()[0][:200]


def shown(address: str) -> str:
    """An address without password and options.

    Example:
        >>> shown("postgresql+psycopg://me:secret@server/studies?sslmode=require")
        'postgresql+psycopg://me:***@server/studies'
    """
    return re.sub(r"(://[^:/@]*):[^@]*@", r"\1:***@", address.partition("?")[0])


def started(pid: int) -> str:
    """When a process was started, so that a later one with its number is not taken for it; empty if not known."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


def is_dead(worker: str) -> bool:
    """Whether a worker of this machine is gone; False for one of another, of whom that is not known."""
    host, _, rest = worker.partition(":")
    pid, _, since = rest.partition(":")
    if host != socket.gethostname() or not pid.isdecimal():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return started(int(pid)) != since


def lives_here(worker: str) -> bool:
    """Whether a worker is of this machine, and alive."""
    return worker.partition(":")[0] == socket.gethostname() and not is_dead(worker)


def unfinished(states: Iterable[State]) -> int:
    """How many runs are neither done nor failed."""
    return sum(state in (State.RUNNING, State.TO_COME) for state in states)


__all__ = [
    "ANEW",
    "CELL",
    "DRAWN",
    "NO_ROOM",
    "PASSING",
    "REASON",
    "RESULT",
    "Ledger",
    "State",
    "told_in_one_line",
    "unfinished",
]
