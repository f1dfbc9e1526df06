"""Stop when the numbers stop being numbers."""

import math
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from rnn_tasks.errors import DivergedError


class StopAtDivergence(Callback):
    """Ends the run with a DivergedError at the first loss that is not finite, before its gradient touches a weight.

    A checkpoint with a weight that is not finite is never written, so the last one on disk is good.
    """

    def on_before_backward(self, trainer: Trainer, pl_module: LightningModule, loss: Tensor) -> None:
        value = loss.item()  # a question to torch takes ten times as long as one to Python
        if trainer.strategy.reduce_boolean_decision(not math.isfinite(value), all=False):
            raise DivergedError(f"the loss is {value} at step {trainer.global_step}")

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        for name, value in checkpoint["state_dict"].items():
            if value.is_floating_point() and not torch.isfinite(value).all():
                raise DivergedError(f"{name} is not finite at step {trainer.global_step}")
