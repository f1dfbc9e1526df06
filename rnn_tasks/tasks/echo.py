"""Echo: repeat every letter, ``delay`` steps later."""

import math
import string
from typing import Self

import torch
from torch import Tensor
from torch.nn import functional

from rnn_tasks.errors import require
from rnn_tasks.spec import NOT_SCORED, Baseline, Batch, Codec, Grouping, TaskSpec
from rnn_tasks.tasks.generated import GeneratedTask

LETTERS = string.ascii_lowercase + string.ascii_uppercase + string.digits


def echo(letters: Tensor, delays: Tensor, lengths: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Return inputs and targets of echo sequences.

    ::

        time      0 1 2 3 4 5
        inputs    a b c d e f
        targets   . . a b c d      delay = 2; '.' is not scored

    Args:
        letters: Symbols ``>= 1``, ``(batch, time)``; 0 is the empty symbol.
        delays: Delay of each sequence in steps, ``>= 0``, ``(batch,)``.
        lengths: Length of each sequence, ``(batch,)``; later steps are empty and not scored. None if all sequences
            fill all steps; the returned inputs are then ``letters`` itself.

    Example:
        >>> inputs, targets = echo(torch.tensor([[1, 2, 3, 4, 5, 6]]), torch.tensor([2]), torch.tensor([6]))
        >>> targets
        tensor([[-100, -100,    1,    2,    3,    4]])
    """
    time, longest = torch.arange(letters.shape[1]), int(delays.max())
    padded = functional.pad(letters, (longest, 0), value=NOT_SCORED)
    targets = padded.gather(1, time + (longest - delays[:, None]))
    if lengths is None:
        return letters, targets
    past_end = time >= lengths[:, None]
    return letters.masked_fill(past_end, 0), targets.masked_fill(past_end, NOT_SCORED)


class Echo(GeneratedTask):
    """Repeat every letter ``delay`` steps later.

    All training sequences have the same length. Validation and test sequences have random lengths, by default up to ten
    steps longer than in training.

    Args:
        delay: Steps between a letter and its echo, ``0 <= delay < sequence_length``.
        sequence_length: Length of training sequences, ``>= 1``.
        min_eval_length: Shortest validation or test sequence, ``> delay``.
        max_eval_length: Longest validation or test sequence, ``>= min_eval_length``.
        alphabet_size: Number of letters, ``2..62``.
        batch_size: Training sequences per batch, in each process, ``>= 1``.
        epoch_sequences: Training sequences per epoch (the last batch may be smaller); None for an endless epoch.
        val_sequences: Validation sequences, ``>= 1``.
        test_sequences: Test sequences, ``>= 1``.
        eval_batch_size: Validation or test sequences per batch, ``>= 1``.
        seed: Seed of the data, ``>= 0``; None means ``seed_everything`` on the command line, and 0 in Python.
        eval_lengths: Longer lengths, ``> delay``, at which the network is tested once at the end.
        length_sequences: Test sequences of each of these lengths, ``>= 1``.

    Raises:
        UsageError: A value is out of bounds.

    References:
        The defaults are those of NYU Deep Learning, homework 2, "Recurrent Neural Networks", which builds on
        https://github.com/Atcold/pytorch-Deep-Learning/blob/master/09-echo_data.ipynb.

    Example:
        >>> task = Echo(delay=2, sequence_length=5, batch_size=3)
        >>> task.train_batch(0).inputs.shape
        torch.Size([3, 5])
    """

    def __init__(
        self,
        delay: int = 4,
        sequence_length: int = 15,
        min_eval_length: int = 15,
        max_eval_length: int = 25,
        alphabet_size: int = 26,
        batch_size: int = 64,
        epoch_sequences: int | None = None,
        val_sequences: int = 500,
        test_sequences: int = 2000,
        eval_batch_size: int = 500,
        seed: int | None = None,
        eval_lengths: list[int] | None = None,
        length_sequences: int = 250,
    ) -> None:
        super().__init__(
            batch_size=batch_size,
            epoch_sequences=epoch_sequences,
            val_sequences=val_sequences,
            test_sequences=test_sequences,
            eval_batch_size=eval_batch_size,
            seed=seed,
            eval_lengths=eval_lengths,
            length_sequences=length_sequences,
        )
        require(
            0 <= delay < sequence_length,
            f"delay must be at least 0 and below sequence_length ({sequence_length}), got {delay}",
        )
        require(min_eval_length > delay, f"min_eval_length must be above delay ({delay}), got {min_eval_length}")
        require(
            max_eval_length >= min_eval_length,
            f"max_eval_length must be at least min_eval_length ({min_eval_length}), got {max_eval_length}",
        )
        require(2 <= alphabet_size <= len(LETTERS), f"alphabet_size must be in 2..{len(LETTERS)}, got {alphabet_size}")
        self.delay = delay
        self.sequence_length = sequence_length
        self.eval_range = (min_eval_length, max_eval_length)
        self.training_length = max(sequence_length, max_eval_length)
        self.alphabet_size = alphabet_size

    @property
    def spec(self) -> TaskSpec:
        """The letters are the symbols 1, 2, ...; 0 is the empty symbol."""
        letters = LETTERS[: self.alphabet_size]
        size = self.alphabet_size + 1
        codec = Codec(" " + letters, letters, min_delay=self.delay, max_delay=self.delay)
        return TaskSpec(size, size, blank=0, codec=codec)

    @property
    def baseline(self) -> Baseline:
        """A predictor that guesses: all letters are equally likely."""
        return Baseline(math.log(self.alphabet_size), 1 / self.alphabet_size)

    @property
    def grouping(self) -> Grouping:
        """Results are sorted by the length of the sequence."""
        return Grouping("length", self.eval_range[1] + 1)

    def at_length(self, length: int) -> Self:
        """Return this task with sequences of one length, in steps."""
        require(length > self.delay, f"eval_lengths must be above delay ({self.delay}), got {length}")
        return self.changed(sequence_length=length, eval_range=(length, length))

    def sample(self, num_sequences: int, split: str, generator: torch.Generator) -> Batch:
        """Draw random letters, and random lengths for validation and test."""
        low, high = (self.sequence_length, self.sequence_length) if split == "train" else self.eval_range
        letters = torch.randint(1, self.alphabet_size + 1, (num_sequences, high), generator=generator)
        lengths = None if low == high else torch.randint(low, high + 1, (num_sequences,), generator=generator)
        group = torch.full((num_sequences, 1), low) if lengths is None else lengths[:, None]
        return Batch(*echo(letters, torch.full((num_sequences,), self.delay), lengths), group=group)
