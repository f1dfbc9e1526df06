"""Base class of tasks with generated data."""

import copy
from abc import abstractmethod
from functools import cached_property
from typing import Any, Self

import torch

from rnn_tasks.errors import UsageError, require
from rnn_tasks.spec import Batch
from rnn_tasks.tasks.stream import Stream, generator_for
from rnn_tasks.tasks.task import Task


class GeneratedTask(Task):
    """Base class of tasks with generated data: new training batches without end, fixed validation and test sets.

    The data is deterministic: global batch ``i`` depends only on (seed, split, epoch, ``i``). With several processes,
    each gets its share of the rows, so two processes with ``batch_size`` b see the data of one process with 2 b.

    Args:
        batch_size: Training sequences per batch, in each process, ``>= 1``.
        epoch_sequences: Training sequences per epoch (the last batch may be smaller); None for an endless epoch.
        val_sequences: Validation sequences, ``>= 1``.
        test_sequences: Test sequences, ``>= 1``.
        eval_batch_size: Validation or test sequences per batch, ``>= 1``.
        seed: Seed of the data, ``>= 0``; None means ``seed_everything`` on the command line, and 0 in Python.
        eval_lengths: Lengths beyond those of training, ``>= 1``, at which the network is tested once at the end; None
            for none. Each task says what its length is. They do not decide whether the task is solved.
        length_sequences: Test sequences of each of these lengths, ``>= 1``.

    Attributes:
        training_length: The largest length without ``eval_lengths``, which must be longer; 0 if it is unknown.

    Raises:
        UsageError: A value is out of bounds.
    """

    def __init__(
        self,
        batch_size: int = 64,
        epoch_sequences: int | None = None,
        val_sequences: int = 500,
        test_sequences: int = 2000,
        eval_batch_size: int = 500,
        seed: int | None = None,
        eval_lengths: list[int] | None = None,
        length_sequences: int = 250,
    ) -> None:
        super().__init__()
        for name, value in {
            "batch_size": batch_size,
            "val_sequences": val_sequences,
            "test_sequences": test_sequences,
            "eval_batch_size": eval_batch_size,
            "length_sequences": length_sequences,
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
        eval_lengths = eval_lengths or []
        for length in eval_lengths:
            require(length >= 1, f"eval_lengths must be at least 1, got {length}")
        require(len(set(eval_lengths)) == len(eval_lengths), f"eval_lengths has a length twice: {eval_lengths}")
        self.eval_lengths = tuple(eval_lengths)
        self.training_length = 0
        self.data_epoch = 0  # the test sequences of each longer length have their own random numbers
        self.length_sequences = length_sequences

    @abstractmethod
    def sample(self, num_sequences: int, split: str, generator: torch.Generator) -> Batch:
        """Draw random sequences.

        Args:
            num_sequences: Number of sequences, ``>= 1``.
            split: ``train``, ``val`` or ``test``, for tasks whose splits differ in more than the random numbers.
            generator: The source of all random numbers.
        """

    def train_dataloader(self) -> Stream:
        """Return the training batches of this process, from the first one that the trainer has not trained on."""
        return self.training_stream(self.train_batch)

    def val_dataloader(self) -> Stream:
        """Return the validation batches, with the rows of this process."""
        return self._evaluation_batches("val")

    def test_dataloader(self) -> Stream | list[Stream]:
        """Return the test batches with the rows of this process, and those of each of ``longer_tests``."""
        longer = [task._evaluation_batches("test") for task in self.longer_tests.values()]
        return [self.predict_dataloader(), *longer] if longer else self.predict_dataloader()

    def predict_dataloader(self) -> Stream:
        """Return the test batches without longer sequences, for :meth:`lightning.pytorch.Trainer.predict`."""
        return self._evaluation_batches("test")

    @property
    def longer_tests(self) -> "dict[int, GeneratedTask]":  # type: ignore[override]  # the values are tasks
        """This task with longer sequences, for each of ``eval_lengths``."""
        return {length: self._longer(length) for length in sorted(self.eval_lengths)}

    def at_length(self, length: int) -> Self:
        """Return this task with sequences of one length only.

        Args:
            length: The length, ``>= 1``.

        Raises:
            UsageError: The task has no length, or the length is not possible.
        """
        raise UsageError(f"the sequences of {type(self).__name__} have no length to choose: leave out eval_lengths")

    def changed(self, **attributes: Any) -> Self:
        """Return a copy of this task with other values of attributes, for :meth:`at_length`."""
        changed = copy.copy(self)
        changed.__dict__.pop("_evaluation_sets", None)
        vars(changed).update(attributes)
        return changed

    def _longer(self, length: int) -> Self:
        task = self.at_length(length)
        require(
            length > self.training_length,
            f"eval_lengths must be above {self.training_length}, the largest length of training, got {length}: set "
            "larger ones, or null",
        )
        return task.changed(eval_lengths=(), data_epoch=length, sizes={"test": self.length_sequences})

    def train_batch(self, index: int) -> Batch:
        """Return the rows of a global training batch that belong to this process.

        Args:
            index: Number of the batch since the start of training, over all epochs.
        """
        size = self.batch_size * self.world[1]
        if self.epoch_batches is None or self.epoch_sequences is None:
            epoch = 0
        else:
            epoch, index = divmod(index, self.epoch_batches)
            size = min(size, self.epoch_sequences - index * size)
        return self._local_part(self.sample(size, "train", generator_for(self.seed or 0, "train", epoch, index)))

    @property
    def epoch_batches(self) -> int | None:
        """Number of training batches per epoch; None for an endless epoch."""
        if self.epoch_sequences is None:
            return None
        return -(-self.epoch_sequences // (self.batch_size * self.world[1]))

    def _local_part(self, batch: Batch) -> Batch:
        size = batch.num_sequences
        rows = self.local_rows(size)
        return batch if rows == slice(0, size) else batch.rows(rows.start, rows.stop)

    def _evaluation_batches(self, split: str) -> Stream:
        whole = self._evaluation_sets[split]
        starts = range(0, self.sizes[split], self.eval_batch_size)
        batches = [self._local_part(whole.rows(start, start + self.eval_batch_size)) for start in starts]
        return Stream(batches.__getitem__, length=len(batches))

    @cached_property
    def _evaluation_sets(self) -> dict[str, Batch]:
        return {
            split: self.sample(size, split, generator_for(self.seed or 0, split, self.data_epoch, 0))
            for split, size in self.sizes.items()
        }
