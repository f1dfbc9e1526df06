"""What callbacks and the command line ask a Trainer, with types (Lightning sets these attributes from outside)."""

from pathlib import Path
from typing import TypeVar

from lightning.pytorch import Callback, Trainer

CallbackT = TypeVar("CallbackT", bound=Callback)


def run_folder(trainer: Trainer) -> Path | None:
    """The folder of the run, the same on every rank (so ask on every rank); None when the run leaves nothing behind."""
    if not trainer.loggers or trainer.fast_dev_run or trainer.log_dir is None:  # type: ignore[attr-defined]
        return None
    return Path(trainer.log_dir)


def callbacks_of(trainer: Trainer, kind: type[CallbackT]) -> list[CallbackT]:
    """The trainer's callbacks of a class, in its order."""
    return [callback for callback in trainer.callbacks if isinstance(callback, kind)]  # type: ignore[attr-defined]


def is_logged(trainer: Trainer) -> bool:
    """Whether the optimizer step that is under way, or has just been taken, is one that the loggers write."""
    every: int = trainer.log_every_n_steps  # type: ignore[attr-defined]
    # As Lightning counts; its public global_step has moved on already when a step's hooks run.
    return every > 0 and (trainer.fit_loop.epoch_loop._batches_that_stepped + 1) % every == 0


def logged_before(trainer: Trainer) -> int:
    """How many steps the loggers have written before this one, for which :func:`is_logged` holds."""
    every: int = trainer.log_every_n_steps  # type: ignore[attr-defined]
    return trainer.fit_loop.epoch_loop._batches_that_stepped // every
