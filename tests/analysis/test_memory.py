from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from torch import Tensor

from rnn_tasks.analysis.memory import (
    Floats,
    Integers,
    accuracy_by_condition,
    accuracy_by_lag,
    accuracy_by_recall,
    discriminant,
    drive,
    linear_probe,
    memory_capacity,
    scalar_input,
    split_sequences,
    squared_correlation,
    white_noise,
)
from rnn_tasks.cores import GRU, LSTM, Core, Elman, Foreign
from rnn_tasks.errors import UsageError
from rnn_tasks.networks import TaggerNetwork
from rnn_tasks.spec import NOT_SCORED, Batch
from rnn_tasks.tasks import Copy, VariableDelayEcho


def register(inputs: Floats, num_units: int, first: int = 1) -> Floats:
    """A shift register that holds the inputs of ``first`` steps ago and longer, ``(time, num_units)``."""
    filled = np.concatenate([np.zeros(first + num_units), inputs])
    ends = range(first, first + num_units)
    return np.stack([filled[first + num_units - lag : len(filled) - lag] for lag in ends], axis=1)


def symbol_register(symbols: Integers, lags: list[int], num_symbols: int) -> Floats:
    """One-hot symbols of some steps ago, ``(sequences, time, lags * num_symbols)``; zeros before the start."""
    states = np.zeros((*symbols.shape, len(lags), num_symbols))
    for place, lag in enumerate(lags):
        states[:, lag:, place] = np.eye(num_symbols)[symbols[:, : symbols.shape[1] - lag]]
    return states.reshape(*symbols.shape, -1)


def draws(num_sequences: int = 30, time: int = 15, num_symbols: int = 4, seed: int = 0) -> Integers:
    return np.random.default_rng(seed).integers(0, num_symbols, (num_sequences, time))


# Accuracy


def echo() -> tuple[Batch, Tensor]:
    """An echo of several delays, and answers of which one in three is wrong."""
    batch = VariableDelayEcho(max_delay=3).sample(40, "test", torch.Generator().manual_seed(0))
    wrong = torch.rand(batch.targets.shape, generator=torch.Generator().manual_seed(1)) < 1 / 3
    return batch, torch.where(wrong, batch.targets + 1, batch.targets)


def test_accuracy_by_condition_counts_each_delays_sequences() -> None:
    batch, answers = echo()
    assert batch.condition is not None
    found = accuracy_by_condition(answers, batch)
    assert found.at.tolist() == [0, 1, 2, 3]
    for delay, share, count in zip(*found, strict=True):
        pairs = [
            (answer, target)
            for answer_row, target_row, of_row in zip(
                answers.tolist(), batch.targets.tolist(), batch.condition.tolist(), strict=True
            )
            for answer, target in zip(answer_row, target_row, strict=True)
            if of_row == delay and target != NOT_SCORED
        ]
        assert count == len(pairs)
        assert share == pytest.approx(sum(answer == target for answer, target in pairs) / len(pairs))


def test_accuracy_by_recall_counts_the_steps_that_need_memory() -> None:
    """Not the blanks before them, whatever the delay of the sequence is."""
    batch = Copy("arjovsky", num_symbols=3, delay=5, min_delay=1).sample(20, "test", torch.Generator().manual_seed(0))
    assert batch.memory is not None
    answers = batch.targets.clone()
    for row, needed in enumerate(batch.memory):
        answers[row, int(needed.nonzero()[1])] += 1  # the second symbol is never right
        answers[row, 0] += 1  # a blank, which does not matter
    found = accuracy_by_recall(answers, batch)
    assert found.at.tolist() == [0, 1, 2]
    assert found.share.tolist() == [1, 0, 1]
    assert found.counts.tolist() == [20, 20, 20]


def test_the_lag_is_the_condition_where_there_is_one() -> None:
    batch, answers = echo()
    assert accuracy_by_lag(answers, batch).share.tolist() == accuracy_by_condition(answers, batch).share.tolist()
    alone = batch._replace(condition=None)
    assert accuracy_by_lag(answers, alone).share.tolist() == accuracy_by_recall(answers, alone).share.tolist()
    assert len(accuracy_by_recall(answers, alone).at) == batch.inputs.shape[1]


