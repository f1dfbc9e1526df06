"""Reverse: read a string, then write it backwards, twice, sorted, or as the contents of a stack."""

import math
import string
from functools import cache
from typing import Any, Literal, NamedTuple, Self

import torch
from torch import Tensor
from torch.nn import functional

from rnn_tasks.errors import require
from rnn_tasks.spec import NOT_SCORED, Baseline, Batch, Codec, Grouping, Plateau, Repeat, TaskSpec
from rnn_tasks.tasks.generated import GeneratedTask
from rnn_tasks.tasks.lengths import draw_lengths
from rnn_tasks.tasks.unordered import unordered_accuracy, unordered_loss

OperationName = Literal["reverse", "duplicate", "sort", "stack"]
OPERATIONS: tuple[OperationName, ...] = ("reverse", "duplicate", "sort", "stack")
SYMBOLS = string.digits + string.ascii_lowercase + string.ascii_uppercase
MARKER, POP, STACK_END = ":", "-", "#"


def reverse(symbols: Tensor, lengths: Tensor) -> Tensor:
    """Return strings backwards, ``(batch, time)``; symbols after the end of the answer have no meaning.

    ::

        time      0 1 2 3 4 5
        inputs    a b c : : :
        targets   . . . c b a      ':' asks for the answer, '.' is not scored

    Args:
        symbols: ``(batch, time)``.
        lengths: Length of each string, ``(batch,)``.
    """
    steps = lengths[:, None] - 1 - torch.arange(symbols.shape[1])
    return symbols.gather(1, steps.clamp(min=0))


def duplicate(symbols: Tensor, lengths: Tensor) -> Tensor:
    """Return strings twice, ``(batch, 2 * time)``; for the arguments see :func:`reverse`.

    ::

        time      0 1 2 3 4 5 6 7 8
        inputs    a b c : : : : : :
        targets   . . . a b c a b c
    """
    steps = torch.arange(2 * symbols.shape[1]) % lengths[:, None]
    return symbols.gather(1, steps)


def sort(symbols: Tensor, lengths: Tensor) -> Tensor:
    """Return the symbols of strings in their order, ``(batch, time)``; for the arguments see :func:`reverse`.

    ::

        time      0 1 2 3 4 5 6 7
        inputs    b a d b : : : :
        targets   . . . . a b b d
    """
    past_end = torch.arange(symbols.shape[1]) >= lengths[:, None]
    largest = torch.iinfo(symbols.dtype).max
    return symbols.masked_fill(past_end, largest).sort(1).values.masked_fill(past_end, 0)


def stack(symbols: Tensor, lengths: Tensor, alphabet_size: int) -> tuple[Tensor, Tensor]:
    """Return the contents of stacks after a string of operations, from the top down, and the heights of the stacks.

    ::

        time      0 1 2 3 4 5 6 7 8
        inputs    0 1 b - : : : : :
        targets   . . . . 1 0 # # #      '-' pops, 'a' pushes 0, 'b' pushes 1, '#' is the end of the stack

    Args:
        symbols: ``0..alphabet_size - 1`` for the initial stack from the bottom up, ``alphabet_size`` to pop (without
            effect on an empty stack), ``alphabet_size + 1 + i`` to push ``i``; ``(batch, time)``.
        lengths: Length of each string, ``(batch,)``.
        alphabet_size: Number of different symbols in a stack.

    Returns:
        The contents, ``(batch, time + 1)``, filled with ``alphabet_size`` after the last symbol; and the number of
        symbols in each stack, ``(batch,)``.
    """
    longest = symbols.shape[1]
    is_pop = symbols == alphabet_size
    changes = torch.where(is_pop, -1, 1).masked_fill(torch.arange(longest) >= lengths[:, None], 0)
    values = torch.where(is_pop, 0, symbols % (alphabet_size + 1))  # alphabet_size + 1 + i pushes i
    contents = torch.zeros(len(symbols), longest + 1, dtype=torch.long)
    heights = torch.zeros_like(lengths)
    for change, value in zip(changes.unbind(1), values.unbind(1), strict=True):
        contents.scatter_(1, heights[:, None], value[:, None])  # above the top: without effect unless the height grows
        heights = (heights + change).clamp(min=0)
    steps = heights[:, None] - 1 - torch.arange(longest + 1)
    return contents.gather(1, steps.clamp(min=0)).masked_fill(steps < 0, alphabet_size), heights


