"""Lightning's callbacks that need help so that a resumed run equals an uninterrupted one."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import (
    BackboneFinetuning,
    BaseFinetuning,
    BatchSizeFinder,
    EarlyStopping,
    EMAWeightAveraging,
    GradientAccumulationScheduler,
    LearningRateFinder,
    ModelPruning,
    SpikeDetection,
    StochasticWeightAveraging,
    WeightAveraging,
)
from torch import Tensor
from torch.optim import Adam, Optimizer

from rnn_tasks.callbacks._restore import after_restoring, before_restoring, check_averaging, check_callbacks
from rnn_tasks.cores import GRU
from rnn_tasks.errors import UsageError
from rnn_tasks.models import SequenceTagger
from rnn_tasks.tasks import Echo


class Resume(Callback):
    """Calls the functions at the hooks at which ExactResume calls them."""

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        check_callbacks(trainer)
        self.starts = True

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        before_restoring(trainer, checkpoint)

    def on_train_batch_start(self, trainer: Trainer, *_: Any) -> None:
        if self.starts:
            self.starts = False
            check_averaging(trainer)
            if trainer.ckpt_path:
                after_restoring(trainer)


class UnfreezeReadout(BaseFinetuning):
    """Trains the readout only from the second epoch on."""

    def freeze_before_training(self, pl_module: LightningModule) -> None:
        self.freeze(pl_module.network.readout)  # type: ignore[union-attr]

    def finetune_function(self, pl_module: LightningModule, epoch: int, optimizer: Optimizer) -> None:
        if epoch == 1:
            self.unfreeze_and_add_param_group(pl_module.network.readout, optimizer)  # type: ignore[union-attr]


class SaveAt(Callback):
    """Saves a checkpoint after a number of batches, in the middle of an epoch."""

    def __init__(self, path: Path, batches: int) -> None:
        self.path = path
        self.batches = batches

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        if trainer.fit_loop.total_batch_idx + 1 == self.batches:
            trainer.save_checkpoint(self.path)


def train(
    *callbacks: Callback,
    ckpt_path: Path | None = None,
    epoch_sequences: int | None = 16,
    factors: Mapping[str, Any] = MappingProxyType({}),
) -> dict[str, Tensor]:
    """Train for three epochs of eight batches, and return the weights."""
    torch.manual_seed(0)
    task = Echo(delay=1, sequence_length=4, alphabet_size=3, batch_size=2, epoch_sequences=epoch_sequences,
                val_sequences=4)  # fmt: skip
    model = SequenceTagger(partial(GRU, hidden_size=4), task.spec, partial(Adam, lr=0.05), **factors)
    trainer = Trainer(accelerator="cpu", callbacks=[Resume(), *callbacks], max_epochs=3, max_steps=100, logger=False,
                      log_every_n_steps=1, enable_checkpointing=False, enable_progress_bar=False,
                      enable_model_summary=False, num_sanity_val_steps=0)  # fmt: skip
    trainer.fit(model, task, ckpt_path=ckpt_path)
    return {name: weight.detach().clone() for name, weight in model.state_dict().items()}


CALLBACKS: dict[str, Callable[[], Callback]] = {
    "finetuning": UnfreezeReadout,
    "backbone": lambda: BackboneFinetuning(unfreeze_backbone_at_epoch=1),
    "early stopping": lambda: EarlyStopping("val/loss", patience=1, min_delta=0.05),
    "accumulation": lambda: GradientAccumulationScheduler({0: 2, 1: 1, 2: 2}),
    "rate finder": lambda: LearningRateFinder(num_training_steps=20, max_lr=0.2),
    "spikes": SpikeDetection,
    "average of epochs": lambda: StochasticWeightAveraging(0.05, swa_epoch_start=1),
    "average": WeightAveraging,
    "moving average": lambda: EMAWeightAveraging(decay=0.7),
}


@pytest.mark.parametrize(
    "batches", [pytest.param(2, marks=pytest.mark.slow), 10, pytest.param(18, marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("name", CALLBACKS)
def test_resumed_run_with_a_callback_equals_an_uninterrupted_run(name: str, batches: int, tmp_path: Path) -> None:
    path = tmp_path / "state.ckpt"
    whole = train(CALLBACKS[name](), SaveAt(path, batches))
    resumed = train(CALLBACKS[name](), ckpt_path=path)
    for weight in whole:
        assert torch.equal(resumed[weight], whole[weight]), weight


def test_learning_rate_finder_sets_the_rate_before_the_factors(tmp_path: Path) -> None:
    finder = LearningRateFinder(num_training_steps=20, max_lr=0.2)
    rates: list[dict[str, float]] = []

    class Rates(Callback):
        def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
            rates.append({group["name"]: group["lr"] for group in trainer.optimizers[0].param_groups})

    train(finder, Rates(), factors={"recurrent_lr_factor": 0.5, "input_lr_factor": 0.25})
    assert finder.optimal_lr is not None
    found = finder.optimal_lr.suggestion()
    assert found is not None
    assert rates == [{"recurrent": found * 0.5, "input": found * 0.25, "rest": found}]


def test_run_with_pruning_cannot_be_resumed(tmp_path: Path) -> None:
    path = tmp_path / "state.ckpt"
    train(ModelPruning("l1_unstructured"), SaveAt(path, 6))
    with pytest.raises(UsageError, match="a run with ModelPruning cannot be resumed"):
        train(ModelPruning("l1_unstructured"), ckpt_path=path)


def test_batch_size_finder_is_refused() -> None:
    with pytest.raises(UsageError, match="free memory"):
        train(BatchSizeFinder())


def test_average_of_epochs_is_refused_when_an_epoch_never_ends() -> None:
    with pytest.raises(UsageError, match="an epoch of this task never ends"):
        train(StochasticWeightAveraging(0.05, swa_epoch_start=1), epoch_sequences=None)