def test_accuracies_that_there_are_not() -> None:
    batch, answers = echo()
    with pytest.raises(UsageError, match="use accuracy_by_recall"):
        accuracy_by_condition(answers, batch._replace(condition=None))
    with pytest.raises(UsageError, match="no step of this batch needs memory"):
        accuracy_by_recall(answers, batch._replace(memory=torch.zeros_like(batch.inputs).bool()))
    with pytest.raises(UsageError, match=r"answers must have the shape \(40, 20\), got \(40, 19\)"):
        accuracy_by_recall(answers[:, 1:], batch)


# Probes


@pytest.mark.parametrize("lags", [[0], [1, 4], [2, 3, 7]])
def test_a_probe_reads_the_lags_that_are_there_and_no_others(lags: list[int]) -> None:
    symbols = draws()
    found = linear_probe(symbol_register(symbols, lags, 4), symbols, range(10))
    there = np.isin(found.lags, lags)
    assert found.lags_above_chance == lags
    assert (found.accuracy[there] == 1).all()
    assert (found.accuracy[~there] < found.high[~there]).all()
    assert (found.low < 1 / 4).all()
    assert (found.high > 1 / 4).all()
    assert found.counts.tolist() == [9 * (15 - lag) for lag in range(10)]  # 30 % of 30 sequences


def test_chance_is_the_share_of_the_most_common_scored_symbol() -> None:
    symbols = np.where(draws() < 3, 0, 1)
    states = np.random.default_rng(1).standard_normal((30, 15, 6))
    found = linear_probe(states, symbols, [0, 3], seed=5)
    _, test = split_sequences(30, 0.7, np.random.default_rng(5))
    for place, lag in enumerate([0, 3]):
        read = symbols[test][:, : 15 - lag]
        assert found.chance[place] == pytest.approx(max((read == 0).mean(), (read == 1).mean()))
    assert found.chance.min() > 0.7
    assert found.lags_above_chance == []


def test_the_symbols_of_other_sequences_are_not_read() -> None:
    """Several times, as one draw could be lucky."""
    symbols = draws()
    states = symbol_register(symbols, [1], 4)
    for seed in range(20):
        others = symbols[np.roll(np.arange(30), seed + 1)]
        assert linear_probe(states, others, [1], seed=seed, num_shuffles=5).accuracy[0] < 0.5


def test_no_sequence_is_in_both_parts() -> None:
    for num_sequences, share in ((4, 0.01), (4, 0.99), (9, 0.5), (30, 0.7)):
        train, test = split_sequences(num_sequences, share, np.random.default_rng(0))
        assert sorted([*train, *test]) == list(range(num_sequences))
        assert min(len(train), len(test)) >= 2
    # A state that names its sequence would tell all, had the probe seen the sequence.
    symbols = np.repeat(np.random.default_rng(2).permutation(40)[:, None] % 2, 8, axis=1)
    states = np.repeat(np.eye(40)[:, None], 8, axis=1)
    assert linear_probe(states, symbols, [0]).lags_above_chance == []


def test_what_counting_time_tells_is_chance() -> None:
    """Symbols that depend on the step alone, and a state that is a clock."""
    symbols = np.tile(np.arange(12) % 3, (20, 1))
    clock = np.tile(np.eye(12), (20, 1, 1))
    found = linear_probe(clock, symbols, [0, 1, 2])
    assert found.accuracy.tolist() == [1, 1, 1]
    assert found.lags_above_chance == []


def test_the_state_is_read_where_it_is_asked_for() -> None:
    """One that holds a symbol at the last step only."""
    symbols = draws(60)
    states = np.random.default_rng(3).standard_normal((60, 15, 4))
    states[:, -1] = np.eye(4)[symbols[:, 10]]
    last = np.zeros((60, 15), bool)
    last[:, -1] = True
    found = linear_probe(states, symbols, [3, 4, 5], where=last)
    assert found.lags_above_chance == [4]
    assert found.counts.tolist() == [18, 18, 18]
    assert linear_probe(states, symbols, [3, 4, 5]).accuracy[1] < 0.5


def test_a_symbol_between_others_on_a_line_is_read() -> None:
    """Least squares to one-hot targets never says the middle one."""
    symbols = draws(num_symbols=3)
    assert linear_probe((symbols - 1.0)[..., None], symbols, [0]).accuracy[0] == 1


