"""Dyck languages: which bracket closes next, or how many are open."""

import math
import string
from functools import cache
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rnn_tasks.errors import require
from rnn_tasks.spec import NOT_SCORED, Baseline, Batch, Codec, Grouping, Plateau, TaskSpec
from rnn_tasks.tasks.generated import GeneratedTask

OPENING = "([{<" + string.ascii_lowercase
CLOSING = ")]}>" + string.ascii_uppercase
"""The brackets of each type; after four types of brackets, letters: a opens and A closes."""


def reflected(walk: Tensor, max_depth: int) -> Tensor:
    """Return a walk of steps +1 and -1 from 0, folded into ``0..max_depth``.

    If both steps of the walk are equally likely, then so are those of the folded walk, except that it turns at its
    bounds: both steps lead from 0 to 1, and from ``max_depth`` to ``max_depth - 1``.

    Args:
        walk: Positions, int64, of any shape.
        max_depth: Upper bound, ``>= 1``.

    Example:
        >>> reflected(torch.tensor([0, 1, 2, 3, 4, 5, -1, -2]), 2)
        tensor([0, 1, 2, 1, 0, 1, 1, 2])
    """
    return max_depth - (walk % (2 * max_depth) - max_depth).abs()


def dyck(moves: Tensor, types: Tensor, pairs: int, max_depth: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return inputs, targets and depth of prefixes of well-nested strings; :class:`Dyck` shows one of them.

    Args:
        moves: Random steps, +1 or -1, ``(batch, time + 1)``. They are steps of a walk whose :func:`reflected` positions
            are the depths, so +1 does not always open a bracket.
        types: Random types in ``0..pairs - 1``, ``(batch, time + 1)``; those of closing brackets are not used.
        pairs: Number of types.
        max_depth: Largest depth, ``>= 1``.

    Returns:
        Inputs (type, or ``pairs`` + type of a closing bracket), the type of the next bracket where it closes, and the
        depth after each step, each ``(batch, time)``.
    """
    walk = moves.cumsum(1)
    before, after = reflected(walk - moves, max_depth), reflected(walk, max_depth)
    opens = after > before
    # Brackets of one level alternate between opening and closing, so the one before a closing bracket is its partner.
    order = torch.maximum(before, after).argsort(dim=1, stable=True)
    sorted_types = types.gather(1, order)
    sorted_types = torch.where(opens.gather(1, order), sorted_types, sorted_types.roll(1, 1))
    types = types.scatter(1, order, sorted_types)
    inputs = torch.where(opens, types, pairs + types)
    targets = types.masked_fill(opens, NOT_SCORED)
    return inputs[:, :-1], targets[:, 1:], after[:, :-1]


def shuffle_dyck(moves: Tensor, types: Tensor, pairs: int, max_depth: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return inputs, targets and depth of interleaved strings of one type; :class:`Dyck` shows one of them.

    Args:
        moves: Random steps, +1 or -1, ``(batch, time)``, as in :func:`dyck`.
        types: Random types in ``0..pairs - 1``, ``(batch, time)``.
        pairs: Number of types.
        max_depth: Largest number of open brackets of one type, ``>= 1``.

    Returns:
        Inputs as in :func:`dyck`; whether a closing bracket is the last of its type (1) or leaves others open (0); and
        the number of open brackets of the type of the current bracket, counting itself; each ``(batch, time)``.
    """
    is_of_type = types[:, None] == torch.arange(pairs)[:, None]
    walks = (moves[:, None] * is_of_type).cumsum(2)  # of each type, (batch, pairs, time)
    walk = walks.gather(1, types[:, None])[:, 0]
    before, after = reflected(walk - moves, max_depth), reflected(walk, max_depth)
    opens = after > before
    inputs = torch.where(opens, types, pairs + types)
    targets = (after == 0).long().masked_fill(opens, NOT_SCORED)
    return inputs, targets, torch.maximum(before, after)


@cache
def closing_counts(steps: int, max_depth: int, move_probability: float) -> NDArray[np.float64]:
    """Return how many closing brackets of one type to expect at each step.

    The depth is a Markov chain, of which the distribution is followed from step to step.

    Args:
        steps: Number of brackets of all types.
        max_depth: Largest depth.
        move_probability: Probability that a bracket has this type.

    Returns:
        The expected numbers of brackets that close depth 1, and a larger depth, after an opening bracket of this type,
        and after a closing one, ``(steps, 2, 2)``: the last index is the depth.
    """
    opening = np.array([1.0] + [0.5] * (max_depth - 1) + [0.0])
    mass = np.zeros((2, max_depth + 1))  # the last bracket opened, or closed; by depth
    mass[1, 0] = 1.0
    counts = np.zeros((steps, 2, 2))
    for step in range(steps):
        up, down = move_probability * opening * mass, move_probability * (1 - opening) * mass
        counts[step] = np.stack([down[:, 1], down[:, 2:].sum(1)], 1)
        mass = (1 - move_probability) * mass
        mass[0, 1:] += up.sum(0)[:-1]
        mass[1, :-1] += down.sum(0)[1:]
    return counts


def score_of_best(counts: NDArray[np.float64]) -> tuple[float, float]:
    """Return loss and accuracy of the best predictor that knows in which row of a table it is.

    Args:
        counts: How often each of two outcomes is expected in each situation, ``(situations, 2)``.
    """
    totals = counts.sum(1)
    shares = counts / np.maximum(totals, np.finfo(float).tiny)[:, None]
    entropy = -(counts * np.log(np.where(counts > 0, shares, 1))).sum()
    return float(entropy / totals.sum()), float(counts.max(1).sum() / totals.sum())


class Dyck(GeneratedTask):
    """Tell the type of the next bracket where it closes, in well-nested strings of bounded depth.

    ::

        time      0 1 2 3 4 5 6 7
        inputs    ( [ ] { } ) [ (
        targets   . ] . } ) . . )
        depth     1 2 1 2 1 0 1 2

    The Dyck-(k, m) language has k types of brackets and at most m open ones. At depth 0 a bracket opens, at depth m one
    closes, else both are equally likely; the type of an opening bracket is uniform. The type of a closing bracket is
    that of the bracket opened last and still open. It is scored one step before the bracket, and only where the next
    bracket closes: whether it closes is random. Strings are cut at ``length`` and need not be balanced.

    With ``shuffle``, the types do not nest. Each bracket has a uniform type, and each type its own depth, as above: k
    strings of one type are interleaved. This needs counters instead of a stack. A closing bracket is scored when it is
    read: is it the last open one of its type, '0', or do others stay open, '+'? ::

        time      0 1 2 3 4 5 6 7
        inputs    ( [ ) ( ( ] ) )
        targets   . . 0 . . 0 + 0
        depth     1 1 1 1 2 1 2 1

    The length of a string is its number of brackets.

    Args:
        pairs: Number of types of brackets, k, ``2..30``; also 1 with ``shuffle``.
        max_depth: Largest depth m, ``>= 2``; with ``shuffle``, that of each type.
        length: Number of brackets, ``>= 2``.
        shuffle: Whether types are interleaved instead of nested.
        options: Options of :class:`GeneratedTask`.

    Raises:
        UsageError: A value is out of bounds.

    References:
        Dyck-(k, m): J. Hewitt, M. Hahn, S. Ganguli, P. Liang and C. D. Manning, "RNNs can generate bounded hierarchical
        languages with optimal memory", EMNLP 2020 (https://arxiv.org/abs/2010.07515). ``shuffle``: M. Suzgun,
        S. Gehrmann, Y. Belinkov and S. M. Shieber, "LSTM networks can perform dynamic counting", 2019
        (https://arxiv.org/abs/1906.03648). Both score the set of all symbols that may follow, in another distribution
        of strings, so their results are not comparable.

    Example:
        >>> task = Dyck(pairs=2, max_depth=4, length=40, batch_size=3)
        >>> task.train_batch(0).inputs.shape
        torch.Size([3, 40])
    """

    def __init__(
        self, pairs: int = 2, max_depth: int = 4, length: int = 40, shuffle: bool = False, **options: Any
    ) -> None:
        super().__init__(**options)
        fewest = 1 if shuffle else 2
        require(fewest <= pairs <= len(OPENING), f"pairs must be in {fewest}..{len(OPENING)}, got {pairs}")
        require(max_depth >= 2, f"max_depth must be at least 2, got {max_depth}")
        require(length >= 2, f"length must be at least 2, got {length}")
        self.pairs = pairs
        self.max_depth = max_depth
        self.length = length
        self.training_length = length
        self.shuffle = shuffle

    @property
    def spec(self) -> TaskSpec:
        """The inputs are the opening brackets, then the closing ones; the outputs are types, or '+' and '0'."""
        opening, closing = OPENING[: self.pairs], CLOSING[: self.pairs]
        symbols = opening + closing
        if self.shuffle:
            sample = opening[0] * 2 + opening[1:2] + closing[0] * 2 + closing[1:2]
            codec = Codec(symbols, symbols, output_symbols="+0", answer_at=closing, sample=sample)
        else:
            sample = opening[:2] + closing[1] + opening[1] + closing[1]
            codec = Codec(
                symbols, symbols, output_symbols=closing, answer_at=symbols, not_before=opening, sample=sample
            )
        return TaskSpec(2 * self.pairs, 2 if self.shuffle else self.pairs, codec=codec)

    @property
    def baseline(self) -> Baseline:
        """A predictor that guesses the type; with ``shuffle``, one that knows how often '0' is right."""
        if not self.shuffle:
            return Baseline(math.log(self.pairs), 1 / self.pairs)
        return Baseline(*score_of_best(self._closing_counts.sum((0, 1))[None]))

    @property
    def plateaus(self) -> tuple[Plateau, ...]:
        """The best predictors that know only a part of the string.

        One knows only the last bracket: it knows the type that closes next if the last bracket opened, and guesses if
        it closed. With ``shuffle``, one knows only the number of brackets so far, and one only the last two brackets of
        each type: whether the bracket that closes was also the last one that opened.
        """
        counts = self._closing_counts
        if self.shuffle:
            return (
                Plateau("knows only the number of brackets", *score_of_best(counts.sum(1))),
                Plateau("knows only the last two brackets of each type", *score_of_best(counts.sum(0))),
            )
        guessed = float(counts[:, 1].sum() / counts.sum())
        loss, accuracy = guessed * math.log(self.pairs), 1 - guessed * (1 - 1 / self.pairs)
        return (Plateau("knows only the last bracket", loss, accuracy),)

    @property
    def grouping(self) -> Grouping:
        """Results are sorted by the depth of the bracket that closes."""
        return Grouping("depth", self.max_depth + 1)

    def at_length(self, length: int) -> Self:
        """Return this task with strings of another length, ``>= 2``."""
        require(length >= 2, f"eval_lengths must be at least 2, got {length}")
        return self.changed(length=length)

    def sample(self, num_sequences: int, split: str, generator: torch.Generator) -> Batch:
        """Draw the moves and types of brackets; without ``shuffle``, also those of the bracket after the last input."""
        shape = (num_sequences, self._brackets)
        moves = 2 * torch.randint(0, 2, shape, generator=generator) - 1
        types = torch.randint(0, self.pairs, shape, generator=generator)
        make = shuffle_dyck if self.shuffle else dyck
        inputs, targets, depth = make(moves, types, self.pairs, self.max_depth)
        return Batch(inputs, targets, group=depth)

    @property
    def _brackets(self) -> int:
        return self.length if self.shuffle else self.length + 1

    @property
    def _closing_counts(self) -> NDArray[np.float64]:
        return closing_counts(self._brackets, self.max_depth, 1 / self.pairs if self.shuffle else 1.0)
