import math
import os
import re
import tracemalloc
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from rnn_tasks.errors import UsageError
from rnn_tasks.texts.grammar import ELMAN
from rnn_tasks.texts.ngram import NGram, best_order

Symbols = NDArray[np.int64]


class DictNGram:
    """Witten-Bell smoothing with dictionaries, one distribution at a time."""

    def __init__(self, text: list[int], num_symbols: int) -> None:
        self.num_symbols = num_symbols
        self.followers: defaultdict[tuple[int, ...], Counter[int]] = defaultdict(Counter)
        for end, symbol in enumerate(text):
            for length in range(min(end, 7) + 1):
                self.followers[tuple(text[end - length : end])][symbol] += 1

    def __call__(self, before: list[int], order: int) -> list[float]:
        if order == 0:
            return [1 / self.num_symbols] * self.num_symbols
        shorter = self(before, order - 1)
        context = tuple(before[len(before) - order + 1 :])
        if len(before) < order - 1 or context not in self.followers:
            return shorter
        counts = self.followers[context]
        distinct, total = len(counts), sum(counts.values())
        return [
            (counts[symbol] + distinct * shorter[symbol]) / (total + distinct) for symbol in range(self.num_symbols)
        ]


def texts(num_symbols: int, seed: int) -> tuple[Symbols, Symbols, Symbols]:
    """Return a text to count, a text to score and its context; the last symbol is never counted."""
    random = np.random.default_rng(seed)
    rare = random.dirichlet(np.full(num_symbols, 0.3), size=num_symbols)
    walk = [0]
    for _ in range(600):
        walk.append(int(random.choice(num_symbols, p=rare[walk[-1]])))
    counted, scored = np.array(walk[:400]), np.array(walk[400:])
    scored[random.integers(200, size=20)] = num_symbols - 1
    counted[counted == num_symbols - 1] = 0
    return counted, scored[9:], scored[:9]


@pytest.mark.parametrize("num_symbols", [3, 8, 50])
@pytest.mark.parametrize("with_context", [False, True])
def test_ngram_equals_a_dictionary_implementation(num_symbols: int, with_context: bool) -> None:
    counted, scored, before = texts(num_symbols, seed=num_symbols)
    reference = DictNGram(counted.tolist(), num_symbols)
    model = NGram(counted, num_symbols, max_order=6)
    context = before if with_context else None
    losses = model.losses(scored, context)
    assert losses.shape == (6, len(scored))
    history = before.tolist() if with_context else []
    for order in range(1, 7):
        rows = [reference(history + scored[:end].tolist(), order) for end in range(len(scored))]
        expected = [-math.log(row[symbol]) for row, symbol in zip(rows, scored, strict=True)]
        np.testing.assert_allclose(losses[order - 1], expected, rtol=1e-12)
        loss, accuracy = model.score(scored, order, context)
        correct = [row.index(max(row)) == symbol for row, symbol in zip(rows, scored, strict=True)]
        assert loss == pytest.approx(math.fsum(expected) / len(scored))
        assert accuracy == pytest.approx(sum(correct) / len(scored))
        assert 0 < sum(correct) < len(scored)
    distribution = model.probabilities(np.concatenate([before, scored])[: 9 + 40])
    np.testing.assert_allclose(distribution, reference(before.tolist() + scored[:40].tolist(), 6), rtol=1e-12)


@pytest.mark.parametrize("length", [0, 1, 2, 5, 40])
def test_probabilities_sum_to_one(length: int) -> None:
    counted, scored, _ = texts(5, seed=2)
    for max_order in range(1, 7):
        distribution = NGram(counted, 5, max_order).probabilities(scored[:length])
        assert distribution.shape == (5,)
        assert distribution.min() > 0
        assert distribution.sum() == pytest.approx(1)


def test_unigram_interpolates_counts_with_uniform() -> None:
    model = NGram(np.array([0, 0, 1, 0]), num_symbols=4, max_order=1)
    expected = np.array([3 + 2 / 4, 1 + 2 / 4, 2 / 4, 2 / 4]) / (4 + 2)
    np.testing.assert_allclose(model.probabilities(np.array([], dtype=np.int64)), expected)
    np.testing.assert_allclose(model.losses(np.arange(4)), -np.log(expected)[None])


def test_score_predicts_the_lowest_symbol_in_a_tie() -> None:
    model = NGram(np.array([2, 1, 2, 1]), num_symbols=4, max_order=1)
    assert model.score(np.array([1]), order=1)[1] == 1
    assert model.score(np.array([2]), order=1)[1] == 0


def test_losses_of_an_order_do_not_depend_on_max_order() -> None:
    counted, scored, before = texts(6, seed=3)
    losses = NGram(counted, 6, max_order=4).losses(scored, before)
    for order in range(1, 5):
        np.testing.assert_array_equal(NGram(counted, 6, order).losses(scored, before)[-1], losses[order - 1])


