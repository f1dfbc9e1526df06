import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from rnn_tasks.cores import SLSTM
from rnn_tasks.errors import UsageError

REFERENCE = Path(__file__).parent / "data" / "slstm_xlstm.npz"


def test_slstm_equals_the_code_of_its_authors() -> None:
    """Compare outputs, last state and all gradients with stored results of the package xlstm 2.0.6.

    ``slstm_xlstm.npz`` holds random parameters, inputs ``(2, 9, 3)``, outputs, the last state, and the gradients of
    everything for random gradients of outputs and state, in double precision: class ``sLSTMCell_vanilla`` with 6 units
    and 2 heads, which reads ``W x``. ``start_bias`` holds its initial biases.
    """
    with np.load(REFERENCE) as file:
        stored = {name: torch.from_numpy(file[name]) for name in file}
    layer = SLSTM(3, 6, heads=2).double()
    torch.testing.assert_close(layer.bias_ih_l0.detach(), stored["start_bias"], rtol=0, atol=1e-6)
    layer.load_state_dict({name: stored[name] for name in layer.state_dict()})
    inputs = stored["inputs"].requires_grad_()
    outputs, state = layer(inputs)
    results, weights = [outputs, torch.stack(state)], [stored["output_gradient"], stored["state_gradient"]]
    gradients = torch.autograd.grad(results, [inputs, *layer.parameters()], weights)
    expected = [stored["input_gradient"], *(stored[f"{name}.gradient"] for name, _ in layer.named_parameters())]
    torch.testing.assert_close(results, [stored["outputs"], stored["state"]], rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(list(gradients), expected, rtol=1e-8, atol=1e-8)


def weighted_means(layer: SLSTM, sequence: Tensor) -> Tensor:
    """Return the outputs for one sequence, without stabiliser: each is a weighted mean of the values of all steps."""
    size, units = layer.hidden_size, layer.hidden_size // layer.heads
    hidden, cell, total, outputs = torch.zeros(size).double(), [0.0] * size, [0.0] * size, []
    for x in sequence:
        terms = layer.weight_ih_l0 @ x + layer.bias_ih_l0
        output = []
        for unit in range(size):
            head, place = divmod(unit, units)
            before = hidden[head * units : (head + 1) * units]
            i, f, z, o = (
                (terms[gate * size + unit] + layer.weight_hh_l0[head, gate * units + place] @ before).item()
                for gate in range(4)
            )
            forget = 1 / (1 + math.exp(-f))
            cell[unit] = forget * cell[unit] + math.exp(i) * math.tanh(z)
            total[unit] = forget * total[unit] + math.exp(i)
            output.append(cell[unit] / total[unit] / (1 + math.exp(-o)))
        hidden = torch.tensor(output, dtype=torch.double)
        outputs.append(hidden)
    return torch.stack(outputs)


@pytest.mark.parametrize("heads", [1, 2])
def test_slstm_output_is_a_weighted_mean(heads: int) -> None:
    torch.manual_seed(0)
    layer = SLSTM(3, 4, heads=heads).double()
    with torch.no_grad():
        layer.weight_hh_l0.normal_()
    inputs = 2 * torch.randn(1, 8, 3).double()
    torch.testing.assert_close(layer(inputs)[0][0], weighted_means(layer, inputs[0]), rtol=1e-8, atol=1e-8)


def test_slstm_stays_finite_for_huge_gates() -> None:
    layer = SLSTM(3, 4)
    inputs = (1000 * torch.randn(2, 30, 3)).requires_grad_()
    outputs, state = layer(inputs)
    outputs.sum().backward()
    assert inputs.grad is not None
    assert all(values.isfinite().all() for values in (outputs, inputs.grad, *state))


def test_slstm_heads_do_not_read_one_another() -> None:
    torch.manual_seed(0)
    layer = SLSTM(3, 4, heads=2)
    with torch.no_grad():
        layer.weight_hh_l0.normal_()
    inputs = torch.randn(2, 5, 3)
    state = layer(inputs)[1]
    changed = (torch.cat([state[0][:, :2] + 1, state[0][:, 2:]], 1), *state[1:])
    before, after = layer(inputs, state)[0], layer(inputs, changed)[0]
    assert not torch.allclose(before[..., :2], after[..., :2])
    torch.testing.assert_close(before[..., 2:], after[..., 2:])


def test_slstm_names_its_matrices_by_head_and_gate() -> None:
    weights = SLSTM(3, 4, heads=2).recurrent_weights()
    assert len(weights) == 8
    assert weights["weight_hh_l0/head_1/forget"].shape == (2, 2)


def test_slstm_rejects_a_size_that_its_heads_do_not_divide() -> None:
    with pytest.raises(UsageError, match=r"hidden_size must be a multiple of heads \(4\), got 6"):
        SLSTM(3, 6, heads=4)
    with pytest.raises(UsageError, match="heads must be at least 1"):
        SLSTM(3, 6, heads=0)