def test_the_discriminant_is_that_of_scikit_learn() -> None:
    rng = np.random.default_rng(4)
    symbols = rng.integers(0, 3, 300)
    states = rng.standard_normal((3, 5))[symbols] + rng.standard_normal((300, 5)) @ rng.standard_normal((5, 5))
    new = 2 * rng.standard_normal((500, 5))
    theirs = LinearDiscriminantAnalysis(solver="lsqr").fit(states, symbols).predict(new)
    ours = discriminant(states, symbols, new, 1e-12)
    assert 0.3 < (theirs == theirs[0]).mean() < 0.7
    assert (ours == theirs).all()


def test_states_that_never_change_say_the_commonest_symbol() -> None:
    symbols = np.array([7, 7, 2])
    assert discriminant(np.ones((3, 2)), symbols, np.ones((4, 2)), 0.1).tolist() == [7, 7, 7, 7]
    found = linear_probe(np.ones((10, 6, 3)), draws(10, 6), [0, 2])
    assert found.lags_above_chance == []


def test_a_probe_of_a_network_and_the_same_seed() -> None:
    """Tensors in single precision, with a gradient; the network is random, but its last input is in its state."""
    symbols = torch.from_numpy(draws(40, 12))
    states, _ = GRU(4, 24)(torch.nn.functional.one_hot(symbols).float())
    one, two = (linear_probe(states, symbols, range(3), seed=1) for _ in range(2))
    assert 0 in one.lags_above_chance
    assert one.accuracy[0] > 0.99
    assert [part.tolist() for part in one] == [part.tolist() for part in two]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"symbols": draws(time=14)}, "symbols must have the shape (30, 15), got (30, 14)"),
        ({"states": np.zeros((30, 15))}, "states must have 3 dimensions, got the shape (30, 15)"),
        ({"states": np.full((30, 15, 2), np.nan)}, "states must be finite: the network has diverged"),
        ({"states": np.zeros((3, 15, 2)), "symbols": draws(3)}, "a probe needs at least 4 sequences, got 3"),
        ({"lags": []}, "give at least one lag"),
        ({"lags": [0, 15]}, "lags must be in 0..14, the steps there are, got [0, 15]"),
        ({"lags": [-1]}, "lags must be in 0..14"),
        ({"where": np.zeros((30, 15), bool)}, "no step at which to read lag 0"),
        ({"where": np.zeros((30, 14), bool)}, "where must have the shape (30, 15)"),
        ({"num_shuffles": 1}, "num_shuffles must be at least 2, got 1"),
        ({"train_share": 1.0}, "train_share must be above 0 and below 1, got 1.0"),
        ({"ridge": 0.0}, "ridge must be above 0"),
        ({"seed": -1}, "seed must be at least 0"),
    ],
)
def test_a_probe_that_cannot_be_fitted(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as error:
        linear_probe(**{"states": np.zeros((30, 15, 2)), "symbols": draws(), "lags": [0], **options})
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


# Capacity


@pytest.mark.parametrize("num_units", [1, 5, 20])
def test_the_capacity_of_a_shift_register_is_its_number_of_units(num_units: int) -> None:
    inputs = white_noise(4000, seed=num_units)
    found = memory_capacity(register(inputs, num_units), inputs, max_lag=2 * num_units)
    assert found.total == pytest.approx(num_units, rel=0.02)
    assert found.lags.tolist() == list(range(1, 2 * num_units + 1))
    np.testing.assert_allclose(found.by_lag[:num_units], 1, rtol=1e-6)
    assert (found.by_lag[num_units:] < 0.02).all()


def test_the_present_input_counts_only_if_asked_for() -> None:
    inputs = white_noise(3000, seed=0)
    states = register(inputs, 6, first=0)
    assert memory_capacity(states, inputs, 10).total == pytest.approx(5, rel=0.02)
    assert memory_capacity(states, inputs, 10, min_lag=0).total == pytest.approx(6, rel=0.02)


def test_a_mixture_of_the_register_remembers_as_much() -> None:
    """And half of it remembers half; what a layer holds does not depend on the basis."""
    inputs = white_noise(3000, seed=1)
    mixture = np.random.default_rng(0).standard_normal((8, 8))
    states = register(inputs, 8) @ mixture
    assert memory_capacity(states, inputs, 16).total == pytest.approx(8, rel=0.02)
    # Four directions out of eight hold four inputs' worth, spread over all eight lags.
    half = memory_capacity(states[:, :4], inputs, 16)
    assert half.total == pytest.approx(4, rel=0.1)
    assert (half.by_lag[:8] < 0.999).all()


def test_a_layer_without_memory_has_the_capacity_of_chance() -> None:
    """On average; the sum is of 30 squared correlations of 200 steps."""
    totals = []
    for seed in range(20):
        inputs = white_noise(1030, seed)
        found = memory_capacity(white_noise(1030 * 5, seed + 100).reshape(-1, 5), inputs, 30)
        totals.append(found.total)
        assert found.chance == pytest.approx(30 / 199)
    assert np.mean(totals) == pytest.approx(30 / 199, rel=0.15)


def test_states_that_never_change_have_no_capacity() -> None:
    inputs = white_noise(500, seed=0)
    assert memory_capacity(np.full((500, 3), 0.3), inputs, 5).total == 0
    assert squared_correlation(np.ones((4, 1)), np.arange(4.0)[:, None]).tolist() == [0]


def test_the_squared_correlation_is_that_of_numpy() -> None:
    one, other = np.random.default_rng(0).standard_normal((2, 30, 4))
    expected = [np.corrcoef(a, b)[0, 1] ** 2 for a, b in zip(one.T, other.T, strict=True)]
    np.testing.assert_allclose(squared_correlation(one, other), expected)


def test_the_capacity_is_that_of_reservoirpy() -> None:
    """Whose documentation says 18.78 of this reservoir.

    Both sum the squared correlations of lag 1 and more on the last steps. What it calls 10 ``k_max`` steps begins with
    ``k_max`` whose past is not known and that it does not show to the reservoir, then as many that it does not fit;
    its ``test_size`` is a share of all of them.
    """
    nodes = pytest.importorskip("reservoirpy.nodes")
    observables = pytest.importorskip("reservoirpy.observables")
    model = nodes.Reservoir(100, sr=1, seed=1) >> nodes.Ridge(ridge=1e-4)
    theirs = observables.memory_capacity(model, k_max=50, as_list=True, seed=1)
    assert theirs.sum() == pytest.approx(18.78, abs=0.005)
    inputs = np.random.default_rng(1).uniform(-0.8, 0.8, 500)[50:]
    states = nodes.Reservoir(100, sr=1, seed=1).run(inputs[:, None])
    ours = memory_capacity(states, inputs, 50, ridge=1e-4, test_share=100 / 400)
    assert ours.total == pytest.approx(theirs.sum(), rel=0.01)
    np.testing.assert_allclose(ours.by_lag, theirs, atol=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"inputs": white_noise(99, 0)}, "there are 100 states and 99 inputs"),
        ({"states": np.zeros(100)}, "states must have 2 dimensions, got the shape (100,)"),
        ({"inputs": np.ones(100)}, "inputs must vary"),
        ({"inputs": np.full(100, np.inf)}, "inputs must be finite"),
        ({"max_lag": 0}, "lags must be in 0..max_lag, got 1..0"),
        ({"min_lag": -1}, "lags must be in 0..max_lag, got -1..5"),
        ({"washout": 4}, "washout must be at least max_lag (5), got 4"),
        ({"max_lag": 90}, "100 steps leave 8 to fit a readout of 10 units, and 2 to score it: give more"),
        ({"test_share": 0.01}, "100 steps leave 94 to fit a readout of 10 units, and 1 to score it: give more"),
        ({"max_lag": 150}, "100 steps leave -40 to fit"),
        ({"test_share": 0.0}, "test_share must be above 0 and below 1, got 0.0"),
        ({"ridge": -1.0}, "ridge must be at least 0, got -1.0"),
    ],
)
def test_a_capacity_that_cannot_be_measured(options: dict[str, Any], message: str) -> None:
    inputs = white_noise(100, seed=0)
    with pytest.raises(UsageError) as error:
        memory_capacity(**{"states": register(inputs, 10), "inputs": inputs, "max_lag": 5, **options})
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


