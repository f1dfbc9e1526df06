from functools import partial
from typing import Any

import numpy as np
import pytest
import torch

from rnn_tasks.analysis.arrays import Floats
from rnn_tasks.analysis.memory import drive, memory_capacity, scalar_input, squared_correlation, white_noise
from rnn_tasks.cores import GRU, LSTM, Core, Elman, Foreign
from rnn_tasks.errors import UsageError
from rnn_tasks.networks import TaggerNetwork
from rnn_tasks.tasks import VariableDelayEcho


def register(inputs: Floats, num_units: int, first: int = 1) -> Floats:
    """Return the states of a shift register whose first unit has the lag ``first``, ``(time, num_units)``."""
    padded = np.concatenate([np.zeros(first + num_units), inputs])
    lags = range(first, first + num_units)
    return np.stack([padded[first + num_units - lag : len(padded) - lag] for lag in lags], axis=1)


@pytest.mark.parametrize("num_units", [1, 5, 20])
def test_capacity_of_a_shift_register_is_its_number_of_units(num_units: int) -> None:
    inputs = white_noise(4000, seed=num_units)
    result = memory_capacity(register(inputs, num_units), inputs, max_lag=2 * num_units)
    assert result.total == pytest.approx(num_units, rel=0.02)
    assert result.lags.tolist() == list(range(1, 2 * num_units + 1))
    np.testing.assert_allclose(result.by_lag[:num_units], 1, rtol=1e-6)
    assert (result.by_lag[num_units:] < 0.02).all()


def test_the_current_input_counts_only_with_min_lag_0() -> None:
    inputs = white_noise(3000, seed=0)
    states = register(inputs, 6, first=0)
    assert memory_capacity(states, inputs, 10).total == pytest.approx(5, rel=0.02)
    assert memory_capacity(states, inputs, 10, min_lag=0).total == pytest.approx(6, rel=0.02)


def test_capacity_does_not_depend_on_the_basis() -> None:
    """Mix the units of a shift register; half of the mixed units have half of the capacity."""
    inputs = white_noise(3000, seed=1)
    mixing = np.random.default_rng(0).standard_normal((8, 8))
    states = register(inputs, 8) @ mixing
    assert memory_capacity(states, inputs, 16).total == pytest.approx(8, rel=0.02)
    # Four of eight directions have the capacity 4, spread over all eight lags.
    half = memory_capacity(states[:, :4], inputs, 16)
    assert half.total == pytest.approx(4, rel=0.1)
    assert (half.by_lag[:8] < 0.999).all()


def test_random_states_have_the_capacity_of_chance() -> None:
    """The mean capacity is the sum of 30 squared correlations over 200 steps."""
    totals = []
    for seed in range(20):
        inputs = white_noise(1030, seed)
        result = memory_capacity(white_noise(1030 * 5, seed + 100).reshape(-1, 5), inputs, 30)
        totals.append(result.total)
        assert result.chance == pytest.approx(30 / 199)
    assert np.mean(totals) == pytest.approx(30 / 199, rel=0.15)


def test_constant_states_have_no_capacity() -> None:
    inputs = white_noise(500, seed=0)
    assert memory_capacity(np.full((500, 3), 0.3), inputs, 5).total == 0
    assert squared_correlation(np.ones((4, 1)), np.arange(4.0)[:, None]).tolist() == [0]


def test_squared_correlation_equals_numpy() -> None:
    one, other = np.random.default_rng(0).standard_normal((2, 30, 4))
    expected = [np.corrcoef(a, b)[0, 1] ** 2 for a, b in zip(one.T, other.T, strict=True)]
    np.testing.assert_allclose(squared_correlation(one, other), expected)


def test_capacity_equals_reservoirpy() -> None:
    """reservoirpy's documentation gives 18.78 for this reservoir.

    Both functions sum the squared correlations for lags from 1 on the last steps. Of 10 ``k_max`` steps, reservoirpy
    feeds the first ``k_max`` not to the reservoir, and uses the next ``k_max`` as washout. Its ``test_size`` is a share
    of all steps.
    """
    nodes = pytest.importorskip("reservoirpy.nodes")
    observables = pytest.importorskip("reservoirpy.observables")
    model = nodes.Reservoir(100, sr=1, seed=1) >> nodes.Ridge(ridge=1e-4)
    expected = observables.memory_capacity(model, k_max=50, as_list=True, seed=1)
    assert expected.sum() == pytest.approx(18.78, abs=0.005)
    inputs = np.random.default_rng(1).uniform(-0.8, 0.8, 500)[50:]
    states = nodes.Reservoir(100, sr=1, seed=1).run(inputs[:, None])
    result = memory_capacity(states, inputs, 50, ridge=1e-4, test_share=100 / 400)
    assert result.total == pytest.approx(expected.sum(), rel=0.01)
    np.testing.assert_allclose(result.by_lag, expected, atol=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"inputs": white_noise(99, 0)}, "there are 100 states and 99 inputs"),
        ({"states": np.zeros(100)}, "states must have 2 dimensions, got the shape (100,)"),
        ({"inputs": np.ones(100)}, "inputs must vary"),
        ({"inputs": np.full(100, np.inf)}, "inputs must be finite"),
        ({"max_lag": 0}, "min_lag must be in 0..max_lag (0), got 1"),
        ({"min_lag": -1}, "min_lag must be in 0..max_lag (5), got -1"),
        ({"washout": 4}, "washout must be at least max_lag (5), got 4"),
        ({"max_lag": 90}, "100 steps leave 8 to fit a readout of 10 units, and 2 to score it: use more steps"),
        ({"test_share": 0.01}, "100 steps leave 94 to fit a readout of 10 units, and 1 to score it: use more steps"),
        ({"max_lag": 150}, "100 steps leave -40 to fit"),
        ({"test_share": 0.0}, "test_share must be above 0 and below 1, got 0.0"),
        ({"ridge": -1.0}, "ridge must be at least 0, got -1.0"),
    ],
)
def test_memory_capacity_raises_for_unusable_arguments(options: dict[str, Any], message: str) -> None:
    inputs = white_noise(100, seed=0)
    with pytest.raises(UsageError) as error:
        memory_capacity(**{"states": register(inputs, 10), "inputs": inputs, "max_lag": 5, **options})
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


