import pytest
import torch
from torch import nn

from rnn_tasks.networks import ConditionalLinear


def test_conditional_linear_equals_one_linear_per_condition() -> None:
    readout = ConditionalLinear(5, 3, num_conditions=4)
    hidden, condition = torch.randn(6, 7, 5), torch.tensor([3, 0, 0, 2, 1, 3])
    for row, output in enumerate(readout(hidden, condition)):
        linear = nn.Linear(5, 3)
        with torch.no_grad():
            linear.weight.copy_(readout.weight[condition[row]].T)
            linear.bias.copy_(readout.bias[condition[row], 0])
        torch.testing.assert_close(output, linear(hidden[row]))


@pytest.mark.parametrize("time_first", [False, True])
@pytest.mark.parametrize(("sequences", "conditions"), [(3, [0, 1, 2, 3, 3, 1]), (1, [2, 2, 0]), (2, [1, 0])])
def test_conditional_linear_repeats_each_sequence_k_times(
    sequences: int, conditions: list[int], time_first: bool
) -> None:
    """Outputs and gradients equal those of repeated inputs, for both memory layouts of the hidden states."""
    readout = ConditionalLinear(5, 3, num_conditions=4).double()
    hidden = torch.randn(sequences, 7, 5, dtype=torch.double)
    if time_first:
        hidden = hidden.transpose(0, 1).contiguous().transpose(0, 1)
    hidden.requires_grad_()
    condition = torch.tensor(conditions)
    rows = hidden.repeat_interleave(len(conditions) // sequences, 0)
    outputs, expected = readout(hidden, condition), readout(rows, condition)
    torch.testing.assert_close(outputs, expected, atol=1e-12, rtol=0)
    scale = torch.linspace(-1, 1, expected.numel()).view_as(expected)
    leaves = [hidden, *readout.parameters()]
    gradients = [torch.autograd.grad((values * scale).sum(), leaves) for values in (outputs, expected)]
    torch.testing.assert_close(*gradients, atol=1e-11, rtol=0)


def test_conditional_linear_starts_within_bounds_of_linear() -> None:
    readout, linear = ConditionalLinear(64, 50, num_conditions=4), nn.Linear(64, 200)
    for ours, theirs in ((readout.weight, linear.weight), (readout.bias, linear.bias)):
        assert ours.abs().max().item() == pytest.approx(theirs.abs().max().item(), rel=0.05)
        assert ours.std().item() == pytest.approx(theirs.std().item(), rel=0.1)
