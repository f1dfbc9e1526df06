"""All loggers and all callbacks get every value that models and monitors log."""

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
from tests.helpers.monitored_runs import GATED, RecordingLogger, echo, events, grammar, model_for, trainer

MONITORED = ("gradient_norm/", "spectral_norm/", "spectral_norm_before_projection/", "spectral_radius/",
             "orthogonality_error/", "orthogonality_error_before_projection/", "throughput/", "gradient_by_lag/",
             "gate/", "saturation/")  # fmt: skip

BEFORE_TRAINING = ("gradient_by_lag/", "gate/", "saturation/")
"""Prefixes of values that are measured before training too; only the loggers get these first values."""


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


class ValidationReader(Callback):
    """Keeps the callback metrics after each validation."""

    def __init__(self) -> None:
        self.metrics: list[dict[str, float]] = []

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.metrics.append({name: float(value) for name, value in trainer.callback_metrics.items()})


class StepReader(Callback):
    """Keeps all values of the callback metrics after each step and validation, in single precision, by name."""

    def __init__(self) -> None:
        self.values: dict[str, set[np.float32]] = {}

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        for name, value in trainer.callback_metrics.items():
            self.values.setdefault(name, set()).add(np.float32(float(value)))

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.on_train_batch_end(trainer, pl_module)


def fit_small(*callbacks: Callback, text: bool = False, **options: Any) -> tuple[Trainer, RecordingLogger]:
    task, logger = grammar() if text else echo(), RecordingLogger()
    run = trainer(*callbacks, logger=logger, **options)
    run.fit(model_for(task), task)
    return run, logger


@pytest.mark.parametrize("text", [False, True])
def test_callbacks_see_the_scores_that_loggers_get(text: bool) -> None:
    reader = ValidationReader()
    run, logger = fit_small(reader, text=text)
    assert len(reader.metrics) == 3
    for name in ("val/loss", "val/accuracy", "val/baseline_loss"):
        assert [metrics[name] for metrics in reader.metrics] == pytest.approx(logger.values(name))
        assert logger.steps(name) == [1, 3, 5]
    assert logger.steps("train/loss") == [0, 1, 2, 3, 4, 5]
    assert [metrics["train/loss"] for metrics in reader.metrics] == pytest.approx(logger.values("train/loss")[1::2])
    assert float(run.logged_metrics["val/loss"]) == pytest.approx(logger.values("val/loss")[-1])


@pytest.mark.parametrize("every", [1, 2])
def test_monitored_values_reach_callbacks_and_all_loggers(every: int) -> None:
    first, second, reader = RecordingLogger(), RecordingLogger(), StepReader()
    # The reader is the last callback, so that it runs after the monitors.
    run = trainer(*monitors(), reader, logger=first, log_every_n_steps=every, max_steps=8)
    run.loggers = [first, second]
    run.fit(model_for(echo(), GATED), echo())
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
        assert {np.float32(value) for value in values} <= reader.values[name]
    assert {name for name in reader.values if name.startswith(MONITORED)} == names


def test_monitored_values_are_logged_once_at_each_due_step() -> None:
    _, logger = fit_small(*[monitor for monitor in monitors() if not isinstance(monitor, GateMonitor)], max_steps=10)
    assert logger.steps("gradient_norm/before_clipping") == list(range(10))
    assert logger.steps("gradient_norm/core.weight_hh_l0") == list(range(10))
    assert logger.steps("spectral_norm/weight_hh_l0") == [0, 2, 4, 6, 8]
    assert logger.steps("spectral_radius/weight_hh_l0") == [0, 4, 8]
    assert logger.steps("throughput/sequences_per_second") == [0, 2, 4, 6, 8]
    for name in ("gradient_by_lag/1", "saturation/share"):
        assert logger.steps(name) == [0, 1, 3, 5, 7, 9]


def test_model_checkpoint_can_use_values_of_a_monitor(tmp_path: Path) -> None:
    saver = ModelCheckpoint(tmp_path, "least", monitor="saturation/share", mode="min", save_top_k=1)
    _, logger = fit_small(SaturationMonitor(threshold=0.1), saver, enable_checkpointing=True)
    assert saver.best_model_score == pytest.approx(min(logger.values("saturation/share")[1:]))


def test_lightning_callbacks_can_monitor_any_score(tmp_path: Path) -> None:
    saver = ModelCheckpoint(tmp_path, "least", monitor="train/loss", mode="min", every_n_train_steps=1)
    stop = EarlyStopping("val/loss", min_delta=1e9, patience=1)
    run, logger = fit_small(saver, stop, enable_checkpointing=True, max_steps=20)
    assert run.global_step == 4
    assert saver.best_model_score == pytest.approx(min(logger.values("train/loss")))


def test_validate_and_test_return_their_scores() -> None:
    task = echo()
    model = model_for(task)
    result = trainer().validate(model, task, verbose=False)[0]
    assert result["val/loss"] > 0
    assert "val/baseline_accuracy" in result
    assert trainer().test(model, task, verbose=False)[0]["test/loss"] > 0


def test_the_sanity_check_is_not_logged() -> None:
    _, logger = fit_small(SaturationMonitor(), num_sanity_val_steps=2, max_steps=2)
    assert logger.steps("val/loss") == [1]
    assert logger.steps("saturation/share") == [0, 1]


def test_accumulated_batches_log_one_step() -> None:
    _, logger = fit_small(accumulate_grad_batches=3, max_steps=4, val_check_interval=6)
    assert logger.steps("train/loss") == [0, 1, 2, 3]


class DiskReader(Callback):
    """Reads the last step of the curves on disk, before each batch and before each checkpoint."""

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
    task, reader = echo(), DiskReader(tmp_path)
    saver = ModelCheckpoint(tmp_path / "saved", "last", every_n_train_steps=2)
    run = trainer(ExactResume(), reader, saver, folder=tmp_path, enable_checkpointing=True)
    run.fit(model_for(task), task)
    assert reader.at_batches == [0, 1, 2, 3, 4]
    assert reader.at_checkpoints == [1, 3, 5]