def test_losses_use_only_the_last_symbols_of_the_context() -> None:
    counted, scored, before = texts(6, seed=4)
    model = NGram(counted, 6, max_order=3)
    np.testing.assert_array_equal(model.losses(scored, before), model.losses(scored, before[-2:]))
    assert (model.losses(scored, before) != model.losses(scored)).any()
    np.testing.assert_array_equal(model.losses(scored, before[:0]), model.losses(scored))


def test_losses_of_two_pieces_equal_those_of_the_whole() -> None:
    counted, scored, _ = texts(6, seed=5)
    model = NGram(counted, 6, max_order=5)
    pieces = [model.losses(scored[:70]), model.losses(scored[70:], scored[:70])]
    np.testing.assert_array_equal(np.concatenate(pieces, axis=1), model.losses(scored))


def test_unseen_symbols_have_a_finite_loss() -> None:
    model = NGram(np.zeros(50, dtype=np.int64), num_symbols=9, max_order=6)
    losses = model.losses(np.array([8, 8, 0, 8]))
    assert np.isfinite(losses).all()
    # Unigram: (0 + 1 * 1/9) / (50 + 1). The longer contexts do not occur, so their probabilities are the same.
    assert losses[0, 0] == pytest.approx(-math.log(1 / 51 / 9))
    np.testing.assert_allclose(losses[:, 1], losses[0, 1])


def test_text_may_be_shorter_than_max_order() -> None:
    counted = [1, 0]
    model = NGram(np.array(counted), num_symbols=2, max_order=5)
    reference = DictNGram(counted, 2)
    np.testing.assert_allclose(model.probabilities(np.array([0, 1, 0, 1])), reference([0, 1, 0, 1], 5))
    assert NGram(np.array([0]), num_symbols=1, max_order=3).score(np.array([0, 0]), order=3) == (0, 1)


def test_large_vocabulary_bounds_memory_without_overflow() -> None:
    """5,000 ** 6 exceeds 64 bits."""
    random = np.random.default_rng(6)
    phrases = random.integers(5000, size=(150, 20))
    counted = phrases[random.integers(150, size=600)].ravel()
    scored = phrases[random.permutation(150)].ravel()
    model = NGram(counted, 5000, max_order=6)
    reference = DictNGram(counted.tolist(), 5000)
    for end in (1, 7, 300):
        np.testing.assert_allclose(model.probabilities(scored[:end]), reference(scored[:end].tolist(), 6), rtol=1e-12)
    tracemalloc.start()
    try:
        loss, accuracy = model.score(scored, order=6)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert accuracy > 0.9  # within a phrase, the context determines the next symbol
    assert loss == model.losses(scored)[5].mean()
    assert peak < 100e6


def test_small_integers_do_not_overflow() -> None:
    counted, scored, before = texts(50, seed=7)
    small = NGram(counted.astype(np.uint8), 50, 4).losses(scored.astype(np.uint8), before.astype(np.uint8))
    np.testing.assert_array_equal(small, NGram(counted, 50, 4).losses(scored, before))


@pytest.mark.parametrize("held_out", [0.1, 0.02])
def test_best_order_minimises_the_loss_on_the_held_out_end(held_out: float) -> None:
    for seed in range(5):
        symbols = np.concatenate(texts(4, seed)[:2])
        cut = round((1 - held_out) * len(symbols))
        reference = DictNGram(symbols[:cut].tolist(), 4)
        tables = [
            [reference(symbols[:end].tolist(), order) for end in range(cut, len(symbols))] for order in range(1, 7)
        ]
        losses = [-sum(math.log(row[s]) for row, s in zip(rows, symbols[cut:], strict=True)) for rows in tables]
        assert best_order(symbols, 4, held_out=held_out) == 1 + losses.index(min(losses))


def test_best_order_equals_the_memory_of_the_text_plus_one() -> None:
    """Each symbol repeats the one ``memory`` steps ago, or is random."""
    random = np.random.default_rng(8)
    for memory in (1, 2, 3):
        symbols = random.integers(4, size=6000)
        for time in range(memory, len(symbols)):
            if random.random() < 0.8:
                symbols[time] = symbols[time - memory]
        assert best_order(symbols, 4) == memory + 1
        assert best_order(symbols, 4, max_order=1) == 1
    assert best_order(random.integers(20, size=2000), 20) == 1  # independent symbols


def test_best_order_has_no_limit_on_a_grammar() -> None:
    """The lowest of the losses of the orders 1 to 25, each from its own count."""
    symbols = ELMAN.stream(1, 60_000, np.random.default_rng(0))[0]
    start, end = symbols[:54_000], symbols[54_000:]
    losses = NGram(start, 25, max_order=25).losses(end, start).mean(axis=1)
    assert best_order(symbols, 25) == 1 + losses.argmin() > 6


def test_best_order_tries_few_orders_of_a_periodic_text() -> None:
    """From order 3 on, all predictions are right; the search ends although higher orders remain a little better."""
    assert best_order(np.arange(5000) % 3, 3) < 10


