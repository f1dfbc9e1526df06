"""The real-gated linear recurrent unit."""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from rnn_tasks.cores.bounds import multiple_of_heads
from rnn_tasks.cores.core import Core, as_eigenvalues
from rnn_tasks.cores.linear_scan import at_least_single, linear_scan
from rnn_tasks.cores.state import State
from rnn_tasks.cores.unrolled import affine
from rnn_tasks.errors import UsageError

SHARPNESS = 8.0
"""The constant c of the paper."""


class RGLRU(Core):
    """The real-gated linear recurrent unit of Griffin and Hawk; ``*`` is elementwise.

    - ``v_t = U x_t + b``, the layer's input, projected to ``hidden_size`` features
    - ``r = sigmoid(W_r v_t + b_r)``, the recurrence gate, and ``i = sigmoid(W_i v_t + b_i)``, the input gate
    - ``a = exp(-8 r * softplus(Lambda))``
    - ``h_t = a * h_{t-1} + sqrt(1 - a^2) * (i * v_t)``, the state and the output

    ``W_r`` and ``W_i`` are block-diagonal, with a block for each head. The state is ``(batch, hidden_size)``.
    Parameters: ``linear`` holds U and b; ``gate_weight (heads, width, 2 * width)`` the transposed blocks of ``W_r``
    beside those of ``W_i``, where ``width`` is ``hidden_size / heads``; ``gate_bias (heads, 1, 2 * width)`` their
    biases; ``decay (hidden_size,)`` is Lambda.

    The reference code is followed in the initial values: blocks normal with variance ``1 / width``, zero biases, and
    Lambda such that ``exp(-softplus(Lambda))`` has a square that is uniform between ``r_min^2`` and ``r_max^2``. The
    paper has ``a`` itself there while the gate r is 1, which is close to ``r_min=0.987`` and ``r_max=0.99987``. Unlike
    the reference code, the layer does not replace the factor ``sqrt(1 - a^2)`` by 1 at the first step, and does not
    clip the derivative of the square root, which stays finite here.

    Source: S. De, S. L. Smith, A. Fernando et al., "Griffin: mixing gated linear recurrences with local attention for
    efficient language models", 2024, https://arxiv.org/abs/2402.19427; initial values:
    https://github.com/google-deepmind/recurrentgemma

    Args:
        input_size: Features per time step.
        hidden_size: Features of the output, a multiple of ``heads``.
        heads: Groups of features that the gates read together, ``>= 1``.
        r_min: Smallest initial factor on the state where the recurrence gate is 1/8, ``0 < r_min < r_max``.
        r_max: Largest initial factor on the state where the recurrence gate is 1/8, ``r_max < 1``.

    Raises:
        UsageError: A value is outside its bounds.

    Example:
        >>> outputs, state = RGLRU(input_size=3, hidden_size=8)(torch.zeros(2, 7, 3))
        >>> outputs.shape, state.shape
        (torch.Size([2, 7, 8]), torch.Size([2, 8]))
    """

    recurrent_names = ("decay",)
    input_names = ("linear",)

    def __init__(
        self, input_size: int, hidden_size: int, heads: int = 1, r_min: float = 0.9, r_max: float = 0.999
    ) -> None:
        super().__init__()
        if not 0 < r_min < r_max < 1:
            raise UsageError(f"r_min and r_max must satisfy 0 < r_min < r_max < 1, got {r_min} and {r_max}")
        self.input_size = input_size
        self.hidden_size = multiple_of_heads(hidden_size, heads)
        width = hidden_size // heads
        self.linear = nn.Linear(input_size, hidden_size)
        self.gate_weight = nn.Parameter(torch.randn(heads, width, 2 * width) / math.sqrt(width))
        self.gate_bias = nn.Parameter(torch.zeros(heads, 1, 2 * width))
        squares = torch.empty(hidden_size).uniform_(r_min**2, r_max**2)
        self.decay = nn.Parameter(torch.log(torch.expm1(-squares.log() / 2)))

    def forward(self, inputs: Tensor, state: Any = None) -> tuple[Tensor, State]:
        """Run the layer over a batch of sequences; the state is ``(batch, hidden_size)``."""
        log_factors, terms = self._log_factors_and_terms(inputs)
        # The bound keeps the derivative of the square root finite where a rounds to 1.
        scales = torch.sqrt(torch.clamp(-torch.expm1(2 * log_factors), min=torch.finfo(log_factors.dtype).tiny))
        states = linear_scan(torch.exp(log_factors), scales * terms, state)
        return states.to(inputs.dtype).transpose(0, 1), states[-1]

    def input_weights(self) -> list[Tensor]:
        """Return U, ``(hidden_size, input_size)``."""
        return [self.linear.weight]

    def eigenvalues(self, inputs: Tensor) -> dict[str, Tensor]:
        """Return a, ``(batch, time, hidden_size)``."""
        log_factors, _ = self._log_factors_and_terms(inputs)
        return {"diagonal": as_eigenvalues(torch.exp(log_factors).transpose(0, 1))}

    def _log_factors_and_terms(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``log(a)`` and ``i * v_t``, each ``(time, batch, hidden_size)``."""
        batch, time, _ = inputs.shape
        values = affine(inputs.transpose(0, 1).flatten(0, 1), self.linear.weight, self.linear.bias)
        by_head = values.view(time * batch, *self.gate_weight.shape[:2]).transpose(0, 1)
        gates = torch.sigmoid(at_least_single(torch.baddbmm(self.gate_bias, by_head, self.gate_weight)))
        recurrence, admit = (gate.transpose(0, 1).reshape(values.shape) for gate in gates.chunk(2, -1))
        log_factors = -SHARPNESS * softplus(at_least_single(self.decay)) * recurrence
        shape = (time, batch, self.hidden_size)
        return log_factors.view(shape), (admit * values).view(shape)
