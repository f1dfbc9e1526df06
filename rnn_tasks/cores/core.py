"""The base class of recurrent layers."""

from abc import ABC, abstractmethod

from torch import Tensor, nn

from rnn_tasks.cores.state import State


class Core(nn.Module, ABC):
    """A recurrent layer: ``(batch, time, input_size), state -> (batch, time, hidden_size), state``.

    Attributes:
        hidden_size: Features of the output per time step.
    """

    hidden_size: int

    @abstractmethod
    def forward(self, inputs: Tensor, state: State = None) -> tuple[Tensor, State]:
        """Run the layer over a batch of sequences.

        Args:
            inputs: ``(batch, time, input_size)``.
            state: The state that an earlier call returned; None for zeros.

        Returns:
            The outputs, ``(batch, time, hidden_size)``, and the state after the last step.
        """

    @abstractmethod
    def recurrent_weights(self) -> dict[str, Tensor]:
        """Return the recurrent matrices that the layer multiplies by, ``(hidden_size, hidden_size)`` each, by name.

        The matrices are views of the parameters: writing into a matrix changes the layer. The exception is a matrix
        that the layer computes from other parameters (:func:`torch.nn.utils.parametrize.is_parametrized`).
        """

    @abstractmethod
    def input_weights(self) -> list[Tensor]:
        """Return the matrices that multiply the layer's input, ``(..., input_size)`` each, as views of parameters."""

    def parameter_role(self, name: str) -> str:
        """Return the role of a parameter of this layer: ``recurrent``, ``input`` or ``rest``.

        Args:
            name: The parameter's name in ``named_parameters()``.
        """
        if "weight_hh" in name:
            return "recurrent"
        return "input" if "_l0" in name else "rest"


def square_blocks(name: str, weight: Tensor, gates: tuple[str, ...]) -> dict[str, Tensor]:
    """Split a weight ``(gates * hidden, hidden)`` into a square block for each gate; return views by name.

    Args:
        name: The weight's name, such as ``weight_hh_l0``.
        weight: The stacked weight.
        gates: Names of the gates from top to bottom. A block is called ``name/gate``, a single block ``name``.
    """
    if len(gates) == 1:
        return {name: weight}
    return {f"{name}/{gate}": block for gate, block in zip(gates, weight.chunk(len(gates)), strict=True)}
