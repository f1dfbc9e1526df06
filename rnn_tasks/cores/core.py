"""The contract of a recurrent layer."""

from abc import ABC, abstractmethod
from typing import Any

from torch import Tensor, nn

State = Tensor | tuple[Tensor, ...] | Any
"""What a layer carries from one call to the next; only the layer itself reads it."""


class Core(nn.Module, ABC):
    """A recurrent layer: ``(batch, time, input_size), state -> (batch, time, hidden_size), state``.

    Attributes:
        hidden_size: Size of the output at each step.
    """

    hidden_size: int

    @abstractmethod
    def forward(self, inputs: Tensor, state: State = None) -> tuple[Tensor, State]:
        """Run over a sequence.

        Args:
            inputs: ``(batch, time, input_size)``.
            state: As an earlier call returned it; None for zeros.
        """

    @abstractmethod
    def recurrent_weights(self) -> dict[str, Tensor]:
        """Return the effective recurrent matrices, ``(hidden_size, hidden_size)`` each, by name.

        They are views of the parameters, so that writing into one changes the layer, unless the layer computes them
        from other parameters (see :func:`torch.nn.utils.parametrize.is_parametrized`).
        """

    @abstractmethod
    def input_weights(self) -> list[Tensor]:
        """Return the matrices that read the layer's input, ``(..., input_size)`` each, as views of the parameters."""

    def parameter_role(self, name: str) -> str:
        """Return the role of a parameter of this layer: ``recurrent``, ``input`` or ``rest``.

        Args:
            name: As in ``named_parameters()``.
        """
        if "weight_hh" in name:
            return "recurrent"
        return "input" if "_l0" in name else "rest"


def square_blocks(name: str, weight: Tensor, gates: tuple[str, ...]) -> dict[str, Tensor]:
    """Return the square blocks that a weight ``(gates * hidden, hidden)`` stacks, as views, by name.

    Args:
        name: The weight's name.
        weight: The stacked weight.
        gates: Names of the blocks, in order; the name of a single block is that of the weight.
    """
    if len(gates) == 1:
        return {name: weight}
    return {f"{name}/{gate}": block for gate, block in zip(gates, weight.chunk(len(gates)), strict=True)}
