"""Training throughput in sequences and scored steps per second."""

from time import perf_counter
from typing import NamedTuple

from lightning.pytorch import Callback, LightningModule, Trainer

from rnn_tasks.callbacks.run_summary import RunSummary
from rnn_tasks.errors import UsageError, require
from rnn_tasks.models.step_log import log_step, logged_steps


class Counts(NamedTuple):
    """Counts of a run up to some step.

    Attributes:
        step: Optimizer steps.
        seconds: Training time, without validations.
        sequences: Training sequences.
        scored_steps: Scored steps of these sequences.
    """

    step: int
    seconds: float
    sequences: int
    scored_steps: float


class ThroughputMonitor(Callback):
    """Logs sequences and scored steps per second since the last measurement, over all processes.

    Logs ``throughput/sequences_per_second`` and ``throughput/scored_steps_per_second``, without the time of
    validations. :class:`~rnn_tasks.callbacks.RunSummary` counts the sequences.

    Args:
        every_n_logs: Logged steps per measurement, ``>= 1``; the first logged step is measured.

    Raises:
        UsageError: A value outside its bounds, or a list of callbacks without RunSummary before this callback.
    """

    def __init__(self, every_n_logs: int = 4) -> None:
        require(every_n_logs >= 1, f"every_n_logs must be at least 1, got {every_n_logs}")
        self.every_n_logs = every_n_logs
        self.summary: RunSummary | None = None
        self.last = Counts(0, 0.0, 0, 0.0)
        self.paused_at: float | None = None
        self.paused = 0.0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
        summaries = [callback for callback in callbacks[: callbacks.index(self)] if isinstance(callback, RunSummary)]
        if not summaries:
            raise UsageError("ThroughputMonitor needs RunSummary before it in the list of callbacks")
        self.summary, self.paused, self.paused_at = summaries[0], 0.0, None
        self.last = self._counts(trainer)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.paused_at = perf_counter()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.paused_at is not None:
            self.paused += perf_counter() - self.paused_at
            self.paused_at = None

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: object, batch: object, batch_idx: int
    ) -> None:
        logs = logged_steps(trainer, trainer.global_step)
        if logs is None or (logs - 1) % self.every_n_logs or trainer.global_step == self.last.step:
            return
        now, last = self._counts(trainer), self.last
        self.last = now
        seconds = now.seconds - last.seconds
        if seconds > 0:
            rates = {
                "throughput/sequences_per_second": (now.sequences - last.sequences) / seconds,
                "throughput/scored_steps_per_second": (now.scored_steps - last.scored_steps) / seconds,
            }
            log_step(pl_module, rates, trainer.global_step - 1)

    def _counts(self, trainer: Trainer) -> Counts:
        assert self.summary is not None
        seconds = perf_counter() - self.paused
        return Counts(trainer.global_step, seconds, self.summary.sequences, float(self.summary.scored_steps))
