"""Save and restore the random-number generators."""

from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer


class ExactResume(Callback):
    """Saves the state of torch's random-number generators in checkpoints and restores it when a run is resumed.

    Without this callback, a resumed run draws other dropout masks than an uninterrupted run. The data need no state:
    batch i depends only on (seed, split, epoch, i). For each process the state of the CPU generator is saved, and the
    state of its GPU's generator. Loggers write their buffered values before each checkpoint, so that the curves of a
    killed run have no gap.
    """

    def __init__(self) -> None:
        self.states: list[dict[str, torch.Tensor]] = []

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        for logger in trainer.loggers:
            logger.save()
        state = {"cpu": torch.get_rng_state()}
        if pl_module.device.type == "cuda":
            state["cuda"] = torch.cuda.get_rng_state(pl_module.device)
        states: list[Any] = [state]
        if trainer.world_size > 1:
            states = [None] * trainer.world_size
            torch.distributed.all_gather_object(states, state)
        checkpoint["rng"] = states

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        self.states = checkpoint.get("rng", [])

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.ckpt_path and trainer.global_rank < len(self.states):
            state = self.states[trainer.global_rank]
            torch.set_rng_state(state["cpu"])
            if "cuda" in state and pl_module.device.type == "cuda":
                torch.cuda.set_rng_state(state["cuda"], pl_module.device)
