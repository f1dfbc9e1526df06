"""Checkpoints of a run: the best weights, and the state from which the run is resumed."""

from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint, ModelCheckpoint, StochasticWeightAveraging

from rnn_tasks.callbacks._hooks import callbacks_of
from rnn_tasks.errors import require
from rnn_tasks.runs.files import BEST, CHECKPOINTS, LAST
from rnn_tasks.runs.record import run_folder


class BestCheckpoint(ModelCheckpoint):
    """Saves ``best.ckpt``, the weights with the best value of a validation metric so far.

    Args:
        monitor: The name of the metric.
        mode: ``min`` or ``max``.
    """

    def __init__(self, monitor: str = "val/loss", mode: str = "min") -> None:
        super().__init__(
            filename=BEST.removesuffix(".ckpt"),
            monitor=monitor,
            mode=mode,
            save_top_k=1,
            enable_version_counter=False,
            save_on_train_epoch_end=False,
        )

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Find the state that version 0.1.0 saved under another name."""
        states = checkpoint.get("callbacks", {})
        if self.state_key not in states:
            old = [state for key, state in states.items() if key.startswith("ModelCheckpoint") and self.monitor in key]
            if old:
                states[self.state_key] = old[0]

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_train_end(trainer, pl_module)
        if self.dirpath is not None and callbacks_of(trainer, StochasticWeightAveraging):
            # The result of such a run is the average, which no validation has measured.
            trainer.save_checkpoint(Path(self.dirpath) / BEST, weights_only=False)


class ResumableCheckpoint(Checkpoint):
    """Base class of callbacks that save ``last.ckpt``, from which a run is resumed exactly.

    A run can be resumed from the state after an optimizer step. If a validation is due after the step, the state is
    saved when the validation starts, and the resumed run repeats the whole validation: its result counts for the best
    checkpoint, for early stopping and for the learning rate. After the last step there is nothing to resume from, so
    no state is saved before the last validation.
    """

    def __init__(self) -> None:
        self.repeats_validation = False

    def save(self, trainer: Trainer) -> None:
        """Save ``last.ckpt`` in the run folder, if there is one. Call this on every rank."""
        folder = run_folder(trainer)
        if folder is not None:
            self.repeats_validation = trainer.validating
            try:
                trainer.save_checkpoint(folder / CHECKPOINTS / LAST, weights_only=False)
            finally:
                self.repeats_validation = False

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Mark the validation in the state of the loops as begun, so that Lightning repeats it."""
        if self.repeats_validation:
            progress = checkpoint["loops"]["fit_loop"]["epoch_loop.val_loop.batch_progress"]
            done = progress["total"]["completed"] - progress["current"]["completed"]
            progress["total"] = {"ready": done + 1, "started": done + 1, "processed": done, "completed": done}
            progress["current"] = dict.fromkeys(progress["current"], 0)
            progress["is_last_batch"] = False

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # Lightning would count the batch in which the validation was interrupted twice.
        total: Any = trainer.fit_loop.epoch_loop.val_loop.batch_progress.total
        total.ready = total.started = total.completed


def ends_step(trainer: Trainer) -> bool:
    """Return whether the optimizer has stepped after the current training batch, so that no gradient is pending."""
    batches: int = trainer.fit_loop.batch_idx + 1
    return batches % trainer.accumulate_grad_batches == 0 or trainer.is_last_batch


def validation_follows(trainer: Trainer) -> bool:
    """Return whether a validation follows the current training batch; for the hook ``on_train_batch_end``."""
    loop = trainer.fit_loop
    assert loop._data_fetcher is not None
    return loop.epoch_loop._should_check_val_fx(loop._data_fetcher)


def is_last_step(trainer: Trainer) -> bool:
    """Return whether training ends after the current step.

    In the last step of an epoch, a run with ``max_epochs`` can still be resumed before its last validation.
    """
    stops = trainer.should_stop and trainer.global_step >= (trainer.min_steps or 0)
    return stops or 0 <= trainer.max_steps <= trainer.global_step


class LastCheckpoint(ResumableCheckpoint):
    """Saves ``last.ckpt`` regularly, before the last step, and when training ends.

    Args:
        every_n_steps: Optimizer steps between two checkpoints, ``>= 1``.

    Raises:
        UsageError: A value outside its bounds.
    """

    def __init__(self, every_n_steps: int = 100) -> None:
        require(every_n_steps >= 1, f"every_n_steps must be at least 1, got {every_n_steps}")
        super().__init__()
        self.every_n_steps = every_n_steps
        self.is_due = False

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: object, batch: object, batch_idx: int
    ) -> None:
        if not ends_step(trainer):
            return
        step = trainer.global_step
        if step % self.every_n_steps == 0 or step + 1 == trainer.max_steps:
            self.is_due = True
        if self.is_due and not trainer.is_last_batch and not validation_follows(trainer) and not is_last_step(trainer):
            self.save(trainer)
            self.is_due = False

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn != "fit" or trainer.sanity_checking:
            return
        super().on_validation_start(trainer, pl_module)
        if self.is_due and ends_step(trainer) and not is_last_step(trainer):
            self.save(trainer)
            self.is_due = False

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.save(trainer)
