"""Counting what follows what: smoothed n-grams, the baseline that a network has to beat."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnn_tasks.errors import UsageError

# Bounds the memory of `NGram.score`: about 60 bytes for each of these numbers.
CHUNK_NUMBERS = 1_000_000

# Below this, what is held out by `best_order` is one or two symbols, and says nothing.
MIN_SYMBOLS = 20


@dataclass(frozen=True)
class _Counts:
    """What was counted of the k-grams of one order k.

    A context, the first k - 1 symbols, is known by its number among all (k - 1)-grams; the last number, one more, is
    that of all contexts that were never seen. So numbers stay below the length of the text, for any k.

    Args:
        keys: Context times ``num_symbols`` plus last symbol of each k-gram, sorted, and a last one above all others.
        counts: How often each k-gram was seen; 0 behind them.
        totals: Symbols that followed each context, ``(contexts + 1,)``.
        kinds: Different ones among them; 1 where none followed, so that all the weight is the shorter context's.
        begins: The first k-gram of each context, and the one behind the last, ``(contexts + 2,)``.
    """

    keys: NDArray[np.int64]
    counts: NDArray[np.float64]
    totals: NDArray[np.float64]
    kinds: NDArray[np.float64]
    begins: NDArray[np.int64]

    @property
    def unseen(self) -> int:
        """The number of a context that was never seen."""
        return len(self.totals) - 1

    def find(self, keys: NDArray[np.int64]) -> NDArray[np.int64]:
        """The numbers of k-grams; those that were never seen have the last."""
        places = np.searchsorted(self.keys, keys)
        places[self.keys[places] != keys] = len(self.keys) - 1
        return places


class NGram:
    """N-grams of all orders up to one, with the interpolated smoothing of Witten and Bell.

    The probability of symbol c after k - 1 symbols is a mean of what was counted there and what one symbol less says::

        p_k(c | context) = (count(context c) + T p_{k-1}(c | shorter context)) / (N + T)

    N symbols followed this context, T different ones; ``p_0`` is uniform. After a context that nothing followed,
    ``p_k`` is ``p_{k-1}``. No symbol is impossible, so every loss is finite.

    Source: I. H. Witten and T. C. Bell, "The zero-frequency problem", IEEE Transactions on Information Theory 37
    (1991), method C; interpolated as in S. F. Chen and J. Goodman, "An empirical study of smoothing techniques for
    language modeling", Computer Speech and Language 13 (1999).

    Args:
        symbols: The text to count, in ``0..num_symbols - 1``, ``(time,)``.
        num_symbols: Size of the vocabulary, ``>= 1``.
        max_order: The longest n-gram, with a context of one symbol less, ``>= 1``.

    Raises:
        UsageError: An empty text, a symbol that is not in the vocabulary, or a value outside its bounds.

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
            owners = keys // num_symbols
            kinds = np.bincount(owners, minlength=num_contexts + 1)
            self._levels.append(
                _Counts(
                    keys=np.append(keys, np.iinfo(np.int64).max),
                    counts=np.append(counts, 0).astype(np.float64),
                    totals=np.bincount(owners, counts, minlength=num_contexts + 1).astype(np.float64),
                    kinds=np.maximum(kinds, 1).astype(np.float64),
                    begins=np.append(0, kinds.cumsum()),
                )
            )
            contexts, num_contexts = grams[:-1], len(keys)

    def losses(
        self, symbols: NDArray[np.integer[Any]], context: NDArray[np.integer[Any]] | None = None
    ) -> NDArray[np.float64]:
        """The loss of each symbol of a text, given those before it, under each order.

        Args:
            symbols: The text, ``(time,)``.
            context: The text before it, of any length; without it, the first symbols have shorter contexts.

        Returns:
            ``-log p`` in nats, ``(max_order, time)``; row ``k - 1`` is that of the k-gram.

        Raises:
            UsageError: An empty text, or a symbol that is not in the vocabulary.
        """
        return self._losses(*self._walk(symbols, context, self.max_order))

    def right(
        self, symbols: NDArray[np.integer[Any]], order: int, context: NDArray[np.integer[Any]] | None = None
    ) -> NDArray[np.bool_]:
        """Whether each symbol of a text is the most probable one (of equally probable ones the lowest).

        Args:
            symbols: The text, ``(time,)``.
            order: Of the n-gram, ``1..max_order``.
            context: The text before it, of any length.

        Returns:
            ``(time,)``.

        Raises:
            UsageError: An empty text, a symbol that is not in the vocabulary, or an order outside its bounds.
        """
        if not 1 <= order <= self.max_order:
            raise UsageError(f"order must be in 1..{self.max_order}, got {order}")
        contexts, _ = self._walk(symbols, context, order)
        # The longest context that was seen says which the shorter ones are.
        states, offset = np.zeros(contexts.shape[1], dtype=np.int64), 0
        for level, numbers in zip(self._levels, contexts, strict=False):
            states = np.where(numbers == level.unseen, states, offset + numbers)
            offset += level.unseen
        _, places, which = np.unique(states, return_index=True, return_inverse=True)
        rows = max(1, CHUNK_NUMBERS // self.num_symbols)
        best = np.concatenate(
            [
                self._distributions(contexts[:, places[start : start + rows]]).argmax(axis=1)
                for start in range(0, len(places), rows)
            ]
        )
        hits: NDArray[np.bool_] = best[which] == np.asarray(symbols)
        return hits

    def score(
        self, symbols: NDArray[np.integer[Any]], order: int, context: NDArray[np.integer[Any]] | None = None
    ) -> tuple[float, float]:
        """How well one order predicts a text.

        Args:
            symbols: The text, ``(time,)``.
            order: Of the n-gram, ``1..max_order``.
            context: The text before it, of any length.

        Returns:
            The mean loss in nats, and the share of symbols that were the most probable one.

        Raises:
            UsageError: As in :meth:`right`.
        """
        accuracy = float(self.right(symbols, order, context).mean())
        return float(self._losses(*self._walk(symbols, context, order))[-1].mean()), accuracy

    def score_pieces(
        self, symbols: NDArray[np.integer[Any]], order: int, starts: NDArray[np.int64], stops: NDArray[np.int64]
    ) -> tuple[float, float]:
        """How well one order predicts pieces of a text, each of them without what precedes it.

        The first symbol of a piece is only read, as a network that begins with an empty state reads it.

        Args:
            symbols: The text, ``(time,)``.
            order: Of the n-gram, ``1..max_order``.
            starts: Where the pieces begin, ``(pieces,)``.
            stops: Their last positions, ``(pieces,)``; pieces that do not end behind their beginning are left out.

        Returns:
            The mean loss in nats, and the share of symbols that were the most probable one.
        """
        losses = self.losses(symbols)[:order]
        right = np.stack([self.right(symbols, shorter) for shorter in range(1, order + 1)])
        scores = np.stack([losses, right]).astype(np.float64)  # (loss or right, order, time)
        sums, count = np.zeros(2), 0
        for read in range(1, order):  # of so many symbols of the piece only an n-gram of one more makes use
            places = starts[stops - starts >= read] + read
            sums += scores[:, read, places].sum(axis=1)
            count += len(places)
        rest = stops - starts >= order
        before = np.insert(scores[:, -1].cumsum(axis=1), 0, 0, axis=1)  # of all symbols ahead of a position
        sums += (before[:, stops[rest] + 1] - before[:, starts[rest] + order]).sum(axis=1)
        count += int((stops[rest] + 1 - starts[rest] - order).sum())
        return float(sums[0] / count), float(sums[1] / count)

    def probabilities(self, context: NDArray[np.integer[Any]]) -> NDArray[np.float64]:
        """The distribution of the symbol behind a text, under the longest n-gram, ``(num_symbols,)``.

        Args:
            context: The text, of any length, ``(time,)``.

        Raises:
            UsageError: A symbol that is not in the vocabulary.
        """
        contexts, _ = self._walk(np.zeros(1, dtype=np.int64), context, self.max_order)  # of any symbol behind it
        return self._distributions(contexts).ravel()

    def _text(self, symbols: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
        if len(symbols) == 0:
            raise UsageError("the text is empty; n-grams need at least one symbol")
        low, high = int(symbols.min()), int(symbols.max())
        if low < 0 or high >= self.num_symbols:
            raise UsageError(f"symbols must be in 0..{self.num_symbols - 1}, got {low if low < 0 else high}")
        return symbols.astype(np.int64)

    def _walk(
        self, symbols: NDArray[np.integer[Any]], context: NDArray[np.integer[Any]] | None, max_order: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The numbers of the context and of the n-gram of each symbol, ``(max_order, time)`` both."""
        text = self._text(symbols)
        known = 0
        if context is not None and len(context) > 0:
            before = self._text(context)
            text = np.concatenate([before[max(0, len(before) - max_order + 1) :], text])
            known = len(text) - len(symbols)
        contexts = np.empty((max_order, len(text)), dtype=np.int64)
        grams = np.empty_like(contexts)
        contexts[0] = 0
        for row, level in enumerate(self._levels[:max_order]):
            if row > 0:
                contexts[row, 0] = level.unseen
                contexts[row, 1:] = grams[row - 1, :-1]
            grams[row] = level.find(contexts[row] * self.num_symbols + text)
        return contexts[:, known:], grams[:, known:]

    def _losses(self, contexts: NDArray[np.int64], grams: NDArray[np.int64]) -> NDArray[np.float64]:
        losses = np.empty(contexts.shape)
        odds = np.full(contexts.shape[1], 1 / self.num_symbols)
        for row, level in enumerate(self._levels[: len(contexts)]):
            kinds = level.kinds[contexts[row]]
            odds = (level.counts[grams[row]] + kinds * odds) / (level.totals[contexts[row]] + kinds)
            losses[row] = -np.log(odds)
        return losses

    def _distributions(self, contexts: NDArray[np.int64]) -> NDArray[np.float64]:
        """The odds of all symbols, ``(rows, num_symbols)``, after contexts, ``(order, rows)``."""
        odds = np.full((contexts.shape[1], self.num_symbols), 1 / self.num_symbols)
        for level, numbers in zip(self._levels, contexts, strict=False):
            kinds = level.kinds[numbers]
            odds *= kinds[:, None]
            first = level.begins[numbers]
            followers = level.begins[numbers + 1] - first
            rows = np.repeat(np.arange(len(numbers)), followers)
            grams = np.arange(len(rows)) + np.repeat(first - (followers.cumsum() - followers), followers)
            odds[rows, level.keys[grams] % self.num_symbols] += level.counts[grams]
            odds /= (level.totals[numbers] + kinds)[:, None]
        return odds


def best_order(symbols: NDArray[np.integer[Any]], num_symbols: int, max_order: int = 6, held_out: float = 0.1) -> int:
    """The order that, counted on the beginning of a text, predicts its end best.

    Args:
        symbols: The text, in ``0..num_symbols - 1``, ``(time,)``.
        num_symbols: Size of the vocabulary, ``>= 1``.
        max_order: The longest n-gram that is tried, ``>= 1``.
        held_out: Share of the text that is its end, between 0 and 1.

    Returns:
        The order with the lowest mean loss; of equal ones the lowest; 1 for a text of fewer than 20 symbols.

    Raises:
        UsageError: An empty text, a symbol that is not in the vocabulary, or a value outside its bounds.

    Example:
        >>> best_order(np.random.default_rng(0).integers(6, size=500), num_symbols=6)  # dice have no memory
        1
    """
    if not 0 < held_out < 1:
        raise UsageError(f"held_out must be between 0 and 1, got {held_out}")
    if len(symbols) < MIN_SYMBOLS:
        NGram(symbols, num_symbols, max_order)  # says what is wrong, if something is
        return 1
    cut = min(max(1, round(len(symbols) * (1 - held_out))), len(symbols) - 1)
    begin, end = symbols[:cut], symbols[cut:]
    return int(NGram(begin, num_symbols, max_order).losses(end, begin).mean(axis=1).argmin()) + 1
