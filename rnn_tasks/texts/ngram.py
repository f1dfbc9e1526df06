"""Smoothed n-grams, the baseline of language tasks."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnn_tasks.errors import UsageError

# Bounds the memory of `NGram.correct`, to about 60 bytes for each of these values.
CHUNK_VALUES = 1_000_000

# `best_order` holds out a tenth of the text; with fewer symbols than this, that is too few to compare orders.
MIN_SYMBOLS = 20


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
        starts: Index of the first k-gram of each context, and the end of the last, ``(contexts + 2,)``.
    """

    keys: NDArray[np.int64]
    counts: NDArray[np.float64]
    totals: NDArray[np.float64]
    distinct: NDArray[np.float64]
    starts: NDArray[np.int64]

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
        self._levels: list[_Counts] = []
        text = self._text(symbols)
        contexts, num_contexts = np.zeros(len(text), dtype=np.int64), 1
        for order in range(1, max_order + 1):
            keys, grams, counts = np.unique(
                contexts * num_symbols + text[order - 1 :], return_inverse=True, return_counts=True
            )
            key_contexts = keys // num_symbols
            distinct = np.bincount(key_contexts, minlength=num_contexts + 1)
            self._levels.append(
                _Counts(
                    keys=np.append(keys, np.iinfo(np.int64).max),
                    counts=np.append(counts, 0).astype(np.float64),
                    totals=np.bincount(key_contexts, counts, minlength=num_contexts + 1).astype(np.float64),
                    distinct=np.maximum(distinct, 1).astype(np.float64),
                    starts=np.append(0, distinct.cumsum()),
                )
            )
            contexts, num_contexts = grams[:-1], len(keys)

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
        return self._losses(*self._lookup(symbols, context, self.max_order))

    def correct(
        self, symbols: NDArray[np.integer[Any]], order: int, context: NDArray[np.integer[Any]] | None = None
    ) -> NDArray[np.bool_]:
        """Return whether each symbol of a text is the most probable one (in a tie, the lowest symbol).

        Args:
            symbols: The text, ``(time,)``.
            order: Order of the n-gram, ``1..max_order``.
            context: The symbols before the text, of any number.

        Returns:
            A mask, ``(time,)`` bool.

        Raises:
            UsageError: The text is empty, a symbol is outside the vocabulary, or the order is out of bounds.
        """
        if not 1 <= order <= self.max_order:
            raise UsageError(f"order must be in 1..{self.max_order}, got {order}")
        contexts, _ = self._lookup(symbols, context, order)
        # The longest context that occurs determines the distribution, so each such context is evaluated once.
        states, offset = np.zeros(contexts.shape[1], dtype=np.int64), 0
        for level, indices in zip(self._levels, contexts, strict=False):
            states = np.where(indices == level.unseen, states, offset + indices)
            offset += level.unseen
        _, first_positions, inverse = np.unique(states, return_index=True, return_inverse=True)
        rows = max(1, CHUNK_VALUES // self.num_symbols)
        predictions = np.concatenate(
            [
                self._distributions(contexts[:, first_positions[start : start + rows]]).argmax(axis=1)
                for start in range(0, len(first_positions), rows)
            ]
        )
        correct: NDArray[np.bool_] = predictions[inverse] == np.asarray(symbols)
        return correct

    def score(
        self, symbols: NDArray[np.integer[Any]], order: int, context: NDArray[np.integer[Any]] | None = None
    ) -> tuple[float, float]:
        """Return the mean loss and the accuracy of one order on a text.

        Args:
            symbols: The text, ``(time,)``.
            order: Order of the n-gram, ``1..max_order``.
            context: The symbols before the text, of any number.

        Returns:
            The mean loss in nats per symbol, and the accuracy of the most probable symbol.

        Raises:
            UsageError: See :meth:`correct`.
        """
        accuracy = float(self.correct(symbols, order, context).mean())
        return float(self._losses(*self._lookup(symbols, context, order))[-1].mean()), accuracy

    def score_pieces(
        self, symbols: NDArray[np.integer[Any]], order: int, starts: NDArray[np.int64], stops: NDArray[np.int64]
    ) -> tuple[float, float]:
        """Return the mean loss and the accuracy of one order on pieces of a text, each without earlier context.

        The first symbol of a piece is only read, like the first symbol that a network reads from a zero state.

        Args:
            symbols: The text, ``(time,)``.
            order: Order of the n-gram, ``1..max_order``.
            starts: First position of each piece, ``(pieces,)``.
            stops: Last position of each piece, ``(pieces,)``; pieces of a single symbol are skipped.

        Returns:
            The mean loss in nats per symbol, and the accuracy of the most probable symbol.
        """
        losses = self.losses(symbols)[:order]
        correct = np.stack([self.correct(symbols, shorter) for shorter in range(1, order + 1)])
        scores = np.stack([losses, correct]).astype(np.float64)  # (loss or correct, order, time)
        sums, count = np.zeros(2), 0
        for read in range(1, order):  # near the start of a piece: a context of `read` symbols, order `read + 1`
            positions = starts[stops - starts >= read] + read
            sums += scores[:, read, positions].sum(axis=1)
            count += len(positions)
        longer = stops - starts >= order  # later positions of these pieces have the full context
        cumulative = np.insert(scores[:, -1].cumsum(axis=1), 0, 0, axis=1)
        sums += (cumulative[:, stops[longer] + 1] - cumulative[:, starts[longer] + order]).sum(axis=1)
        count += int((stops[longer] + 1 - starts[longer] - order).sum())
        return float(sums[0] / count), float(sums[1] / count)

    def probabilities(self, context: NDArray[np.integer[Any]]) -> NDArray[np.float64]:
        """Return the distribution of the next symbol under the longest n-gram, ``(num_symbols,)``.

        Args:
            context: The symbols so far, of any number, ``(time,)``.

        Raises:
            UsageError: A symbol is outside the vocabulary.
        """
        contexts, _ = self._lookup(np.zeros(1, dtype=np.int64), context, self.max_order)  # symbol 0 is a placeholder
        return self._distributions(contexts).ravel()

    def _text(self, symbols: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
        if len(symbols) == 0:
            raise UsageError("the text is empty: n-grams need at least one symbol")
        low, high = int(symbols.min()), int(symbols.max())
        if low < 0 or high >= self.num_symbols:
            raise UsageError(f"symbols must be in 0..{self.num_symbols - 1}, got {low if low < 0 else high}")
        return symbols.astype(np.int64)

    def _lookup(
        self, symbols: NDArray[np.integer[Any]], context: NDArray[np.integer[Any]] | None, max_order: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the indices of the context and of the n-gram of each symbol, each ``(max_order, time)``."""
        text = self._text(symbols)
        context_length = 0
        if context is not None and len(context) > 0:
            before = self._text(context)
            text = np.concatenate([before[max(0, len(before) - max_order + 1) :], text])
            context_length = len(text) - len(symbols)
        contexts = np.empty((max_order, len(text)), dtype=np.int64)
        grams = np.empty_like(contexts)
        contexts[0] = 0
        for row, level in enumerate(self._levels[:max_order]):
            if row > 0:
                contexts[row, 0] = level.unseen
                contexts[row, 1:] = grams[row - 1, :-1]
            grams[row] = level.find(contexts[row] * self.num_symbols + text)
        return contexts[:, context_length:], grams[:, context_length:]

    def _losses(self, contexts: NDArray[np.int64], grams: NDArray[np.int64]) -> NDArray[np.float64]:
        losses = np.empty(contexts.shape)
        probabilities = np.full(contexts.shape[1], 1 / self.num_symbols)
        for row, level in enumerate(self._levels[: len(contexts)]):
            distinct, totals = level.distinct[contexts[row]], level.totals[contexts[row]]
            probabilities = (level.counts[grams[row]] + distinct * probabilities) / (totals + distinct)
            losses[row] = -np.log(probabilities)
        return losses

    def _distributions(self, contexts: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the distributions, ``(rows, num_symbols)``, after contexts of all orders, ``(order, rows)``."""
        probabilities = np.full((contexts.shape[1], self.num_symbols), 1 / self.num_symbols)
        for level, indices in zip(self._levels, contexts, strict=False):
            distinct = level.distinct[indices]
            probabilities *= distinct[:, None]
            first = level.starts[indices]
            followers = level.starts[indices + 1] - first
            rows = np.repeat(np.arange(len(indices)), followers)
            grams = np.arange(len(rows)) + np.repeat(first - (followers.cumsum() - followers), followers)
            probabilities[rows, level.keys[grams] % self.num_symbols] += level.counts[grams]
            probabilities /= (level.totals[indices] + distinct)[:, None]
        return probabilities


def best_order(symbols: NDArray[np.integer[Any]], num_symbols: int, max_order: int = 6, held_out: float = 0.1) -> int:
    """Return the order of the n-gram that, counted on the start of a text, predicts the end best.

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
    cut = min(max(1, round(len(symbols) * (1 - held_out))), len(symbols) - 1)
    begin, end = symbols[:cut], symbols[cut:]
    return int(NGram(begin, num_symbols, max_order).losses(end, begin).mean(axis=1).argmin()) + 1
