"""Tests of the recurrence with a gradient written by hand, compared with autograd."""

import pytest
import torch

from rnn_tasks.cores import Elman, differentiable_twice
from rnn_tasks.cores.elman import ACTIVATIONS, Activation
from rnn_tasks.cores.scan import BLOCK, tanh_of_half_
from rnn_tasks.errors import UsageError


def states_and_gradients(layer: Elman, inputs: torch.Tensor, state: torch.Tensor | None) -> list[torch.Tensor]:
    """Return the states and the gradients of a loss that weights every step differently."""
    outputs, end = layer(inputs, state)
    loss = (outputs**2 * torch.arange(outputs.shape[1])[:, None]).sum() + end.sin().sum()
    leaves = [x for x in (inputs, state, *layer.parameters()) if x is not None and x.requires_grad]
    return [outputs, end, *torch.autograd.grad(loss, leaves)]


def check_against_autograd(layer: Elman, inputs: torch.Tensor, state: torch.Tensor | None) -> None:
    ours = states_and_gradients(layer, inputs, state)
    with differentiable_twice():
        autograds = states_and_gradients(layer, inputs, state)
    torch.testing.assert_close(ours, autograds, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("length", [2, 9])
@pytest.mark.parametrize("num_layers", [1, 2])
@pytest.mark.parametrize("with_state", [False, True])
def test_scan_equals_autograd(activation: Activation, length: int, num_layers: int, with_state: bool) -> None:
    layer = Elman(3, 7, activation=activation, num_layers=num_layers).double()
    inputs = torch.randn(4, length, 3, dtype=torch.float64, requires_grad=True)
    state = torch.randn(num_layers, 4, 7, dtype=torch.float64, requires_grad=True) if with_state else None
    check_against_autograd(layer, inputs, state)


@pytest.mark.parametrize("length", [BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK + 3])
def test_scan_equals_autograd_when_there_are_several_blocks(length: int) -> None:
    inputs = torch.randn(2, length, 3, dtype=torch.float64, requires_grad=True)
    state = torch.randn(1, 2, 7, dtype=torch.float64, requires_grad=True)
    check_against_autograd(Elman(3, 7).double(), inputs, state)


@pytest.mark.parametrize("orthogonal_map", ["matrix_exp", "cayley", "householder"])
def test_scan_equals_autograd_when_w_is_parametrized(orthogonal_map: str) -> None:
    layer = Elman(3, 6, orthogonal_map=orthogonal_map).double()  # type: ignore[arg-type]
    check_against_autograd(layer, torch.randn(2, 5, 3, dtype=torch.float64), None)


def test_scan_computes_no_gradient_of_a_frozen_matrix() -> None:
    layer = Elman(3, 6, freeze_recurrent=True)
    layer(torch.randn(2, 5, 3))[0].sum().backward()
    assert layer.weight_hh_l0.grad is None
    assert layer.weight_ih_l0.grad is not None
    assert layer.weight_ih_l0.grad.abs().sum() > 0


def test_scan_has_the_tanh_of_torch_to_rounding() -> None:
    layer = Elman(1, 50)
    inputs = torch.linspace(-30, 30, 400).reshape(20, 20, 1)
    with torch.no_grad():
        outputs = layer(inputs)[0]
        with differentiable_twice():
            expected = layer(inputs)[0]
    assert (outputs - expected).abs().max() < 1e-6


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_tanh_of_half_keeps_its_documented_error_bounds(dtype: torch.dtype) -> None:
    eps = torch.finfo(dtype).eps
    small = torch.logspace(-20, 0, 20_001, dtype=torch.float64)
    values = torch.cat([torch.linspace(-30, 30, 200_001, dtype=torch.float64), small, -small]).to(dtype)
    exact = torch.tanh(values.double())
    result = tanh_of_half_(2 * values)
    assert result.dtype == dtype
    error = (result.double() - exact).abs()
    assert error.max() <= 2 * eps
    near = (values.abs() >= 0.001) & (values.abs() < 0.01)
    assert (error[near] / exact[near].abs()).max() < (2.4e-4 if dtype == torch.float32 else 4.4e-13)
    assert not result[values.abs() < eps / 4].any()


def test_scan_rejects_second_derivatives() -> None:
    layer, inputs = Elman(2, 3), torch.randn(1, 4, 2, requires_grad=True)
    with pytest.raises(UsageError, match="differentiable_twice"):
        torch.autograd.grad(layer(inputs)[0].sum(), inputs, create_graph=True)


def test_differentiable_twice_allows_second_derivatives() -> None:
    layer = Elman(2, 3).double()
    inputs = torch.randn(1, 4, 2, dtype=torch.float64, requires_grad=True)
    with differentiable_twice():
        assert torch.autograd.gradgradcheck(lambda values: layer(values)[0], inputs)


def test_elman_works_with_transforms_of_torch_func() -> None:
    layer = Elman(2, 3).double()
    inputs = torch.randn(1, 4, 2, dtype=torch.float64, requires_grad=True)
    jacobian = torch.func.jacrev(lambda values: layer(values)[0])(inputs)
    expected = torch.autograd.functional.jacobian(lambda values: layer(values)[0], inputs)  # type: ignore[no-untyped-call]
    torch.testing.assert_close(jacobian, expected)


def test_scan_is_precise_near_zero_in_half_precision() -> None:
    layer = Elman(2, 8, input_scale=0.01)
    inputs = torch.randn(3, 6, 2)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        outputs = layer(inputs)[0]
        with differentiable_twice():
            expected = layer(inputs)[0]
    torch.testing.assert_close(outputs, expected, rtol=0.05, atol=1e-4)
