"""First letter: read a string, then name its first letter."""

import math
from typing import Any, Self

import torch
from torch import Tensor

from rnn_tasks.errors import require
from rnn_tasks.spec import NOT_SCORED, Baseline, Batch, Codec, Repeat, TaskSpec
from rnn_tasks.tasks import GeneratedTask

LETTERS = "abcdefgh"


class FirstLetter(GeneratedTask):
    """Read a string of random letters; at the question mark, name the first letter.

    ::

        time      0 1 2 3 4
        inputs    c a h a ?
        targets   . . . . c      '.' is not scored

    Args:
        length: Number of letters, ``>= 1``.
        **options: Options of :class:`rnn_tasks.tasks.GeneratedTask`, such as ``batch_size``.

    Raises:
        UsageError: A value is outside its bounds.
    """

    baseline = Baseline(loss=math.log(len(LETTERS)), accuracy=1 / len(LETTERS))

    def __init__(self, length: int = 10, **options: Any) -> None:
        super().__init__(**options)
        require(length >= 1, f"length must be at least 1, got {length}")
        self.length = length
        self.training_length = length

    @property
    def spec(self) -> TaskSpec:
        """The sizes and the strings of the task."""
        mark = Repeat(len(LETTERS), constant=1)
        codec = Codec(
            LETTERS + "?", LETTERS, (mark,), answer_per_letter=1, num_letters=self.length, output_symbols=LETTERS
        )
        return TaskSpec(input_size=len(LETTERS) + 1, output_size=len(LETTERS), codec=codec)

    def at_length(self, length: int) -> Self:
        """Return this task with strings of another length."""
        return self.changed(length=length)

    def sample(self, num_sequences: int, split: str, generator: torch.Generator) -> Batch:
        """Draw random strings."""
        return first_letter(torch.randint(len(LETTERS), (num_sequences, self.length), generator=generator))


def first_letter(letters: Tensor) -> Batch:
    """Return strings with a question mark, and their first letters as targets at the question mark.

    Args:
        letters: ``(sequences, length)`` int64.
    """
    mark = torch.full((len(letters), 1), len(LETTERS))
    targets = torch.full((len(letters), letters.shape[1] + 1), NOT_SCORED)
    targets[:, -1] = letters[:, 0]
    return Batch(torch.cat([letters, mark], 1), targets)
