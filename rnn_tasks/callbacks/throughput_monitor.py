"""How fast the network learns from sequences."""

from time import perf_counter

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from rnn_tasks.errors import require
from rnn_tasks.runs.trainer_facts import is_logged, log_scalars, logged_before
from rnn_tasks.spec import Batch


class ThroughputMonitor(Callback):
    """Logs sequences and scored steps a second, over the time since they were logged last, of all processes together.

    Logged as ``throughput/sequences_per_second`` and ``throughput/scored_steps_per_second``; validation does not count.

    Args:
        every_n_logs: Steps that the loggers write from one of these to the next, ``>= 1``; the first one has one.

    Raises:
        UsageError: A value outside its bounds.
    """

    def __init__(self, every_n_logs: int = 4) -> None:
        require(every_n_logs >= 1, f"every_n_logs must be at least 1, got {every_n_logs}")
        self.every_n_logs = every_n_logs
        self.seconds = 0.0
        self.sequences = 0
        self.scored: list[Tensor] = []
        self.started = 0.0

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Batch, batch_idx: int) -> None:
        self.started = perf_counter()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: object, batch: Batch, batch_idx: int
    ) -> None:
        self.seconds += perf_counter() - self.started
        self.sequences += len(batch.inputs) * trainer.world_size
        counted = getattr(pl_module, "counts", {}).get("scored")
        counted = batch.scored.sum() if counted is None else counted
        self.scored.append(counted)  # asked for when it is logged: a GPU would have to be waited for
        if self.seconds and is_logged(trainer) and logged_before(trainer) % self.every_n_logs == 0:
            scored = float(torch.stack(self.scored).sum()) * trainer.world_size
            rates = {"sequences": self.sequences / self.seconds, "scored_steps": scored / self.seconds}
            log_scalars(trainer, {f"throughput/{name}_per_second": rate for name, rate in rates.items()})
            self.seconds, self.sequences, self.scored = 0.0, 0, []
