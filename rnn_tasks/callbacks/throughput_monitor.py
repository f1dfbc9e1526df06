"""How fast the network learns from sequences."""

from time import perf_counter

from lightning.pytorch import Callback, LightningModule, Trainer

from rnn_tasks.runs.trainer_facts import is_logged
from rnn_tasks.spec import Batch


class ThroughputMonitor(Callback):
    """Logs sequences and scored steps a second, over the time since the last logged step, of all processes together.

    Logged as ``throughput/sequences_per_second`` and ``throughput/scored_steps_per_second``; validation does not count.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self.sequences = 0
        self.scored = 0
        self.started = 0.0

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Batch, batch_idx: int) -> None:
        self.started = perf_counter()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: object, batch: Batch, batch_idx: int
    ) -> None:
        self.seconds += perf_counter() - self.started
        self.sequences += len(batch.inputs) * trainer.world_size
        self.scored += int(batch.scored.sum()) * trainer.world_size
        if is_logged(trainer) and self.seconds:
            rates = {"sequences": self.sequences / self.seconds, "scored_steps": self.scored / self.seconds}
            pl_module.log_dict({f"throughput/{name}_per_second": rate for name, rate in rates.items()}, batch_size=1)
            self.seconds, self.sequences, self.scored = 0.0, 0, 0
