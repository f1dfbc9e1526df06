"""Scores and monitors log on one path: all loggers and all callbacks get every value."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint

from rnn_tasks.callbacks import (
    ExactResume,
    GateMonitor,
    GradientLagMonitor,
    GradientNormMonitor,
    Reorthogonalize,
    RunSummary,
    SaturationMonitor,
    SpectralNormMonitor,
    ThroughputMonitor,
)
from tests.helpers.monitored_runs import GATED, Notebook, echo, events, grammar, model_for, trainer

MONITORED = ("gradient_norm/", "spectral_norm/", "spectral_norm_before_projection/", "spectral_radius/",
             "orthogonality_error/", "orthogonality_error_before_projection/", "throughput/", "gradient_by_lag/",
             "gate/", "saturation/")  # fmt: skip

BEFORE_TRAINING = ("gradient_by_lag/", "gate/", "saturation/")
"""Their first values go to the loggers alone: before the first step, no callback has a use for them."""


def monitors() -> list[Callback]:
    return [
        RunSummary(quiet=True),
        Reorthogonalize(),
        GradientNormMonitor(per_parameter=True),
        SpectralNormMonitor(every_n_logs=2, radius_every=2),
        ThroughputMonitor(every_n_logs=2),
        GradientLagMonitor(),
        GateMonitor(),
        SaturationMonitor(),
    ]


class Reader(Callback):
    """Keeps what other callbacks can see after each validation."""

    def __init__(self) -> None:
        self.seen: list[dict[str, float]] = []

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.seen.append({name: float(value) for name, value in trainer.callback_metrics.items()})


class StepReader(Callback):
    """Keeps every value that other callbacks can see, in single precision, by its name."""

    def __init__(self) -> None:
        self.seen: dict[str, set[np.float32]] = {}

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        for name, value in trainer.callback_metrics.items():
            self.seen.setdefault(name, set()).add(np.float32(float(value)))

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.on_train_batch_end(trainer, pl_module)


def fitted(*callbacks: Callback, text: bool = False, **options: Any) -> tuple[Trainer, Notebook]:
    task, notebook = grammar() if text else echo(), Notebook()
    running = trainer(*callbacks, notebook=notebook, **options)
    running.fit(model_for(task), task)
    return running, notebook


@pytest.mark.parametrize("text", [False, True])
def test_callbacks_see_the_scores_that_loggers_get(text: bool) -> None:
    reader = Reader()
    running, notebook = fitted(reader, text=text)
    assert len(reader.seen) == 3
    for name in ("val/loss", "val/accuracy", "val/baseline_loss"):
        assert [seen[name] for seen in reader.seen] == pytest.approx(notebook.values(name))
        assert notebook.steps(name) == [1, 3, 5]
    assert notebook.steps("train/loss") == [0, 1, 2, 3, 4, 5]
    assert [seen["train/loss"] for seen in reader.seen] == pytest.approx(notebook.values("train/loss")[1::2])
    assert float(running.logged_metrics["val/loss"]) == pytest.approx(notebook.values("val/loss")[-1])


@pytest.mark.parametrize("every", [1, 2])
def test_monitored_values_reach_callbacks_and_all_loggers(every: int) -> None:
    first, second, reader = Notebook(), Notebook(), StepReader()
    # The reader comes last, so that it sees what the monitors have just logged.
    running = trainer(*monitors(), reader, notebook=first, log_every_n_steps=every, max_steps=8)
    running.loggers = [first, second]
    running.fit(model_for(echo(), GATED), echo())
    names = {name for name in first.names() if name.startswith(MONITORED)}
    assert {name.partition("/")[0] + "/" for name in names} == set(MONITORED)
    for name in names:
        assert first.steps(name) == second.steps(name)
        assert first.values(name) == second.values(name)
        values = first.values(name)
        if name.startswith(BEFORE_TRAINING):
            assert first.steps(name)[0] == 0
            del values[0]
        assert values
        assert {np.float32(value) for value in values} <= reader.seen[name]
    assert {name for name in reader.seen if name.startswith(MONITORED)} == names


def test_monitored_values_are_logged_once_at_the_due_steps() -> None:
    _, notebook = fitted(*[monitor for monitor in monitors() if not isinstance(monitor, GateMonitor)], max_steps=10)
    assert notebook.steps("gradient_norm/before_clipping") == list(range(10))
    assert notebook.steps("gradient_norm/core.weight_hh_l0") == list(range(10))
    assert notebook.steps("spectral_norm/weight_hh_l0") == [0, 2, 4, 6, 8]
    assert notebook.steps("spectral_radius/weight_hh_l0") == [0, 4, 8]
    assert notebook.steps("throughput/sequences_per_second") == [0, 2, 4, 6, 8]
    for name in ("gradient_by_lag/1", "saturation/share"):
        assert notebook.steps(name) == [0, 1, 3, 5, 7, 9]


def test_a_checkpoint_can_monitor_what_a_monitor_logs(tmp_path: Path) -> None:
    saver = ModelCheckpoint(tmp_path, "least", monitor="saturation/share", mode="min", save_top_k=1)
    _, notebook = fitted(SaturationMonitor(threshold=0.1), saver, enable_checkpointing=True)
    assert saver.best_model_score == pytest.approx(min(notebook.values("saturation/share")[1:]))


def test_lightning_callbacks_can_monitor_any_score(tmp_path: Path) -> None:
    saver = ModelCheckpoint(tmp_path, "least", monitor="train/loss", mode="min", every_n_train_steps=1)
    stop = EarlyStopping("val/loss", min_delta=1e9, patience=1)
    running, notebook = fitted(saver, stop, enable_checkpointing=True, max_steps=20)
    assert running.global_step == 4
    assert saver.best_model_score == pytest.approx(min(notebook.values("train/loss")))


def test_validate_and_test_return_their_scores() -> None:
    task = echo()
    model = model_for(task)
    found = trainer().validate(model, task, verbose=False)[0]
    assert found["val/loss"] > 0
    assert "val/baseline_accuracy" in found
    assert trainer().test(model, task, verbose=False)[0]["test/loss"] > 0


def test_a_sanity_check_is_not_logged() -> None:
    _, notebook = fitted(SaturationMonitor(), num_sanity_val_steps=2, max_steps=2)
    assert notebook.steps("val/loss") == [1]
    assert notebook.steps("saturation/share") == [0, 1]


def test_accumulated_batches_are_one_logged_step() -> None:
    _, notebook = fitted(accumulate_grad_batches=3, max_steps=4, val_check_interval=6)
    assert notebook.steps("train/loss") == [0, 1, 2, 3]


class OnDisk(Callback):
    """Reads the last step of the curves on disk before each batch, and right before a checkpoint is written."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.at_batches: list[int] = []
        self.at_checkpoints: list[int] = []

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        if trainer.global_step:
            self.at_batches.append(self.last_step())

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        self.at_checkpoints.append(self.last_step())

    def last_step(self) -> int:
        return int(events(self.folder).Scalars("train/loss")[-1].step)


def test_curves_are_on_disk_before_the_next_step(tmp_path: Path) -> None:
    task, watcher = echo(), OnDisk(tmp_path)
    saver = ModelCheckpoint(tmp_path / "saved", "last", every_n_train_steps=2)
    running = trainer(ExactResume(), watcher, saver, folder=tmp_path, enable_checkpointing=True)
    running.fit(model_for(task), task)
    assert watcher.at_batches == [0, 1, 2, 3, 4]
    assert watcher.at_checkpoints == [1, 3, 5]
