"""What every run needs, whatever the user's lists of callbacks, loggers and plugins are."""

from collections.abc import Sequence
from typing import Any

from lightning.fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import Checkpoint, ModelCheckpoint, ProgressBar
from lightning.pytorch.loggers import Logger
from lightning.pytorch.plugins.io import CheckpointIO

from rnn_tasks.callbacks import (
    BestCheckpoint,
    ExactResume,
    LastCheckpoint,
    Progress,
    RunSummary,
    StopAtDivergence,
    StopOnSignal,
)
from rnn_tasks.callbacks.checkpoints import ResumableCheckpoint
from rnn_tasks.errors import UsageError
from rnn_tasks.runs.checkpoint_io import AtomicCheckpointIO
from rnn_tasks.runs.logger import CurveLogger, RunLogger

ESSENTIAL = (RunSummary, ExactResume, StopAtDivergence)
"""Callbacks of every run: its result, exact resuming, and an end when the loss is not finite."""

SAVING = (BestCheckpoint, LastCheckpoint, StopOnSignal)
"""Callbacks of every run with checkpoints."""


OWN_FILES = {"best": "BestCheckpoint", "last": "LastCheckpoint"}
"""Callbacks of every run by the name of the checkpoint that they save."""


def as_list(value: Any) -> list[Any]:
    """Return a list as it is, an empty list for None, and any other value in a list."""
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def complete_callbacks(callbacks: Sequence[Callback], checkpoints: bool, progress_bar: bool) -> list[Callback]:
    """Return the user's callbacks together with the callbacks that every run needs.

    If a list has two callbacks of a class that a run needs once, the last one counts. Another progress bar replaces
    ours.

    Args:
        callbacks: The callbacks of the config.
        checkpoints: Whether the run saves checkpoints; if not, callbacks that save some are removed.
        progress_bar: Whether to show progress.

    Raises:
        UsageError: A ModelCheckpoint would write the same file as a callback of every run.
    """
    for callback in callbacks:
        if type(callback) is ModelCheckpoint and callback.dirpath is None and callback.filename in OWN_FILES:
            raise UsageError(
                f"{callback.filename}.ckpt is saved by {OWN_FILES[callback.filename]}: "
                "give the ModelCheckpoint another filename"
            )
    needed = (*ESSENTIAL, *(SAVING if checkpoints else ()))
    once = {type(callback): callback for callback in callbacks if type(callback) in (*needed, Progress)}
    missing = {needed_class: needed_class() for needed_class in needed if needed_class not in once}
    complete = [callback for callback in callbacks if once.get(type(callback), callback) is callback]
    complete = [callback for callback in complete if checkpoints or not isinstance(callback, Checkpoint)]
    shows_progress = progress_bar and not any(type(callback) is not Progress for callback in progress_bars(complete))
    if not shows_progress:
        complete = [callback for callback in complete if type(callback) is not Progress]
    elif not progress_bars(complete):
        complete.append(Progress())
    first = [missing[needed_class] for needed_class in ESSENTIAL if needed_class in missing]
    last = [missing[needed_class] for needed_class in SAVING if needed_class in missing]
    # The state for resuming is saved last, when all other callbacks have acted.
    return sorted([*first, *complete, *last], key=lambda item: (isinstance(item, ResumableCheckpoint), is_signal(item)))


def is_signal(callback: Callback) -> bool:
    """Return whether a callback ends the run on a signal."""
    return isinstance(callback, StopOnSignal)


def progress_bars(callbacks: Sequence[Callback]) -> list[Callback]:
    """Return the progress bars among callbacks."""
    return [callback for callback in callbacks if isinstance(callback, ProgressBar)]


def complete_loggers(logger: Any) -> list[Logger]:
    """Return the user's loggers together with a :class:`~rnn_tasks.runs.logger.CurveLogger`.

    Args:
        logger: The option ``trainer.logger``: a logger, a list, false for none, true or null for TensorBoard.
    """
    loggers = [RunLogger()] if logger is None or logger is True else [item for item in as_list(logger) if item]
    return [*loggers, CurveLogger()]


def complete_plugins(plugins: Any) -> list[Any]:
    """Return the user's plugins together with the plugins that checkpoints and SLURM need.

    Lightning's own handling of SLURM's signals would save a checkpoint in the middle of a step.
    """
    complete = as_list(plugins)
    if not any(isinstance(plugin, CheckpointIO) for plugin in complete):
        complete = [*complete, AtomicCheckpointIO()]
    if SLURMEnvironment.detect() and not any(isinstance(plugin, ClusterEnvironment) for plugin in complete):
        complete = [*complete, SLURMEnvironment(auto_requeue=False)]
    return complete
