"""Stop when the loss or a weight is no longer finite."""

import math
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from rnn_tasks.errors import DivergedError


class StopAtDivergence(Callback):
    """Raises a DivergedError at the first loss that is not finite, before the optimizer step.

    Checkpoints with a weight that is not finite are not written, so the last checkpoint on disk is usable.
    """

    def on_before_backward(self, trainer: Trainer, pl_module: LightningModule, loss: Tensor) -> None:
        value = loss.item()  # math.isfinite is ten times as fast as torch.isfinite
        if trainer.strategy.reduce_boolean_decision(not math.isfinite(value), all=False):
            raise DivergedError(f"the loss is {value} at step {trainer.global_step}")

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        for name, value in checkpoint["state_dict"].items():
            if value.is_floating_point() and not torch.isfinite(value).all():
                raise DivergedError(f"{name} is not finite at step {trainer.global_step}")
