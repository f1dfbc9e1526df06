"""The independently recurrent layer (IndRNN)."""

import math
from typing import Literal

import torch
from torch import Tensor, nn

from rnn_tasks.cores.bounds import at_least_1, finite, positive
from rnn_tasks.cores.core import Core, as_eigenvalues
from rnn_tasks.cores.state import State
from rnn_tasks.cores.unrolled import affine
from rnn_tasks.errors import UsageError


class IndRNN(Core):
    """The independently recurrent layer, ``h_t = f(U x_t + b + u * h_{t-1})``, where ``*`` is elementwise.

    Each unit has one recurrent weight and reads only its own past, so that its gradient over n steps is at most
    ``|u| ** n`` if f is ``relu``. The state is h, ``(batch, hidden_size)``. Parameters:
    ``weight_ih (hidden_size, input_size)`` is U, ``weight_hh (hidden_size,)`` is u, ``bias (hidden_size,)`` is b. U
    starts uniform between ``+-1 / sqrt(input_size)``, b at zero.

    Source: S. Li, W. Li, C. Cook, C. Zhu and Y. Gao, "Independently recurrent neural network (IndRNN): building a
    longer and deeper RNN", 2018, https://arxiv.org/abs/1803.04831

    Args:
        input_size: Features per time step.
        hidden_size: Features of the output, ``>= 1``.
        activation: Function of a unit: ``relu``, as published, or ``tanh``.
        recurrent_min: Smallest initial recurrent weight: u starts uniform between ``recurrent_min`` and
            ``recurrent_max``. The published start is 0 to 1; the paper lets a last layer that is read only at the last
            step start close to 1.
        recurrent_max: Largest initial recurrent weight, ``>= recurrent_min``.
        max_recurrent: Largest absolute value of a recurrent weight, ``> 0``; None for no bound. A weight that an
            optimizer step moved further is clamped at the next call. The published bound is ``2 ** (1 / n)`` for
            sequences of n steps, so that a gradient over n steps at most doubles.

    Raises:
        UsageError: A value is outside its bounds.

    Example:
        >>> outputs, state = IndRNN(input_size=3, hidden_size=5)(torch.zeros(2, 7, 3))
        >>> outputs.shape, state.shape
        (torch.Size([2, 7, 5]), torch.Size([2, 5]))
    """

    input_names = ("weight_ih", "bias")

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        activation: Literal["relu", "tanh"] = "relu",
        recurrent_min: float = 0.0,
        recurrent_max: float = 1.0,
        max_recurrent: float | None = None,
    ) -> None:
        super().__init__()
        self.input_size = input_size
        self.hidden_size = at_least_1(hidden_size, "hidden_size")
        self.activation = activation
        if finite(recurrent_max, "recurrent_max") < finite(recurrent_min, "recurrent_min"):
            raise UsageError(f"recurrent_max must be at least recurrent_min ({recurrent_min}), got {recurrent_max}")
        self.max_recurrent = None if max_recurrent is None else positive(max_recurrent, "max_recurrent")
        bound = 1 / math.sqrt(input_size)
        self.weight_ih = nn.Parameter(torch.empty(hidden_size, input_size).uniform_(-bound, bound))
        self.weight_hh = nn.Parameter(torch.empty(hidden_size).uniform_(recurrent_min, recurrent_max))
        self.bias = nn.Parameter(torch.zeros(hidden_size))
        self._clamp_recurrent()

    def forward(self, inputs: Tensor, state: State = None) -> tuple[Tensor, State]:
        """Run the layer over a batch of sequences; the class documents the state."""
        self._clamp_recurrent()
        function = torch.relu if self.activation == "relu" else torch.tanh
        input_terms = affine(inputs.transpose(0, 1).flatten(0, 1), self.weight_ih, self.bias)
        # A sum over many steps loses small terms in half precision.
        precise = torch.promote_types(input_terms.dtype, torch.float32)
        recurrent = self.weight_hh.to(precise)
        hidden = state if isinstance(state, Tensor) else inputs.new_zeros(len(inputs), self.hidden_size)
        hidden = hidden.to(precise)
        outputs = []
        for step_terms in input_terms.to(precise).view(inputs.shape[1], *hidden.shape).unbind(0):
            hidden = function(torch.addcmul(step_terms, recurrent, hidden))
            outputs.append(hidden)
        return torch.stack(outputs, 1).to(input_terms.dtype), hidden

    def input_weights(self) -> list[Tensor]:
        """Return U, ``(hidden_size, input_size)``."""
        return [self.weight_ih]

    def eigenvalues(self, inputs: Tensor) -> dict[str, Tensor]:
        """Return u, ``(hidden_size,)``: the eigenvalues of the diagonal matrix that multiplies the state."""
        self._clamp_recurrent()
        return {"diagonal": as_eigenvalues(self.weight_hh)}

    @torch.no_grad()
    def _clamp_recurrent(self) -> None:
        bound = self.max_recurrent
        # A weight within its bound is not written: autograd would not accept a write between two passes.
        if bound is not None and (self.weight_hh.abs() > bound).any():
            self.weight_hh.clamp_(-bound, bound)