def shift_core(num_units: int, features: int = 1) -> Elman:
    """Return a linear layer that is a shift register for the sum of its features."""
    core = Elman(features, num_units, activation="identity", zero_bias=True).double()
    with torch.no_grad():
        core.weight_ih_l0.zero_()
        core.weight_ih_l0[0] = 1
        core.weight_hh_l0.copy_(torch.eye(num_units).roll(1, 0).tril(-1))
    return core


def test_driving_a_shift_register_shifts_the_inputs() -> None:
    inputs = white_noise(1500, seed=0)
    states = drive(shift_core(7), inputs, torch.ones(1, dtype=torch.double))
    np.testing.assert_allclose(states, register(inputs, 7, first=0))
    assert memory_capacity(states, inputs, 12, min_lag=0).total == pytest.approx(7, rel=0.02)


def test_drive_scales_the_direction_and_adds_the_offset() -> None:
    core, inputs = shift_core(1, features=3), white_noise(9, seed=0)
    direction, offset = torch.tensor([2.0, 0.0, 1.0]).double(), torch.tensor([0.0, 5.0, 0.0]).double()
    np.testing.assert_allclose(drive(core, inputs, direction, offset)[:, 0], 3 * inputs + 5)


@pytest.mark.parametrize("layer", [GRU, LSTM, Elman, partial(Foreign, layer=torch.nn.GRU)])
def test_drive_works_for_any_layer(layer: Any) -> None:
    core: Core = layer(5, hidden_size=8)
    inputs = white_noise(800, seed=0)
    states = drive(core, inputs, *scalar_input(torch.eye(5), seed=0))
    assert states.shape == (800, 8)
    result = memory_capacity(states, inputs, 20)
    # At most the number of units (Jaeger 2001), apart from chance.
    assert 0.5 < result.total < 8 + 2 * result.chance
    assert core.training


def test_drive_uses_no_dropout() -> None:
    core = Elman(1, 4, num_layers=2, dropout=0.5)
    one, two = (drive(core, white_noise(20, seed=0), torch.ones(1)) for _ in range(2))
    assert (one == two).all()


@pytest.mark.parametrize("embedding_size", [None, 3])
def test_scalar_input_stays_in_the_span_of_the_encodings(embedding_size: int | None) -> None:
    spec = VariableDelayEcho(max_delay=2).spec
    network = TaggerNetwork(partial(GRU, hidden_size=4), spec, embedding_size=embedding_size)
    symbols, condition = torch.arange(spec.input_size)[None], torch.tensor([1])
    encodings = network.encode(symbols, condition)[0].detach()
    direction, offset = scalar_input(encodings, seed=0)
    condition_size = 3 if embedding_size is None else embedding_size
    assert (direction[-condition_size:].abs() < 1e-6).all()
    torch.testing.assert_close(offset, encodings.mean(0))
    distances = (encodings - encodings.mean(0)).norm(dim=1)
    assert float(direction.norm()) == pytest.approx(float(distances.square().mean().sqrt()), rel=1e-5)
    # The direction lies in the span of the differences of the encodings from their mean.
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


def test_drive_raises_for_unsuitable_arguments() -> None:
    core = GRU(3, 4)
    with pytest.raises(UsageError, match=r"direction must have the shape \(3,\), got \(1,\)"):
        drive(core, white_noise(5, 0), torch.ones(1))
    with pytest.raises(UsageError, match=r"offset must have the shape \(3,\), as direction, got \(1,\)"):
        drive(core, white_noise(5, 0), torch.ones(3), torch.ones(1))
    with pytest.raises(UsageError, match="inputs must have 1 dimensions"):
        drive(core, np.zeros((5, 3)), torch.ones(3))
    with pytest.raises(UsageError, match="at least two symbols with different encodings"):
        scalar_input(torch.ones(4, 3), seed=0)
    with pytest.raises(UsageError, match="encodings must be"):
        scalar_input(torch.ones(4), seed=0)
    with pytest.raises(UsageError, match="num_steps must be at least 1, got 0"):
        white_noise(0, seed=0)
