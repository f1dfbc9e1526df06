"""The recurrence whose gradient is written by hand, against autograd's."""

import pytest
import torch

from rnn_tasks.cores import Elman, differentiable_twice
from rnn_tasks.cores.elman import ACTIVATIONS, Activation
from rnn_tasks.cores.scan import BLOCK, tanh_of_half_
from rnn_tasks.errors import UsageError


def outcome(layer: Elman, inputs: torch.Tensor, state: torch.Tensor | None) -> list[torch.Tensor]:
    """States, and the gradients of a loss that reads all of them, in an order that they do not share."""
    outputs, end = layer(inputs, state)
    loss = (outputs**2 * torch.arange(outputs.shape[1])[:, None]).sum() + end.sin().sum()
    wanted = [x for x in (inputs, state, *layer.parameters()) if x is not None and x.requires_grad]
    return [outputs, end, *torch.autograd.grad(loss, wanted)]


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("length", [2, 9])
@pytest.mark.parametrize("num_layers", [1, 2])
@pytest.mark.parametrize("given_state", [False, True])
def test_states_and_gradients_equal_those_of_autograd(
    activation: Activation, length: int, num_layers: int, given_state: bool
) -> None:
    layer = Elman(3, 7, activation=activation, num_layers=num_layers).double()
    inputs = torch.randn(4, length, 3, dtype=torch.float64, requires_grad=True)
    state = torch.randn(num_layers, 4, 7, dtype=torch.float64, requires_grad=True) if given_state else None
    found = outcome(layer, inputs, state)
    with differentiable_twice():
        wanted = outcome(layer, inputs, state)
    for ours, theirs in zip(found, wanted, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("length", [BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK + 3])
def test_a_sequence_of_several_blocks_is_one_sequence(length: int) -> None:
    layer = Elman(3, 7).double()
    inputs = torch.randn(2, length, 3, dtype=torch.float64, requires_grad=True)
    state = torch.randn(1, 2, 7, dtype=torch.float64, requires_grad=True)
    found = outcome(layer, inputs, state)
    with differentiable_twice():
        wanted = outcome(layer, inputs, state)
    for ours, theirs in zip(found, wanted, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("orthogonal_map", ["matrix_exp", "cayley", "householder"])
def test_gradients_reach_the_free_matrix_of_a_parametrization(orthogonal_map: str) -> None:
    layer = Elman(3, 6, orthogonal_map=orthogonal_map).double()  # type: ignore[arg-type]
    inputs = torch.randn(2, 5, 3, dtype=torch.float64)
    found = outcome(layer, inputs, None)
    with differentiable_twice():
        wanted = outcome(layer, inputs, None)
    for ours, theirs in zip(found, wanted, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)


def test_a_frozen_matrix_has_no_gradient_and_the_rest_has() -> None:
    layer = Elman(3, 6, freeze_recurrent=True)
    layer(torch.randn(2, 5, 3))[0].sum().backward()
    assert layer.weight_hh_l0.grad is None
    assert layer.weight_ih_l0.grad is not None
    assert layer.weight_ih_l0.grad.abs().sum() > 0


def test_tanh_is_torchs_to_within_rounding() -> None:
    layer = Elman(1, 50)
    inputs = torch.linspace(-30, 30, 400).reshape(20, 20, 1)
    with torch.no_grad():
        found = layer(inputs)[0]
        with differentiable_twice():
            wanted = layer(inputs)[0]
    assert (found - wanted).abs().max() < 1e-6


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_tanh_of_half_is_as_exact_as_it_says(dtype: torch.dtype) -> None:
    eps = torch.finfo(dtype).eps
    small = torch.logspace(-20, 0, 20_001, dtype=torch.float64)
    values = torch.cat([torch.linspace(-30, 30, 200_001, dtype=torch.float64), small, -small]).to(dtype)
    exact = torch.tanh(values.double())
    found = tanh_of_half_(2 * values)
    assert found.dtype == dtype
    error = (found.double() - exact).abs()
    assert error.max() <= 2 * eps
    near = (values.abs() >= 0.001) & (values.abs() < 0.01)
    assert (error[near] / exact[near].abs()).max() < (2.4e-4 if dtype == torch.float32 else 4.4e-13)
    assert not found[values.abs() < eps / 4].any()


def test_second_derivative_is_refused_in_one_line() -> None:
    layer, inputs = Elman(2, 3), torch.randn(1, 4, 2, requires_grad=True)
    with pytest.raises(UsageError, match="differentiable_twice"):
        torch.autograd.grad(layer(inputs)[0].sum(), inputs, create_graph=True)


def test_a_second_derivative_and_a_transform_equal_autograds() -> None:
    layer = Elman(2, 3).double()
    inputs = torch.randn(1, 4, 2, dtype=torch.float64, requires_grad=True)
    with differentiable_twice():
        assert torch.autograd.gradgradcheck(lambda values: layer(values)[0], inputs)
    jacobian = torch.func.jacrev(lambda values: layer(values)[0])(inputs)
    wanted = torch.autograd.functional.jacobian(lambda values: layer(values)[0], inputs)  # type: ignore[no-untyped-call]
    torch.testing.assert_close(jacobian, wanted)


def test_half_precision_keeps_its_own_precision_near_zero() -> None:
    layer = Elman(2, 8, input_scale=0.01)
    inputs = torch.randn(3, 6, 2)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        found = layer(inputs)[0]
        with differentiable_twice():
            wanted = layer(inputs)[0]
    torch.testing.assert_close(found, wanted, rtol=0.05, atol=1e-4)
