import math

import pytest
import torch
from torch import Tensor

from rnn_tasks.cores import Chrono, GateBiases, ScratchLSTM


def lstm_by_unit(core: ScratchLSTM, sequence: Tensor) -> Tensor:
    """Compute the equations one step and one unit at a time."""
    size, weights = core.hidden_size, core.state_dict()
    hidden, cells, outputs = torch.zeros(size).double(), [0.0] * size, []
    for x in sequence:
        values = []
        for row in range(4 * size):
            total = weights["weight_ih_l0"][row] @ x + weights["bias_ih_l0"][row]
            total = total + weights["weight_hh_l0"][row] @ hidden
            values.append((total + (weights["bias_hh_l0"][row] if "bias_hh_l0" in weights else 0)).item())
        input_gate, forget_gate, new, output_gate = (values[size * gate : size * (gate + 1)] for gate in range(4))
        for unit in range(size):
            kept = cells[unit] / (1 + math.exp(-forget_gate[unit]))
            cells[unit] = kept + math.tanh(new[unit]) / (1 + math.exp(-input_gate[unit]))
        output = [math.tanh(cell) / (1 + math.exp(-gate)) for cell, gate in zip(cells, output_gate, strict=True)]
        hidden = torch.tensor(output, dtype=torch.double)
        outputs.append(hidden)
    return torch.stack(outputs)


@pytest.mark.parametrize("single_bias", [False, True])
def test_scratch_lstm_follows_its_equations(single_bias: bool) -> None:
    core = ScratchLSTM(3, 4, single_bias=single_bias).double()
    inputs = 3 * torch.randn(1, 7, 3).double()
    torch.testing.assert_close(core(inputs)[0][0], lstm_by_unit(core, inputs[0]), atol=1e-10, rtol=1e-10)


def test_scratch_lstm_state_is_output_and_cell() -> None:
    core = ScratchLSTM(3, 5, num_layers=2)
    outputs, (hidden, cell) = core(torch.randn(4, 7, 3))
    assert outputs.shape == (4, 7, 5)
    assert hidden.shape == cell.shape == (2, 4, 5)
    assert not torch.allclose(hidden, cell)
    outputs, (_, cell) = core(torch.randn(4, 1, 3), (hidden, cell))
    assert outputs.shape == (4, 1, 5)
    assert cell.shape == (2, 4, 5)


def test_scratch_lstm_keeps_its_cell_when_only_forget_gate_is_1() -> None:
    core = ScratchLSTM(3, 5, gate_bias=GateBiases({"input": -1e4, "forget": 1e4, "output": -1e4}))
    cell = torch.randn(1, 4, 5)
    outputs, (hidden, end) = core(torch.randn(4, 7, 3), (torch.randn(1, 4, 5), cell))
    assert not outputs.any()
    assert not hidden.any()
    torch.testing.assert_close(end, cell, atol=0, rtol=0)


def test_chrono_gives_input_and_forget_gate_opposite_biases() -> None:
    core = ScratchLSTM(3, 50, gate_bias=Chrono(20))
    input_bias, forget_bias = (core.bias_ih_l0 + core.bias_hh_l0)[:100].chunk(2)
    torch.testing.assert_close(input_bias, -forget_bias, atol=0, rtol=0)
    assert 14 < forget_bias.exp().max() <= 19 + 1e-4
