"""Logging of training steps: to callbacks through Lightning's ``log``, to the loggers directly."""

from collections.abc import Mapping

from lightning.pytorch import LightningModule, Trainer
from torch import Tensor


def logged_steps(trainer: Trainer, steps: int) -> int | None:
    """Return how many steps have been logged including this one; None if this step is not logged.

    Args:
        trainer: The trainer.
        steps: Number of optimizer steps including this one.
    """
    every: int = trainer.log_every_n_steps  # type: ignore[attr-defined]
    return steps // every if every > 0 and steps % every == 0 else None


def ends_logged_step(trainer: Trainer, batch_idx: int) -> bool:
    """Return whether the current training batch is the last batch of an optimizer step that is logged.

    Args:
        trainer: The trainer.
        batch_idx: Index of the batch in its epoch.
    """
    ends_step = (batch_idx + 1) % trainer.accumulate_grad_batches == 0 or trainer.is_last_batch
    return ends_step and logged_steps(trainer, trainer.global_step + 1) is not None


def log_step(model: LightningModule, values: Mapping[str, Tensor | float], step: int) -> None:
    """Log the values of a training step.

    Callbacks find the values in ``trainer.callback_metrics``. The loggers are called here, for two reasons: they write
    the values before a checkpoint of this step is saved, and they write each value once. Lightning would repeat a value
    at every later logged step that has no new value of the same name.

    Args:
        model: The model.
        values: The values by name, with the same names on all processes.
        step: Index of the step, counted from 0 as in Lightning's calls of loggers.
    """
    model.log_dict(dict(values), batch_size=1, logger=False)
    row = {name: float(value) for name, value in values.items()}
    for logger in model.trainer.loggers:
        logger.log_metrics({**row, "epoch": model.trainer.current_epoch}, step)
        logger.save()
