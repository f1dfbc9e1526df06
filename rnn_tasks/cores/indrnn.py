"""The independently recurrent layer (IndRNN)."""

import math
from typing import Literal

import torch
from torch import Tensor, nn

from rnn_tasks.cores.bounds import at_least_1, finite, positive
from rnn_tasks.cores.core import Core
from rnn_tasks.cores.state import State
from rnn_tasks.cores.unrolled import affine
from rnn_tasks.errors import UsageError


class IndRNN(Core):
    """The independently recurrent layer, ``h_t = f(U x_t + b + u * h_{t-1})``, where ``*`` is elementwise.

    Each unit has one recurrent weight and reads only its own past, so that its gradient over n steps is at most
    ``|u| ** n`` if f is ``relu``. The state is h, ``(batch, hidden_size)``. U starts uniform between
    ``+-1 / sqrt(input_size)``, b at zero.

    Source: S. Li, W. Li, C. Cook, C. Zhu and Y. Gao, "Independently recurrent neural network (IndRNN): building a
    longer and deeper RNN", 2018, https://arxiv.org/abs/1803.04831

    Args:
        input_size: Features per time step.
        hidden_size: Units, ``>= 1``.
        activation: The function f: ``relu``, as published, or ``tanh``.
        lowest: u starts uniform between ``lowest`` and ``highest``. The published start is 0 to 1; for a last layer
            that is read only at the last step, 1 minus a small number to 1 plus a small number.
        highest: See ``lowest``, ``>= lowest``.
        max_recurrent: Largest absolute value of each number in u, ``> 0``; None for no bound. A number that an
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
        lowest: float = 0.0,
        highest: float = 1.0,
        max_recurrent: float | None = None,
    ) -> None:
        super().__init__()
        self.input_size = input_size
        self.hidden_size = at_least_1(hidden_size, "hidden_size")
        self.activation = activation
        if finite(highest, "highest") < finite(lowest, "lowest"):
            raise UsageError(f"highest must be at least lowest ({lowest}), got {highest}")
        self.max_recurrent = None if max_recurrent is None else positive(max_recurrent, "max_recurrent")
        bound = 1 / math.sqrt(input_size)
        self.weight_ih = nn.Parameter(torch.empty(hidden_size, input_size).uniform_(-bound, bound))
        self.weight_hh = nn.Parameter(torch.empty(hidden_size).uniform_(lowest, highest))
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
        return {"weight_hh": self.weight_hh.detach().to(torch.complex128)}

    @torch.no_grad()
    def _clamp_recurrent(self) -> None:
        bound = self.max_recurrent
        # A weight within its bound is not written: autograd would not accept a write between two passes.
        if bound is not None and (self.weight_hh.abs() > bound).any():
            self.weight_hh.clamp_(-bound, bound)
