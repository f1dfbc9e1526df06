"""What a fit tells its loggers and callbacks."""

from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint

from rnn_tasks.callbacks import ExactResume
from tests.callbacks.watched import Notebook, echo, events, grammar, network, trainer


class Reader(Callback):
    """Keeps what other callbacks can see behind each validation."""

    def __init__(self) -> None:
        self.seen: list[dict[str, float]] = []

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.seen.append({name: float(value) for name, value in trainer.callback_metrics.items()})


def fitted(*callbacks: Callback, text: bool = False, **options: Any) -> tuple[Trainer, Notebook]:
    task, notebook = grammar() if text else echo(), Notebook()
    running = trainer(*callbacks, notebook=notebook, **options)
    running.fit(network(task), task)
    return running, notebook


@pytest.mark.parametrize("text", [False, True])
def test_callbacks_see_what_the_loggers_are_given(text: bool) -> None:
    reader = Reader()
    running, notebook = fitted(reader, text=text)
    assert len(reader.seen) == 3
    for name in ("val/loss", "val/accuracy", "val/baseline_loss"):
        assert [seen[name] for seen in reader.seen] == pytest.approx(notebook.values(name))
        assert notebook.steps(name) == [1, 3, 5]
    assert notebook.steps("train/loss") == [0, 1, 2, 3, 4, 5]
    assert [seen["train/loss"] for seen in reader.seen] == pytest.approx(notebook.values("train/loss")[1::2])
    assert float(running.logged_metrics["val/loss"]) == pytest.approx(notebook.values("val/loss")[-1])


def test_lightning_s_own_callbacks_can_watch_any_of_it(tmp_path: Path) -> None:
    saver = ModelCheckpoint(tmp_path, "least", monitor="train/loss", mode="min", every_n_train_steps=1)
    stop = EarlyStopping("val/loss", min_delta=1e9, patience=1)
    running, notebook = fitted(saver, stop, enable_checkpointing=True, max_steps=20)
    assert running.global_step == 4
    assert saver.best_model_score == pytest.approx(min(notebook.values("train/loss")))


def test_validation_and_test_by_themselves_return_their_scores() -> None:
    task = echo()
    model = network(task)
    found = trainer().validate(model, task, verbose=False)[0]
    assert found["val/loss"] > 0
    assert "val/baseline_accuracy" in found
    assert trainer().test(model, task, verbose=False)[0]["test/loss"] > 0


def test_a_sanity_check_is_not_logged() -> None:
    _, notebook = fitted(num_sanity_val_steps=2, max_steps=2)
    assert notebook.steps("val/loss") == [1]


def test_accumulated_batches_are_one_logged_step() -> None:
    _, notebook = fitted(accumulate_grad_batches=3, max_steps=4, val_check_interval=6)
    assert notebook.steps("train/loss") == [0, 1, 2, 3]


class OnDisk(Callback):
    """Looks, right before a checkpoint is written, how far the curves on disk reach."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.on_disk: list[int] = []

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, torch.Tensor]
    ) -> None:
        written = events(self.folder).Scalars("train/loss")
        self.on_disk.append(max(event.step for event in written))


def test_the_curves_reach_as_far_as_the_checkpoint_that_is_about_to_be_written(tmp_path: Path) -> None:
    task, watcher = echo(), OnDisk(tmp_path)
    saver = ModelCheckpoint(tmp_path / "saved", "last", every_n_train_steps=2)
    running = trainer(ExactResume(), watcher, saver, folder=tmp_path, enable_checkpointing=True)
    running.fit(network(task), task)
    assert watcher.on_disk == [1, 3, 5]
