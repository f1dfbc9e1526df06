import math
from typing import Any

import pytest
import torch
from torch import Tensor

from rnn_tasks.cores import MLSTM
from rnn_tasks.errors import UsageError


def mlstm_by_equations(layer: MLSTM, sequence: Tensor) -> Tensor:
    """Compute C, n and h step by step as the class documents them, without m; ``(time, input_size)``."""
    size = layer.hidden_size // layer.heads
    outputs = []
    matrices = [torch.zeros(size, size, dtype=torch.double) for _ in range(layer.heads)]
    vectors = [torch.zeros(size, dtype=torch.double) for _ in range(layer.heads)]
    for x in sequence:
        query, key, value = layer.query(x), layer.key(x) / math.sqrt(size), layer.value(x)
        input_gate, forget_gate = layer.input_gate(x).exp(), torch.sigmoid(layer.forget_gate(x) + layer.forget_bias)
        read = []
        for head in range(layer.heads):
            own = slice(head * size, (head + 1) * size)
            i, f = input_gate[head], forget_gate[head]
            matrices[head] = f * matrices[head] + i * torch.outer(key[own], value[own])
            vectors[head] = f * vectors[head] + i * key[own]
            read.append(matrices[head].T @ query[own] / (vectors[head] @ query[own]).abs().clamp(min=1))
        outputs.append(torch.sigmoid(layer.output_gate(x)) * torch.cat(read))
    return torch.stack(outputs)


def layer_with_active_gates(**options: Any) -> MLSTM:
    torch.manual_seed(0)
    layer = MLSTM(3, 6, **options).double()
    with torch.no_grad():
        layer.input_gate.weight.normal_()
        layer.forget_gate.weight.normal_()
    return layer


@pytest.mark.parametrize("heads", [1, 3])
def test_mlstm_follows_its_equations(heads: int) -> None:
    layer = layer_with_active_gates(heads=heads)
    sequence = 2 * torch.randn(70, 3, generator=torch.Generator().manual_seed(1), dtype=torch.double)
    sequence.requires_grad_()
    outputs, expected = layer(sequence[None])[0][0], mlstm_by_equations(layer, sequence)
    torch.testing.assert_close(outputs, expected, rtol=1e-9, atol=1e-9)
    leaves = [sequence, *layer.parameters()]
    gradients = torch.autograd.grad(outputs.cos().sum(), leaves), torch.autograd.grad(expected.cos().sum(), leaves)
    torch.testing.assert_close(*gradients, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("bias", [-200.0, 200.0])
def test_mlstm_is_finite_when_its_input_gate_is_extreme(bias: float) -> None:
    layer = MLSTM(3, 6)
    with torch.no_grad():
        layer.input_gate.bias.fill_(bias)
    outputs, state = layer(torch.randn(2, 40, 3))
    outputs.sum().backward()
    assert outputs.isfinite().all()
    assert all(part.isfinite().all() for part in state)
    assert all(parameter.grad.isfinite().all() for parameter in layer.parameters() if parameter.grad is not None)
    assert (outputs.abs().max() > 0.01) == (bias > 0)


def test_a_large_input_gate_overwrites_what_was_stored() -> None:
    layer = layer_with_active_gates()
    with torch.no_grad():
        layer.input_gate.weight.copy_(torch.tensor([[0.0, 0.0, 50.0]]))
    first, second = torch.randn(2, 1, 20, 3, generator=torch.Generator().manual_seed(0), dtype=torch.double)
    first[0, 10] = second[0, 10] = torch.tensor([1.0, 1.0, 3.0])
    first[:, 11:], second[:, 11:] = 0, 0
    first[0, :10, 2] = second[0, :10, 2] = 0
    torch.testing.assert_close(layer(first)[0][:, 10:], layer(second)[0][:, 10:], rtol=1e-6, atol=1e-6)
    assert not torch.allclose(layer(first)[0][:, :10], layer(second)[0][:, :10])


def test_eigenvalues_are_the_forget_gates_of_the_heads() -> None:
    layer = MLSTM(3, 8, heads=4)
    eigenvalues = layer.eigenvalues(torch.randn(2, 5, 3))["transition"]
    start = torch.sigmoid(torch.tensor([3.0, 4.0, 5.0, 6.0]))
    torch.testing.assert_close(eigenvalues.real, start.expand(2, 5, 4).double(), rtol=1e-6, atol=1e-6)


def test_only_the_forget_bias_is_recurrent() -> None:
    layer = MLSTM(3, 6)
    roles = {name: layer.parameter_role(name) for name, _ in layer.named_parameters()}
    assert [name for name, role in roles.items() if role == "recurrent"] == ["forget_bias"]
    assert "rest" not in roles.values()


@pytest.mark.parametrize(("heads", "message"), [(4, "a multiple of heads (4), got 6"), (0, "heads must be at least 1")])
def test_mlstm_rejects_heads_that_do_not_divide_its_size(heads: int, message: str) -> None:
    with pytest.raises(UsageError) as error:
        MLSTM(3, 6, heads=heads)
    assert message in str(error.value)
