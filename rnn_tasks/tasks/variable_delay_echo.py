"""Echo with a different delay in each sequence; the network receives the delay."""

import math
from typing import Self

import torch

from rnn_tasks.errors import require
from rnn_tasks.spec import Baseline, Batch, Codec, TaskSpec
from rnn_tasks.tasks.echo import LETTERS, echo
from rnn_tasks.tasks.generated import GeneratedTask


class VariableDelayEcho(GeneratedTask):
    """Echo with a delay of ``0..max_delay`` in each sequence, which the network receives as ``Batch.condition``.

    ::

        time      0 1 2 3 4 5
        inputs    a b c d e f      condition = 3
        targets   . . . a b c      '.' is not scored

    The task is solved when every delay is solved.

    Source: NYU Deep Learning, homework 2, "Recurrent Neural Networks", after
    https://github.com/Atcold/pytorch-Deep-Learning/blob/master/09-echo_data.ipynb.

    Args:
        max_delay: Longest delay, ``0 <= max_delay < sequence_length``.
        sequence_length: Length of all sequences, ``>= 1``.
        alphabet_size: Number of letters, ``2..62``.
        batch_size: Training sequences per batch, in each process, ``>= 1``.
        epoch_sequences: Training sequences per epoch (the last batch may be smaller); None for an endless epoch.
        val_sequences: Validation sequences, ``> max_delay``; their delays rotate (0, 1, ..., ``max_delay``, 0, ...).
        test_sequences: Test sequences, ``> max_delay``; their delays rotate in the same way.
        eval_batch_size: Validation or test sequences per batch, ``>= 1``.
        seed: Seed of the data, ``>= 0``; None means ``seed_everything`` on the command line, and 0 in Python.
        eval_lengths: Longer lengths, ``> max_delay``, at which the network is tested once at the end.
        length_sequences: Test sequences of each of these lengths, ``>= 1``.
        every_delay: Whether each string of letters occurs once with every delay, in consecutive sequences, instead of
            new letters in each sequence. A layer that does not receive the delay then runs once per string.

    Raises:
        UsageError: A value is out of bounds.
    """

    def __init__(
        self,
        max_delay: int = 8,
        sequence_length: int = 20,
        alphabet_size: int = 26,
        batch_size: int = 128,
        epoch_sequences: int | None = None,
        val_sequences: int = 900,
        test_sequences: int = 4500,
        eval_batch_size: int = 900,
        seed: int | None = None,
        eval_lengths: list[int] | None = None,
        length_sequences: int = 250,
        every_delay: bool = False,
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
            0 <= max_delay < sequence_length,
            f"max_delay must be at least 0 and below sequence_length ({sequence_length}), got {max_delay}",
        )
        for name, size in self.sizes.items():
            require(size > max_delay, f"{name}_sequences must be above max_delay ({max_delay}), got {size}")
        require(2 <= alphabet_size <= len(LETTERS), f"alphabet_size must be in 2..{len(LETTERS)}, got {alphabet_size}")
        self.max_delay = max_delay
        self.sequence_length = sequence_length
        self.training_length = sequence_length
        self.alphabet_size = alphabet_size
        self.every_delay = every_delay

    @property
    def spec(self) -> TaskSpec:
        """The letters are the symbols 1, 2, ...; 0 is the empty symbol; the delay is the condition."""
        letters = LETTERS[: self.alphabet_size]
        size = self.alphabet_size + 1
        codec = Codec(" " + letters, letters, max_delay=self.max_delay, conditional=True)
        return TaskSpec(size, size, num_conditions=self.max_delay + 1, blank=0, codec=codec)

    @property
    def baseline(self) -> Baseline:
        """A predictor that guesses: all letters are equally likely at every delay."""
        return Baseline(math.log(self.alphabet_size), 1 / self.alphabet_size)

    def at_length(self, length: int) -> Self:
        """Return this task with sequences of one length, in steps."""
        require(length > self.max_delay, f"eval_lengths must be above max_delay ({self.max_delay}), got {length}")
        return self.changed(sequence_length=length)

    def sample(self, num_sequences: int, split: str, generator: torch.Generator) -> Batch:
        """Draw random letters. Delays are random in training, and rotate in validation and test.

        With ``every_delay``, delays rotate in training too, and the inputs hold each string once for all delays.
        """
        num_delays = self.max_delay + 1
        per_string = num_delays if self.every_delay else 1
        shape = (-(-num_sequences // per_string), self.sequence_length)
        letters = torch.randint(1, self.alphabet_size + 1, shape, generator=generator)
        if split == "train" and not self.every_delay:
            delays = torch.randint(0, num_delays, (num_sequences,), generator=generator)
        else:
            delays = torch.arange(num_sequences) % num_delays
        _, targets = echo(letters.repeat_interleave(per_string, 0)[:num_sequences], delays)
        return Batch(letters, targets, condition=delays, conditions_per_input=per_string)
