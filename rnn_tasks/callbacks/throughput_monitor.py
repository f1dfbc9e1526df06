"""How fast the network learns from sequences."""

from time import perf_counter

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from rnn_tasks.callbacks._observing import log_scalars
from rnn_tasks.runs.trainer_facts import is_logged
from rnn_tasks.spec import Batch


class ThroughputMonitor(Callback):
    """Logs sequences and scored steps a second, over the time since the last logged step, of all processes together.

    Logged as ``throughput/sequences_per_second`` and ``throughput/scored_steps_per_second``; validation does not count.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self.sequences = 0
        self.scored = torch.zeros((), dtype=torch.int64)
        self.started = 0.0

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Batch, batch_idx: int) -> None:
        self.started = perf_counter()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: object, batch: Batch, batch_idx: int
    ) -> None:
        self.seconds += perf_counter() - self.started
        self.sequences += len(batch.inputs) * trainer.world_size
        # No number is asked for before it is logged: a GPU would have to be waited for.
        self.scored = batch.scored.sum() * trainer.world_size + self.scored.to(batch.inputs.device)
        if is_logged(trainer) and self.seconds:
            rates = {"sequences": self.sequences / self.seconds, "scored_steps": float(self.scored) / self.seconds}
            log_scalars(trainer, {f"throughput/{name}_per_second": rate for name, rate in rates.items()})
            self.seconds, self.sequences, self.scored = 0.0, 0, torch.zeros((), dtype=torch.int64)