# Layers that are driven


def shift_core(num_units: int, features: int = 1) -> Elman:
    """A linear layer that is a shift register of the sum of its features."""
    core = Elman(features, num_units, activation="identity", zero_bias=True).double()
    with torch.no_grad():
        core.weight_ih_l0.zero_()
        core.weight_ih_l0[0] = 1
        core.weight_hh_l0.copy_(torch.eye(num_units).roll(1, 0).tril(-1))
    return core


def test_a_driven_register_shifts() -> None:
    inputs = white_noise(1500, seed=0)
    states = drive(shift_core(7), inputs, torch.ones(1, dtype=torch.double))
    np.testing.assert_allclose(states, register(inputs, 7, first=0))
    assert memory_capacity(states, inputs, 12, min_lag=0).total == pytest.approx(7, rel=0.02)


def test_the_direction_scales_and_the_offset_is_added() -> None:
    core, inputs = shift_core(1, features=3), white_noise(9, seed=0)
    direction, offset = torch.tensor([2.0, 0.0, 1.0]).double(), torch.tensor([0.0, 5.0, 0.0]).double()
    np.testing.assert_allclose(drive(core, inputs, direction, offset)[:, 0], 3 * inputs + 5)


@pytest.mark.parametrize("layer", [GRU, LSTM, Elman, partial(Foreign, layer=torch.nn.GRU)])
def test_any_layer_can_be_driven(layer: Any) -> None:
    core: Core = layer(5, hidden_size=8)
    inputs = white_noise(800, seed=0)
    entry = scalar_input(torch.eye(5), seed=0)
    states = drive(core, inputs, *entry)
    assert states.shape == (800, 8)
    found = memory_capacity(states, inputs, 20)
    # Jaeger 2001: no more than there are units, but for what chance adds.
    assert 0.5 < found.total < 8 + 2 * found.chance
    assert core.training


