"""Tasks whose sequences are generated: endless training data, fixed validation and test sets."""

from abc import abstractmethod
from functools import cached_property

import torch

from rnn_tasks.errors import require
from rnn_tasks.spec import Batch
from rnn_tasks.tasks.stream import Stream, generator_for
from rnn_tasks.tasks.task import Task


class GeneratedTask(Task):
    """Training batches are fresh for ever; validation and test sequences are made once and stay the same.

    Global batch ``i`` of an epoch is a pure function of seed, split, epoch and ``i``; with several processes each
    takes its rows of it. Two processes with ``batch_size`` b therefore see what one sees with 2 b.

    Args:
        batch_size: Sequences in a training batch of one process, ``>= 1``.
        epoch_sequences: Training sequences in an epoch, its last batch may be smaller; None for no end.
        val_sequences: Sequences in the validation set, ``>= 1``.
        test_sequences: Sequences in the test set, ``>= 1``.
        eval_batch_size: Sequences in a batch of validation and test, ``>= 1``.
        seed: Seed of the data, ``>= 0``; None follows ``seed_everything`` on the command line, and is 0 elsewhere.

    Raises:
        UsageError: A value outside its bounds.
    """

    def __init__(
        self,
        batch_size: int,
        epoch_sequences: int | None,
        val_sequences: int,
        test_sequences: int,
        eval_batch_size: int,
        seed: int | None,
    ) -> None:
        super().__init__()
        for name, value in {
            "batch_size": batch_size,
            "val_sequences": val_sequences,
            "test_sequences": test_sequences,
            "eval_batch_size": eval_batch_size,
        }.items():
            require(value >= 1, f"{name} must be at least 1, got {value}")
        require(
            epoch_sequences is None or epoch_sequences >= 1,
            f"epoch_sequences must be at least 1, got {epoch_sequences}",
        )
        require(seed is None or seed >= 0, f"seed must be at least 0, got {seed}")
        self.batch_size = batch_size
        self.epoch_sequences = epoch_sequences
        self.sizes = {"val": val_sequences, "test": test_sequences}
        self.eval_batch_size = eval_batch_size
        self.seed = seed

    @abstractmethod
    def sample(self, num_sequences: int, split: str, generator: torch.Generator) -> Batch:
        """Draw sequences.

        Args:
            num_sequences: How many, ``>= 1``.
            split: ``train``, ``val`` or ``test``, where they differ in more than their random numbers.
            generator: The source of all randomness.
        """

    def train_dataloader(self) -> Stream:
        """The training batches of this process, going on where the trainer has got to."""
        return Stream(self.train_batch, self.trained_batches, self._epoch_batches)

    def val_dataloader(self) -> Stream:
        """The batches of the validation set, this process's rows of each."""
        return self._evaluation_batches("val")

    def test_dataloader(self) -> Stream:
        """The batches of the test set, this process's rows of each."""
        return self._evaluation_batches("test")

    def predict_dataloader(self) -> Stream:
        """The test set: :meth:`lightning.pytorch.Trainer.predict` gives the network's answers to it."""
        return self.test_dataloader()

    def train_batch(self, index: int) -> Batch:
        """This process's rows of a global training batch.

        Args:
            index: Number of the batch, counted over all epochs.
        """
        size = self.batch_size * self.world[1]
        if self._epoch_batches is None or self.epoch_sequences is None:
            epoch = 0
        else:
            epoch, index = divmod(index, self._epoch_batches)
            size = min(size, self.epoch_sequences - index * size)
        return self._own_rows(self.sample(size, "train", generator_for(self.seed or 0, "train", epoch, index)))

    @property
    def _epoch_batches(self) -> int | None:
        if self.epoch_sequences is None:
            return None
        return -(-self.epoch_sequences // (self.batch_size * self.world[1]))

    def _own_rows(self, batch: Batch) -> Batch:
        size = batch.num_sequences
        own = self.own_rows(size)
        return batch if own == slice(0, size) else batch.rows(own.start, own.stop)

    def _evaluation_batches(self, split: str) -> Stream:
        whole = self._evaluation_sets[split]
        starts = range(0, self.sizes[split], self.eval_batch_size)
        batches = [self._own_rows(whole.rows(start, start + self.eval_batch_size)) for start in starts]
        return Stream(batches.__getitem__, length=len(batches))

    @cached_property
    def _evaluation_sets(self) -> dict[str, Batch]:
        return {
            split: self.sample(size, split, generator_for(self.seed or 0, split, 0, 0))
            for split, size in self.sizes.items()
        }
