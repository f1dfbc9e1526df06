"""torch's recurrent layers, with typed arguments for YAML and with options for their initialisation."""

from typing import Any, Literal

import torch
from torch import Tensor, nn

from rnn_tasks.cores.bounds import at_least_0_below_1, at_least_1
from rnn_tasks.cores.gate_bias import GateBias
from rnn_tasks.cores.recurrent_init import RecurrentInit
from rnn_tasks.cores.stacked import Stacked


class RNN(nn.RNN, Stacked):  # type: ignore[misc]  # torch has another name for the argument of forward
    """torch's Elman layer: ``h_t = f(U x_t + b + W h_{t-1} + c)``.

    The state is ``(num_layers, batch, hidden_size)``. Source: see :class:`~rnn_tasks.cores.Elman`.

    Args:
        input_size: Features per time step.
        hidden_size: Units, ``>= 1``.
        num_layers: Number of stacked layers, ``>= 1``.
        nonlinearity: The function f: ``tanh`` or ``relu``.
        dropout: Dropout probability of the outputs between layers, in training, ``0 <= dropout < 1``.
        recurrent_init: Initialisation of each recurrent matrix; None for torch's.
        input_scale: Factor on the initial input weights of the first layer, ``> 0``.

    Raises:
        UsageError: A value is outside its bounds.
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
            dropout=at_least_0_below_1(dropout, "dropout"),
            batch_first=True,
        )
        self.initialise(recurrent_init, input_scale, None)


class GRU(nn.GRU, Stacked):  # type: ignore[misc]  # torch has another name for the argument of forward
    """torch's gated recurrent unit, whose reset gate acts after the matrix product.

    The state is ``(num_layers, batch, hidden_size)``. Equations and source: see :class:`~rnn_tasks.cores.ScratchGRU`.

    Args:
        input_size: Features per time step.
        hidden_size: Units, ``>= 1``.
        num_layers: Number of stacked layers, ``>= 1``.
        dropout: Dropout probability of the outputs between layers, in training, ``0 <= dropout < 1``.
        recurrent_init: Initialisation of the recurrent matrix of each gate; None for torch's.
        input_scale: Factor on the initial input weights of the first layer, ``> 0``.
        gate_bias: Initial biases of ``reset``, ``update`` and ``new``; None for torch's.

    Raises:
        UsageError: A value is outside its bounds.
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
            dropout=at_least_0_below_1(dropout, "dropout"),
            batch_first=True,
        )
        self.initialise(recurrent_init, input_scale, gate_bias)


class LSTM(nn.LSTM, Stacked):
    """torch's long short-term memory.

    The state is ``(h, m)``, each ``(num_layers, batch, hidden_size)``. Equations and sources: see
    :class:`~rnn_tasks.cores.ScratchLSTM`.

    Args:
        input_size: Features per time step.
        hidden_size: Units, ``>= 1``.
        num_layers: Number of stacked layers, ``>= 1``.
        dropout: Dropout probability of the outputs between layers, in training, ``0 <= dropout < 1``.
        recurrent_init: Initialisation of the recurrent matrix of each gate; None for torch's.
        input_scale: Factor on the initial input weights of the first layer, ``> 0``.
        gate_bias: Initial biases of ``input``, ``forget``, ``cell`` and ``output``; None for torch's.

    Raises:
        UsageError: A value is outside its bounds.
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
            dropout=at_least_0_below_1(dropout, "dropout"),
            batch_first=True,
        )
        self.initialise(recurrent_init, input_scale, gate_bias)

    def forward(self, inputs: Tensor, state: Any = None) -> tuple[Tensor, Any]:  # type: ignore[override]  # torch has another name for it
        """Run the layer; on a CPU always in single precision, because many CPUs have no LSTM in half precision."""
        if inputs.device.type != "cpu" or not torch.is_autocast_enabled("cpu"):
            outputs, state = super().forward(inputs, state)
            return outputs, state
        with torch.autocast("cpu", enabled=False):
            single = None if state is None else tuple(part.float() for part in state)
            outputs, state = super().forward(inputs.float(), single)
            return outputs, state
