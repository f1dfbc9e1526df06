from typing import Any

import numpy as np
import pytest
import torch
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from rnn_tasks.analysis.arrays import Floats, Integers
from rnn_tasks.analysis.linear_probe import discriminant, linear_probe, split_sequences
from rnn_tasks.cores import GRU
from rnn_tasks.errors import UsageError


def symbol_register(symbols: Integers, lags: list[int], num_symbols: int) -> Floats:
    """Return the one-hot symbols at some lags, ``(sequences, time, lags * num_symbols)``; zeros before the start."""
    states = np.zeros((*symbols.shape, len(lags), num_symbols))
    for index, lag in enumerate(lags):
        states[:, lag:, index] = np.eye(num_symbols)[symbols[:, : symbols.shape[1] - lag]]
    return states.reshape(*symbols.shape, -1)


def random_symbols(num_sequences: int = 30, time: int = 15, num_symbols: int = 4, seed: int = 0) -> Integers:
    return np.random.default_rng(seed).integers(0, num_symbols, (num_sequences, time))


@pytest.mark.parametrize("lags", [[0], [1, 4], [2, 3, 7]])
def test_linear_probe_finds_exactly_the_stored_lags(lags: list[int]) -> None:
    symbols = random_symbols()
    result = linear_probe(symbol_register(symbols, lags, 4), symbols, range(10))
    is_stored = np.isin(result.lags, lags)
    assert result.lags_above_chance == lags
    assert (result.accuracy[is_stored] == 1).all()
    assert (result.accuracy[~is_stored] < result.high[~is_stored]).all()
    assert (result.low < 1 / 4).all()
    assert (result.high > 1 / 4).all()
    assert result.counts.tolist() == [9 * (15 - lag) for lag in range(10)]  # 30 % of 30 sequences


def test_chance_is_the_share_of_the_most_common_scored_symbol() -> None:
    symbols = np.where(random_symbols() < 3, 0, 1)
    states = np.random.default_rng(1).standard_normal((30, 15, 6))
    result = linear_probe(states, symbols, [0, 3], seed=5)
    _, test = split_sequences(30, 0.7, np.random.default_rng(5))
    for index, lag in enumerate([0, 3]):
        read = symbols[test][:, : 15 - lag]
        assert result.chance[index] == pytest.approx(max((read == 0).mean(), (read == 1).mean()))
    assert result.chance.min() > 0.7
    assert result.lags_above_chance == []


def test_linear_probe_is_at_chance_for_other_sequences() -> None:
    """Repeat with several seeds, since a single seed could pass by chance."""
    symbols = random_symbols()
    states = symbol_register(symbols, [1], 4)
    for seed in range(20):
        others = symbols[np.roll(np.arange(30), seed + 1)]
        assert linear_probe(states, others, [1], seed=seed, num_shuffles=5).accuracy[0] < 0.5


def test_split_sequences_has_disjoint_parts() -> None:
    for num_sequences, share in ((4, 0.01), (4, 0.99), (9, 0.5), (30, 0.7)):
        train, test = split_sequences(num_sequences, share, np.random.default_rng(0))
        assert sorted([*train, *test]) == list(range(num_sequences))
        assert min(len(train), len(test)) >= 2
    # States that identify the sequence would give the symbol away if a sequence were in both parts.
    symbols = np.repeat(np.random.default_rng(2).permutation(40)[:, None] % 2, 8, axis=1)
    states = np.repeat(np.eye(40)[:, None], 8, axis=1)
    assert linear_probe(states, symbols, [0]).lags_above_chance == []


def test_symbols_that_depend_on_time_alone_are_chance() -> None:
    """The symbols depend on the time step alone, and the states encode the time step."""
    symbols = np.tile(np.arange(12) % 3, (20, 1))
    clock = np.tile(np.eye(12), (20, 1, 1))
    result = linear_probe(clock, symbols, [0, 1, 2])
    assert result.accuracy.tolist() == [1, 1, 1]
    assert result.lags_above_chance == []


