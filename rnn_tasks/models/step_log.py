"""Logging the values of a training step: for callbacks by Lightning's log, for the loggers at once."""

from collections.abc import Mapping

from lightning.pytorch import LightningModule, Trainer
from torch import Tensor


def logged_steps(trainer: Trainer, steps: int) -> int | None:
    """How many steps the loggers have written by now; None if they do not write this step.

    Args:
        trainer: The trainer.
        steps: Optimizer steps, the one in question included.
    """
    every: int = trainer.log_every_n_steps  # type: ignore[attr-defined]
    return steps // every if every > 0 and steps % every == 0 else None


def ends_logged_step(trainer: Trainer, batch_idx: int) -> bool:
    """Whether the batch that is being trained on ends a step that the loggers write.

    Args:
        trainer: The trainer.
        batch_idx: Number of the batch in its epoch; of several whose gradients are accumulated, the last one counts.
    """
    ends_step = (batch_idx + 1) % trainer.accumulate_grad_batches == 0 or trainer.is_last_batch
    return ends_step and logged_steps(trainer, trainer.global_step + 1) is not None


def log_step(model: LightningModule, values: Mapping[str, Tensor | float], step: int) -> None:
    """Log values of a training step.

    Callbacks find them in ``trainer.callback_metrics``. The loggers are given them here, so that a checkpoint of this
    step is written after them, and so that each value is written once: Lightning would write a value again, unchanged,
    at each later step that has none of that name.

    Args:
        model: The model.
        values: By name, the same names on all processes.
        step: Number of the step, counted from 0 as Lightning counts for loggers.
    """
    model.log_dict(dict(values), batch_size=1, logger=False)
    row = {name: float(value) for name, value in values.items()}
    for logger in model.trainer.loggers:
        logger.log_metrics({**row, "epoch": model.trainer.current_epoch}, step)
        logger.save()
