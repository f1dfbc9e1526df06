"""Checks of Lightning's callbacks, and what they do not restore themselves when a run is resumed."""

from collections.abc import Mapping
from typing import Any

from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import (
    BaseFinetuning,
    BatchSizeFinder,
    GradientAccumulationScheduler,
    LearningRateFinder,
    ModelPruning,
    SpikeDetection,
    StochasticWeightAveraging,
)

from rnn_tasks.callbacks._hooks import callbacks_of
from rnn_tasks.callbacks.reorthogonalize import Reorthogonalize, require_no_averaging
from rnn_tasks.errors import UsageError


def check_callbacks(trainer: Trainer) -> None:
    """Fail early if a callback contradicts what this package promises.

    Args:
        trainer: The trainer, before it trains.

    Raises:
        UsageError: There is a BatchSizeFinder, or a constraint together with a callback that averages the weights.
    """
    if callbacks_of(trainer, Reorthogonalize):
        require_no_averaging(trainer)
    if callbacks_of(trainer, BatchSizeFinder):
        raise UsageError(
            "BatchSizeFinder cannot be used: the batch size would depend on the free memory, so the run could be "
            "neither repeated nor resumed; set data.batch_size"
        )


def check_averaging(trainer: Trainer) -> None:
    """Fail early if weights would never be averaged.

    Args:
        trainer: The trainer, when training starts.

    Raises:
        UsageError: There is a StochasticWeightAveraging, and an epoch never ends.
    """
    if callbacks_of(trainer, StochasticWeightAveraging) and trainer.num_training_batches == float("inf"):
        raise UsageError(
            "StochasticWeightAveraging averages the weights of epochs, and an epoch of this task never ends: set "
            "trainer.max_epochs and the length of an epoch (data.epoch_sequences or trainer.limit_train_batches), or "
            "use EMAWeightAveraging"
        )


def before_restoring(trainer: Trainer, checkpoint: Mapping[str, Any]) -> None:
    """Prepare Lightning's callbacks, before the trainer restores their state from a checkpoint.

    A search for a learning rate is not repeated: the optimizer's state contains the rate.

    Args:
        trainer: The trainer of a resumed run.
        checkpoint: The contents of the checkpoint.

    Raises:
        UsageError: There is a ModelPruning; checkpoints do not contain its masks.
    """
    if callbacks_of(trainer, ModelPruning) and checkpoint["global_step"] > 0:
        raise UsageError(
            "a run with ModelPruning cannot be resumed, because checkpoints do not contain its masks: "
            "train from scratch"
        )
    trainer.callbacks = [  # type: ignore[attr-defined]
        callback
        for callback in trainer.callbacks  # type: ignore[attr-defined]
        if not isinstance(callback, LearningRateFinder)
    ]
    for spikes in callbacks_of(trainer, SpikeDetection):
        # Lightning 2.6 restores the state of an attribute that the class does not have.
        spikes.running = spikes.running_mean  # type: ignore[attr-defined]


def after_restoring(trainer: Trainer) -> None:
    """Restore what Lightning's callbacks set when an epoch starts, for a run that is resumed within an epoch.

    Args:
        trainer: The trainer of a resumed run, before its first batch.
    """
    for scheduler in callbacks_of(trainer, GradientAccumulationScheduler):
        trainer.accumulate_grad_batches = scheduler.get_accumulate_grad_batches(trainer.current_epoch)
    if callbacks_of(trainer, BaseFinetuning):  # it has restored the optimizer's groups of the parameters in training
        for optimizer in trainer.optimizers:
            for group in optimizer.param_groups:
                for parameter in group["params"]:
                    parameter.requires_grad_(True)
