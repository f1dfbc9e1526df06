from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers.logger import DummyLogger
from torch.optim import Optimizer

from rnn_tasks.callbacks import (
    GradientNormMonitor,
    Reorthogonalize,
    RunSummary,
    SampleMonitor,
    SpectralNormMonitor,
    ThroughputMonitor,
)
from rnn_tasks.callbacks.gradient_norm_monitor import gradient_norm
from rnn_tasks.callbacks.spectral_norm_monitor import spectrum
from rnn_tasks.errors import UsageError
from rnn_tasks.runs.logger import RunLogger


class Notebook(DummyLogger):
    """A logger that keeps what it is given."""

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
def notebook() -> Notebook:
    return Notebook()


def counted(monitor: ThroughputMonitor) -> tuple[Callback, Callback]:
    """The monitor after the callback that counts the sequences for it."""
    return RunSummary(quiet=True), monitor


def test_spectrum_against_numpy() -> None:
    weight = torch.randn(9, 9)
    array = weight.double().numpy()
    expected = {
        "spectral_norm": np.linalg.svd(array, compute_uv=False).max(),
        "spectral_radius": np.abs(np.linalg.eigvals(array)).max(),
        "orthogonality_error": np.abs(array.T @ array - np.eye(9)).max(),
    }
    for name, value in spectrum(weight).items():
        assert value.item() == pytest.approx(expected[name], rel=1e-4)


def test_the_spectrum_of_what_is_no_number_is_none() -> None:
    for value in (float("nan"), 1e30):
        found = spectrum(torch.full((3, 3), value))
        assert set(found) == {"spectral_norm", "orthogonality_error", "spectral_radius"}
        assert all(bool(number.isnan()) for number in found.values())


def test_gradient_norm_is_what_clipping_measures() -> None:
    layer = torch.nn.GRU(3, 4)
    layer(torch.randn(5, 2, 3))[0].square().sum().backward()
    measured = gradient_norm(layer.parameters())
    assert measured.item() == pytest.approx(torch.nn.utils.clip_grad_norm_(layer.parameters(), 1.0).item())


def test_spectral_norm_is_logged_before_and_after_the_projection(fit: Any, notebook: Notebook) -> None:
    fit(SpectralNormMonitor(every_n_logs=1), Reorthogonalize(), logger=notebook)
    assert notebook.values("spectral_norm/weight_hh_l0") == pytest.approx([1.0] * 6, abs=1e-5)
    assert max(notebook.values("orthogonality_error/weight_hh_l0")) < 1e-5
    assert min(notebook.values("orthogonality_error_before_projection/weight_hh_l0")) > 1e-4


@pytest.mark.parametrize("constraint_first", [True, False])
def test_the_order_of_monitor_and_constraint_does_not_matter(
    fit: Any, notebook: Notebook, constraint_first: bool
) -> None:
    pair: list[Callback] = [SpectralNormMonitor(every_n_logs=1), Reorthogonalize()]
    fit(*(reversed(pair) if constraint_first else pair), logger=notebook)
    assert len(notebook.values("spectral_norm_before_projection/weight_hh_l0")) == 6


def test_spectral_radius_is_measured_less_often_than_the_norm(fit: Any, notebook: Notebook) -> None:
    fit(SpectralNormMonitor(every_n_logs=2, radius_every=2), logger=notebook)
    assert len(notebook.values("spectral_norm/weight_hh_l0")) == 3  # steps 1, 3 and 5
    assert len(notebook.values("spectral_radius/weight_hh_l0")) == 2  # steps 1 and 5
    for wrong in ({"every_n_logs": 0}, {"radius_every": 0}):
        with pytest.raises(UsageError, match="must be at least 1, got 0"):
            SpectralNormMonitor(**wrong)


def test_without_a_constraint_there_is_no_before(fit: Any, notebook: Notebook, gru: Callable[[int], Any]) -> None:
    fit(SpectralNormMonitor(every_n_logs=1), logger=notebook, core=gru)
    names = notebook.names(["spectral_norm"])
    assert names == {f"spectral_norm/weight_hh_l0/{gate}" for gate in ("reset", "update", "new")}


class Gradients(Callback):
    """Measures the gradient by another way, before clipping."""

    def __init__(self) -> None:
        self.norms: list[float] = []

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:
        grads = [parameter.grad for parameter in pl_module.parameters() if parameter.grad is not None]
        self.norms.append(torch.cat([grad.flatten() for grad in grads]).norm().item())


