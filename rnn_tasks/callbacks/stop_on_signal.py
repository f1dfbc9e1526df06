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
    """On SIGTERM or Ctrl-C finishes the batch, saves ``last.ckpt`` and ends with an InterruptedRunError.

    So the saved state lies between two steps, and the run can be resumed exactly. A second Ctrl-C stops at once,
    without saving. Under SLURM with automatic requeueing the signals are left to Lightning.

    Attributes:
        received: Number of the signal that asked to stop, or None.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self.previous: dict[int, Any] = {}

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # After Lightning has set its own handlers, which end the run in the middle of a loop.
        self.received = None
        requeued = isinstance(trainer._accelerator_connector.cluster_environment, SLURMEnvironment)
        if threading.current_thread() is threading.main_thread() and not requeued:
            self.previous = {signum: signal.signal(signum, self.receive) for signum in SIGNALS}
            if trainer.received_sigterm:  # while Lightning's were set
                self.received = signal.SIGTERM

    def receive(self, signum: int, frame: FrameType | None) -> None:
        """Remember the signal; the second Ctrl-C interrupts."""
        if self.received is not None and signum == signal.SIGINT:
            raise InterruptedRunError(signum)
        self.received = signum

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: object, batch: object, batch_idx: int
    ) -> None:
        asked = self.received is not None
        if trainer.world_size > 1:
            asked = trainer.strategy.reduce_boolean_decision(asked, all=False)
        if asked:
            folder = run_folder(trainer)
            if folder is not None:
                trainer.save_checkpoint(folder / CHECKPOINTS / LAST, weights_only=False)
            raise InterruptedRunError(self.received or signal.SIGTERM)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        for signum, handler in self.previous.items():
            signal.signal(signum, handler)
        self.previous = {}
