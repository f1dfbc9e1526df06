"""torch's own recurrent layers, typed so that they can be named in YAML; fast paths and parameter names are theirs."""

from typing import Literal

import torch
from torch import Tensor, nn

from rnn_tasks.cores.core import Core, square_blocks
from rnn_tasks.cores.gate_bias import GateBias
from rnn_tasks.cores.recurrent_init import RecurrentInit
from rnn_tasks.errors import UsageError


class TorchCore(Core):
    """What torch's three layers share: stacked gate blocks under the names ``weight_ih_l0``, ``weight_hh_l0``, ..."""

    gates: tuple[str, ...]
    num_layers: int

    def recurrent_weights(self) -> dict[str, Tensor]:
        """A block for each gate of each layer, such as ``weight_hh_l0/update``."""
        blocks: dict[str, Tensor] = {}
        for layer in range(self.num_layers):
            name = f"weight_hh_l{layer}"
            blocks |= square_blocks(name, self.get_parameter(name), self.gates)
        return blocks

    def input_weights(self) -> list[Tensor]:
        """The input matrix of the first layer, all gates stacked."""
        return [self.get_parameter("weight_ih_l0")]

    @torch.no_grad()
    def initialise(self, recurrent_init: RecurrentInit | None, input_scale: float, gate_bias: GateBias | None) -> None:
        """Overwrite what torch drew; see the arguments of the layers."""
        if input_scale <= 0:
            raise UsageError(f"input_scale must be above 0, got {input_scale}")
        self.get_parameter("weight_ih_l0").mul_(input_scale)
        if recurrent_init is not None:
            for weight in self.recurrent_weights().values():
                recurrent_init(weight)
        if gate_bias is not None:
            for layer in range(self.num_layers):
                # Both biases are added; the whole start value goes into the first, torch's second is set to zero.
                for name, scale in ((f"bias_ih_l{layer}", 1.0), (f"bias_hh_l{layer}", 0.0)):
                    blocks = dict(zip(self.gates, self.get_parameter(name).chunk(len(self.gates)), strict=True))
                    for gate, bias in gate_bias.values(self.gates, self.hidden_size).items():
                        blocks[gate].copy_(scale * bias)


def checked(size: int, name: str) -> int:
    """``size``, if it is at least 1."""
    if size < 1:
        raise UsageError(f"{name} must be at least 1, got {size}")
    return size


def checked_dropout(share: float) -> float:
    """``share``, if it is at least 0 and below 1."""
    if not 0 <= share < 1:
        raise UsageError(f"dropout must be at least 0 and below 1, got {share}")
    return share


class RNN(nn.RNN, TorchCore):  # type: ignore[misc]  # torch names the argument of forward otherwise
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
            checked(hidden_size, "hidden_size"),
            checked(num_layers, "num_layers"),
            nonlinearity=nonlinearity,
            dropout=checked_dropout(dropout),
            batch_first=True,
        )
        self.initialise(recurrent_init, input_scale, None)


class GRU(nn.GRU, TorchCore):  # type: ignore[misc]  # torch names the argument of forward otherwise
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
            checked(hidden_size, "hidden_size"),
            checked(num_layers, "num_layers"),
            dropout=checked_dropout(dropout),
            batch_first=True,
        )
        self.initialise(recurrent_init, input_scale, gate_bias)


class LSTM(nn.LSTM, TorchCore):  # type: ignore[misc]  # torch names the argument of forward otherwise
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
            checked(hidden_size, "hidden_size"),
            checked(num_layers, "num_layers"),
            dropout=checked_dropout(dropout),
            batch_first=True,
        )
        self.initialise(recurrent_init, input_scale, gate_bias)