def test_linear_probe_uses_only_the_states_in_where() -> None:
    """The states hold a symbol at the last step only."""
    symbols = random_symbols(60)
    states = np.random.default_rng(3).standard_normal((60, 15, 4))
    states[:, -1] = np.eye(4)[symbols[:, 10]]
    last = np.zeros((60, 15), bool)
    last[:, -1] = True
    result = linear_probe(states, symbols, [3, 4, 5], where=last)
    assert result.lags_above_chance == [4]
    assert result.counts.tolist() == [18, 18, 18]
    assert linear_probe(states, symbols, [3, 4, 5]).accuracy[1] < 0.5


def test_linear_probe_finds_a_symbol_between_others_on_a_line() -> None:
    """Least squares on one-hot targets never predicts the middle symbol."""
    symbols = random_symbols(num_symbols=3)
    assert linear_probe((symbols - 1.0)[..., None], symbols, [0]).accuracy[0] == 1


def test_discriminant_equals_scikit_learn() -> None:
    rng = np.random.default_rng(4)
    symbols = rng.integers(0, 3, 300)
    states = rng.standard_normal((3, 5))[symbols] + rng.standard_normal((300, 5)) @ rng.standard_normal((5, 5))
    new = 2 * rng.standard_normal((500, 5))
    expected = LinearDiscriminantAnalysis(solver="lsqr").fit(states, symbols).predict(new)
    assert 0.3 < (expected == expected[0]).mean() < 0.7
    assert (discriminant(states, symbols, new, 1e-12) == expected).all()


def test_constant_states_predict_the_most_common_symbol() -> None:
    symbols = np.array([7, 7, 2])
    assert discriminant(np.ones((3, 2)), symbols, np.ones((4, 2)), 0.1).tolist() == [7, 7, 7, 7]
    result = linear_probe(np.ones((10, 6, 3)), random_symbols(10, 6), [0, 2])
    assert result.lags_above_chance == []


def test_linear_probe_of_a_network_is_reproducible() -> None:
    """Use single-precision tensors with gradients; the states of a random network hold its last input."""
    symbols = torch.from_numpy(random_symbols(40, 12))
    states, _ = GRU(4, 24)(torch.nn.functional.one_hot(symbols).float())
    one, two = (linear_probe(states, symbols, range(3), seed=1) for _ in range(2))
    assert 0 in one.lags_above_chance
    assert one.accuracy[0] > 0.99
    assert [part.tolist() for part in one] == [part.tolist() for part in two]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"symbols": random_symbols(time=14)}, "symbols must have the shape (30, 15), got (30, 14)"),
        ({"states": np.zeros((30, 15))}, "states must have 3 dimensions, got the shape (30, 15)"),
        ({"states": np.full((30, 15, 2), np.nan)}, "states must be finite: the network has diverged"),
        ({"states": np.zeros((3, 15, 2)), "symbols": random_symbols(3)}, "a probe needs at least 4 sequences, got 3"),
        ({"lags": []}, "give at least one lag"),
        ({"lags": [0, 15]}, "lags must be in 0..time - 1 (14), got [0, 15]"),
        ({"lags": [-1]}, "lags must be in 0..time - 1 (14), got [-1]"),
        ({"where": np.zeros((30, 15), bool)}, "lag 0 leaves no step to fit or to score a probe"),
        ({"where": np.zeros((30, 14), bool)}, "where must have the shape (30, 15)"),
        ({"num_shuffles": 1}, "num_shuffles must be at least 2, got 1"),
        ({"train_share": 1.0}, "train_share must be above 0 and below 1, got 1.0"),
        ({"ridge": 0.0}, "ridge must be above 0"),
        ({"seed": -1}, "seed must be at least 0"),
    ],
)
def test_linear_probe_raises_for_unusable_arguments(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as error:
        linear_probe(**{"states": np.zeros((30, 15, 2)), "symbols": random_symbols(), "lags": [0], **options})
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)
