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
    eigenvalues,
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
from tests.helpers.layers import BATCH, CORES, GRUS, LSTMS, PLAIN, TASK, reader, tagger, text


def with_weight(network: Network, weight: Tensor) -> Network:
    with torch.no_grad():
        network.core.recurrent_weights()["weight_hh_l0"].copy_(weight)
    return network


def closed_form(network: Network, states: Tensor) -> Tensor:
    """``diag(1 - h^2) W`` at states ``(..., n)``."""
    return (1 - states**2)[..., None] * network.core.recurrent_weights()["weight_hh_l0"].detach()


def gru_step(network: Network, inputs: Tensor, hidden: Tensor) -> Tensor:
    """torch's GRU, one step of one sequence, from its documentation."""
    weights = network.core.state_dict()
    x_r, x_z, x_n = linear(inputs, weights["weight_ih_l0"], weights["bias_ih_l0"]).chunk(3)
    h_r, h_z, h_n = linear(hidden, weights["weight_hh_l0"], weights["bias_hh_l0"]).chunk(3)
    update = torch.sigmoid(x_z + h_z)
    return (1 - update) * torch.tanh(x_n + torch.sigmoid(x_r + h_r) * h_n) + update * hidden


# --- Jacobians --------------------------------------------------------------------------------------------------------


def test_the_jacobian_of_an_elman_step_is_its_closed_form() -> None:
    network = tagger(PLAIN["Elman"])
    inputs, states = encoded(network, BATCH), state_trajectory(network, BATCH)
    found = step_jacobian(network, inputs[:, 4], states[:, 3])
    assert not found.requires_grad
    torch.testing.assert_close(found, closed_form(network, states[:, 4]), atol=1e-12, rtol=1e-12)
    alone = step_jacobian(network, inputs[1, 4], states[1, 3])
    torch.testing.assert_close(alone, found[1])


