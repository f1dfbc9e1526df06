from functools import partial
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from rnn_tasks.analysis.dynamics import step_jacobian
from rnn_tasks.analysis.fixed_points import fixed_points
from rnn_tasks.analysis.flow import flatten_state, unflatten_state
from rnn_tasks.cores import GRU, LSTM, Elman, Foreign, map_state
from rnn_tasks.errors import UsageError
from rnn_tasks.networks import TaggerNetwork
from rnn_tasks.spec import TaskSpec

CORES: dict[str, Any] = {
    "Elman with two layers": partial(Elman, hidden_size=4, num_layers=2),
    "GRU": partial(GRU, hidden_size=5),
    "LSTM": partial(LSTM, hidden_size=4),
    "Foreign": partial(Foreign, hidden_size=4, layer=nn.GRU),
}
ATTRACTOR = 0.957504024  # the positive solution of h = tanh(2 h)
NO_INPUT = torch.zeros(2)


def network_of(core: Any) -> TaggerNetwork:
    torch.manual_seed(3)
    return TaggerNetwork(core, TaskSpec(2, 2))


def elman(weight: Tensor, activation: Any = "tanh", bias: float = 0.0) -> TaggerNetwork:
    """Return a network that computes ``activation(weight h + bias)`` without an input."""
    network = network_of(partial(Elman, hidden_size=len(weight), activation=activation))
    values = dict(network.core.named_parameters())
    with torch.no_grad():
        for value in values.values():
            value.zero_()
        values["weight_hh_l0"].copy_(weight)
        values["bias_hh_l0"].fill_(bias)
    return network


def random_starts(count: int, size: int) -> Tensor:
    return torch.rand(count, size, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_bistable_system_has_two_stable_points_and_a_saddle() -> None:
    found = fixed_points(elman(torch.tensor([[2.0]])), NO_INPUT, random_starts(30, 1))
    assert found.is_stable.tolist() == [True, True, False]
    assert sorted(found.states.ravel().tolist()) == pytest.approx([-ATTRACTOR, 0.0, ATTRACTOR], abs=1e-8)
    slope = 2 * (1 - ATTRACTOR**2)
    assert found.eigenvalues.real.ravel().tolist() == pytest.approx([slope, slope, 2.0], abs=1e-7)
    assert found.unstable_directions.tolist() == [0, 0, 1]
    assert found.counts.sum() == found.num_starts == 30
    assert found.speeds.max() < 1e-12


def test_three_bistable_units_have_eight_stable_points() -> None:
    """All states whose units are at -a, 0 or a are fixed points; those without a 0 are stable, as for three bits."""
    found = fixed_points(elman(2 * torch.eye(3)), NO_INPUT, random_starts(400, 3))
    stable = found.states[found.is_stable]
    corners = np.array(list(product((-ATTRACTOR, ATTRACTOR), repeat=3)))
    order = np.lexsort(stable.T[::-1])
    np.testing.assert_allclose(stable[order], corners, atol=1e-7)
    assert (np.abs(found.states[:, :, None] - [-ATTRACTOR, 0, ATTRACTOR]).min(-1) < 1e-7).all()
    assert len(found.states) == 27
    np.testing.assert_array_equal(found.unstable_directions, (np.abs(found.states) < 0.5).sum(1))


def test_fixed_point_of_a_linear_network_solves_its_equation() -> None:
    weight = torch.tensor([[0.5, -0.4], [0.3, 0.2]])
    network = elman(weight, "identity", bias=3.0)
    expected = np.linalg.solve(np.eye(2) - weight.double().numpy(), [3.0, 3.0])
    found = fixed_points(network, NO_INPUT, random_starts(9, 2))
    assert found.states.shape == (0, 2)  # the point is farther from the starts than twice the farthest start
    found = fixed_points(network, NO_INPUT, 5 * random_starts(9, 2))
    np.testing.assert_allclose(found.states, expected[None], atol=1e-9)
    assert found.counts.tolist() == [9]
    values = np.linalg.eigvals(weight.double().numpy())
    np.testing.assert_allclose(np.sort(found.eigenvalues[0].imag), np.sort(values.imag), atol=1e-7)


def test_a_network_without_fixed_points_has_none() -> None:
    found = fixed_points(elman(torch.eye(2), "relu", bias=1.0), NO_INPUT, random_starts(5, 2).abs())
    assert found.states.shape == (0, 2)
    assert found.eigenvalues.shape == (0, 2)
    assert found.num_starts == 5


@pytest.mark.parametrize("core", CORES)
def test_fixed_points_of_every_layer_stay_where_they_are(core: str) -> None:
    network = network_of(CORES[core])
    with torch.no_grad():
        for name, weight in network.core.named_parameters():
            if "weight_hh" in name:
                weight.mul_(3)
    inputs = torch.tensor([0.5, -1.0])
    _, state = network.core(inputs.expand(20, 6, 2) + torch.randn(20, 6, 2))
    starts = flatten_state(state, 20)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    found = fixed_points(network, inputs, starts)
    assert len(found.states) > 0
    network = network.double()
    points, state = torch.from_numpy(found.states), map_state(state, Tensor.double)
    with torch.no_grad():
        _, after = network.core(inputs.double().expand(len(points), 1, 2), unflatten_state(points, state))
    torch.testing.assert_close(flatten_state(after, len(points)), points, rtol=0, atol=2e-6)
    for point, values in zip(points, found.eigenvalues, strict=True):
        expected = torch.linalg.eigvals(step_jacobian(network, inputs.double(), point)).numpy()
        np.testing.assert_allclose(np.sort(abs(values)), np.sort(abs(expected)), atol=1e-9)
    for name, value in before.items():
        assert torch.equal(network.state_dict()[name], value.double())


def test_a_stable_point_attracts_nearby_states() -> None:
    network = network_of(partial(GRU, hidden_size=4))
    starts = random_starts(10, 4)
    found = fixed_points(network, NO_INPUT, starts)
    network = network.double()
    assert found.is_stable.all()
    _, state = network.core(torch.zeros(10, 400, 2).double(), starts.double()[None])
    np.testing.assert_allclose(state[0].detach().numpy(), np.repeat(found.states, 10, 0), atol=1e-7)


def test_fixed_points_raise_for_wrong_arguments() -> None:
    network = elman(torch.eye(2))
    with pytest.raises(UsageError, match="not finite"):
        fixed_points(network, NO_INPUT, torch.full((3, 2), torch.nan))
    with pytest.raises(UsageError, match=r"starts must be \(starts, state_size\)"):
        fixed_points(network, NO_INPUT, torch.zeros(2))
    for options in ({"max_speed": -1.0}, {"max_iterations": 0}, {"merge_share": -0.1}, {"reach": 0.0}):
        with pytest.raises(UsageError, match=next(iter(options))):
            fixed_points(network, NO_INPUT, torch.zeros(3, 2), **options)
