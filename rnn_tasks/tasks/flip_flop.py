"""Flip-flop: read the bit that was last written, and ignore all others."""

import math
from typing import Any, Self

import torch
from torch import Tensor

from rnn_tasks.errors import require
from rnn_tasks.spec import NOT_SCORED, Baseline, Batch, Codec, Grouping, Plateau, TaskSpec
from rnn_tasks.tasks.generated import GeneratedTask

SYMBOLS = "01wri"
WRITE, READ, IGNORE = 2, 3, 4  # indices in SYMBOLS; the bits are 0 and 1
LONGEST_LAG = 100


def flip_flop(instructions: Tensor, bits: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return inputs, targets and lags of flip-flop sequences.

    ::

        time      0 1 2 3 4 5 6 7 8 9
        inputs    w 1 i 0 r 1 w 0 r 0
        targets   . . . . 1 . . . 0 .
        lag               4       2      '.' is not scored

    'w' writes the next bit, 'r' reads the bit that was last written, 'i' says to ignore the next bit. The lag is the
    number of steps since the last instruction that was not 'i': since then, no step has shown the bit to read.

    Args:
        instructions: Symbols of 'w', 'r' and 'i', ``(batch, pairs)``; the first one is 'w'.
        bits: 0 or 1, ``(batch, pairs)``; those after 'r' do not matter.

    Returns:
        Inputs and targets, and the lag at the steps of 'r' (at other steps the value has no meaning), each
        ``(batch, 2 * pairs)``.
    """
    pairs = torch.arange(instructions.shape[1])
    last_write = torch.where(instructions == WRITE, pairs, 0).cummax(1).values
    bits = torch.where(instructions == READ, bits.gather(1, last_write), bits)
    inputs = torch.stack([instructions, bits], -1).flatten(1)
    answers = bits.masked_fill(instructions != READ, NOT_SCORED)
    targets = torch.stack([answers, torch.full_like(answers, NOT_SCORED)], -1).flatten(1)
    last_shown = torch.where(instructions == IGNORE, 0, pairs).cummax(1).values.roll(1, 1)
    return inputs, targets, (2 * (pairs - last_shown)).repeat_interleave(2, 1)


class FlipFlop(GeneratedTask):
    """Read the bit that was last written, in a language of the instructions write, read and ignore.

    A sequence consists of pairs of an instruction and a bit (:func:`flip_flop`). The first instruction is 'w' and the
    last one is 'r'. The others are 'i' with a probability of ``ignore``, else 'w' or 'r' with equal probabilities. The
    bits after 'w' and 'i' are random. Only the bits after 'r' are scored, at the step of the 'r'.

    Results are sorted by the lag: the number of steps since the last 'w' or 'r', which showed the bit. The last group
    has all lags of 100 steps or more.

    Args:
        length: Steps of each sequence, even and ``>= 4``; two for each pair.
        ignore: Probability of 'i', ``0 <= ignore < 1``. The publication trains with 0.8, and tests with 0.8, 0.98
            and 0.1.
        options: Options of :class:`GeneratedTask`; each of ``eval_lengths`` is a number of steps.

    Raises:
        UsageError: A value is out of bounds.

    References:
        B. Liu, J. T. Ash, S. Goel, A. Krishnamurthy and C. Zhang, "Exposing attention glitches with flip-flop language
        modeling", NeurIPS 2023 (https://arxiv.org/abs/2306.00946), with sequences of 512 steps.

    Example:
        >>> FlipFlop(length=8, batch_size=3).train_batch(0).inputs.shape
        torch.Size([3, 8])
    """

    def __init__(self, length: int = 128, ignore: float = 0.8, **options: Any) -> None:
        super().__init__(**options)
        require_length("length", length)
        require(0 <= ignore < 1, f"ignore must be at least 0 and below 1, got {ignore}")
        self.length = length
        self.training_length = length
        self.ignore = ignore

    @property
    def spec(self) -> TaskSpec:
        """The symbols are the bits 0 and 1, then 'w', 'r' and 'i'; only the bits are outputs."""
        codec = Codec(SYMBOLS, SYMBOLS, output_symbols="01", answer_at="r", sample="w1i0i0r1w0i1r")
        return TaskSpec(len(SYMBOLS), 2, codec=codec)

    @property
    def baseline(self) -> Baseline:
        """A predictor that guesses the bit."""
        return Baseline(math.log(2), 0.5)

    @property
    def plateaus(self) -> tuple[Plateau, ...]:
        """A predictor that answers with the last bit of the input.

        This bit is right if the instruction before it was not 'i', and in half of the other cases. So its accuracy is
        ``1 - ignore / 2``, but 1 if the 'r' follows the first pair.
        """
        share = (1 - self.ignore) / 2  # of 'r' among the instructions between the first and the last
        pairs = self.length // 2
        reads = share * (pairs - 2) + 1
        first = 1.0 if pairs == 2 else share
        wrong = self.ignore / 2
        loss = (reads - first) * -(wrong * math.log(wrong or 1) + (1 - wrong) * math.log(1 - wrong)) / reads
        return (Plateau("answers with the last bit", loss, 1 - wrong * (reads - first) / reads),)

    @property
    def grouping(self) -> Grouping:
        """Results are sorted by the number of steps since the bit was last written or read, at most 100."""
        return Grouping("lag", LONGEST_LAG + 1)

    def at_length(self, length: int) -> Self:
        """Return this task with sequences of another length, in steps."""
        require_length("eval_lengths", length)
        return self.changed(length=length)

    def sample(self, num_sequences: int, split: str, generator: torch.Generator) -> Batch:
        """Draw random instructions and bits."""
        shape = (num_sequences, self.length // 2)
        chance = torch.rand(shape, generator=generator)
        instructions = torch.where(torch.randint(0, 2, shape, generator=generator) == 0, WRITE, READ)
        instructions.masked_fill_(chance < self.ignore, IGNORE)
        instructions[:, 0], instructions[:, -1] = WRITE, READ
        bits = torch.randint(0, 2, shape, generator=generator)
        inputs, targets, lags = flip_flop(instructions, bits)
        return Batch(inputs, targets, group=lags.clamp(0, LONGEST_LAG))


def require_length(name: str, length: int) -> None:
    """Raise a UsageError unless a length consists of at least two pairs."""
    require(length >= 4 and length % 2 == 0, f"{name} must be even and at least 4, got {length}")
