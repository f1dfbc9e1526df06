"""The diagonal state space layer."""

import math
from typing import Any, Literal

import torch
from torch import Tensor, nn

from rnn_tasks.cores.bounds import at_least_1, log_range
from rnn_tasks.cores.core import Core, as_eigenvalues
from rnn_tasks.cores.diagonal_filter import diagonal_filter
from rnn_tasks.cores.linear_scan import at_least_single, complex_from_pairs, pairs_from_complex
from rnn_tasks.cores.state import State
from rnn_tasks.cores.unrolled import affine
from rnn_tasks.errors import UsageError


class S4D(Core):
    """The diagonal state space layer: each channel is a filter of its own with a complex diagonal recurrence.

    - ``u_t = W x_t + b``, the layer's input, projected to ``hidden_size`` channels
    - ``h_t = exp(dt A) h_{t-1} + u_t``, the complex states of a channel, with ``A = -exp(a_log) + i a_imag``
    - ``y_t = 2 Re(sum of C (exp(dt A) - 1) / A h_t) + D u_t``, the output of a channel

    This is the continuous system ``h' = A h + u``, ``y = 2 Re(sum of C h) + D u``, whose input is constant during each
    step of length dt. From zeros it equals a causal convolution of u with the kernel
    ``2 Re(sum of C (exp(dt A) - 1) / A exp(dt A)^t)``. Channels are mixed only by W, and by layers that follow.

    The state is ``(batch, hidden_size * num_states)``: for each channel ``num_states / 2`` complex numbers as pairs of
    real and imaginary parts. Parameters: ``linear`` holds W and b; ``dt_log (hidden_size,)``; ``a_log`` and ``a_imag
    (hidden_size, num_states / 2)``; ``weight_out (hidden_size, num_states / 2, 2)`` holds the real and the imaginary
    part of C; ``skip (hidden_size,)`` is D. Initially C is complex normal, D normal, dt log-uniform, and the real part
    of A -1/2.

    Source: A. Gu, A. Gupta, K. Goel and C. Re, "On the parameterization and initialization of diagonal state space
    models", 2022, https://arxiv.org/abs/2206.11893; initial values: https://github.com/state-spaces/s4. They use 64
    states, train dt and A with a learning rate of 0.001 and apply a linear map with a gate to the output.

    Args:
        input_size: Features per time step.
        hidden_size: Features of the output, ``>= 1``: one channel each.
        num_states: Real numbers of the state of a channel, even, ``>= 2``.
        frequency_init: Initial imaginary parts of the rates A, for ``n = 0, 1, ...``: ``linear`` for ``pi n`` (S4D-Lin)
            or ``inverse`` for ``N / pi (N / (2 n + 1) - 1)`` with N = ``num_states`` (S4D-Inv).
        dt_min: Smallest initial step size dt of a channel, ``0 < dt_min <= dt_max``.
        dt_max: Largest initial step size of a channel.

    Raises:
        UsageError: A value is outside its bounds.

    Example:
        >>> outputs, state = S4D(input_size=3, hidden_size=5, num_states=4)(torch.zeros(2, 7, 3))
        >>> outputs.shape, state.shape
        (torch.Size([2, 7, 5]), torch.Size([2, 20]))
    """

    recurrent_names = ("dt_log", "a_log", "a_imag")
    input_names = ("linear",)

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_states: int = 16,
        frequency_init: Literal["linear", "inverse"] = "linear",
        dt_min: float = 0.001,
        dt_max: float = 0.1,
    ) -> None:
        super().__init__()
        if num_states < 2 or num_states % 2:
            raise UsageError(f"num_states must be an even number of at least 2, got {num_states}")
        self.input_size = input_size
        self.hidden_size = at_least_1(hidden_size, "hidden_size")
        shape = (hidden_size, num_states // 2)
        numbers = torch.arange(num_states // 2)
        frequencies = {
            "linear": math.pi * numbers,
            "inverse": num_states / math.pi * (num_states / (2 * numbers + 1) - 1),
        }
        self.linear = nn.Linear(input_size, hidden_size)
        self.dt_log = nn.Parameter(torch.empty(hidden_size).uniform_(*log_range(dt_min, dt_max)))
        self.a_log = nn.Parameter(torch.full(shape, 0.5).log())
        self.a_imag = nn.Parameter(frequencies[frequency_init].repeat(hidden_size, 1))
        self.weight_out = nn.Parameter(torch.randn(*shape, 2) / math.sqrt(2))
        self.skip = nn.Parameter(torch.randn(hidden_size))

    def forward(self, inputs: Tensor, state: Any = None) -> tuple[Tensor, State]:
        """Run the layer over a batch of sequences; the class documents the state."""
        batch, time, _ = inputs.shape
        values = affine(inputs.transpose(0, 1).flatten(0, 1), self.linear.weight, self.linear.bias)
        values = at_least_single(values).view(time, batch, self.hidden_size)
        pairs = values.new_zeros(batch, self.weight_out.numel()) if state is None else state
        start = complex_from_pairs(pairs).view(batch, *self.a_imag.shape)
        rates, dt_rates = self._rates()
        weights = 2 * complex_from_pairs(self.weight_out.flatten(1)) * torch.exp(dt_rates).sub(1) / rates
        with torch.autocast(inputs.device.type, enabled=False):  # in single precision, like a scan
            filtered, states = diagonal_filter(values, dt_rates, weights, start)
        outputs = filtered + self.skip * values
        return outputs.to(inputs.dtype).transpose(0, 1), pairs_from_complex(states).flatten(1)

    def input_weights(self) -> list[Tensor]:
        """Return W, ``(hidden_size, input_size)``."""
        return [self.linear.weight]

    def eigenvalues(self, inputs: Tensor) -> dict[str, Tensor]:
        """Return ``exp(dt A)`` of all channels, ``(hidden_size * num_states / 2,)``."""
        return {"diagonal": as_eigenvalues(torch.exp(self._rates()[1]).flatten())}

    def _rates(self) -> tuple[Tensor, Tensor]:
        """Return A and ``dt A``, complex, each ``(hidden_size, num_states / 2)``."""
        rates = torch.complex(-torch.exp(at_least_single(self.a_log)), at_least_single(self.a_imag))
        return rates, torch.exp(at_least_single(self.dt_log))[:, None] * rates
