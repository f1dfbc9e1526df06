"""Ends a process at its first optimizer step."""

import os

from lightning.pytorch import Callback, LightningModule, Trainer


class LeaveAtFirstStep(Callback):
    """Ends the process when the first batch has been trained on, without anything that comes after a training."""

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: object, batch: object, batch_idx: int
    ) -> None:
        os._exit(0)
