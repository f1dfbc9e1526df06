"""The selective state space, the recurrent layer of Mamba."""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from rnn_tasks.cores.bounds import at_least_1, log_range
from rnn_tasks.cores.core import Core, as_eigenvalues
from rnn_tasks.cores.linear_scan import at_least_single
from rnn_tasks.cores.selective_scan import selective_scan
from rnn_tasks.cores.state import State


class S6(Core):
    """The selective state space: each feature has states of its own, which fade as fast as the input decides.

    - ``u_t = W x_t + b``, the layer's input, projected to ``hidden_size`` features; all that follows is for one of them
    - ``dt = softplus(v P u_t + c)``, the step size, a number for each feature; P has ``hidden_size / 16`` rows
    - ``B = Q u_t`` and ``C = R u_t``, vectors of ``num_states`` numbers that all features share
    - ``h_t = exp(dt A) * h_{t-1} + dt B u_t``, the states; A are ``num_states`` negative numbers, ``*`` is elementwise
    - ``y_t = C^T h_t + D u_t``, the output

    Parameters: ``projection`` holds W and b; ``selection`` P, Q and R, ``(hidden_size / 16 rounded up +
    2 * num_states, hidden_size)``; ``step_size`` the vectors v of all features as a matrix, and c; ``log_rates
    (num_states, hidden_size)`` is ``log(-A)``; ``skip (hidden_size,)`` is D. Initially ``A = -1, -2, ...``, D = 1,
    ``softplus(c)`` is log-uniform between ``dt_min`` and ``dt_max``, v is uniform between ``+-1 / sqrt(columns)``, and
    W, b, P, Q and R are as in ``torch.nn.Linear``.

    The state is ``(batch, num_states * hidden_size)``. The gradient over a sequence is written by hand
    (:func:`~rnn_tasks.cores.selective_scan.selective_scan`); second derivatives exist only within
    :func:`~rnn_tasks.cores.differentiable_twice`.

    Source: A. Gu and T. Dao, "Mamba: linear-time sequence modeling with selective state spaces", 2023,
    https://arxiv.org/abs/2312.00752. The convolution and the gate around this layer are those of
    :class:`~rnn_tasks.cores.Blocks`.

    Args:
        input_size: Features per time step.
        hidden_size: Features of the output, ``>= 1``.
        num_states: Real numbers of the state of each feature, ``>= 1``.
        dt_min: Smallest initial step size of a feature, ``0 < dt_min <= dt_max``.
        dt_max: Largest initial step size of a feature.

    Raises:
        UsageError: A value is outside its bounds.

    Example:
        >>> outputs, state = S6(input_size=3, hidden_size=5, num_states=4)(torch.zeros(2, 7, 3))
        >>> outputs.shape, state.shape
        (torch.Size([2, 7, 5]), torch.Size([2, 20]))
    """

    recurrent_names = ("log_rates",)
    input_names = ("projection",)

    def __init__(
        self, input_size: int, hidden_size: int, num_states: int = 16, dt_min: float = 0.001, dt_max: float = 0.1
    ) -> None:
        super().__init__()
        self.input_size = input_size
        self.hidden_size = at_least_1(hidden_size, "hidden_size")
        self.num_states = at_least_1(num_states, "num_states")
        rank = math.ceil(hidden_size / 16)
        self.projection = nn.Linear(input_size, hidden_size)
        self.selection = nn.Linear(hidden_size, rank + 2 * num_states, bias=False)
        self.step_size = nn.Linear(rank, hidden_size)
        self.log_rates = nn.Parameter(torch.arange(1.0, num_states + 1).log()[:, None].repeat(1, hidden_size))
        self.skip = nn.Parameter(torch.ones(hidden_size))
        nn.init.uniform_(self.step_size.weight, -(rank**-0.5), rank**-0.5)
        first_steps = torch.empty(hidden_size).uniform_(*log_range(dt_min, dt_max)).exp()
        with torch.no_grad():
            self.step_size.bias.copy_(torch.expm1(first_steps).log())  # the inverse of softplus

    def forward(self, inputs: Tensor, state: Any = None) -> tuple[Tensor, State]:
        """Run the layer over a batch of sequences."""
        features, delta, write, read = self._select(inputs)
        shape = (inputs.shape[0], self.num_states, self.hidden_size)
        start = features.new_zeros(shape) if state is None else state.view(shape)
        values, end = selective_scan(delta, delta * features, -torch.exp(self.log_rates), write, read, start)
        outputs = torch.addcmul(values.to(features.dtype), features, self.skip.to(features.dtype))
        return outputs.transpose(0, 1), end.flatten(1)

    def _select(self, inputs: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return u, dt, B and C, time first."""
        features = self.projection(inputs.transpose(0, 1))
        sizes = [self.step_size.in_features, self.num_states, self.num_states]
        low_rank, write, read = self.selection(features).split(sizes, -1)
        return features, functional.softplus(self.step_size(low_rank)), write, read

    def input_weights(self) -> list[Tensor]:
        """Return W, ``(hidden_size, input_size)``."""
        return [self.projection.weight]

    def eigenvalues(self, inputs: Tensor) -> dict[str, Tensor]:
        """Return ``exp(dt A)``, ``(batch, time, num_states * hidden_size)``."""
        _, delta, _, _ = self._select(inputs)
        factors = torch.exp(at_least_single(delta)[:, :, None] * -torch.exp(self.log_rates))
        return {"diagonal": as_eigenvalues(factors.flatten(2).transpose(0, 1))}
