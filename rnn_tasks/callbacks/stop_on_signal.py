"""Stop cleanly on SIGTERM and Ctrl-C."""

import signal
import threading
from types import FrameType
from typing import Any

from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.pytorch import Callback, LightningModule, Trainer

from rnn_tasks.errors import InterruptedRunError
from rnn_tasks.runs.files import CHECKPOINTS, LAST
from rnn_tasks.runs.record import run_folder

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class StopOnSignal(Callback):
    """On SIGTERM or Ctrl-C, finishes the current batch, saves ``last.ckpt`` and raises an InterruptedRunError.

    The saved state lies between two steps, so the run can be resumed exactly. A second Ctrl-C stops immediately,
    without saving. Under SLURM with automatic requeueing, Lightning handles the signals.

    Attributes:
        received: Number of the received signal, or None.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self.previous: dict[int, Any] = {}

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # This hook runs after Lightning has set its handlers, and replaces them: they would end the run mid-step.
        self.received = None
        on_slurm = isinstance(trainer._accelerator_connector.cluster_environment, SLURMEnvironment)
        if threading.current_thread() is threading.main_thread() and not on_slurm:
            self.previous = {signum: signal.signal(signum, self.receive) for signum in SIGNALS}
            if trainer.received_sigterm:  # received by Lightning's handler before it was replaced
                self.received = signal.SIGTERM

    def receive(self, signum: int, frame: FrameType | None) -> None:
        """Remember the signal; raise at the second Ctrl-C."""
        if self.received is not None and signum == signal.SIGINT:
            raise InterruptedRunError(signum)
        self.received = signum

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: object, batch: object, batch_idx: int
    ) -> None:
        stop = self.received is not None
        if trainer.world_size > 1:
            stop = trainer.strategy.reduce_boolean_decision(stop, all=False)
        if stop:
            folder = run_folder(trainer)
            if folder is not None:
                trainer.save_checkpoint(folder / CHECKPOINTS / LAST, weights_only=False)
            raise InterruptedRunError(self.received or signal.SIGTERM)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        for signum, handler in self.previous.items():
            signal.signal(signum, handler)
        self.previous = {}