def with_answers(
    symbols: Tensor, lengths: Tensor, answers: Tensor, answer_lengths: Tensor, marker: int
) -> tuple[Tensor, Tensor]:
    """Return inputs and targets: each string is followed by markers, at which its answer is due.

    Args:
        symbols: ``(batch, time)``.
        lengths: Length of each string, ``(batch,)``.
        answers: ``(batch, answer steps)``.
        answer_lengths: Length of each answer, ``(batch,)``.
        marker: The input at the steps of the answer, and at the steps after the answer, which are not scored.
    """
    total = int((lengths + answer_lengths).max())
    steps = torch.arange(total) - lengths[:, None]
    inputs = functional.pad(symbols, (0, total - symbols.shape[1])).masked_fill(steps >= 0, marker)
    is_answer = (steps >= 0) & (steps < answer_lengths[:, None])
    return inputs, answers.gather(1, steps.clamp(0, answers.shape[1] - 1)).masked_fill(~is_answer, NOT_SCORED)


class Score(NamedTuple):
    """The score of a predictor on strings of one length: expected sums over the answer.

    Attributes:
        loss: Nats.
        scored: Number of scored steps.
        hits: Number of right answers at the steps that count for accuracy.
        counted: Number of steps that count for accuracy.
    """

    loss: float
    scored: float
    hits: float
    counted: float


@cache
def score_of_guessing(operation: OperationName, length: int, alphabet_size: int) -> Score:
    """Return the score of a predictor that knows the length of a string and the step of the answer, and nothing else.

    In ``sort``, the symbol at step j of the answer is at most k if at least j + 1 of the symbols are: the tail of a
    binomial distribution. In ``stack``, the step tells how likely the end is; the symbols are equally likely.
    """
    if operation == "sort":
        ranks = torch.arange(length + 1.0, dtype=torch.float64)
        shares = torch.arange(1, alphabet_size, dtype=torch.float64)[:, None] / alphabet_size
        choices = math.lgamma(length + 1) - torch.lgamma(ranks + 1) - torch.lgamma(length - ranks + 1)
        counts = (choices + torch.xlogy(ranks, shares) + torch.xlogy(length - ranks, 1 - shares)).exp()
        tails = counts.flip(1).cumsum(1).flip(1)[:, 1:]  # (symbol, step): that the symbol at the step is at most this
        likely = torch.cat([tails, torch.ones(1, length, dtype=torch.float64)]).diff(
            dim=0, prepend=torch.zeros(1, length)
        )
        likely = likely.clamp(min=0)
        return Score(torch.special.entr(likely).sum().item(), length, likely.amax(0).sum().item(), length)
    if operation == "stack":
        heights = stack_heights(length, alphabet_size)
        ended = heights.cumsum(0).clamp(max=1)  # by step: the probability of '#'
        loss = torch.special.entr(torch.stack([ended, 1 - ended])).sum(0) + (1 - ended) * math.log(alphabet_size)
        hits = torch.maximum(heights, (1 - ended) / alphabet_size)  # only the first '#' counts for accuracy
        counted = heights.flip(0).cumsum(0)  # the steps up to the first '#'
        return Score(loss.sum().item(), length + 1, hits.sum().item(), counted.sum().item())
    steps = 2 * length if operation == "duplicate" else length
    return Score(steps * math.log(alphabet_size), steps, steps / alphabet_size, steps)


@cache
def stack_heights(length: int, alphabet_size: int) -> Tensor:
    """Return the probability of each height of the final stack, ``(length + 1,)`` float64.

    The initial stack has 1 to ``length - 1`` symbols, with equal probabilities (1 if the length is 1). Each of the
    other symbols pops with probability ``1 / (alphabet_size + 1)`` and pushes otherwise.
    """
    pop = 1 / (alphabet_size + 1)
    heights = torch.zeros(length + 1, dtype=torch.float64)
    if length == 1:
        heights[1] = 1
    for start in range(1, length):
        heights[start] += 1 / (length - 1)
        moved = (1 - pop) * heights.roll(1)  # no stack is full before the last operation
        moved[:-1] += pop * heights[1:]
        moved[0] += pop * heights[0]
        heights = moved
    return heights


