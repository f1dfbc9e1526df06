"""Smoothed n-grams, the baseline of language tasks."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import count, islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnn_tasks.errors import UsageError

# `best_order` holds out a tenth of the text; with fewer symbols than this, that is too few to compare orders.
MIN_SYMBOLS = 20

# `best_order` ends its search after this many orders which together improve the loss by less than MIN_GAIN nats.
PATIENCE = 5
MIN_GAIN = 1e-4

MAX_ORDER = 100
"""The longest n-gram that `best_order` tries; texts with words need 5 to 15."""


@dataclass(frozen=True)
class _Counts:
    """The counts of all k-grams of one order k.

    A context (the first k - 1 symbols of a k-gram) is represented by its index among the sorted (k - 1)-grams, and all
    contexts that do not occur by the next index. So indices do not exceed the length of the text, for any k.

    Args:
        keys: ``context * num_symbols + last symbol`` of each k-gram, sorted; then a sentinel above all keys.
        counts: Occurrences of each k-gram; then 0 for the sentinel.
        totals: Number of symbols that follow each context, ``(contexts + 1,)``.
        distinct: Number of different symbols that follow each context, ``(contexts + 1,)``; 1 if none follows, so that
            the shorter context gets all the weight.
        best: The most probable symbol after each context, ``(contexts + 1,)``; not used for the last.
    """

    keys: NDArray[np.int64]
    counts: NDArray[np.float64]
    totals: NDArray[np.float64]
    distinct: NDArray[np.float64]
    best: NDArray[np.int64]

    @property
    def unseen(self) -> int:
        """The index of all contexts that do not occur."""
        return len(self.totals) - 1

    def find(self, keys: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the indices of k-grams; that of the sentinel for k-grams that do not occur."""
        indices = np.searchsorted(self.keys, keys)
        indices[self.keys[indices] != keys] = len(self.keys) - 1
        return indices


