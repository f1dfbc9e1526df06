"""The selective state space, the recurrent layer of Mamba."""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from rnn_tasks.cores.bounds import at_least_1
from rnn_tasks.cores.core import Core
from rnn_tasks.cores.selective_scan import selective_scan
from rnn_tasks.cores.state import State


class S6(Core):
    """The selective state space: ``h_tn = exp(d_t A_n) h_{t-1,n} + d_t B_tn u_t``, ``y_t = sum_n C_tn h_tn + D u_t``.

    The layer first projects its input: ``u_t = W x_t + b``. Each of the ``hidden_size`` features of u has ``states``
    states h_n of its own. The input decides the step size of each feature, ``d_t = softplus(V P u_t + c)`` where P
    has ``hidden_size / 16`` rows. It also decides the vectors ``B_t = Q u_t`` and ``C_t = R u_t``, which the features
    share. A and D are trained. At the start, ``A_n = -n`` for n = 1, ..., ``states``, D = 1, and ``softplus(c)`` is
    uniform on a logarithmic scale between 0.001 and 0.1.

    The state is ``(batch, states * hidden_size)``. The gradient over a sequence is written by hand
    (:func:`~rnn_tasks.cores.selective_scan.selective_scan`); second derivatives exist only within
    :func:`~rnn_tasks.cores.differentiable_twice`.

    Source: A. Gu and T. Dao, "Mamba: linear-time sequence modeling with selective state spaces", 2023,
    https://arxiv.org/abs/2312.00752. The convolution and the gate around this layer are those of
    :class:`~rnn_tasks.cores.Blocks`.

    Args:
        input_size: Features per time step.
        hidden_size: Features of u and of the output, ``>= 1``.
        states: States of each feature, ``>= 1``.

    Raises:
        UsageError: A value is outside its bounds.

    Example:
        >>> outputs, state = S6(input_size=3, hidden_size=5, states=4)(torch.zeros(2, 7, 3))
        >>> outputs.shape, state.shape
        (torch.Size([2, 7, 5]), torch.Size([2, 20]))
    """

    recurrent_names = ("log_rates",)
    input_names = ("projection",)

    def __init__(self, input_size: int, hidden_size: int, states: int = 16) -> None:
        super().__init__()
        self.input_size = input_size
        self.hidden_size = at_least_1(hidden_size, "hidden_size")
        self.states = at_least_1(states, "states")
        rank = math.ceil(hidden_size / 16)
        self.projection = nn.Linear(input_size, hidden_size)
        self.selection = nn.Linear(hidden_size, rank + 2 * states, bias=False)
        self.step_size = nn.Linear(rank, hidden_size)
        self.log_rates = nn.Parameter(torch.arange(1.0, states + 1).log()[:, None].repeat(1, hidden_size))
        self.skip = nn.Parameter(torch.ones(hidden_size))
        nn.init.uniform_(self.step_size.weight, -(rank**-0.5), rank**-0.5)
        first_steps = torch.empty(hidden_size).uniform_(math.log(0.001), math.log(0.1)).exp()
        with torch.no_grad():
            self.step_size.bias.copy_(torch.expm1(first_steps).log())  # the inverse of softplus

    def forward(self, inputs: Tensor, state: Any = None) -> tuple[Tensor, State]:
        """Run the layer over a batch of sequences."""
        features, delta, write, read = self._select(inputs)
        shape = (len(inputs), self.states, self.hidden_size)
        start = features.new_zeros(shape) if state is None else state.view(shape)
        values, end = selective_scan(delta, delta * features, -torch.exp(self.log_rates), write, read, start)
        outputs = torch.addcmul(values.to(features.dtype), features, self.skip.to(features.dtype))
        return outputs.transpose(0, 1), end.flatten(1)

    def _select(self, inputs: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return u, d, B and C, time first."""
        features = self.projection(inputs.transpose(0, 1))
        sizes = [self.step_size.in_features, self.states, self.states]
        low_rank, write, read = self.selection(features).split(sizes, -1)
        return features, functional.softplus(self.step_size(low_rank)), write, read

    def input_weights(self) -> list[Tensor]:
        """Return W, ``(hidden_size, input_size)``."""
        return [self.projection.weight]

    def eigenvalues(self, inputs: Tensor) -> dict[str, Tensor]:
        """Return ``exp(d_t A_n)``, ``(batch, time, states * hidden_size)``."""
        _, delta, _, _ = self._select(inputs)
        factors = torch.exp(delta[:, :, None] * -torch.exp(self.log_rates))
        return {"transition": torch.complex(factors, torch.zeros_like(factors)).flatten(2).transpose(0, 1)}
