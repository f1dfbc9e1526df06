"""Who does which run, and what came of it: an Optuna study in a database that several workers share."""

import contextlib
import os
import socket
import time
import warnings
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from pathlib import Path
from typing import Any

import optuna
from filelock import FileLock
from optuna.exceptions import ExperimentalWarning
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, Trial, TrialState

from rnn_tasks.errors import UsageError, require
from rnn_tasks.studies.plan import Cell, Plan

CELL, WORKER, RESULT, REASON = "cell", "worker", "result", "reason"
"""Attributes of a trial: the run's name, who does it, what came of it, and why nothing did."""

HEARTBEAT, GRACE = 10, 60
"""Seconds between two signs of life, and without one after which a worker of another machine is taken for dead."""

ATTEMPTS = 3
"""To open a database that another worker may be making."""


class State(Enum):
    """What has become of a run."""

    DONE = "done"
    FAILED = "failed"
    RUNNING = "running"
    TO_COME = "to come"


class Ledger:
    """The runs of a study, each done once, however many workers there are and however often they are killed.

    A run is a trial. All are enqueued by whoever comes first; where several enqueue one, all but the first of them are
    passed over. A trial whose worker has died is failed without a reason and enqueued again; one that has failed with a
    reason is not.

    Args:
        plan: The study.
        address: Address of the database, as SQLAlchemy knows it.

    Raises:
        UsageError: The database cannot be opened, or its study is another one of the same name.
    """

    def __init__(self, plan: Plan, address: str) -> None:
        self.cells = {cell.name: cell for cell in plan.cells()}
        self.axes: dict[str, list[str | int]] = {
            **{axis: [variant.name for variant in variants] for axis, variants in plan.axes.items()},
            "seed": [*plan.seeds],
        }
        # SQLite cannot lock a row, so that Optuna may give one trial to two workers that ask for one at once.
        database = address.partition(":///")[2] if address.startswith("sqlite:") else ""
        folder = Path(database).parent
        require(folder.is_dir(), f"the storage {address} cannot be opened: there is no folder {folder}")
        self.turn = FileLock(f"{database}.lock") if database else None
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        warnings.filterwarnings("ignore", category=ExperimentalWarning)  # heartbeats are that, and documented
        self.study = self._open(plan.name, address)

    def _open(self, name: str, address: str) -> optuna.Study:
        """The study in its database; whoever comes first makes both."""
        for attempt in range(ATTEMPTS):
            try:
                with self.turn or contextlib.nullcontext():
                    storage = RDBStorage(address, heartbeat_interval=HEARTBEAT, grace_period=GRACE)
                    return optuna.create_study(storage=storage, study_name=name, load_if_exists=True)
            except Exception as error:  # each database has errors of its own, some when two make its tables at once
                if attempt == ATTEMPTS - 1 or isinstance(error, OSError | ImportError):
                    text = " ".join(str(error).split())[:200]
                    raise UsageError(f"the storage {address.partition('?')[0]} cannot be opened: {text}") from error
                time.sleep(0.5)
        raise AssertionError

    def enqueue_missing(self) -> None:
        """Enqueue the runs that nobody has done, does or is to do."""
        there = {trial.user_attrs.get(CELL) for trial in self.trials() if counts(trial)}
        for name, cell in self.cells.items():
            if name not in there:
                params = {**{axis: variant.name for axis, variant in cell.variants.items()}, "seed": cell.seed}
                self.study.enqueue_trial(params, user_attrs={CELL: name})

    def trials(self) -> list[FrozenTrial]:
        """All trials as they are now."""
        return self.study.get_trials(deepcopy=False)

    def do_next(self, do: Callable[[Trial, Cell], float], catch: tuple[type[Exception], ...] = ()) -> None:
        """Take a run that is to be done, and do it; nothing happens where there is none left.

        Args:
            do: Does it; the trial takes what it returns as its value.
            catch: Errors that fail the run, and nothing else.
        """

        def objective(trial: Trial) -> float:
            try:
                cell = self.claim(trial)
            finally:
                let_go()
            if cell is None:
                raise optuna.TrialPruned
            return do(trial, cell)

        def let_go() -> None:
            if self.turn is not None:
                self.turn.release(force=True)

        if self.turn is not None:
            self.turn.acquire()
        try:
            self.study.optimize(objective, n_trials=1, catch=catch)
        finally:
            let_go()

    def claim(self, trial: Trial) -> Cell | None:
        """The run that a trial stands for, now this worker's; None if it is none, or another trial's.

        Args:
            trial: As Optuna has just given it out.
        """
        cell = self.cells.get(str(trial.user_attrs.get(CELL)))
        if cell is None:
            return None
        for axis, values in self.axes.items():
            trial.suggest_categorical(axis, tuple(values))
        earlier = (other for other in self.trials() if other.number < trial.number and counts(other))
        if any(other.user_attrs.get(CELL) == cell.name for other in earlier):
            return None
        trial.set_user_attr(WORKER, f"{socket.gethostname()}:{os.getpid()}:{started(os.getpid())}")
        return cell

    def release_dead(self) -> None:
        """Fail the trials whose workers are gone: of this machine at once, of others after a long silence."""
        for trial in self.trials():
            if trial.state == TrialState.RUNNING and is_dead(str(trial.user_attrs.get(WORKER, ""))):
                with contextlib.suppress(ValueError, RuntimeError):  # another worker was quicker
                    self.study.tell(trial.number, state=TrialState.FAIL)
        optuna.storages.fail_stale_trials(self.study)

    def states(self) -> dict[str, State]:
        """What has become of each run."""
        found = dict.fromkeys(self.cells, State.TO_COME)
        for trial in self.trials():
            name = str(trial.user_attrs.get(CELL))
            if name in found and (state := state_of(trial)) is not None and found[name] is State.TO_COME:
                found[name] = state
        return found

    def results(self) -> dict[str, Mapping[str, Any]]:
        """What came of the runs that are done, and why the others failed, by name."""
        found: dict[str, Mapping[str, Any]] = {}
        for trial in self.trials():
            name = str(trial.user_attrs.get(CELL))
            if name in self.cells and state_of(trial) in (State.DONE, State.FAILED):
                found.setdefault(name, trial.user_attrs)
        return found


def state_of(trial: FrozenTrial) -> State | None:
    """What a trial says of its run; None for one that was passed over, or whose worker died."""
    if trial.state == TrialState.COMPLETE:
        return State.DONE
    if trial.state == TrialState.FAIL:
        return State.FAILED if REASON in trial.user_attrs else None
    if trial.state == TrialState.PRUNED:
        return None
    return State.RUNNING if trial.state == TrialState.RUNNING else State.TO_COME


def counts(trial: FrozenTrial) -> bool:
    """Whether its run is done, or will be, by it."""
    return state_of(trial) is not None


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


def unfinished(states: Iterable[State]) -> int:
    """How many runs are neither done nor failed."""
    return sum(state in (State.RUNNING, State.TO_COME) for state in states)


__all__ = ["CELL", "REASON", "RESULT", "Ledger", "State", "unfinished"]
