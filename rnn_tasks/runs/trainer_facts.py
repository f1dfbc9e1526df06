"""What callbacks and the command line ask a Trainer, with types (Lightning sets these attributes from outside)."""

from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

import torch
from lightning.pytorch import Callback, Trainer
from torch import Tensor

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
    loop = trainer.fit_loop
    # As Lightning counts; its public global_step has moved on already when a step's hooks run.
    return every > 0 and (loop.epoch_loop._batches_that_stepped + 1) % every == 0 and not loop._should_accumulate()


def logged_before(trainer: Trainer) -> int:
    """How many steps the loggers have written before this one, for which :func:`is_logged` holds."""
    every: int = trainer.log_every_n_steps  # type: ignore[attr-defined]
    return trainer.fit_loop.epoch_loop._batches_that_stepped // every


def log_scalars(trainer: Trainer, values: Mapping[str, Tensor | float], behind: int = 0) -> None:
    """Give values to the loggers, at the step at which Lightning writes those of this step or of a validation.

    Not by the model's ``log``, which would have to be called on all ranks, and takes several times as long.

    Args:
        trainer: The trainer.
        values: By name.
        behind: Steps that have been counted since; 1 at the end of an epoch.
    """
    step = trainer.fit_loop.epoch_loop._batches_that_stepped - behind
    for logger in trainer.loggers:
        logger.log_metrics({name: float(value) for name, value in values.items()}, step)


def publish(trainer: Trainer, values: Mapping[str, float], behind: int = 0) -> None:
    """Give values of a fit to the loggers, and to callbacks, which find them in the trainer's ``callback_metrics``.

    The model's ``log`` does the same, and for six values takes as long as a training step of a small network.

    Args:
        trainer: The trainer.
        values: By name, the same on all processes.
        behind: Steps that have been counted since; 1 at the end of an epoch.
    """
    if trainer.sanity_checking:
        return
    seen = {name: torch.tensor(value) for name, value in values.items()}
    trainer.callback_metrics.update(seen)
    trainer.logged_metrics.update(seen)
    log_scalars(trainer, {**values, "epoch": trainer.current_epoch}, behind)
