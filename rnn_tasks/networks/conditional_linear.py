"""A readout whose weights the condition chooses."""

import torch
from torch import Tensor, nn


class ConditionalLinear(nn.Module):
    """A linear readout with weights of its own for each condition.

    Args:
        in_features: Features that are read.
        out_features: Features that are returned.
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
        """Read each sequence for its conditions.

        Args:
            hidden: ``(sequences, time, in_features)``.
            condition: ``(k * sequences,)``, k for each sequence, one after another.

        Returns:
            ``(k * sequences, time, out_features)``.
        """
        if len(condition) == len(hidden):
            return torch.baddbmm(self.bias[condition], hidden, self.weight[condition])
        return self._read_for_all(hidden, condition)

    def _read_for_all(self, hidden: Tensor, condition: Tensor) -> Tensor:
        """Read the sequences for all conditions in one product, then choose."""
        conditions, in_features, out_features = self.weight.shape
        time_first = hidden.transpose(0, 1)  # as layers return it, and in order
        weight = self.weight.transpose(0, 1).reshape(in_features, conditions * out_features)
        products = torch.addmm(self.bias.flatten(), time_first.reshape(-1, in_features), weight)
        sequence = torch.arange(len(hidden), device=hidden.device).repeat_interleave(len(condition) // len(hidden))
        columns = products.view(len(time_first), -1, out_features)
        return columns.index_select(1, sequence * conditions + condition).transpose(0, 1)
