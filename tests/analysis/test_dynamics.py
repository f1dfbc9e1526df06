import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from rnn_tasks.analysis.dynamics import (
    MAX_EIGENVALUES,
    eigenvalues,
    eigenvalues_follow_inputs,
    jacobian_products,
    lyapunov_spectrum,
    qr_growth,
    saturation,
    step_jacobian,
)
from rnn_tasks.analysis.flow import (
    encoded,
    flatten_state,
    gradient_by_lag,
    hidden_states,
    state_trajectory,
    unflatten_state,
)
from rnn_tasks.analysis.gates import gate_activity
from rnn_tasks.cores import (
    GRU,
    Elman,
    Foreign,
)
from rnn_tasks.errors import UsageError
from rnn_tasks.networks import Network
from rnn_tasks.spec import Batch
from rnn_tasks.tasks import VariableDelayEcho
from tests.helpers.layers import BATCH, CORES, GRUS, LSTMS, PLAIN, TASK, language_network, tagger, text
from tests.helpers.state_layers import STATE_LAYERS


def with_weight(network: Network, weight: Tensor) -> Network:
    with torch.no_grad():
        network.core.recurrent_weights()["weight_hh_l0"].copy_(weight)
    return network


def closed_form(network: Network, states: Tensor) -> Tensor:
    """Return ``diag(1 - h^2) W`` at states ``(..., n)``."""
    return (1 - states**2)[..., None] * network.core.recurrent_weights()["weight_hh_l0"].detach()


def gru_step(network: Network, inputs: Tensor, hidden: Tensor) -> Tensor:
    """Compute one step of torch's GRU for one sequence, by the equations of its documentation."""
    weights = network.core.state_dict()
    x_r, x_z, x_n = linear(inputs, weights["weight_ih_l0"], weights["bias_ih_l0"]).chunk(3)
    h_r, h_z, h_n = linear(hidden, weights["weight_hh_l0"], weights["bias_hh_l0"]).chunk(3)
    update = torch.sigmoid(x_z + h_z)
    return (1 - update) * torch.tanh(x_n + torch.sigmoid(x_r + h_r) * h_n) + update * hidden


# --- Jacobians --------------------------------------------------------------------------------------------------------


def test_elman_jacobian_equals_the_closed_form() -> None:
    network = tagger(PLAIN["Elman"])
    inputs, states = encoded(network, BATCH), state_trajectory(network, BATCH)
    result = step_jacobian(network, inputs[:, 4], states[:, 3])
    assert not result.requires_grad
    torch.testing.assert_close(result, closed_form(network, states[:, 4]), atol=1e-12, rtol=1e-12)
    alone = step_jacobian(network, inputs[1, 4], states[1, 3])
    torch.testing.assert_close(alone, result[1])