@cache
def scores_of_partial_knowledge(operation: OperationName, length: int, alphabet_size: int) -> dict[str, Score]:
    """Return the scores of predictors that know a part of the string, by name; empty for ``sort``.

    In ``reverse``, the last symbol is the first answer. In ``reverse`` and ``duplicate``, a predictor may know how
    often each symbol occurred. In ``stack``, the height tells where the end symbols start.
    """
    if operation == "sort":
        return {}
    if operation == "stack":
        heights = stack_heights(length, alphabet_size)
        mean = (heights * torch.arange(length + 1)).sum().item()
        score = Score(mean * math.log(alphabet_size), length + 1, mean / alphabet_size + 1, mean + 1)
        return {"knows only the height of the stack": score}
    scores = {}
    if operation == "reverse":
        unknown = length - 1
        score = Score(unknown * math.log(alphabet_size), length, 1 + unknown / alphabet_size, length)
        scores["knows only the last symbol"] = score
    steps = 2 * length if operation == "duplicate" else length
    loss, accuracy = unordered_loss(length, alphabet_size), unordered_accuracy(length, alphabet_size)
    scores["knows which symbols, not their order"] = Score(steps * loss, steps, steps * accuracy, steps)
    return scores


def mean_score(scores: list[Score]) -> tuple[float, float]:
    """Return the mean loss and the accuracy over strings of all these lengths, which are equally likely."""
    loss, scored, hits, counted = (math.fsum(sums) for sums in zip(*scores, strict=True))
    return loss / scored, hits / counted


