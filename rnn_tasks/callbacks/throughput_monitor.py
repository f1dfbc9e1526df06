"""Training throughput in sequences and scored steps per second."""

from time import perf_counter

from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from rnn_tasks.errors import require
from rnn_tasks.models.step_log import log_step, logged_steps
from rnn_tasks.spec import Batch


class ThroughputMonitor(Callback):
    """Logs sequences and scored steps per second since the last measurement, over all processes.

    Logs ``throughput/sequences_per_second`` and ``throughput/scored_steps_per_second``, without the time of
    validations.

    Args:
        every_n_logs: Logged steps per measurement, ``>= 1``; the first logged step is measured.

    Raises:
        UsageError: A value outside its bounds.
    """

    def __init__(self, every_n_logs: int = 4) -> None:
        require(every_n_logs >= 1, f"every_n_logs must be at least 1, got {every_n_logs}")
        self.every_n_logs = every_n_logs
        self.paused_at: float | None = None
        self.scored_steps: Tensor | int = 0
        self._start(0)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.paused_at = None
        self._start(trainer.global_step)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.paused_at = perf_counter()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.paused_at is not None:
            self.started += perf_counter() - self.paused_at
            self.paused_at = None

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: object, batch: Batch, batch_idx: int
    ) -> None:
        self.sequences += batch.num_sequences
        self.scored_steps = self.scored_steps + batch.scored.sum()  # stays on the device: reading it would wait
        logs = logged_steps(trainer, trainer.global_step)
        if logs is None or (logs - 1) % self.every_n_logs or trainer.global_step == self.measured_at:
            return
        scored_steps = float(self.scored_steps)
        seconds = perf_counter() - self.started
        if seconds > 0:
            rates = {
                "throughput/sequences_per_second": trainer.world_size * self.sequences / seconds,
                "throughput/scored_steps_per_second": trainer.world_size * scored_steps / seconds,
            }
            log_step(pl_module, rates, trainer.global_step - 1)
        self._start(trainer.global_step)

    def _start(self, step: int) -> None:
        """Start to count, after this many optimizer steps."""
        self.measured_at = step
        self.started = perf_counter()
        self.sequences = 0
        self.scored_steps = 0