def test_the_jacobian_of_a_gru_step_is_that_of_its_equations() -> None:
    network = tagger(partial(GRU, hidden_size=5))
    inputs, states = encoded(network, BATCH), state_trajectory(network, BATCH)
    found = step_jacobian(network, inputs[:, 4], states[:, 3])
    for row in range(3):
        expected = torch.func.jacrev(partial(gru_step, network, inputs[row, 4]))(states[row, 3])
        torch.testing.assert_close(found[row], expected, atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize("core", CORES)
def test_jacobians_are_differences_of_the_next_state(core: str) -> None:
    network, size = tagger(CORES[core]), 1e-6
    inputs, states = encoded(network, BATCH), state_trajectory(network, BATCH)
    found = step_jacobian(network, inputs[:, 4], states[:, 3])
    network.eval()
    with torch.no_grad():
        _, like = network.core(inputs[:, :1])

        def after(flat: Tensor) -> Tensor:
            return flatten_state(network.core(inputs[:, 4:5], unflatten_state(flat, like))[1], 3)

        for place in range(states.shape[-1]):
            move = size * torch.eye(states.shape[-1], dtype=torch.double)[place]
            slopes = (after(states[:, 3] + move) - after(states[:, 3] - move)) / (2 * size)
            torch.testing.assert_close(found[..., place], slopes, atol=1e-8, rtol=1e-6)


def test_gradient_by_lag_is_the_product_of_the_jacobians() -> None:
    network, batch = tagger(LSTMS["ScratchLSTM"]), BATCH.rows(0, 1)
    inputs, states = encoded(network, batch), state_trajectory(network, batch)
    hidden = hidden_states(network, batch)[0, -1].requires_grad_()
    loss = nn.functional.cross_entropy(network.readout(hidden), batch.targets[0, -1])
    (gradient,) = torch.autograd.grad(loss, hidden)
    gradient = torch.cat([gradient, torch.zeros(5).double()])  # the readout sees no cell
    norms = [gradient.norm()]
    for step in range(6, 0, -1):
        gradient = gradient @ step_jacobian(network, inputs[0, step], states[0, step - 1])
        norms.append(gradient.norm())
    torch.testing.assert_close(gradient_by_lag(network, batch), torch.stack(norms))


@pytest.mark.parametrize("start", [0, 2])
def test_jacobian_products_equal_products_of_the_closed_form(start: int) -> None:
    network = tagger(PLAIN["Elman"])
    found = jacobian_products(network, BATCH, steps=5, sequence=1, start=start)
    assert found.shape == (5, 5)
    product = np.eye(5)
    for step, jacobian in enumerate(
        closed_form(network, state_trajectory(network, BATCH)[1])[start : start + 5].numpy()
    ):
        product = jacobian @ product
        np.testing.assert_allclose(found[step].numpy(), np.linalg.svd(product)[1], rtol=1e-6, atol=1e-15)


def test_jacobian_products_are_jacobians_of_many_steps() -> None:
    """Of a GRU that starts from a state, against differentiation of all steps at once."""
    network, batch = reader(partial(GRU, hidden_size=5)), text(rows=2, time=4)
    start = torch.randn(1, 2, 5, dtype=torch.double)
    inputs = encoded(network, batch)[1]
    found = jacobian_products(network, batch, steps=4, sequence=1, state=start)
    for steps in range(1, 5):

        def many(hidden: Tensor, steps: int = steps) -> Tensor:
            for now in inputs[:steps]:
                hidden = gru_step(network, now, hidden)
            return hidden

        expected = torch.linalg.svdvals(torch.func.jacrev(many)(start[0, 1]))
        torch.testing.assert_close(found[steps - 1], expected)


def test_jacobian_products_of_some_steps_equal_those_of_all() -> None:
    network = tagger(GRUS["ScratchGRU after"])
    every_third = jacobian_products(network, BATCH, steps=7, every=3)
    assert torch.equal(every_third, jacobian_products(network, BATCH, steps=7)[[2, 5]])
    for every in (0, 8):
        with pytest.raises(UsageError, match=rf"every must be in 1\.\.7, the steps, got {every}"):
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
def test_jacobian_products_refuse_steps_outside_the_batch(steps: int, sequence: int, start: int, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        jacobian_products(tagger(PLAIN["Elman"]), BATCH, steps, sequence, start)


# --- Lyapunov exponents -----------------------------------------------------------------------------------------------


def test_exponents_of_a_linear_layer_are_logs_of_its_eigenvalues() -> None:
    """W is far from normal: its singular values say something else."""
    weight = torch.randn(5, 5, dtype=torch.double, generator=torch.Generator().manual_seed(3)) / 2
    weight += 2 * torch.ones(5, 5).triu(1)
    weight /= torch.linalg.eigvals(weight).abs().max() / 0.98
    network = with_weight(reader(partial(Elman, hidden_size=5, activation="identity")), weight)
    expected = np.sort(np.log(np.abs(np.linalg.eigvals(weight.numpy()))))[::-1]
    assert np.abs(np.log(np.linalg.svd(weight.numpy())[1]) - expected).max() > 0.5
    found = lyapunov_spectrum(network, text(rows=1, time=1100), discard=100)
    np.testing.assert_allclose(found.numpy(), expected, atol=5e-3)


def test_exponents_of_an_orthogonal_linear_layer_are_zero() -> None:
    weight = torch.linalg.qr(torch.randn(5, 5, dtype=torch.double))[0]
    network = with_weight(tagger(partial(Elman, hidden_size=5, activation="identity")), weight)
    torch.testing.assert_close(lyapunov_spectrum(network, BATCH), torch.zeros(5).double(), atol=1e-12, rtol=0)


@pytest.mark.parametrize("discard", [0, 2])
def test_exponents_of_tanh_sum_to_the_mean_log_determinant(discard: int) -> None:
    network = tagger(PLAIN["Elman"])
    jacobians = closed_form(network, state_trajectory(network, BATCH))[:, discard:]
    expected = torch.linalg.slogdet(jacobians).logabsdet.mean()
    found = lyapunov_spectrum(network, BATCH, discard)
    torch.testing.assert_close(found.sum(), expected)
    assert (found.diff() <= 0).all()
    alone = [lyapunov_spectrum(network, BATCH.rows(row, row + 1), discard).sum() for row in range(3)]
    torch.testing.assert_close(torch.stack(alone).mean(), expected)


def test_exponents_of_a_gru_sum_to_the_mean_log_determinant() -> None:
    network, batch = reader(partial(GRU, hidden_size=5)), text(rows=2, time=6)
    start = torch.randn(1, 2, 5, dtype=torch.double)
    inputs, logs = encoded(network, batch), []
    for row in range(2):
        hidden = start[0, row]
        for now in inputs[row]:
            logs.append(torch.linalg.slogdet(torch.func.jacrev(partial(gru_step, network, now))(hidden)).logabsdet)
            hidden = gru_step(network, now, hidden)
    found = lyapunov_spectrum(network, batch, state=start)
    torch.testing.assert_close(found.sum(), torch.stack(logs).mean())


def test_largest_exponent_is_the_growth_of_a_small_distance() -> None:
    """Of a chaotic network: two trajectories, moved close together again after every step (Benettin et al. 1980)."""
    network, batch = reader(partial(Elman, hidden_size=8)), text(rows=1, time=600)
    with_weight(
        network, 2.5 * torch.randn(8, 8, dtype=torch.double, generator=torch.Generator().manual_seed(2)) / 8**0.5
    )
    weights = {name: value.numpy() for name, value in network.core.state_dict().items()}
    bias = weights["bias_ih_l0"] + weights["bias_hh_l0"]
    one, size, rates = np.zeros(8), 1e-7, []
    other = one + size * np.eye(8)[0]
    for symbol in batch.inputs[0].tolist():
        current = weights["weight_ih_l0"][:, symbol] + bias
        one = np.tanh(current + weights["weight_hh_l0"] @ one)
        other = np.tanh(current + weights["weight_hh_l0"] @ other)
        distance = float(np.linalg.norm(other - one))
        rates.append(math.log(distance / size))
        other = one + (other - one) * size / distance
    found = lyapunov_spectrum(network, batch, discard=50)
    assert float(found[0]) == pytest.approx(np.mean(rates[50:]), abs=1e-4)


@pytest.mark.parametrize("core", LSTMS)
def test_exponents_are_as_many_as_the_numbers_of_the_state(core: str) -> None:
    network = tagger(LSTMS[core])
    found = lyapunov_spectrum(network, BATCH)
    assert found.shape == (state_trajectory(network, BATCH).shape[-1],)
    assert found.isfinite().all()


def test_exponent_is_minus_infinity_when_a_direction_is_lost() -> None:
    network = with_weight(
        tagger(partial(Elman, hidden_size=5, activation="identity")), torch.diag(torch.tensor([1.0, 0.5, 0.5, 0, 0]))
    )
    half = math.log(0.5)
    torch.testing.assert_close(
        lyapunov_spectrum(network, BATCH), torch.tensor([0.0, half, half, -math.inf, -math.inf]).double()
    )


def test_qr_growth_is_the_growth_of_each_volume() -> None:
    stretched = torch.randn(4, 3, 3, dtype=torch.double)
    q, growth = qr_growth(stretched)
    for columns in (1, 2, 3):
        part = stretched[..., :columns]
        volume = torch.linalg.slogdet(part.mT @ part).logabsdet / 2
        torch.testing.assert_close(growth[:, :columns].sum(1), volume)
    torch.testing.assert_close(q.mT @ q, torch.eye(3).double().expand(4, 3, 3))


@pytest.mark.parametrize("discard", [-1, 7])
def test_lyapunov_spectrum_refuses_to_discard_all_steps(discard: int) -> None:
    with pytest.raises(UsageError, match=rf"discard must be in 0\.\.6, got {discard}"):
        lyapunov_spectrum(tagger(PLAIN["Elman"]), BATCH, discard)


def test_dynamics_refuse_a_state_that_cannot_be_flattened() -> None:
    class Counting(nn.RNN):
        def forward(self, inputs: Tensor, state: Any = None) -> tuple[Tensor, Any]:  # type: ignore[override]
            outputs, after = super().forward(inputs, None if state is None else state[0])
            return outputs, (after, 0 if state is None else state[1] + 1)

    network = tagger(partial(Foreign, hidden_size=5, layer=Counting))
    for ask in (lyapunov_spectrum, partial(jacobian_products, steps=2)):
        with pytest.raises(UsageError, match="cannot be flattened: a part of it is int"):
            ask(network, BATCH)


QUESTIONS_WITH_STATE: dict[str, Callable[..., Any]] = {
    "jacobian_products": partial(jacobian_products, steps=3, sequence=5),
    "lyapunov_spectrum": lyapunov_spectrum,
    "gate_activity": gate_activity,
}


@pytest.mark.parametrize("question", QUESTIONS_WITH_STATE)
@pytest.mark.parametrize("given", [False, True])
def test_dynamics_of_shared_inputs_equal_those_of_expanded(question: str, given: bool) -> None:
    """Each string once, with all its delays, as tasks give it; or once for each delay."""
    task = VariableDelayEcho(max_delay=3, sequence_length=7, alphabet_size=4, batch_size=8, every_delay=True)
    batch, network = task.train_batch(0), tagger(partial(GRU, hidden_size=5))
    assert (len(batch.inputs), batch.num_sequences) == (2, 8)
    state = torch.randn(1, 8, 5, dtype=torch.double) if given else None
    ask = QUESTIONS_WITH_STATE[question]
    torch.testing.assert_close(ask(network, batch, state=state), ask(network, batch.expanded(), state=state))


# --- units and matrices -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("threshold", [0.95, 0.3])
def test_saturation_is_the_share_of_large_values(threshold: float) -> None:
    network = tagger(partial(Elman, hidden_size=5, input_scale=4.0))
    states = hidden_states(network, BATCH)
    values = np.abs(states.numpy())
    expected = [[value > threshold for value in values[..., unit].ravel()] for unit in range(5)]
    found = saturation(states, threshold)
    np.testing.assert_allclose(found.numpy(), np.mean(expected, axis=1))
    assert float(found.mean()) == pytest.approx(np.mean(values > threshold))
    assert 0 < float(found.mean()) < 1


@pytest.mark.parametrize("core", ["Elman", "orthogonal", "GRU of two layers", "foreign GRU"])
def test_eigenvalues_equal_numpys_sorted_by_absolute_value(core: str) -> None:
    network = tagger(CORES[core])
    found, weights = eigenvalues(network), network.core.recurrent_weights()
    assert list(found) == list(weights)
    for name, weight in weights.items():
        expected = np.linalg.eigvals(weight.detach().numpy())
        assert len(found[name]) == 5
        assert (found[name].abs().diff() < 1e-12).all()
        for value in found[name].numpy():  # in some order, as pairs have one size
            assert np.abs(expected - value).min() < 1e-10
        assert complex(found[name].sum()) == pytest.approx(complex(np.trace(weight.detach().numpy())))


# --- nothing is changed -----------------------------------------------------------------------------------------------

QUESTIONS: dict[str, Callable[[Network, Batch], Any]] = {
    "step_jacobian": lambda network, batch: step_jacobian(
        network, encoded(network, batch)[:, 1], state_trajectory(network, batch)[:, 0]
    ),
    "jacobian_products": lambda network, batch: jacobian_products(network, batch, 3),
    "lyapunov_spectrum": lyapunov_spectrum,
    "eigenvalues": lambda network, batch: eigenvalues(network),
    "gate_activity": gate_activity,
}


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize("core", ["GRU of two layers", "orthogonal"])
def test_dynamics_leave_the_network_unchanged(question: str, core: str) -> None:
    network, batch = reader(CORES[core]), text(rows=2, time=5)
    network.core.eval()  # one part not as the others
    weights = {name: value.clone() for name, value in network.state_dict().items()}
    modes = [module.training for module in network.modules()]
    numbers = torch.get_rng_state()
    QUESTIONS[question](network, batch)
    assert torch.equal(torch.get_rng_state(), numbers)
    assert [module.training for module in network.modules()] == modes
    assert all(parameter.grad is None and parameter.requires_grad for parameter in network.parameters())
    assert all(torch.equal(value, weights[name]) for name, value in network.state_dict().items())


@pytest.mark.parametrize("question", ["step_jacobian", "jacobian_products", "lyapunov_spectrum"])
def test_jacobians_are_computed_in_inference_mode(question: str) -> None:
    network = tagger(CORES["GRU of two layers"])
    expected = QUESTIONS[question](network, BATCH)
    with torch.inference_mode():
        torch.testing.assert_close(QUESTIONS[question](network, TASK.train_batch(0)), expected)


def test_dynamics_are_the_same_when_weights_are_frozen() -> None:
    network = tagger(PLAIN["Elman"])
    expected = lyapunov_spectrum(network, BATCH)
    network.requires_grad_(False)
    torch.testing.assert_close(lyapunov_spectrum(network, BATCH), expected)
    assert gradient_by_lag(network, BATCH).isfinite().all()
