"""The base class of recurrent layers."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from rnn_tasks.cores.evaluation_mode import evaluation_mode
from rnn_tasks.cores.state import State, state_numbers


class Core(nn.Module, ABC):
    """A recurrent layer: ``(batch, time, input_size), state -> (batch, time, hidden_size), state``.

    The state consists of real floating-point tensors, alone or in tuples, lists and dictionaries. A tensor is
    ``(layers, batch, features)`` if it has three dimensions, as in torch; otherwise ``(batch, ...)``. Zeros are the
    state before the first step.

    Attributes:
        input_size: Features of the input per time step.
        hidden_size: Features of the output per time step.
        recurrent_names: Beginnings of the names of the parameters that carry the state from step to step.
        input_names: Beginnings of the names of the parameters that read the layer's input.
    """

    input_size: int
    hidden_size: int
    recurrent_names: tuple[str, ...] = ("weight_hh",)
    input_names: tuple[str, ...] = ("weight_ih_l0", "bias_ih_l0", "bias_hh_l0")

    @abstractmethod
    def forward(self, inputs: Tensor, state: State = None) -> tuple[Tensor, State]:
        """Run the layer over a batch of sequences.

        Args:
            inputs: ``(batch, time, input_size)``.
            state: The state that an earlier call returned; None for zeros.

        Returns:
            The outputs, ``(batch, time, hidden_size)``, and the state after the last step.
        """

    def recurrent_weights(self) -> dict[str, Tensor]:
        """Return the square matrices that the layer multiplies its state by, by name; empty if it has none.

        The matrices are views of the parameters: writing into a matrix changes the layer. The exception is a matrix
        that the layer computes from other parameters (:func:`torch.nn.utils.parametrize.is_parametrized`).
        """
        return {}

    @abstractmethod
    def input_weights(self) -> list[Tensor]:
        """Return the matrices that multiply the layer's input, ``(..., input_size)`` each, as views of parameters."""

    def eigenvalues(self, inputs: Tensor) -> dict[str, Tensor]:
        """Return the eigenvalues of what carries the state from one step to the next, by name.

        These are the eigenvalues of each recurrent matrix, unless the layer multiplies its state by something else: by
        a diagonal, or by a transition that the input of each step decides.

        Args:
            inputs: Sequences that the layer reads, ``(batch, time, input_size)``; only layers whose transition depends
                on the input use them.

        Returns:
            Complex numbers in double precision on the CPU, without gradients; ``(n,)`` for a transition that is the
            same at each step, else ``(batch, time, n)``; empty if the layer does not define any. ``diagonal`` is the
            name of a diagonal, ``transition`` that of another transition that depends on the input.
        """
        matrices = self.recurrent_weights()
        # Some devices and half precision have no eigenvalues.
        return {name: torch.linalg.eigvals(weight.detach().cpu().double()) for name, weight in matrices.items()}

    @property
    @torch.no_grad()
    def state_size(self) -> int:
        """The number of real numbers that the layer carries from step to step, for one sequence."""
        weight = next(self.parameters())
        with evaluation_mode(self):
            _, state = self(weight.new_zeros(1, 1, self.input_size))
        return state_numbers(state)

    def parameter_role(self, name: str) -> str:
        """Return the role of a parameter of this layer: ``recurrent``, ``input`` or ``rest``.

        Args:
            name: The parameter's name in ``named_parameters()``.
        """
        parts = name.split(".")  # a parametrized weight is called "parametrizations.weight_hh_l0.original"
        if any(part.startswith(self.recurrent_names) for part in parts):
            return "recurrent"
        return "input" if any(part.startswith(self.input_names) for part in parts) else "rest"


def as_eigenvalues(values: Tensor) -> Tensor:
    """Return numbers as :meth:`Core.eigenvalues` does: complex, in double precision, on the CPU, without gradients."""
    return values.detach().cpu().to(torch.complex128)


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
