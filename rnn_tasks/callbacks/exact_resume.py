"""Restore what Lightning does not restore when a run is resumed."""

from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import BaseFinetuning, StochasticWeightAveraging

from rnn_tasks.callbacks._hooks import callbacks_of
from rnn_tasks.callbacks._restore import after_restoring, before_restoring, check_averaging, check_callbacks
from rnn_tasks.errors import UsageError
from rnn_tasks.runs.checkpoints import optimizer_problem

OPTIMIZER_STATE = ("optimizer_states", "lr_schedulers", "global_step", "rnn_tasks")
"""The parts of a checkpoint that are compared with the optimizer of the model."""


class ExactResume(Callback):
    """Saves the state of torch's random-number generators in checkpoints and restores it when a run is resumed.

    Without this callback, a resumed run draws other dropout masks than an uninterrupted run. The data need no state:
    batch i depends only on (seed, split, epoch, i). For each process the state of the CPU generator is saved, and the
    state of its GPU's generator. Loggers write their buffered values before each checkpoint, so that the curves of a
    killed run have no gap. Before training continues, the checkpoint is compared with the optimizer of the model.
    """

    def __init__(self) -> None:
        self.states: list[dict[str, torch.Tensor]] = []
        self.loaded: dict[str, Any] = {}
        self.is_first_batch = False

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if stage == "fit":
            check_callbacks(trainer)

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        for logger in trainer.loggers:
            logger.save()
        state = {"cpu": torch.get_rng_state()}
        if pl_module.device.type == "cuda":
            state["cuda"] = torch.cuda.get_rng_state(pl_module.device)
        if pl_module.device.type == "mps":
            state["mps"] = torch.mps.get_rng_state()
        states: list[Any] = [state]
        if trainer.world_size > 1:
            states = [None] * trainer.world_size
            torch.distributed.all_gather_object(states, state)
        checkpoint["rng"] = states

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        before_restoring(trainer, checkpoint)
        self.states = checkpoint.get("rng", [])
        self.loaded = {name: checkpoint[name] for name in OPTIMIZER_STATE if name in checkpoint}

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # These callbacks of Lightning add parameter groups or a schedule later.
        changed = [*callbacks_of(trainer, BaseFinetuning), *callbacks_of(trainer, StochasticWeightAveraging)]
        if trainer.ckpt_path and "optimizer_states" in self.loaded and not changed:
            schedulers = [config.scheduler for config in trainer.lr_scheduler_configs]
            problem = optimizer_problem(self.loaded, trainer.optimizers, schedulers)
            if problem is not None:
                raise UsageError(f"training cannot continue from {trainer.ckpt_path}: {problem}")
        self.loaded = {}

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.is_first_batch = True
        if trainer.ckpt_path and trainer.global_rank < len(self.states):
            state = self.states[trainer.global_rank]
            torch.set_rng_state(state["cpu"])
            if "cuda" in state and pl_module.device.type == "cuda":
                torch.cuda.set_rng_state(state["cuda"], pl_module.device)
            if "mps" in state and pl_module.device.type == "mps":
                torch.mps.set_rng_state(state["mps"])

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        if self.is_first_batch:  # not earlier: some callbacks of Lightning check their settings in on_train_start
            self.is_first_batch = False
            check_averaging(trainer)
            if trainer.ckpt_path:
                after_restoring(trainer)
