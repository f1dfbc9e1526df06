from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers.logger import DummyLogger
from torch import Tensor
from torch.optim import Optimizer

from rnn_tasks.callbacks import (
    EigenvalueMonitor,
    GradientNormMonitor,
    Reorthogonalize,
    SampleMonitor,
    SpectralNormMonitor,
    ThroughputMonitor,
)
from rnn_tasks.callbacks.gradient_norm_monitor import gradient_norm
from rnn_tasks.callbacks.spectral_norm_monitor import spectrum
from rnn_tasks.errors import UsageError
from rnn_tasks.runs.logger import RunLogger
from tests.helpers.other_device import remove_operations


class RecordingLogger(DummyLogger):
    """A logger that keeps all metrics."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[dict[str, float]] = []

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        self.rows.append(metrics)

    def values(self, name: str) -> list[float]:
        return [row[name] for row in self.rows if name in row]

    def names(self, prefixes: Iterable[str]) -> set[str]:
        return {name for row in self.rows for name in row if name.startswith(tuple(prefixes))}


@pytest.fixture
def logger() -> RecordingLogger:
    return RecordingLogger()


def test_spectrum_equals_numpy() -> None:
    weight = torch.randn(9, 9)
    array = weight.double().numpy()
    expected = {
        "spectral_norm": np.linalg.svd(array, compute_uv=False).max(),
        "spectral_radius": np.abs(np.linalg.eigvals(array)).max(),
        "orthogonality_error": np.abs(array.T @ array - np.eye(9)).max(),
    }
    for name, value in spectrum(weight).items():
        assert value.item() == pytest.approx(expected[name], rel=1e-4)


def test_spectrum_is_nan_when_weights_are_not_finite() -> None:
    for value in (float("nan"), 1e30):
        result = spectrum(torch.full((3, 3), value))
        assert set(result) == {"spectral_norm", "orthogonality_error", "spectral_radius"}
        assert all(bool(number.isnan()) for number in result.values())


def test_gradient_norm_equals_the_norm_of_clip_grad_norm() -> None:
    layer = torch.nn.GRU(3, 4)
    layer(torch.randn(5, 2, 3))[0].square().sum().backward()
    measured = gradient_norm(layer.parameters())
    assert measured.item() == pytest.approx(torch.nn.utils.clip_grad_norm_(layer.parameters(), 1.0).item())


def test_spectral_norm_is_logged_before_and_after_projection(fit: Any, logger: RecordingLogger) -> None:
    fit(SpectralNormMonitor(every_n_logs=1), Reorthogonalize(), logger=logger)
    assert logger.values("spectral_norm/weight_hh_l0") == pytest.approx([1.0] * 6, abs=1e-5)
    assert max(logger.values("orthogonality_error/weight_hh_l0")) < 1e-5
    assert min(logger.values("orthogonality_error_before_projection/weight_hh_l0")) > 1e-4


@pytest.mark.parametrize("constraint_first", [True, False])
def test_projection_is_detected_in_any_order_of_callbacks(
    fit: Any, logger: RecordingLogger, constraint_first: bool
) -> None:
    pair: list[Callback] = [SpectralNormMonitor(every_n_logs=1), Reorthogonalize()]
    fit(*(reversed(pair) if constraint_first else pair), logger=logger)
    assert len(logger.values("spectral_norm_before_projection/weight_hh_l0")) == 6


def test_radius_every_sets_the_interval_of_the_spectral_radius(fit: Any, logger: RecordingLogger) -> None:
    fit(SpectralNormMonitor(every_n_logs=2, radius_every=2), logger=logger)
    assert len(logger.values("spectral_norm/weight_hh_l0")) == 3  # steps 1, 3 and 5
    assert len(logger.values("spectral_radius/weight_hh_l0")) == 2  # steps 1 and 5
    for options in ({"every_n_logs": 0}, {"radius_every": 0}):
        with pytest.raises(UsageError, match="must be at least 1, got 0"):
            SpectralNormMonitor(**options)


def test_no_value_before_projection_without_a_projection(
    fit: Any, logger: RecordingLogger, gru: Callable[[int], Any]
) -> None:
    fit(SpectralNormMonitor(every_n_logs=1), logger=logger, core=gru)
    names = logger.names(["spectral_norm"])
    assert names == {f"spectral_norm/weight_hh_l0/{gate}" for gate in ("reset", "update", "new")}


def test_monitors_are_skipped_with_one_warning_without_linalg(
    fit: Any, gru: Callable[[int], Any], logger: RecordingLogger, monkeypatch: pytest.MonkeyPatch
) -> None:
    remove_operations(monkeypatch, also_on_cpu=True)
    with pytest.warns(UserWarning, match="is skipped") as warned:
        fit(SpectralNormMonitor(every_n_logs=1), EigenvalueMonitor(first_picture_after=1), logger=logger, core=gru)
    assert sorted(str(warning.message) for warning in warned if warning.category is UserWarning) == [
        "EigenvalueMonitor is skipped: The operator 'aten::linalg_eigvals' is not implemented for the MPS device.",
        "SpectralNormMonitor is skipped: The operator 'aten::linalg_eigvalsh' is not implemented for the MPS device.",
    ]
    assert not logger.names(["spectral", "orthogonality"])


class ReferenceNorms(Callback):
    """Measures the norm of the gradient before clipping, with torch only."""

    def __init__(self) -> None:
        self.norms: list[float] = []

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:
        grads = [parameter.grad for parameter in pl_module.parameters() if parameter.grad is not None]
        self.norms.append(torch.cat([grad.flatten() for grad in grads]).norm().item())


def test_gradient_norm_is_logged_before_and_after_clipping(fit: Any, logger: RecordingLogger) -> None:
    reference = ReferenceNorms()
    fit(GradientNormMonitor(per_parameter=True), reference, logger=logger, gradient_clip_val=0.05)
    assert logger.values("gradient_norm/before_clipping") == pytest.approx(reference.norms, rel=1e-5)
    assert logger.values("gradient_norm/after_clipping") == pytest.approx([0.05] * 6, rel=1e-3)
    parts = [logger.values(name) for name in logger.names(["gradient_norm/core.", "gradient_norm/readout."])]
    assert np.square(parts).sum(0) == pytest.approx(np.square(reference.norms), rel=1e-4)


def test_monitors_log_once_per_logged_optimizer_step(fit: Any, logger: RecordingLogger) -> None:
    monitors = (
        GradientNormMonitor(),
        SpectralNormMonitor(every_n_logs=1),
        ThroughputMonitor(every_n_logs=1),
    )
    fit(*monitors, logger=logger, accumulate_grad_batches=2, log_every_n_steps=3, val_check_interval=100)
    for name in ("gradient_norm/after_clipping", "spectral_norm/weight_hh_l0", "throughput/sequences_per_second"):
        assert len(logger.values(name)) == 2


def test_monitors_change_no_weight(fit: Any, logger: RecordingLogger) -> None:
    weights = []
    all_monitors = (GradientNormMonitor(), SpectralNormMonitor(every_n_logs=1), ThroughputMonitor())
    for monitors in ((), all_monitors):
        torch.manual_seed(1)
        weights.append(fit(*monitors, logger=logger)[1].state_dict())
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_throughput_counts_every_sequence_and_scored_step(fit: Any, logger: RecordingLogger) -> None:
    fit(ThroughputMonitor(every_n_logs=1), logger=logger)
    steps = np.array(logger.values("throughput/scored_steps_per_second"))
    sequences = np.array(logger.values("throughput/sequences_per_second"))
    assert len(steps) == 6
    assert steps / sequences == pytest.approx(np.full(6, 4))  # length 5, delay 1


def test_throughput_is_logged_every_n_logs(fit: Any, logger: RecordingLogger) -> None:
    fit(ThroughputMonitor(every_n_logs=4), logger=logger)
    assert len(logger.values("throughput/sequences_per_second")) == 2  # at the first and the fifth of six steps
    with pytest.raises(UsageError, match="every_n_logs"):
        ThroughputMonitor(every_n_logs=0)


class Clock(Callback):
    """A clock on which a training step takes 2 s and a validation batch 100 s."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds

    def on_train_batch_start(self, *_: Any) -> None:
        self.seconds += 2

    def on_validation_batch_start(self, *_: Any) -> None:
        self.seconds += 100


