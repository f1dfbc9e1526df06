"""The Elman layer, written out."""

import math
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrizations
from torch.nn.utils.parametrize import is_parametrized

from rnn_tasks.cores.core import Core, State
from rnn_tasks.cores.recurrent_init import Orthogonal, RecurrentInit
from rnn_tasks.errors import UsageError

Activation = Literal["tanh", "relu", "sigmoid", "identity"]
ACTIVATIONS: dict[Activation, Callable[[Tensor], Tensor]] = {
    "tanh": torch.tanh,
    "relu": torch.relu,
    "sigmoid": torch.sigmoid,
    "identity": lambda values: values,
}


class Elman(Core):
    """``h_t = f(U x_t + b + W h_{t-1} + c)`` (Elman 1990), parameters as in ``torch.nn.RNN``.

    Args:
        input_size: Features of each step.
        hidden_size: Units, ``>= 1``.
        activation: f: ``tanh``, ``relu``, ``sigmoid`` or ``identity``.
        recurrent_init: How W starts; None for torch's own, or for orthogonal when W is kept so.
        input_scale: Factor on the initial U, ``> 0``. A small one keeps tanh in its linear range.
        orthogonal_map: Keeps W orthogonal by computing it from a free matrix with torch's parametrization:
            ``matrix_exp``, ``cayley`` or ``householder``. None leaves W free.

    Raises:
        UsageError: A value outside its bounds.

    Example:
        >>> outputs, state = Elman(input_size=3, hidden_size=5)(torch.zeros(2, 7, 3))
        >>> outputs.shape, state.shape
        (torch.Size([2, 7, 5]), torch.Size([1, 2, 5]))
    """

    weight_ih_l0: Tensor
    weight_hh_l0: Tensor
    bias_ih_l0: Tensor
    bias_hh_l0: Tensor

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        activation: Activation = "tanh",
        recurrent_init: RecurrentInit | None = None,
        input_scale: float = 1.0,
        orthogonal_map: Literal["matrix_exp", "cayley", "householder"] | None = None,
    ) -> None:
        super().__init__()
        if hidden_size < 1:
            raise UsageError(f"hidden_size must be at least 1, got {hidden_size}")
        if input_scale <= 0:
            raise UsageError(f"input_scale must be above 0, got {input_scale}")
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.activation = activation
        bound = 1 / math.sqrt(hidden_size)
        for name, shape in {
            "weight_ih_l0": (hidden_size, input_size),
            "weight_hh_l0": (hidden_size, hidden_size),
            "bias_ih_l0": (hidden_size,),
            "bias_hh_l0": (hidden_size,),
        }.items():
            self.register_parameter(name, nn.Parameter(torch.empty(shape).uniform_(-bound, bound)))
        with torch.no_grad():
            self.weight_ih_l0.mul_(input_scale)
        if orthogonal_map and recurrent_init is None:
            recurrent_init = Orthogonal()
        if recurrent_init is not None:
            recurrent_init(self.weight_hh_l0)
        if orthogonal_map:
            parametrizations.orthogonal(self, "weight_hh_l0", orthogonal_map)

    def forward(self, inputs: Tensor, state: State = None) -> tuple[Tensor, State]:
        """Run over a sequence; the state is ``(1, batch, hidden_size)``, as torch has it."""
        step = ACTIVATIONS[self.activation]
        currents = functional.linear(inputs, self.weight_ih_l0, self.bias_ih_l0 + self.bias_hh_l0)
        recurrent = self._recurrent_weight().T.to(currents.dtype)
        hidden = currents.new_zeros(len(inputs), self.hidden_size) if state is None else state[0].to(currents.dtype)
        outputs = []
        for current in currents.unbind(1):
            hidden = step(torch.addmm(current, hidden, recurrent))
            outputs.append(hidden)
        return torch.stack(outputs, 1), hidden[None]

    def _recurrent_weight(self) -> Tensor:
        if not is_parametrized(self):
            return self.weight_hh_l0
        # Half precision has no such decompositions, and would leave W orthogonal to two digits only.
        with torch.autocast(self.bias_ih_l0.device.type, enabled=False):
            if self.bias_ih_l0.dtype in (torch.bfloat16, torch.float16):
                raise UsageError("orthogonal_map needs weights of 32 bits: use --trainer.precision bf16-mixed")
            return self.weight_hh_l0

    def recurrent_weights(self) -> dict[str, Tensor]:
        """W, as it acts."""
        return {"weight_hh_l0": self.weight_hh_l0}

    def input_weights(self) -> list[Tensor]:
        """U."""
        return [self.weight_ih_l0]
