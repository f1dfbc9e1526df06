"""Elman's XOR: predict the next bit of a stream in which every third bit is the exclusive or of the last two."""

import math
from typing import Any, Self

import torch
from torch import Tensor

from rnn_tasks.errors import require
from rnn_tasks.spec import Baseline, Batch, Codec, TaskSpec
from rnn_tasks.tasks.generated import GeneratedTask


def elman_xor(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return inputs, targets and memory mask of streams of triples a, b, a XOR b.

    ::

        time      0 1 2 3 4 5 6 7
        inputs    0 1 1 1 1 0 0 0
        targets   1 1 1 1 0 0 0 0
        memory      ^     ^     ^      the target is the exclusive or of the last two inputs

    Args:
        first: The bits a, ``(batch, triples)``.
        second: The bits b, ``(batch, triples)``.

    Returns:
        Inputs, targets (the next bits) and the bool mask of the steps whose target can be predicted, each
        ``(batch, 3 * triples - 1)``.
    """
    stream = torch.stack([first, second, first ^ second], -1).flatten(1)
    is_predictable = torch.arange(stream.shape[1] - 1) % 3 == 1
    return stream[:, :-1], stream[:, 1:], is_predictable.expand(len(stream), -1)


class ElmanXor(GeneratedTask):
    """Predict each next bit of a stream of triples: two random bits, then their exclusive or.

    The loss counts all bits. Two of three bits are random, so the lowest loss is near ``2 ln 2 / 3``, 0.4621 nats per
    bit. Accuracy counts only the third bits of the triples. The network must also find out where the triples begin:
    each stream starts with a triple. :func:`elman_xor` draws a stream.

    Args:
        triples: Triples of each stream, ``>= 1``. The stream of the publication has 1,000.
        options: Options of :class:`GeneratedTask`; each of ``eval_lengths`` is a number of triples.

    Raises:
        UsageError: A value is out of bounds.

    References:
        J. L. Elman, "Finding structure in time", Cognitive Science 14 (1990)
        (https://doi.org/10.1207/s15516709cog1402_1).

    Example:
        >>> ElmanXor(triples=4, batch_size=3).train_batch(0).inputs.shape
        torch.Size([3, 11])
    """

    def __init__(self, triples: int = 20, **options: Any) -> None:
        super().__init__(**options)
        require(triples >= 1, f"triples must be at least 1, got {triples}")
        self.triples = triples
        self.training_length = triples

    @property
    def spec(self) -> TaskSpec:
        """The symbols are the bits 0 and 1."""
        return TaskSpec(2, 2, codec=Codec("01", "01", sample="0110001011"))

    @property
    def baseline(self) -> Baseline:
        """A predictor that guesses each bit.

        The floor is the score of a predictor that knows every third bit: of the ``3 triples - 1`` predicted bits, all
        but ``triples`` cost ``ln 2``.
        """
        predicted = 3 * self.triples - 1
        return Baseline(math.log(2), 0.5, floor=(predicted - self.triples) * math.log(2) / predicted)

    def at_length(self, length: int) -> Self:
        """Return this task with streams of another number of triples."""
        return self.changed(triples=length)

    def sample(self, num_sequences: int, split: str, generator: torch.Generator) -> Batch:
        """Draw random bits."""
        first, second = torch.randint(0, 2, (2, num_sequences, self.triples), generator=generator)
        return Batch(*elman_xor(first, second))