def test_throughput_excludes_the_time_of_validations(
    fit: Any, logger: RecordingLogger, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr("rnn_tasks.callbacks.throughput_monitor.perf_counter", clock)
    fit(ThroughputMonitor(every_n_logs=2), clock, logger=logger)
    assert clock.seconds > 300
    assert logger.values("throughput/sequences_per_second") == [4.0, 4.0, 4.0]  # 8 sequences in 2 s
    assert logger.values("throughput/scored_steps_per_second") == [16.0, 16.0, 16.0]


def test_throughput_monitor_keeps_one_count_when_nothing_is_logged(fit: Any) -> None:
    monitor = ThroughputMonitor()
    fit(monitor, log_every_n_steps=0)
    assert monitor.sequences == 6 * 8
    assert int(monitor.scored_steps) == 6 * 8 * 4  # length 5, delay 1
    assert isinstance(monitor.scored_steps, Tensor)
    assert monitor.scored_steps.numel() == 1


def test_sample_monitor_writes_the_answers_of_the_network(
    fit: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[tuple[str, str, int]] = []
    logger = RunLogger(str(tmp_path), "echo")
    monkeypatch.setattr(logger.experiment, "add_text", lambda *args: written.append(args))
    trainer, model = fit(SampleMonitor(num_sequences=2, every_n_validations=2), logger=logger)
    assert [(tag, step) for tag, _, step in written] == [("samples", 2), ("samples", 6)]
    text = written[-1][1]
    batch = trainer.datamodule._evaluation_sets["val"].rows(0, 2)
    with torch.no_grad():
        expected = trainer.datamodule.show(batch, model(batch.inputs)[0].argmax(-1))
    assert text == "```\n" + "\n\n".join(expected) + "\n```"


def test_sample_monitor_raises_for_no_sequences() -> None:
    with pytest.raises(UsageError, match="must be at least 1, got 0 and 4"):
        SampleMonitor(num_sequences=0)
