"""A linear readout with separate weights for each condition."""

import torch
from torch import Tensor, nn


class ConditionalLinear(nn.Module):
    """A linear layer with separate weights and biases for each condition.

    Args:
        in_features: Size of the input.
        out_features: Size of the output.
        num_conditions: Number of conditions.

    Example:
        >>> readout = ConditionalLinear(in_features=8, out_features=3, num_conditions=4)
        >>> readout(torch.zeros(2, 5, 8), torch.tensor([0, 3])).shape
        torch.Size([2, 5, 3])
        >>> readout(torch.zeros(1, 5, 8), torch.tensor([0, 3])).shape  # both conditions of one sequence
        torch.Size([2, 5, 3])
    """

    def __init__(self, in_features: int, out_features: int, num_conditions: int) -> None:
        super().__init__()
        bound = in_features**-0.5
        self.weight = nn.Parameter(torch.empty(num_conditions, in_features, out_features).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(num_conditions, 1, out_features).uniform_(-bound, bound))

    def forward(self, hidden: Tensor, condition: Tensor) -> Tensor:
        """Return the outputs of each sequence for each of its k conditions.

        Args:
            hidden: ``(sequences, time, in_features)``.
            condition: ``(k * sequences,)``: k conditions of the first sequence, then k of the second, and so on.

        Returns:
            ``(k * sequences, time, out_features)``.
        """
        if condition.shape[0] == hidden.shape[0]:
            return torch.baddbmm(self.bias[condition], hidden, self.weight[condition])
        return self._compute_all_and_select(hidden, condition)

    def _compute_all_and_select(self, hidden: Tensor, condition: Tensor) -> Tensor:
        """Compute the outputs for all conditions in one product, then select the conditions of each sequence."""
        conditions, in_features, out_features = self.weight.shape
        time_first = hidden.transpose(0, 1)  # contiguous, because recurrent layers store time first
        weight = self.weight.transpose(0, 1).reshape(in_features, conditions * out_features)
        products = torch.addmm(self.bias.flatten(), time_first.reshape(-1, in_features), weight)
        sequence = torch.arange(len(hidden), device=hidden.device).repeat_interleave(len(condition) // len(hidden))
        columns = products.view(len(time_first), -1, out_features)
        return columns.index_select(1, sequence * conditions + condition).transpose(0, 1)
