from collections.abc import Callable
from typing import Literal

import numpy as np
import pytest
import torch
from torch import Tensor

from rnn_tasks.cores import IndRNN
from rnn_tasks.errors import UsageError

Activation = Literal["relu", "tanh"]


def by_unit(core: IndRNN, inputs: Tensor, start: Tensor) -> np.ndarray:
    """Compute the equation with NumPy, one sequence, step and unit at a time."""
    weight, recurrent, bias = (core.get_parameter(n).detach().numpy() for n in ("weight_ih", "weight_hh", "bias"))
    outputs = np.zeros((*inputs.shape[:2], core.hidden_size))
    for row, sequence in enumerate(inputs.detach().numpy()):
        hidden = list(start[row].tolist())
        for time, x in enumerate(sequence):
            for unit in range(core.hidden_size):
                total = weight[unit] @ x + bias[unit] + recurrent[unit] * hidden[unit]
                hidden[unit] = max(total, 0.0) if core.activation == "relu" else np.tanh(total)
            outputs[row, time] = hidden
    return outputs


def naive(function: Callable[[Tensor], Tensor], x: Tensor, start: Tensor, u: Tensor, w: Tensor, b: Tensor) -> Tensor:
    """Compute the equation with the full diagonal matrix."""
    hidden, outputs = start, []
    for time in range(x.shape[1]):
        hidden = function(x[:, time] @ w.T + b + hidden @ torch.diag(u))
        outputs.append(hidden)
    return torch.stack(outputs, 1)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_indrnn_follows_its_equation(activation: Activation) -> None:
    core = IndRNN(3, 4, activation=activation, recurrent_min=-1.0).double()
    inputs, start = torch.randn(2, 9, 3).double(), torch.randn(2, 4).double()
    outputs, state = core(inputs, start)
    np.testing.assert_allclose(outputs.detach().numpy(), by_unit(core, inputs, start), rtol=1e-12, atol=1e-12)
    assert torch.equal(outputs[:, -1], state)


@pytest.mark.parametrize(("activation", "function"), [("relu", torch.relu), ("tanh", torch.tanh)])
def test_indrnn_gradients_equal_those_of_a_naive_loop(
    activation: Activation, function: Callable[[Tensor], Tensor]
) -> None:
    core = IndRNN(3, 4, activation=activation).double()
    inputs, start = torch.randn(2, 9, 3).double().requires_grad_(), torch.rand(2, 4).double().requires_grad_()
    leaves = [inputs, start, core.weight_hh, core.weight_ih, core.bias]
    ours = torch.autograd.grad((core(inputs, start)[0] ** 3).sum(), leaves)
    expected = torch.autograd.grad((naive(function, *leaves) ** 3).sum(), leaves)
    torch.testing.assert_close(ours, expected, rtol=1e-8, atol=1e-8)


def test_indrnn_starts_recurrent_weights_in_their_range() -> None:
    recurrent = IndRNN(3, 2000, recurrent_min=0.5, recurrent_max=0.9).weight_hh
    quarters = torch.histc(recurrent.detach(), bins=4, min=0.5, max=0.9) / 2000
    torch.testing.assert_close(quarters, torch.full((4,), 0.25), atol=0.05, rtol=0)


def test_indrnn_counts_ones_in_one_unit() -> None:
    core = IndRNN(1, 1)
    with torch.no_grad():
        core.weight_ih.fill_(1)
        core.weight_hh.fill_(1)
    ones = torch.bernoulli(torch.full((1, 300, 1), 0.5))
    assert torch.equal(core(ones)[0], ones.cumsum(1))


def test_bounded_gradient_at_most_doubles_over_the_sequence() -> None:
    steps = 50
    core = IndRNN(1, 8, recurrent_min=1.5, recurrent_max=2.0, max_recurrent=2 ** (1 / steps)).double()
    start = torch.rand(1, 8).double().requires_grad_()
    outputs, _ = core(torch.rand(1, steps, 1).double() @ torch.zeros(1, 1).double(), start)
    (gradient,) = torch.autograd.grad(outputs[:, -1].sum(), start)
    torch.testing.assert_close(gradient, torch.full((1, 8), 2.0).double())


def test_bound_is_restored_after_weights_change() -> None:
    core = IndRNN(3, 4, recurrent_min=0.9, recurrent_max=1.0, max_recurrent=1.0)
    inputs = torch.rand(2, 5, 3)
    core(inputs)[0].sum().backward()
    assert core.weight_hh.grad is not None
    with torch.no_grad():
        core.weight_hh.add_(core.weight_hh.grad)
    assert (core.weight_hh > 1).any()
    core(inputs)
    assert core.weight_hh.max() == 1
    with torch.no_grad():
        core.weight_hh.fill_(-3)
    assert torch.equal(core.eigenvalues(inputs)["diagonal"], torch.full((4,), -1 + 0j, dtype=torch.complex128))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hidden_size": 0}, "hidden_size must be at least 1, got 0"),
        ({"recurrent_min": 2.0}, r"recurrent_max must be at least recurrent_min \(2\.0\), got 1\.0"),
        ({"max_recurrent": 0.0}, r"max_recurrent must be above 0, got 0\.0"),
    ],
)
def test_indrnn_rejects_values_outside_their_bounds(options: dict[str, float], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        IndRNN(3, **({"hidden_size": 4} | options))  # type: ignore[arg-type]
