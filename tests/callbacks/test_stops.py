import os
import signal
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from rnn_tasks.callbacks import ExactResume, StopAtAccuracy, StopAtDivergence, StopOnSignal
from rnn_tasks.errors import DivergedError, InterruptedRunError, UsageError
from rnn_tasks.runs.logger import RunLogger


class ScriptedAccuracy(Callback):
    """Replaces the accuracy at each validation by the next value of a list."""

    def __init__(self, *values: float) -> None:
        self.values = list(values)

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        task = trainer.datamodule  # type: ignore[attr-defined]
        task.solved = lambda metrics, threshold: self.values.pop(0) >= threshold


@pytest.mark.parametrize(
    ("threshold", "values", "step"),
    [(0.99, (0.2, 0.99, 1.0), 4), (1.0, (0.999, 0.999, 1.0), 6), (0.5, (0.6, 0.1, 0.1), 2), (0.9, (0.1, 0.2, 0.3), 6)],
)
def test_training_stops_at_the_first_validation_above_threshold(
    fit: Any, threshold: float, values: tuple[float, ...], step: int
) -> None:
    stop = StopAtAccuracy(threshold)
    trainer, _ = fit(ScriptedAccuracy(*values), stop)
    assert trainer.global_step == step
    assert stop.stopped == (max(values) >= threshold)


@pytest.mark.parametrize("threshold", [0.0, 1.01])
def test_stop_at_accuracy_raises_for_a_bad_threshold(threshold: float) -> None:
    with pytest.raises(UsageError, match=str(threshold)):
        StopAtAccuracy(threshold)


class NanWeight(Callback):
    """Sets a weight to NaN at a step."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        if batch_idx == self.step:
            bias = pl_module.get_parameter("network.readout.bias")
            bias.data.fill_(float("nan"))


def test_a_nan_loss_ends_the_run_before_the_optimizer_step(fit: Any) -> None:
    steps: list[int] = []

    class RecordSteps(Callback):
        def on_before_zero_grad(self, trainer: Trainer, *_: Any) -> None:
            steps.append(trainer.global_step)

    with pytest.raises(DivergedError, match="step 3"):
        fit(NanWeight(3), StopAtDivergence(), RecordSteps())
    assert max(steps) <= 3


def test_a_checkpoint_with_a_nonfinite_weight_is_not_written(fit: Any, tmp_path: Any) -> None:
    path = tmp_path / "good.ckpt"
    trainer, model = fit(StopAtDivergence())
    trainer.save_checkpoint(path)
    good = path.read_bytes()
    model.network.readout.bias.data[0] = float("inf")
    with pytest.raises(DivergedError, match=r"readout\.bias"):
        trainer.save_checkpoint(path)
    assert path.read_bytes() == good


class SendSignal(Callback):
    """Sends this process a signal in the middle of a batch."""

    def __init__(self, signum: int, times: int = 1) -> None:
        self.signum, self.times = signum, times

    def on_before_backward(self, trainer: Trainer, pl_module: LightningModule, loss: torch.Tensor) -> None:
        if trainer.global_step == 3:
            for _ in range(self.times):
                os.kill(os.getpid(), self.signum)


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_the_run_between_steps_and_saves_it(fit: Any, tmp_path: Any, signum: int) -> None:
    before = signal.getsignal(signum)
    with pytest.raises(InterruptedRunError) as caught:
        fit(SendSignal(signum), StopOnSignal(), logger=RunLogger(str(tmp_path), "echo"), enable_checkpointing=True)
    assert caught.value.signum == signum
    saved = torch.load(tmp_path / "echo/version_0/checkpoints/last.ckpt", weights_only=True)
    assert saved["global_step"] == 4
    assert signal.getsignal(signum) == before


class SendSignalEarly(Callback):
    """Sends SIGTERM before :class:`StopOnSignal` has set its handlers."""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        os.kill(os.getpid(), signal.SIGTERM)


def test_a_signal_before_the_first_step_ends_the_run_after_it(fit: Any, tmp_path: Any) -> None:
    with pytest.raises(InterruptedRunError) as caught:
        fit(SendSignalEarly(), StopOnSignal(), logger=RunLogger(str(tmp_path), "echo"), enable_checkpointing=True)
    assert caught.value.signum == signal.SIGTERM
    saved = torch.load(tmp_path / "echo/version_0/checkpoints/last.ckpt", weights_only=True)
    assert saved["global_step"] == 1


class SendSignals(Callback):
    """Sends SIGTERM and then SIGINT in the middle of a batch."""

    def on_before_backward(self, trainer: Trainer, pl_module: LightningModule, loss: torch.Tensor) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)


def test_a_repeated_interrupt_counts_once(fit: Any, tmp_path: Any) -> None:
    with pytest.raises(InterruptedRunError):
        fit(
            SendSignal(signal.SIGINT, times=2),
            StopOnSignal(),
            logger=RunLogger(str(tmp_path), "echo"),
            enable_checkpointing=True,
        )
    assert (tmp_path / "echo/version_0/checkpoints/last.ckpt").exists()


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGHUP])
def test_an_ignored_signal_stays_ignored(fit: Any, tmp_path: Any, signum: int) -> None:
    before = signal.signal(signum, signal.SIG_IGN)
    try:
        trainer, _ = fit(SendSignal(signum), StopOnSignal(), enable_checkpointing=True, default_root_dir=tmp_path)
        assert trainer.global_step == 6
        assert signal.getsignal(signum) is signal.SIG_IGN
    finally:
        signal.signal(signum, before)


def test_a_second_interrupt_stops_without_saving(fit: Any, tmp_path: Any) -> None:
    with pytest.raises(InterruptedRunError):
        fit(SendSignals(), StopOnSignal(), logger=RunLogger(str(tmp_path), "echo"), enable_checkpointing=True)
    assert not (tmp_path / "echo/version_0/checkpoints/last.ckpt").exists()


def test_exact_resume_restores_the_random_numbers(fit: Any, tmp_path: Any) -> None:
    path = tmp_path / "checkpoint.ckpt"
    trainer, _ = fit(ExactResume())
    trainer.save_checkpoint(path)
    expected = torch.rand(3)
    resume = ExactResume()
    resume.on_load_checkpoint(trainer, trainer.lightning_module, torch.load(path, weights_only=True))
    trainer.ckpt_path = path
    resume.on_train_start(trainer, trainer.lightning_module)
    assert torch.equal(torch.rand(3), expected)
