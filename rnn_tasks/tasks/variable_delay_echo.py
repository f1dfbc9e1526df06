"""Echo with a delay that is drawn for each sequence and told to the network."""

import math

import torch

from rnn_tasks.errors import require
from rnn_tasks.spec import Baseline, Batch, Codec, TaskSpec
from rnn_tasks.tasks.echo import LETTERS, echo
from rnn_tasks.tasks.generated import GeneratedTask


class VariableDelayEcho(GeneratedTask):
    """Echo with a delay of ``0..max_delay``, one for each sequence, given to the network as the batch's condition.

    ::

        time      0 1 2 3 4 5
        inputs    a b c d e f      condition = 3
        targets   . . . a b c      '.' is not scored

    It is solved when every single delay is.

    Args:
        max_delay: Longest delay, ``0 <= max_delay < sequence_length``.
        sequence_length: Length of all sequences, ``>= 1``.
        alphabet_size: Number of letters, ``2..62``.
        batch_size: Sequences in a training batch of one process, ``>= 1``.
        epoch_sequences: Training sequences in an epoch, its last batch may be smaller; None for no end.
        val_sequences: Sequences in the validation set, ``> max_delay``; its delays take turns.
        test_sequences: Sequences in the test set, ``> max_delay``; its delays take turns.
        eval_batch_size: Sequences in a batch of validation and test, ``>= 1``.
        seed: Seed of the data, ``>= 0``; None follows ``seed_everything`` on the command line, and is 0 elsewhere.
        every_delay: Whether the same letters are asked for at each delay, one sequence after another, instead of
            letters of their own for each sequence. A layer that is not told the delay then runs once for all of them.

    Raises:
        UsageError: A value outside its bounds.
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
        every_delay: bool = False,
    ) -> None:
        super().__init__(
            batch_size=batch_size,
            epoch_sequences=epoch_sequences,
            val_sequences=val_sequences,
            test_sequences=test_sequences,
            eval_batch_size=eval_batch_size,
            seed=seed,
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
        self.alphabet_size = alphabet_size
        self.every_delay = every_delay

    @property
    def spec(self) -> TaskSpec:
        """Letters as 1, 2, ...; 0 is empty; the delay is the condition."""
        letters = LETTERS[: self.alphabet_size]
        size = self.alphabet_size + 1
        codec = Codec(" " + letters, letters, max_delay=self.max_delay, conditional=True)
        return TaskSpec(size, size, num_conditions=self.max_delay + 1, blank=0, codec=codec)

    @property
    def baseline(self) -> Baseline:
        """All letters are equally likely, whatever the delay."""
        return Baseline(math.log(self.alphabet_size), 1 / self.alphabet_size)

    def sample(self, num_sequences: int, split: str, generator: torch.Generator) -> Batch:
        """Random letters; delays are random in training and rotate elsewhere, so that each is measured as well.

        With ``every_delay`` they rotate in training too, and each string is there once for all its delays.
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
