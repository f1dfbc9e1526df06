"""Recurrent layers from scratch, defined by one time step."""

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrize import is_parametrized

from rnn_tasks.cores.bounds import at_least_1, share_below_1
from rnn_tasks.cores.core import State
from rnn_tasks.cores.gate_bias import GateBias
from rnn_tasks.cores.recurrent_init import RecurrentInit
from rnn_tasks.cores.stacked import Stacked

Blocks = tuple[Tensor, ...]
"""A tensor for each gate, in their order."""

States = tuple[Tensor, ...]
"""The tensors of the state, the output first."""


def affine(inputs: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Return ``U x + b`` as torch's ``linear``; over long sequences its gradient of U is up to 10 times as fast.

    The gradient has the memory layout of the factor. For U itself it is the product of ``(hidden, n)`` and
    ``(n, features)``, which the libraries of some CPUs compute slowly when n is large. For a transposed copy of U it is
    the product of ``(features, n)`` and ``(n, hidden)``.

    Args:
        inputs: ``(n, features)``.
        weight: ``(hidden, features)``.
        bias: ``(hidden,)``.

    Example:
        >>> affine(torch.ones(7, 3), torch.ones(5, 3), torch.ones(5)).shape
        torch.Size([7, 5])
    """
    return torch.addmm(bias, inputs, weight.t().contiguous())


class Unrolled(Stacked, ABC):
    """Base class of layers that define one time step: a subclass names its ``gates`` and defines :meth:`step`.

    Parameters are named, shaped and drawn as torch's: ``weight_ih_l0 (gates * hidden_size, input_size)``,
    ``weight_hh_l0 (gates * hidden_size, hidden_size)``, ``bias_ih_l0`` and ``bias_hh_l0 (gates * hidden_size,)``,
    uniform in ``+-1 / sqrt(hidden_size)``; then those of layer 1, and so on. The state is torch's, too:
    ``(num_layers, batch, hidden_size)``, or a tuple of ``num_states`` such tensors.

    Args:
        input_size: Features of each step.
        hidden_size: Units, ``>= 1``.
        num_layers: Layers on top of one another, ``>= 1``.
        dropout: Share of the outputs between layers that is dropped in training, ``0 <= dropout < 1``.
        recurrent_init: How the recurrent matrix of each gate starts; None for torch's own.
        input_init: How the input matrix of each gate starts; None for torch's own.
        input_scale: Factor on the initial input weights of the first layer, ``> 0``.
        gate_bias: Where the biases of the gates start; None for torch's own.
        zero_bias: Whether the biases that ``gate_bias`` does not name start at zero.
        single_bias: Whether there is one bias, ``bias_ih_l*``, where torch adds two.
        freeze_recurrent: Whether the recurrent matrices stay as they start: a reservoir.

    Raises:
        UsageError: A value outside its bounds, or a start that does not fit a matrix.

    Attributes:
        num_states: Tensors in the state; the first of them is the output.
        unfolded: Gates whose recurrent bias the step adds itself, because their equation does not just add it to
            ``U x_t + b``.
    """

    num_states = 1
    unfolded: tuple[str, ...] = ()

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        dropout: float = 0.0,
        recurrent_init: RecurrentInit | None = None,
        input_init: RecurrentInit | None = None,
        input_scale: float = 1.0,
        gate_bias: GateBias | None = None,
        zero_bias: bool = False,
        single_bias: bool = False,
        freeze_recurrent: bool = False,
    ) -> None:
        super().__init__()
        self.input_size = input_size
        self.hidden_size = at_least_1(hidden_size, "hidden_size")
        self.num_layers = at_least_1(num_layers, "num_layers")
        self.dropout = share_below_1(dropout, "dropout")
        self.single_bias = single_bias
        rows, bound = len(self.gates) * hidden_size, 1 / math.sqrt(hidden_size)
        for layer in range(num_layers):
            shapes: dict[str, tuple[int, ...]] = {
                f"weight_ih_l{layer}": (rows, hidden_size if layer else input_size),
                f"weight_hh_l{layer}": (rows, hidden_size),
                f"bias_ih_l{layer}": (rows,),
            }
            if not single_bias:
                shapes[f"bias_hh_l{layer}"] = (rows,)
            for name, shape in shapes.items():
                self.register_parameter(name, nn.Parameter(torch.empty(shape).uniform_(-bound, bound)))
        self.initialise(recurrent_init, input_scale, gate_bias, input_init, zero_bias)
        for name, parameter in self.named_parameters():
            if freeze_recurrent and self.parameter_role(name) == "recurrent":
                parameter.requires_grad_(False)

    @abstractmethod
    def step(self, current: Blocks, state: States, weight: Blocks, bias: Blocks) -> States:
        """Return the state after one step; this is the layer's equation.

        Args:
            current: ``U x_t + b`` of each gate, ``(batch, hidden_size)``, plus its recurrent bias unless unfolded.
            state: The state after the step before, ``num_states`` times ``(batch, hidden_size)``.
            weight: The recurrent matrix W of each gate, transposed: ``W h`` of the equations is ``h @ weight`` here.
            bias: The recurrent bias of each unfolded gate, ``(hidden_size,)``.
        """

    def forward(self, inputs: Tensor, state: State = None) -> tuple[Tensor, State]:
        """Run over a sequence; the class documents the state."""
        starts = (state,) if isinstance(state, Tensor) else state
        ends = []
        for layer in range(self.num_layers):
            if layer:
                inputs = functional.dropout(inputs, self.dropout, self.training)
            start: States | None = None if starts is None else tuple(part[layer] for part in starts)
            inputs, end = self._run(layer, inputs, start)
            ends.append(end)
        parts = tuple(torch.stack(part) for part in zip(*ends, strict=True))
        return inputs, parts if self.num_states > 1 else parts[0]

    def _run(self, layer: int, inputs: Tensor, state: States | None) -> tuple[Tensor, States]:
        """Run one layer over a sequence: the input's part for all steps at once, then step by step."""
        folded, unfolded = self._biases(layer)
        currents = affine(inputs.flatten(0, 1), getattr(self, f"weight_ih_l{layer}"), folded)
        currents = currents.view(*inputs.shape[:2], currents.shape[1])
        like = currents.dtype  # autocast would cast the weights at every step
        weight = tuple(block.T for block in self._cut(self._recurrent_weight(layer).to(like)))
        bias = tuple(block.to(like) for block in unfolded)
        if state is None:
            state = (currents.new_zeros(len(inputs), self.hidden_size),) * self.num_states
        state = tuple(part.to(like) for part in state)
        outputs = []
        for current in zip(*(block.unbind(1) for block in self._cut(currents, -1)), strict=True):
            state = self.step(current, state, weight, bias)
            outputs.append(state[0])
        return torch.stack(outputs, 1), state

    def _cut(self, stacked: Tensor, dim: int = 0) -> Blocks:
        # A single block is not split off: the gradient of the split would be a copy of the whole.
        return (stacked,) if len(self.gates) == 1 else stacked.chunk(len(self.gates), dim)

    def _biases(self, layer: int) -> tuple[Tensor, Blocks]:
        """Return the bias that is added to the input's part beforehand, and the biases that the step adds."""
        bias: Tensor = getattr(self, f"bias_ih_l{layer}")
        if self.single_bias:
            return bias, tuple(bias.new_zeros(self.hidden_size) for _ in self.unfolded)
        recurrent: Tensor = getattr(self, f"bias_hh_l{layer}")
        if not self.unfolded:
            return bias + recurrent, ()
        blocks = dict(zip(self.gates, self._cut(recurrent), strict=True))
        folded = [torch.zeros_like(block) if gate in self.unfolded else block for gate, block in blocks.items()]
        return bias + torch.cat(folded), tuple(blocks[gate] for gate in self.unfolded)

    def _recurrent_weight(self, layer: int) -> Tensor:
        name = f"weight_hh_l{layer}"
        weight: Tensor
        if not is_parametrized(self, name):
            weight = getattr(self, name)
            return weight
        # A parametrization is computed in the precision of its parameters, also under autocast. In half precision few
        # decompositions exist, and the matrix would be orthogonal to two digits only.
        with torch.autocast(self.bias_ih_l0.device.type, enabled=False):
            weight = getattr(self, name)
            return weight
