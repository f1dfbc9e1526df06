"""Stop cleanly on SIGTERM, SIGHUP, Ctrl-C, and the signal with which SLURM announces the end of a job."""

import os
import signal
import subprocess
import threading
from time import monotonic
from types import FrameType
from typing import Any

from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.pytorch import LightningModule, Trainer

from rnn_tasks.callbacks.checkpoints import ResumableCheckpoint, ends_step, is_last_step, validation_follows
from rnn_tasks.errors import InterruptedRunError

STOPPED_AT_ONCE = (signal.SIGINT, signal.SIGTERM)
"""Signals that stop the run immediately if a signal was received before."""

SAME_SIGNAL = 0.5
"""Seconds within which two equal signals count as one: a wrapper often repeats what the terminal has already sent."""


class StopOnSignal(ResumableCheckpoint):
    """On a signal, finishes the optimizer step, saves ``last.ckpt`` and raises an InterruptedRunError.

    The signals are SIGTERM, SIGHUP and SIGINT (Ctrl-C). A signal that the process ignores stays ignored. The saved
    state lies between two optimizer steps, so the run is resumed exactly. In a validation the run stops after the
    current batch, and the resumed run repeats the validation; if the validation lies between the batches whose
    gradients are accumulated, the run stops after their step. A second SIGTERM or Ctrl-C stops immediately, without
    saving. A signal in the last step ends the run after its training, before the test.

    In a job of SLURM, SIGUSR1 also saves the state, and puts the job into the queue again.

    Attributes:
        received: Number of the received signal, or None.
    """

    def __init__(self) -> None:
        super().__init__()
        self.received: int | None = None
        self.received_at = 0.0
        self.previous: dict[int, Any] = {}

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if stage == "fit" and threading.current_thread() is threading.main_thread():
            handlers = {signum: signal.getsignal(signum) for signum in self.signals()}
            self.previous = {signum: handler for signum, handler in handlers.items() if handler is not signal.SIG_IGN}

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # This hook runs after Lightning has set its handlers, and replaces them: they would end the run mid-step.
        self.received = None
        for signum in self.previous:
            signal.signal(signum, self.receive)
        if trainer.received_sigterm:  # received by Lightning's handler before it was replaced
            self.received = signal.SIGTERM

    @staticmethod
    def signals() -> list[int]:
        """Return the numbers of the signals that this system has."""
        names = ["SIGTERM", "SIGINT", "SIGHUP", *(["SIGUSR1"] if SLURMEnvironment.detect() else [])]
        return [getattr(signal, name) for name in names if hasattr(signal, name)]

    def receive(self, signum: int, frame: FrameType | None) -> None:
        """Remember the signal; raise at the second SIGTERM or Ctrl-C."""
        now = monotonic()
        repeated = signum == self.received and now - self.received_at < SAME_SIGNAL
        if self.received is not None and signum in STOPPED_AT_ONCE and not repeated:
            raise InterruptedRunError(signum)
        if self.received is None:
            self.received, self.received_at = signum, now

    def must_stop(self, trainer: Trainer) -> bool:
        """Return whether a process of the run has received a signal. Call this on every rank."""
        stop = self.received is not None
        return trainer.strategy.reduce_boolean_decision(stop, all=False) if trainer.world_size > 1 else stop

    def stop(self, trainer: Trainer) -> None:
        """End the run.

        Raises:
            InterruptedRunError: Always.
        """
        signum = self.received or signal.SIGTERM
        if SLURMEnvironment.detect() and signum == getattr(signal, "SIGUSR1", None):
            if trainer.is_global_zero:
                requeue(SLURMEnvironment.job_id())
            signum = signal.SIGTERM
        raise InterruptedRunError(signum)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: object, batch: object, batch_idx: int
    ) -> None:
        if not ends_step(trainer) or not self.must_stop(trainer):
            return
        # The run stops later: in the validation, after the first step of the next epoch, or after its training.
        if trainer.is_last_batch or validation_follows(trainer) or is_last_step(trainer):
            return
        self.save(trainer)
        self.stop(trainer)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn == "fit" and not trainer.sanity_checking:
            super().on_validation_start(trainer, pl_module)

    def on_validation_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: object, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        if trainer.state.fn != "fit" or trainer.sanity_checking or not ends_step(trainer):
            return
        if self.must_stop(trainer):
            if not is_last_step(trainer):
                self.save(trainer)
            self.stop(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.must_stop(trainer):
            self.stop(trainer)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        for signum, handler in self.previous.items():
            signal.signal(signum, handler)
        self.previous = {}


def requeue(job: int | None) -> None:
    """Put a job of SLURM into the queue again; print one line if that fails.

    Args:
        job: Number of the job.
    """
    task = os.environ.get("SLURM_ARRAY_TASK_ID")
    name = f"{os.environ['SLURM_ARRAY_JOB_ID']}_{task}" if task else str(job)
    try:
        subprocess.run(["scontrol", "requeue", name], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"the job {name} could not be put into the queue again: {error}", flush=True)