class Reverse(GeneratedTask):
    """Read a string of n symbols, then write an answer that depends on the whole string.

    ``reverse`` writes the string backwards (:func:`reverse`), ``duplicate`` writes the string twice
    (:func:`duplicate`), ``sort`` writes the symbols in their order (:func:`sort`). ``stack`` writes the contents of a
    stack after a string of operations, from the top down (:func:`stack`): the string has an initial stack of 1 to n - 1
    symbols, then operations, which pop or push one of the symbols with equal probabilities. All answers have a fixed
    number of steps: n, 2 n, n and n + 1. In ``stack``, the end symbol fills the last ones, and accuracy counts
    the steps up to the first end symbol.

    Results are sorted by the length n of the string.

    Args:
        operation: ``reverse``, ``duplicate``, ``sort`` or ``stack``.
        min_length: Length of the shortest string, ``>= 1``.
        max_length: Length of the longest string, ``>= min_length``. Training lengths are random; validation and test
            have each length equally often.
        alphabet_size: Number of different symbols, ``2..62``; ``2..10`` in ``stack``.
        one_length_per_batch: Whether all sequences of a training batch have the same random length.
        options: Options of :class:`GeneratedTask`; each of ``eval_lengths`` is a length n.

    Raises:
        UsageError: A value is out of bounds.

    References:
        The operations are those of G. Delétang et al., "Neural networks and the Chomsky hierarchy", ICLR 2023
        (https://arxiv.org/abs/2207.02098), with two symbols (five in ``sort``), lengths 1 to 40 in training and
        one length per batch. Their padding after the end of a stack is the symbol 0.

    Example:
        >>> task = Reverse(min_length=3, max_length=3, batch_size=2)
        >>> task.train_batch(0).inputs.shape
        torch.Size([2, 6])
    """

    def __init__(
        self,
        operation: OperationName = "reverse",
        min_length: int = 1,
        max_length: int = 10,
        alphabet_size: int = 4,
        one_length_per_batch: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        require(operation in OPERATIONS, f"operation must be one of {', '.join(OPERATIONS)}, got {operation}")
        require(min_length >= 1, f"min_length must be at least 1, got {min_length}")
        require(max_length >= min_length, f"max_length must be at least min_length ({min_length}), got {max_length}")
        most = len(string.digits) if operation == "stack" else len(SYMBOLS)
        require(2 <= alphabet_size <= most, f"alphabet_size must be in 2..{most}, got {alphabet_size}")
        self.operation = operation
        self.lengths = (min_length, max_length)
        self.training_length = max_length
        self.alphabet_size = alphabet_size
        self.one_length_per_batch = one_length_per_batch

    @property
    def spec(self) -> TaskSpec:
        """The symbols are 0, 1, ...; then come those that pop and push, and the marker. The end is an output only."""
        letters = outputs = SYMBOLS[: self.alphabet_size]
        longest = self.lengths[1]
        sample = (letters * longest)[:longest]
        if self.operation == "stack":
            operations = POP + string.ascii_lowercase[: self.alphabet_size]
            letters, outputs = letters + operations, outputs + STACK_END
            sample = sample[: (longest + 1) // 2] + (operations * longest)[: longest // 2]
        cue = Repeat(
            len(letters),
            per_letter=2 if self.operation == "duplicate" else 1,
            constant=1 if self.operation == "stack" else 0,
        )
        codec = Codec(letters + MARKER, letters, cue=(cue,), answer_per_letter=1, output_symbols=outputs, sample=sample)
        return TaskSpec(len(letters) + 1, len(outputs), codec=codec)

    @property
    def baseline(self) -> Baseline:
        """A predictor that knows the length of the string and the step of the answer.

        In ``reverse`` and ``duplicate``, all symbols are equally likely at each step. In ``sort`` and ``stack``, the
        step alone tells much.
        """
        low, high = self.lengths
        loss, accuracy = mean_score(
            [score_of_guessing(self.operation, length, self.alphabet_size) for length in range(low, high + 1)]
        )
        return Baseline(loss, accuracy, "position" if self.operation in ("sort", "stack") else "chance")

    @property
    def plateaus(self) -> tuple[Plateau, ...]:
        """Predictors that know only a part of the string, see :func:`scores_of_partial_knowledge`."""
        low, high = self.lengths
        scores = [
            scores_of_partial_knowledge(self.operation, length, self.alphabet_size) for length in range(low, high + 1)
        ]
        return tuple(Plateau(name, *mean_score([score[name] for score in scores])) for name in scores[0])

    @property
    def grouping(self) -> Grouping:
        """Results are sorted by the length of the string."""
        return Grouping("length", self.lengths[1] + 1)

    def at_length(self, length: int) -> Self:
        """Return this task with strings of one length n."""
        return self.changed(lengths=(length, length))

    def sample(self, num_sequences: int, split: str, generator: torch.Generator) -> Batch:
        """Draw random lengths and symbols."""
        low, high = self.lengths
        lengths = draw_lengths(low, high, num_sequences, split, generator, self.one_length_per_batch)
        symbols = self._draw_symbols(lengths, generator)
        answer_lengths, memory = lengths, None
        if self.operation == "stack":
            answers, heights = stack(symbols, lengths, self.alphabet_size)
            answer_lengths = lengths + 1
        elif self.operation == "duplicate":
            answers = duplicate(symbols, lengths)
            answer_lengths = 2 * lengths
        else:
            answers = reverse(symbols, lengths) if self.operation == "reverse" else sort(symbols, lengths)
        marker = self.spec.input_size - 1
        inputs, targets = with_answers(symbols, lengths, answers, answer_lengths, marker)
        if self.operation == "stack":
            steps = torch.arange(targets.shape[1]) - lengths[:, None]
            memory = (steps >= 0) & (steps <= heights[:, None])
        return Batch(inputs, targets, memory, group=lengths[:, None])

    def _draw_symbols(self, lengths: Tensor, generator: torch.Generator) -> Tensor:
        size = self.alphabet_size
        shape = (len(lengths), int(lengths.max()))
        symbols = torch.randint(0, size, shape, generator=generator)
        if self.operation != "stack":
            return symbols
        operations = torch.randint(size, 2 * size + 1, shape, generator=generator)
        share = torch.rand(len(lengths), dtype=torch.float64, generator=generator)
        starts = 1 + (share * (lengths - 1)).long()
        return torch.where(torch.arange(shape[1]) < starts[:, None], symbols, operations)