class NGram:
    """N-gram models of the orders 1 to ``max_order``, with interpolated Witten-Bell smoothing.

    The probability of symbol c after a context of k - 1 symbols interpolates the counts with the next shorter context::

        p_k(c | context) = (count(context c) + T p_{k-1}(c | shorter context)) / (N + T)

    N symbols follow the context in the counted text, T of them different; ``p_0`` is uniform. For a context that does
    not occur, ``p_k = p_{k-1}``. All probabilities are positive, so every loss is finite.

    Args:
        symbols: The text to count, in ``0..num_symbols - 1``, ``(time,)``.
        num_symbols: Size of the vocabulary, ``>= 1``.
        max_order: Length of the longest n-grams, ``>= 1``; their contexts have one symbol less.

    Raises:
        UsageError: The text is empty, a symbol is outside the vocabulary, or a value is out of bounds.

    References:
        I. H. Witten and T. C. Bell, "The zero-frequency problem", IEEE Transactions on Information Theory 37 (1991),
        method C (https://doi.org/10.1109/18.87000). Interpolation: S. F. Chen and J. Goodman, "An empirical study of
        smoothing techniques for language modeling", Computer Speech and Language 13 (1999)
        (https://doi.org/10.1006/csla.1999.0128).

    Example:
        >>> model = NGram(np.array([0, 1, 0, 1, 0, 1]), num_symbols=2, max_order=2)
        >>> model.probabilities(np.array([0])).tolist()
        [0.125, 0.875]
    """

    def __init__(self, symbols: NDArray[np.integer[Any]], num_symbols: int, max_order: int) -> None:
        if num_symbols < 1:
            raise UsageError(f"num_symbols must be at least 1, got {num_symbols}")
        if max_order < 1:
            raise UsageError(f"max_order must be at least 1, got {max_order}")
        self.num_symbols = num_symbols
        self.max_order = max_order
        self._levels = list(islice(_count(_checked(symbols, num_symbols), num_symbols), max_order))

    def losses(
        self, symbols: NDArray[np.integer[Any]], context: NDArray[np.integer[Any]] | None = None
    ) -> NDArray[np.float64]:
        """Return the loss of each symbol of a text, given the symbols before it, for each order.

        Args:
            symbols: The text, ``(time,)``.
            context: The symbols before the text, of any number. None: the first symbols have shorter contexts.

        Returns:
            ``-log p`` in nats, ``(max_order, time)``; row ``k - 1`` is for order k.

        Raises:
            UsageError: The text is empty, or a symbol is outside the vocabulary.
        """
        return np.stack(
            [-np.log(probabilities) for probabilities, _ in self._predict(symbols, context, self.max_order)]
        )

    def score(
        self, symbols: NDArray[np.integer[Any]], order: int, context: NDArray[np.integer[Any]] | None = None
    ) -> tuple[float, float]:
        """Return the mean loss and the accuracy of one order on a text.

        Args:
            symbols: The text, ``(time,)``.
            order: Order of the n-gram, ``1..max_order``.
            context: The symbols before the text, of any number.

        Returns:
            The mean loss in nats per symbol, and the accuracy of the most probable symbol (in a tie, the lowest).

        Raises:
            UsageError: The text is empty, a symbol is outside the vocabulary, or the order is out of bounds.
        """
        *_, (probabilities, best) = self._predict(symbols, context, order)
        return float(-np.log(probabilities).mean()), float((best == symbols).mean())

    def score_pieces(
        self,
        symbols: NDArray[np.integer[Any]],
        order: int,
        starts: NDArray[np.int64],
        stops: NDArray[np.int64],
        chunk_length: int = 500_000,
    ) -> tuple[float, float]:
        """Return the mean loss and the accuracy of one order on pieces of a text, each without earlier context.

        The first symbol of a piece is only read, like the first symbol that a network reads from a zero state.

        Args:
            symbols: The text, ``(time,)``.
            order: Order of the n-gram, ``1..max_order``.
            starts: First position of each piece, ``(pieces,)``, ascending.
            stops: Last position of each piece, ``(pieces,)``, ascending; pieces of a single symbol are skipped.
            chunk_length: Symbols that are scored at a time, ``>= 1``; each needs about 100 bytes of memory.

        Returns:
            The mean loss in nats per symbol, and the accuracy of the most probable symbol (in a tie, the lowest).
        """
        # Near the start of a piece, the context has k - 1 symbols: order k predicts. Later, the full order predicts.
        first_full = max(1, order - 1)
        long = stops - starts >= first_full
        begins, ends = starts[long] + first_full, stops[long] + 1
        total_loss, num_correct, num_scored = 0.0, 0.0, 0.0
        for first in range(0, len(symbols), chunk_length):
            chunk = symbols[first : first + chunk_length]
            context = symbols[max(0, first - order + 1) : first]
            for k, (probabilities, best) in enumerate(self._predict(chunk, context, order), start=1):
                # The number of pieces in which order k predicts each symbol.
                if k == order:
                    changes = _occurrences(begins, first, len(chunk)) - _occurrences(ends, first, len(chunk))
                    weights = np.searchsorted(begins, first) - np.searchsorted(ends, first) + changes.cumsum()
                elif k > 1:
                    low, high = np.searchsorted(starts, [first - k + 1, first - k + 1 + len(chunk)])
                    nearby = starts[low:high]
                    read = nearby[stops[low:high] - nearby >= k - 1] + k - 1
                    weights = _occurrences(read, first, len(chunk))
                else:
                    continue  # the first symbol of a piece is only read
                scored = np.flatnonzero(weights)
                total_loss -= float(weights[scored] @ np.log(probabilities[scored]))
                num_correct += float(weights[scored] @ (best[scored] == chunk[scored]))
                num_scored += float(weights.sum())
        return total_loss / num_scored, num_correct / num_scored

    def probabilities(self, context: NDArray[np.integer[Any]]) -> NDArray[np.float64]:
        """Return the distribution of the next symbol under the longest n-gram, ``(num_symbols,)``.

        Args:
            context: The symbols so far, of any number, ``(time,)``.

        Raises:
            UsageError: A symbol is outside the vocabulary.
        """
        placeholder = np.zeros(1, dtype=np.int64)
        text, _ = self._with_context(placeholder, context, self.max_order)
        probabilities = np.full(self.num_symbols, 1 / self.num_symbols)
        for level, contexts, _ in _find(self._levels, text, self.num_symbols):
            index = contexts[-1]
            first, last = np.searchsorted(level.keys, [index * self.num_symbols, (index + 1) * self.num_symbols])
            probabilities *= level.distinct[index]
            probabilities[level.keys[first:last] - index * self.num_symbols] += level.counts[first:last]
            probabilities /= level.totals[index] + level.distinct[index]
        return probabilities

    def _with_context(
        self, symbols: NDArray[np.integer[Any]], context: NDArray[np.integer[Any]] | None, order: int
    ) -> tuple[NDArray[np.int64], int]:
        """Return a text after the part of its context that matters, and the length of that part."""
        text = _checked(symbols, self.num_symbols)
        if context is None or len(context) == 0:
            return text, 0
        before = _checked(context, self.num_symbols)
        before = before[max(0, len(before) - order + 1) :]
        return np.concatenate([before, text]), len(before)

    def _predict(
        self, symbols: NDArray[np.integer[Any]], context: NDArray[np.integer[Any]] | None, order: int
    ) -> Iterator[tuple[NDArray[np.float64], NDArray[np.int64]]]:
        """Yield the probability of each symbol and the most probable symbol, each ``(time,)``, for order 1, 2, ..."""
        if not 1 <= order <= self.max_order:
            raise UsageError(f"order must be in 1..{self.max_order}, got {order}")
        text, skipped = self._with_context(symbols, context, order)
        best = np.zeros(len(text), dtype=np.int64)
        for level, contexts, probabilities in _find(self._levels[:order], text, self.num_symbols):
            best = np.where(contexts == level.unseen, best, level.best[contexts])
            yield probabilities[skipped:], best[skipped:]