@pytest.mark.parametrize("chunk_length", [1, 7, 64, 500_000])
@pytest.mark.parametrize("order", [1, 2, 5])
def test_score_pieces_equals_pieces_scored_one_by_one(order: int, chunk_length: int) -> None:
    counted, scored, _ = texts(4, seed=9)
    model = NGram(counted, 4, max_order=5)
    size = len(scored) - 1
    layouts = {
        "rows": (np.arange(0, size, 50), np.minimum(np.arange(50, size + 50, 50), size)),
        "windows": (np.arange(size - 12), np.arange(12, size)),
        "short pieces": (np.arange(0, size, 3), np.arange(0, size, 3) + np.arange(-(-size // 3)) % 2),
        "beyond the end": (np.array([0, size, size + 5]), np.array([size, size, size])),
    }
    for starts, stops in layouts.values():
        losses, correct = [], []
        for start, stop in zip(starts.tolist(), stops.tolist(), strict=True):
            for end in range(start + 1, stop + 1):
                distribution = model.probabilities(scored[max(start, end - order + 1) : end])
                losses.append(-math.log(distribution[scored[end]]))
                correct.append(distribution.argmax() == scored[end])
        expected = (math.fsum(losses) / len(losses), sum(correct) / len(correct))
        assert model.score_pieces(scored, order, starts, stops, chunk_length) == pytest.approx(expected)


def test_best_order_uses_the_start_as_context_of_the_end() -> None:
    """The held-out end is one symbol, which depends on the symbol before it."""
    assert best_order(np.arange(20) % 2, 2, held_out=0.05) > 1


def test_best_order_is_the_lowest_in_a_tie() -> None:
    assert best_order(np.zeros(30, dtype=np.int64), 1) == 1


@pytest.mark.parametrize("length", [1, 2, 19])
def test_best_order_is_1_for_a_short_text(length: int) -> None:
    assert best_order(np.arange(length) % 2, 2) == 1
    assert best_order(np.arange(20) % 2, 2) > 1


@pytest.mark.parametrize("held_out", [0.001, 0.999])
def test_best_order_keeps_a_symbol_in_each_part(held_out: float) -> None:
    assert 1 <= best_order(np.arange(20) % 2, 2, held_out=held_out) <= 20


def test_invalid_arguments_raise() -> None:
    empty, valid = np.array([], dtype=np.int64), np.array([0, 1, 2])
    model = NGram(valid, 3, 2)
    for order in (0, 3):
        with pytest.raises(UsageError, match=rf"order must be in 1\.\.2, got {order}"):
            model.score(valid, order)
    with pytest.raises(UsageError, match="max_order must be at least 1, got 0"):
        NGram(valid, 3, 0)
    with pytest.raises(UsageError, match="num_symbols must be at least 1, got 0"):
        NGram(valid, 0, 1)
    for held_out in (0.0, 1.0):
        with pytest.raises(UsageError, match=f"held_out must be above 0 and below 1, got {held_out}"):
            best_order(valid, 3, held_out=held_out)
    for function in (
        lambda text: NGram(text, 3, 2),
        model.losses,
        lambda text: model.score(text, 1),
        lambda text: best_order(text, 3),
    ):
        with pytest.raises(UsageError, match="text is empty"):
            function(empty)
        for symbol in (-1, 3):
            with pytest.raises(UsageError, match=rf"symbols must be in 0\.\.2, got {symbol}"):
                function(np.array([0, symbol, 1]))
    with pytest.raises(UsageError, match="got 3"):
        model.losses(valid, np.array([3, 0, 0]))


@pytest.fixture(scope="module")
def time_machine() -> Symbols:
    """The symbols of the book in lower case, with a space for other characters; symbol 0 is unused."""
    path = Path(os.environ.get("RNN_TASKS_DATA") or Path(__file__).parents[3] / "shared" / "data")
    file = path / "timemachine.txt" if path.is_dir() else path
    if not file.is_file():
        pytest.skip(f"{file} does not exist: set RNN_TASKS_DATA to the book")
    text = re.sub("[^A-Za-z]+", " ", file.read_text(encoding="utf-8")).lower()
    index = {character: symbol for symbol, character in enumerate(sorted(set(text)), start=1)}
    return np.array([index[character] for character in text])


def test_time_machine_5_gram_has_perplexity_4_18(time_machine: Symbols) -> None:
    """Training on the first 80 %, test on the last 10 %; the value is from an independent program."""
    train, test = np.split(time_machine, [int(0.8 * len(time_machine)), int(0.9 * len(time_machine))])[::2]
    model = NGram(train, 28, max_order=6)
    assert math.exp(model.score(test, order=5)[0]) == pytest.approx(4.18, abs=0.01)
    assert best_order(train, 28) == 5


def test_time_machine_windows_4_gram_has_perplexity_5_44(time_machine: Symbols) -> None:
    """All windows of 32 characters, each without earlier context; the value is from an independent program."""
    model = NGram(time_machine[:10_032], 28, max_order=4)
    losses = [
        model.losses(time_machine[start + 1 : start + 33], time_machine[start : start + 1])[3].mean()
        for start in range(10_000, 15_000)
    ]
    assert math.exp(np.mean(losses)) == pytest.approx(5.44, abs=0.01)
    assert best_order(time_machine[:10_032], 28) == 4