def test_gru_jacobian_equals_the_jacobian_of_its_equations() -> None:
    network = tagger(partial(GRU, hidden_size=5))
    inputs, states = encoded(network, BATCH), state_trajectory(network, BATCH)
    result = step_jacobian(network, inputs[:, 4], states[:, 3])
    for row in range(3):
        expected = torch.func.jacrev(partial(gru_step, network, inputs[row, 4]))(states[row, 3])
        torch.testing.assert_close(result[row], expected, atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize("core", CORES)
def test_jacobians_equal_central_differences(core: str) -> None:
    network, difference = tagger(CORES[core]), 1e-6
    inputs, states = encoded(network, BATCH), state_trajectory(network, BATCH)
    result = step_jacobian(network, inputs[:, 4], states[:, 3])
    network.eval()
    with torch.no_grad():
        _, like = network.core(inputs[:, :1])

        def after(flat: Tensor) -> Tensor:
            return flatten_state(network.core(inputs[:, 4:5], unflatten_state(flat, like))[1], 3)

        for index in range(states.shape[-1]):
            change = difference * torch.eye(states.shape[-1], dtype=torch.double)[index]
            slopes = (after(states[:, 3] + change) - after(states[:, 3] - change)) / (2 * difference)
            torch.testing.assert_close(result[..., index], slopes, atol=1e-8, rtol=1e-6)


def test_gradient_by_lag_equals_a_product_of_jacobians() -> None:
    network, batch = tagger(LSTMS["ScratchLSTM"]), BATCH.rows(0, 1)
    inputs, states = encoded(network, batch), state_trajectory(network, batch)
    hidden = hidden_states(network, batch)[0, -1].requires_grad_()
    loss = nn.functional.cross_entropy(network.readout(hidden), batch.targets[0, -1])
    (gradient,) = torch.autograd.grad(loss, hidden)
    gradient = torch.cat([gradient, torch.zeros(5).double()])  # the readout does not read the cell
    norms = [gradient.norm()]
    for step in range(6, 0, -1):
        gradient = gradient @ step_jacobian(network, inputs[0, step], states[0, step - 1])
        norms.append(gradient.norm())
    torch.testing.assert_close(gradient_by_lag(network, batch), torch.stack(norms))


@pytest.mark.parametrize("start", [0, 2])
def test_jacobian_products_equal_products_of_the_closed_form(start: int) -> None:
    network = tagger(PLAIN["Elman"])
    result = jacobian_products(network, BATCH, steps=5, sequence=1, start=start)
    assert result.shape == (5, 5)
    product = np.eye(5)
    for step, jacobian in enumerate(
        closed_form(network, state_trajectory(network, BATCH)[1])[start : start + 5].numpy()
    ):
        product = jacobian @ product
        np.testing.assert_allclose(result[step].numpy(), np.linalg.svd(product)[1], rtol=1e-6, atol=1e-15)


def test_jacobian_products_equal_jacobians_of_many_steps() -> None:
    """Compare with differentiation of all steps at once, for a GRU with an initial state."""
    network, batch = language_network(partial(GRU, hidden_size=5)), text(rows=2, time=4)
    start = torch.randn(1, 2, 5, dtype=torch.double)
    inputs = encoded(network, batch)[1]
    result = jacobian_products(network, batch, steps=4, sequence=1, state=start)
    for steps in range(1, 5):

        def many(hidden: Tensor, steps: int = steps) -> Tensor:
            for step_input in inputs[:steps]:
                hidden = gru_step(network, step_input, hidden)
            return hidden

        expected = torch.linalg.svdvals(torch.func.jacrev(many)(start[0, 1]))
        torch.testing.assert_close(result[steps - 1], expected)


def test_jacobian_products_with_every_3_skip_other_steps() -> None:
    network = tagger(GRUS["ScratchGRU after"])
    every_third = jacobian_products(network, BATCH, steps=7, every=3)
    assert torch.equal(every_third, jacobian_products(network, BATCH, steps=7)[[2, 5]])
    for every in (0, 8):
        with pytest.raises(UsageError, match=rf"every must be in 1\.\.steps \(7\), got {every}"):
            jacobian_products(network, BATCH, steps=7, every=every)


@pytest.mark.parametrize(
    ("steps", "sequence", "start", "message"),
    [
        (1, 3, 0, r"sequence must be in 0\.\.2, got 3"),
        (1, -1, 0, r"sequence must be in 0\.\.2, got -1"),
        (0, 0, 0, r"within the 7 steps of the batch, got 0 \+ 0"),
        (5, 0, 3, r"within the 7 steps of the batch, got 3 \+ 5"),
        (1, 0, -1, r"within the 7 steps of the batch, got -1 \+ 1"),
    ],
)
def test_jacobian_products_raise_for_steps_outside_the_batch(
    steps: int, sequence: int, start: int, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        jacobian_products(tagger(PLAIN["Elman"]), BATCH, steps, sequence, start)


# --- Lyapunov exponents -----------------------------------------------------------------------------------------------


def test_exponents_of_a_linear_layer_are_log_eigenvalues() -> None:
    """W is far from normal, so the logarithms of its singular values are different."""
    weight = torch.randn(5, 5, dtype=torch.double, generator=torch.Generator().manual_seed(3)) / 2
    weight += 2 * torch.ones(5, 5).triu(1)
    weight /= torch.linalg.eigvals(weight).abs().max() / 0.98
    network = with_weight(language_network(partial(Elman, hidden_size=5, activation="identity")), weight)
    expected = np.sort(np.log(np.abs(np.linalg.eigvals(weight.numpy()))))[::-1]
    assert np.abs(np.log(np.linalg.svd(weight.numpy())[1]) - expected).max() > 0.5
    result = lyapunov_spectrum(network, text(rows=1, time=1100), discard=100)
    np.testing.assert_allclose(result.numpy(), expected, atol=5e-3)


def test_exponents_of_an_orthogonal_linear_layer_are_zero() -> None:
    weight = torch.linalg.qr(torch.randn(5, 5, dtype=torch.double))[0]
    network = with_weight(tagger(partial(Elman, hidden_size=5, activation="identity")), weight)
    torch.testing.assert_close(lyapunov_spectrum(network, BATCH), torch.zeros(5).double(), atol=1e-12, rtol=0)


@pytest.mark.parametrize("discard", [0, 2])
def test_exponents_of_tanh_sum_to_the_mean_log_determinant(discard: int) -> None:
    network = tagger(PLAIN["Elman"])
    jacobians = closed_form(network, state_trajectory(network, BATCH))[:, discard:]
    expected = torch.linalg.slogdet(jacobians).logabsdet.mean()
    result = lyapunov_spectrum(network, BATCH, discard)
    torch.testing.assert_close(result.sum(), expected)
    assert (result.diff() <= 0).all()
    by_sequence = [lyapunov_spectrum(network, BATCH.rows(row, row + 1), discard).sum() for row in range(3)]
    torch.testing.assert_close(torch.stack(by_sequence).mean(), expected)


def test_exponents_of_a_gru_sum_to_the_mean_log_determinant() -> None:
    network, batch = language_network(partial(GRU, hidden_size=5)), text(rows=2, time=6)
    start = torch.randn(1, 2, 5, dtype=torch.double)
    inputs, logs = encoded(network, batch), []
    for row in range(2):
        hidden = start[0, row]
        for step_input in inputs[row]:
            jacobian = torch.func.jacrev(partial(gru_step, network, step_input))(hidden)
            logs.append(torch.linalg.slogdet(jacobian).logabsdet)
            hidden = gru_step(network, step_input, hidden)
    result = lyapunov_spectrum(network, batch, state=start)
    torch.testing.assert_close(result.sum(), torch.stack(logs).mean())


def test_largest_exponent_equals_the_growth_of_a_distance() -> None:
    """In a chaotic network, with two trajectories that are moved together after each step (Benettin et al. 1980)."""
    network, batch = language_network(partial(Elman, hidden_size=8)), text(rows=1, time=600)
    with_weight(
        network, 2.5 * torch.randn(8, 8, dtype=torch.double, generator=torch.Generator().manual_seed(2)) / 8**0.5
    )
    weights = {name: value.numpy() for name, value in network.core.state_dict().items()}
    bias = weights["bias_ih_l0"] + weights["bias_hh_l0"]
    one, initial_distance, rates = np.zeros(8), 1e-7, []
    other = one + initial_distance * np.eye(8)[0]
    for symbol in batch.inputs[0].tolist():
        current = weights["weight_ih_l0"][:, symbol] + bias
        one = np.tanh(current + weights["weight_hh_l0"] @ one)
        other = np.tanh(current + weights["weight_hh_l0"] @ other)
        distance = float(np.linalg.norm(other - one))
        rates.append(math.log(distance / initial_distance))
        other = one + (other - one) * initial_distance / distance
    result = lyapunov_spectrum(network, batch, discard=50)
    assert float(result[0]) == pytest.approx(np.mean(rates[50:]), abs=1e-4)


@pytest.mark.parametrize("core", LSTMS)
def test_lyapunov_spectrum_has_state_size_exponents(core: str) -> None:
    network = tagger(LSTMS[core])
    result = lyapunov_spectrum(network, BATCH)
    assert result.shape == (state_trajectory(network, BATCH).shape[-1],)
    assert result.isfinite().all()


def test_exponent_is_minus_infinity_when_a_direction_vanishes() -> None:
    network = with_weight(
        tagger(partial(Elman, hidden_size=5, activation="identity")), torch.diag(torch.tensor([1.0, 0.5, 0.5, 0, 0]))
    )
    half = math.log(0.5)
    torch.testing.assert_close(
        lyapunov_spectrum(network, BATCH), torch.tensor([0.0, half, half, -math.inf, -math.inf]).double()
    )


def test_qr_growth_sums_to_the_growth_of_volumes() -> None:
    stretched = torch.randn(4, 3, 3, dtype=torch.double)
    q, growth = qr_growth(stretched)
    for columns in (1, 2, 3):
        part = stretched[..., :columns]
        volume = torch.linalg.slogdet(part.mT @ part).logabsdet / 2
        torch.testing.assert_close(growth[:, :columns].sum(1), volume)
    torch.testing.assert_close(q.mT @ q, torch.eye(3).double().expand(4, 3, 3))


@pytest.mark.parametrize("discard", [-1, 7])
def test_lyapunov_spectrum_raises_when_all_steps_are_discarded(discard: int) -> None:
    with pytest.raises(UsageError, match=rf"discard must be in 0\.\.6, got {discard}"):
        lyapunov_spectrum(tagger(PLAIN["Elman"]), BATCH, discard)


def test_dynamics_raise_for_a_state_that_cannot_be_flattened() -> None:
    class CountingRNN(nn.RNN):
        def forward(self, inputs: Tensor, state: Any = None) -> tuple[Tensor, Any]:  # type: ignore[override]
            outputs, after = super().forward(inputs, None if state is None else state[0])
            return outputs, (after, 0 if state is None else state[1] + 1)

    network = tagger(partial(Foreign, hidden_size=5, layer=CountingRNN))
    for function in (lyapunov_spectrum, partial(jacobian_products, steps=2)):
        with pytest.raises(UsageError, match="cannot be flattened: it contains int"):
            function(network, BATCH)


FUNCTIONS_WITH_STATE: dict[str, Callable[..., Any]] = {
    "jacobian_products": partial(jacobian_products, steps=3, sequence=5),
    "lyapunov_spectrum": lyapunov_spectrum,
    "gate_activity": gate_activity,
}


@pytest.mark.parametrize("name", FUNCTIONS_WITH_STATE)
@pytest.mark.parametrize("with_state", [False, True])
def test_dynamics_of_shared_inputs_equal_expanded_inputs(name: str, with_state: bool) -> None:
    """Compare a batch that holds each string once with a batch that holds it once per delay."""
    task = VariableDelayEcho(max_delay=3, sequence_length=7, alphabet_size=4, batch_size=8, every_delay=True)
    batch, network = task.train_batch(0), tagger(partial(GRU, hidden_size=5))
    assert (len(batch.inputs), batch.num_sequences) == (2, 8)
    state = torch.randn(1, 8, 5, dtype=torch.double) if with_state else None
    function = FUNCTIONS_WITH_STATE[name]
    torch.testing.assert_close(function(network, batch, state=state), function(network, batch.expanded(), state=state))


# --- units and matrices -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("threshold", [0.95, 0.3])
def test_saturation_is_the_share_of_large_values(threshold: float) -> None:
    network = tagger(partial(Elman, hidden_size=5, input_scale=4.0))
    states = hidden_states(network, BATCH)
    values = np.abs(states.numpy())
    expected = [[value > threshold for value in values[..., unit].ravel()] for unit in range(5)]
    result = saturation(states, threshold)
    np.testing.assert_allclose(result.numpy(), np.mean(expected, axis=1))
    assert float(result.mean()) == pytest.approx(np.mean(values > threshold))
    assert 0 < float(result.mean()) < 1


@pytest.mark.parametrize("core", ["Elman", "orthogonal", "GRU with two layers", "foreign GRU"])
def test_eigenvalues_equal_numpys_sorted_by_absolute_value(core: str) -> None:
    network = tagger(CORES[core])
    result, weights = eigenvalues(network), network.core.recurrent_weights()
    assert list(result) == list(weights)
    for name, weight in weights.items():
        expected = np.linalg.eigvals(weight.detach().numpy())
        assert len(result[name]) == 5
        assert (result[name].abs().diff() < 1e-12).all()
        for value in result[name].numpy():  # conjugate pairs have equal absolute values, so their order may differ
            assert np.abs(expected - value).min() < 1e-10
        assert complex(result[name].sum()) == pytest.approx(complex(np.trace(weight.detach().numpy())))


def test_eigenvalues_of_a_diagonal_are_its_numbers() -> None:
    network = tagger(STATE_LAYERS["complex diagonal"])
    (values,) = eigenvalues(network).values()
    assert values.dtype == torch.complex128
    torch.testing.assert_close(values.abs().flip(0), network.core.radius.detach())  # type: ignore[operator]
    torch.testing.assert_close(values.angle().flip(0), network.core.angle.detach())  # type: ignore[operator]


def test_eigenvalues_that_depend_on_inputs_follow_a_sequence() -> None:
    network = tagger(STATE_LAYERS["diagonal that the input decides"])
    assert eigenvalues(network) == {}
    assert eigenvalues_follow_inputs(network) == {"forget": True}
    (values,) = eigenvalues(network, BATCH).values()
    weight = network.core.weight_ih_l0[:4].detach()  # type: ignore[index]
    gates = torch.sigmoid(encoded(network, BATCH)[0] @ weight.T).flatten()
    torch.testing.assert_close(values.real, gates.sort(descending=True).values)
    assert (values.imag == 0).all()


def test_number_of_eigenvalues_along_a_sequence_is_bounded() -> None:
    network = language_network(STATE_LAYERS["diagonal that the input decides"])
    (values,) = eigenvalues(network, text(rows=1, time=1500)).values()
    assert len(values) == MAX_EIGENVALUES


def test_jacobian_of_a_gated_diagonal_is_its_eigenvalues() -> None:
    network = language_network(STATE_LAYERS["diagonal that the input decides"])
    inputs, states = encoded(network, text(1, 2)), state_trajectory(network, text(1, 2))
    (values,) = network.core.eigenvalues(inputs).values()
    jacobian = step_jacobian(network, inputs[0, 1], states[0, 0])
    torch.testing.assert_close(jacobian, values[0, 1].real.detach().diag())


def test_exponents_of_a_complex_diagonal_are_log_radii() -> None:
    """Each complex number is a pair of real numbers in the state, with one exponent for each of the two."""
    network = language_network(STATE_LAYERS["complex diagonal"])
    expected = network.core.radius.detach().log().flip(0).repeat_interleave(2)  # type: ignore[operator]
    torch.testing.assert_close(lyapunov_spectrum(network, text(2, 5)), expected)


def test_jacobian_products_of_matrix_states_are_the_decay() -> None:
    network = language_network(STATE_LAYERS["matrix states"])
    factors = jacobian_products(network, text(2, 5), steps=3)
    torch.testing.assert_close(factors, 0.9 ** torch.arange(1, 4).double()[:, None].expand(3, 8))


# --- no side effects --------------------------------------------------------------------------------------------------

FUNCTIONS: dict[str, Callable[[Network, Batch], Any]] = {
    "step_jacobian": lambda network, batch: step_jacobian(
        network, encoded(network, batch)[:, 1], state_trajectory(network, batch)[:, 0]
    ),
    "jacobian_products": lambda network, batch: jacobian_products(network, batch, 3),
    "lyapunov_spectrum": lyapunov_spectrum,
    "eigenvalues": eigenvalues,
    "gate_activity": gate_activity,
}


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("core", ["GRU with two layers", "orthogonal"])
def test_dynamics_leave_the_network_unchanged(name: str, core: str) -> None:
    network, batch = language_network(CORES[core]), text(rows=2, time=5)
    network.core.eval()  # one module in another mode
    weights = {key: value.clone() for key, value in network.state_dict().items()}
    modes = [module.training for module in network.modules()]
    numbers = torch.get_rng_state()
    FUNCTIONS[name](network, batch)
    assert torch.equal(torch.get_rng_state(), numbers)
    assert [module.training for module in network.modules()] == modes
    assert all(parameter.grad is None and parameter.requires_grad for parameter in network.parameters())
    assert all(torch.equal(value, weights[key]) for key, value in network.state_dict().items())


@pytest.mark.parametrize("name", ["step_jacobian", "jacobian_products", "lyapunov_spectrum"])
def test_jacobians_are_computed_in_inference_mode(name: str) -> None:
    network = tagger(CORES["GRU with two layers"])
    expected = FUNCTIONS[name](network, BATCH)
    with torch.inference_mode():
        torch.testing.assert_close(FUNCTIONS[name](network, TASK.train_batch(0)), expected)


def test_dynamics_are_the_same_when_weights_are_frozen() -> None:
    network = tagger(PLAIN["Elman"])
    expected = lyapunov_spectrum(network, BATCH)
    network.requires_grad_(False)
    torch.testing.assert_close(lyapunov_spectrum(network, BATCH), expected)
    assert gradient_by_lag(network, BATCH).isfinite().all()