def best_order(
    symbols: NDArray[np.integer[Any]], num_symbols: int, max_order: int = MAX_ORDER, held_out: float = 0.1
) -> int:
    """Return the order of the n-gram that, counted on the start of a text, predicts the end best.

    Orders 1, 2, ... are tried until five in a row improve the loss by less than 0.0001 nats per symbol together.

    Args:
        symbols: The text, in ``0..num_symbols - 1``, ``(time,)``.
        num_symbols: Size of the vocabulary, ``>= 1``.
        max_order: The longest n-gram to try, ``>= 1``.
        held_out: Share of the text at the end that is predicted, ``0 < held_out < 1``.

    Returns:
        The order with the lowest mean loss (in a tie, the lowest order); 1 for a text of fewer than 20 symbols.

    Raises:
        UsageError: The text is empty, a symbol is outside the vocabulary, or a value is out of bounds.

    Example:
        >>> best_order(np.random.default_rng(0).integers(6, size=500), num_symbols=6)  # independent symbols
        1
    """
    if not 0 < held_out < 1:
        raise UsageError(f"held_out must be above 0 and below 1, got {held_out}")
    if len(symbols) < MIN_SYMBOLS:
        NGram(symbols, num_symbols, max_order)  # raises the errors of invalid arguments
        return 1
    text = _checked(symbols, num_symbols)
    cut = min(max(1, round(len(text) * (1 - held_out))), len(text) - 1)
    before = min(cut, max_order - 1)
    losses: list[float] = []
    levels = islice(_count(text[:cut], num_symbols), max_order)
    for _, _, probabilities in _find(levels, text[cut - before :], num_symbols):
        losses.append(float(-np.log(probabilities[before:]).mean()))
        if len(losses) > PATIENCE and min(losses[-PATIENCE:]) > min(losses[:-PATIENCE]) - MIN_GAIN:
            break
    return losses.index(min(losses)) + 1


def _checked(symbols: NDArray[np.integer[Any]], num_symbols: int) -> NDArray[np.int64]:
    """Return a text as 64-bit integers; raise if the text is empty or a symbol is outside the vocabulary."""
    if len(symbols) == 0:
        raise UsageError("the text is empty: n-grams need at least one symbol")
    low, high = int(symbols.min()), int(symbols.max())
    if low < 0 or high >= num_symbols:
        raise UsageError(f"symbols must be in 0..{num_symbols - 1}, got {low if low < 0 else high}")
    return symbols.astype(np.int64)