def test_gradient_norm_before_and_after_clipping(fit: Any, notebook: Notebook) -> None:
    reference = Gradients()
    fit(GradientNormMonitor(per_parameter=True), reference, logger=notebook, gradient_clip_val=0.05)
    assert notebook.values("gradient_norm/before_clipping") == pytest.approx(reference.norms, rel=1e-5)
    assert notebook.values("gradient_norm/after_clipping") == pytest.approx([0.05] * 6, rel=1e-3)
    parts = [notebook.values(name) for name in notebook.names(["gradient_norm/core.", "gradient_norm/readout."])]
    assert np.square(parts).sum(0) == pytest.approx(np.square(reference.norms), rel=1e-4)


def test_monitors_log_once_per_logged_optimizer_step(fit: Any, notebook: Notebook) -> None:
    monitors = (GradientNormMonitor(), SpectralNormMonitor(every_n_logs=1), *counted(ThroughputMonitor(every_n_logs=1)))
    fit(*monitors, logger=notebook, accumulate_grad_batches=2, log_every_n_steps=3, val_check_interval=100)
    for name in ("gradient_norm/after_clipping", "spectral_norm/weight_hh_l0", "throughput/sequences_per_second"):
        assert len(notebook.values(name)) == 2


def test_observing_changes_no_weight(fit: Any, notebook: Notebook) -> None:
    weights = []
    watching = (GradientNormMonitor(), SpectralNormMonitor(every_n_logs=1), *counted(ThroughputMonitor()))
    for monitors in ((), watching):
        torch.manual_seed(1)
        weights.append(fit(*monitors, logger=notebook)[1].state_dict())
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_throughput_counts_every_sequence_and_scored_step(fit: Any, notebook: Notebook) -> None:
    fit(*counted(ThroughputMonitor(every_n_logs=1)), logger=notebook)
    steps = np.array(notebook.values("throughput/scored_steps_per_second"))
    sequences = np.array(notebook.values("throughput/sequences_per_second"))
    assert len(steps) == 6
    assert steps / sequences == pytest.approx(np.full(6, 4))  # length 5, delay 1


def test_throughput_is_logged_every_n_logs(fit: Any, notebook: Notebook) -> None:
    fit(*counted(ThroughputMonitor(every_n_logs=4)), logger=notebook)
    assert len(notebook.values("throughput/sequences_per_second")) == 2  # of the first and the fifth of six
    with pytest.raises(UsageError, match="every_n_logs"):
        ThroughputMonitor(every_n_logs=0)


class Clock(Callback):
    """A clock on which a training step takes 2 s and a batch of validation 100 s."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds

    def on_train_batch_start(self, *_: Any) -> None:
        self.seconds += 2

    def on_validation_batch_start(self, *_: Any) -> None:
        self.seconds += 100


def test_throughput_excludes_the_time_of_validations(
    fit: Any, notebook: Notebook, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr("rnn_tasks.callbacks.throughput_monitor.perf_counter", clock)
    fit(*counted(ThroughputMonitor(every_n_logs=2)), clock, logger=notebook)
    assert clock.seconds > 300
    assert notebook.values("throughput/sequences_per_second") == [4.0, 4.0, 4.0]  # 8 sequences in 2 s
    assert notebook.values("throughput/scored_steps_per_second") == [16.0, 16.0, 16.0]


def test_throughput_monitor_is_refused_without_run_summary(fit: Any) -> None:
    with pytest.raises(UsageError, match="name RunSummary before it"):
        fit(ThroughputMonitor())


def test_samples_show_what_the_network_answers(fit: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[tuple[str, str, int]] = []
    logger = RunLogger(str(tmp_path), "echo")
    monkeypatch.setattr(logger.experiment, "add_text", lambda *args: shown.append(args))
    trainer, model = fit(SampleMonitor(num_sequences=2, every_n_validations=2), logger=logger)
    _, (tag, text, step) = shown
    assert [(shown[0][0], shown[0][2]), (tag, step)] == [("samples", 2), ("samples", 6)]
    batch = trainer.datamodule._evaluation_sets["val"].rows(0, 2)
    with torch.no_grad():
        expected = trainer.datamodule.show(batch, model(batch.inputs)[0].argmax(-1))
    assert text == "```\n" + "\n\n".join(expected) + "\n```"


def test_samples_must_be_at_least_one() -> None:
    with pytest.raises(UsageError):
        SampleMonitor(num_sequences=0)