def test_a_layer_is_driven_without_dropout() -> None:
    core = Elman(1, 4, num_layers=2, dropout=0.5)
    one, two = (drive(core, white_noise(20, seed=0), torch.ones(1)) for _ in range(2))
    assert (one == two).all()


@pytest.mark.parametrize("embedding_size", [None, 3])
def test_a_scalar_input_stays_among_the_encodings_of_the_symbols(embedding_size: int | None) -> None:
    spec = VariableDelayEcho(max_delay=2).spec
    network = TaggerNetwork(partial(GRU, hidden_size=4), spec, embedding_size=embedding_size)
    symbols, condition = torch.arange(spec.input_size)[None], torch.tensor([1])
    encodings = network.encode(symbols, condition)[0].detach()
    direction, offset = scalar_input(encodings, seed=0)
    told = 3 if embedding_size is None else embedding_size
    assert (direction[-told:].abs() < 1e-6).all()
    torch.testing.assert_close(offset, encodings.mean(0))
    distances = (encodings - encodings.mean(0)).norm(dim=1)
    assert float(direction.norm()) == pytest.approx(float(distances.square().mean().sqrt()), rel=1e-5)
    # Within the plane that the encodings span around their mean.
    differences = encodings - encodings.mean(0)
    rank = torch.linalg.matrix_rank(differences, atol=1e-5)
    assert torch.linalg.matrix_rank(torch.cat([differences, direction[None]]), atol=1e-5) == rank
    assert not torch.equal(direction, scalar_input(encodings, seed=1).direction)
    assert drive(network.core, white_noise(5, seed=0), direction, offset).shape == (5, 4)


def test_white_noise_is_uniform_and_independent() -> None:
    noise = white_noise(20_000, seed=3)
    assert noise.var() == pytest.approx(1 / 3, rel=0.03)
    assert abs(noise).max() <= 1
    assert abs(np.corrcoef(noise[1:], noise[:-1])[0, 1]) < 0.03
    assert (noise[:10] == white_noise(20_000, seed=3)[:10]).all()


def test_layers_that_cannot_be_driven() -> None:
    core = GRU(3, 4)
    with pytest.raises(UsageError, match="direction must have 3 features"):
        drive(core, white_noise(5, 0), torch.ones(1))
    with pytest.raises(UsageError, match="offset must have 3 features"):
        drive(core, white_noise(5, 0), torch.ones(3), torch.ones(1))
    with pytest.raises(UsageError, match="inputs must have 1 dimensions"):
        drive(core, np.zeros((5, 3)), torch.ones(3))
    with pytest.raises(UsageError, match="at least two symbols with different encodings"):
        scalar_input(torch.ones(4, 3), seed=0)
    with pytest.raises(UsageError, match="encodings must be"):
        scalar_input(torch.ones(4), seed=0)
    with pytest.raises(UsageError, match="num_steps must be at least 1, got 0"):
        white_noise(0, seed=0)