def _count(text: NDArray[np.int64], num_symbols: int) -> Iterator[_Counts]:
    """Yield the counts of the 1-grams of a text, the 2-grams, and so on without end."""
    contexts, num_contexts = np.zeros(len(text), dtype=np.int64), 1  # of each symbol that has a context of k - 1
    shorter_grams, shorter_probabilities = contexts, np.array([1 / num_symbols])  # p_0 is uniform
    # The most probable symbol after each context and its probability, under the next lower order.
    best, best_probabilities = np.zeros(1, dtype=np.int64), np.array([1 / num_symbols])
    for order in count(1):
        keys, grams, counts = _distinct(contexts * num_symbols + text[order - 1 :], num_contexts * num_symbols)
        key_contexts, key_symbols = np.divmod(keys, num_symbols)
        followers = np.bincount(key_contexts, minlength=num_contexts)
        totals = np.bincount(key_contexts, counts, minlength=num_contexts)
        distinct = np.maximum(followers, 1).astype(np.float64)
        shorter = np.empty_like(keys)  # the index of each k-gram without its first symbol
        shorter[grams] = shorter_grams
        probabilities = counts + distinct[key_contexts] * shorter_probabilities[shorter]
        probabilities /= (totals + distinct)[key_contexts]
        # The most probable symbol is either the most probable follower or, with a count of 0, that of the next lower
        # order: among symbols that do not follow the context, the order of the probabilities stays the same.
        best_probabilities = distinct * best_probabilities / (totals + distinct)
        followed = np.flatnonzero(followers)
        highest = np.full(num_contexts, -1.0)
        highest[followed] = np.maximum.reduceat(probabilities, (followers.cumsum() - followers)[followed])
        candidates = np.flatnonzero(probabilities == highest[key_contexts])[::-1]
        best_follower = np.full(num_contexts, num_symbols)
        best_follower[key_contexts[candidates]] = key_symbols[candidates]  # the lowest, which is assigned last
        tied_and_lower = (highest == best_probabilities) & (best_follower < best)
        best = np.where((highest > best_probabilities) | tied_and_lower, best_follower, best)
        best_probabilities = np.maximum(highest, best_probabilities)
        yield _Counts(
            keys=np.append(keys, np.iinfo(np.int64).max),
            counts=np.append(counts, 0).astype(np.float64),
            totals=np.append(totals, 0.0),
            distinct=np.append(distinct, 1.0),
            best=np.append(best, 0),
        )
        contexts, num_contexts = grams[:-1], len(keys)
        shorter_grams, shorter_probabilities = grams[1:], probabilities
        best, best_probabilities = best[shorter], best_probabilities[shorter]


def _distinct(values: NDArray[np.int64], bound: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return the different values, sorted, the index of each value among them, and their numbers of occurrences.

    Args:
        values: Numbers in ``0..bound - 1``.
        bound: The values are counted in a table if it is not much larger than ``values``, and are sorted otherwise.
    """
    if bound > 4 * len(values):
        return np.unique(values, return_inverse=True, return_counts=True)
    table = np.bincount(values, minlength=bound)
    keys = np.flatnonzero(table)
    counts = table[keys]
    table[keys] = np.arange(len(keys))
    return keys, table[values], counts


def _find(
    levels: Iterable[_Counts], text: NDArray[np.int64], num_symbols: int
) -> Iterator[tuple[_Counts, NDArray[np.int64], NDArray[np.float64]]]:
    """Yield, for each order, its counts and the index of the context and the probability of each symbol of a text."""
    contexts = np.zeros(len(text), dtype=np.int64)
    probabilities = np.full(len(text), 1 / num_symbols)
    for level in levels:
        grams = level.find(contexts * num_symbols + text)
        distinct, totals = level.distinct[contexts], level.totals[contexts]
        probabilities = (level.counts[grams] + distinct * probabilities) / (totals + distinct)
        yield level, contexts, probabilities
        # A k-gram that does not occur, and the start of the text, are the context that does not occur.
        contexts = np.concatenate([[len(level.keys) - 1], grams[:-1]])


def _occurrences(positions: NDArray[np.int64], first: int, length: int) -> NDArray[np.int64]:
    """Return how often each of the positions ``first``, ``first + 1``, ... occurs, ``(length,)``.

    Args:
        positions: Positions, sorted.
        first: The first position to count.
        length: Number of positions to count.
    """
    low, high = np.searchsorted(positions, [first, first + length])
    return np.bincount(positions[low:high] - first, minlength=length)
