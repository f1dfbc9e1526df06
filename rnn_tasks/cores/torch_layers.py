"""torch's own recurrent layers, typed so that YAML can name them; fast paths and parameter names are torch's."""

from typing import Any, Literal

import torch
from torch import Tensor, nn

from rnn_tasks.cores.bounds import at_least_1, share_below_1
from rnn_tasks.cores.gate_bias import GateBias
from rnn_tasks.cores.recurrent_init import RecurrentInit
from rnn_tasks.cores.stacked import Stacked


class RNN(nn.RNN, Stacked):  # type: ignore[misc]  # torch names the argument of forward otherwise
    r"""torch's Elman layer: ``h_t = f(U x_t + b + W h_{t-1} + c)``.

    Args:
        input_size: Features of each step.
        hidden_size: Units, ``>= 1``.
        num_layers: Layers on top of one another, ``>= 1``.
        nonlinearity: ``tanh`` or ``relu``.
        dropout: Share of the outputs between layers that is dropped in training, ``0 <= dropout < 1``.
        recurrent_init: How each recurrent matrix starts; None for torch's own.
        input_scale: Factor on the initial input weights, ``> 0``.

    Raises:
        UsageError: A value outside its bounds.
    """

    gates = ("hidden",)

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: Literal["tanh", "relu"] = "tanh",
        dropout: float = 0.0,
        recurrent_init: RecurrentInit | None = None,
        input_scale: float = 1.0,
    ) -> None:
        super().__init__(
            input_size,
            at_least_1(hidden_size, "hidden_size"),
            at_least_1(num_layers, "num_layers"),
            nonlinearity=nonlinearity,
            dropout=share_below_1(dropout, "dropout"),
            batch_first=True,
        )
        self.initialise(recurrent_init, input_scale, None)


class GRU(nn.GRU, Stacked):  # type: ignore[misc]  # torch names the argument of forward otherwise
    """Gated recurrent unit, torch's form: the reset gate acts after the matrix product (Cho et al. 2014).

    Args:
        input_size: Features of each step.
        hidden_size: Units, ``>= 1``.
        num_layers: Layers on top of one another, ``>= 1``.
        dropout: Share of the outputs between layers that is dropped in training, ``0 <= dropout < 1``.
        recurrent_init: How the recurrent matrix of each gate starts; None for torch's own.
        input_scale: Factor on the initial input weights, ``> 0``.
        gate_bias: Where the biases of ``reset``, ``update`` and ``new`` start; None for torch's own.

    Raises:
        UsageError: A value outside its bounds.
    """

    gates = ("reset", "update", "new")

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        dropout: float = 0.0,
        recurrent_init: RecurrentInit | None = None,
        input_scale: float = 1.0,
        gate_bias: GateBias | None = None,
    ) -> None:
        super().__init__(
            input_size,
            at_least_1(hidden_size, "hidden_size"),
            at_least_1(num_layers, "num_layers"),
            dropout=share_below_1(dropout, "dropout"),
            batch_first=True,
        )
        self.initialise(recurrent_init, input_scale, gate_bias)


class LSTM(nn.LSTM, Stacked):
    """Long short-term memory (Hochreiter and Schmidhuber 1997; forget gate: Gers et al. 2000).

    Args:
        input_size: Features of each step.
        hidden_size: Units, ``>= 1``.
        num_layers: Layers on top of one another, ``>= 1``.
        dropout: Share of the outputs between layers that is dropped in training, ``0 <= dropout < 1``.
        recurrent_init: How the recurrent matrix of each gate starts; None for torch's own.
        input_scale: Factor on the initial input weights, ``> 0``.
        gate_bias: Where the biases of ``input``, ``forget``, ``cell`` and ``output`` start; None for torch's own.

    Raises:
        UsageError: A value outside its bounds.
    """

    gates = ("input", "forget", "cell", "output")

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        dropout: float = 0.0,
        recurrent_init: RecurrentInit | None = None,
        input_scale: float = 1.0,
        gate_bias: GateBias | None = None,
    ) -> None:
        super().__init__(
            input_size,
            at_least_1(hidden_size, "hidden_size"),
            at_least_1(num_layers, "num_layers"),
            dropout=share_below_1(dropout, "dropout"),
            batch_first=True,
        )
        self.initialise(recurrent_init, input_scale, gate_bias)

    def forward(self, inputs: Tensor, state: Any = None) -> tuple[Tensor, Any]:  # type: ignore[override]  # torch has another name for it
        """Run over a sequence; on a CPU always in single precision, as many CPUs have no LSTM in half precision."""
        if inputs.device.type != "cpu" or not torch.is_autocast_enabled("cpu"):
            outputs, state = super().forward(inputs, state)
            return outputs, state
        with torch.autocast("cpu", enabled=False):
            given = None if state is None else tuple(part.float() for part in state)
            outputs, state = super().forward(inputs.float(), given)
            return outputs, state
