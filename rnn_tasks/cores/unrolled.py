"""Recurrent layers from scratch, defined by one time step."""

import math
from abc import ABC, abstractmethod
from contextlib import nullcontext

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrize import is_parametrized

from rnn_tasks.cores.bounds import at_least_0_below_1, at_least_1
from rnn_tasks.cores.gate_bias import GateBias
from rnn_tasks.cores.recurrent_init import RecurrentInit
from rnn_tasks.cores.stacked import Stacked
from rnn_tasks.cores.state import State

Blocks = tuple[Tensor, ...]
"""One tensor for each gate, in the order of ``gates``."""

States = tuple[Tensor, ...]
"""The tensors of the state; the first is the output."""


def affine(inputs: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Return ``U x + b`` like ``torch.nn.functional.linear``; the gradient of U is up to 10 times as fast for large n.

    Autograd computes the gradient of ``linear`` as a product of ``(hidden, n)`` and ``(n, features)``, which is slow on
    some CPUs when n is large. Multiplying by a transposed copy of U makes the gradient a product of ``(features, n)``
    and ``(n, hidden)``.

    Args:
        inputs: The vectors x, ``(n, features)``.
        weight: U, ``(hidden, features)``.
        bias: b, ``(hidden,)``.

    Example:
        >>> affine(torch.ones(7, 3), torch.ones(5, 3), torch.ones(5)).shape
        torch.Size([7, 5])
    """
    return torch.addmm(bias, inputs, weight.t().contiguous())


class Unrolled(Stacked, ABC):
    """Base class of layers that are defined by one time step: a subclass sets ``gates`` and implements :meth:`step`.

    Names, shapes and initial values of the parameters are torch's: ``weight_ih_l0 (gates * hidden_size, input_size)``,
    ``weight_hh_l0 (gates * hidden_size, hidden_size)``, ``bias_ih_l0`` and ``bias_hh_l0 (gates * hidden_size,)``,
    uniform between ``+-1 / sqrt(hidden_size)``; then the parameters of the next layer, ``weight_ih_l1`` and so on. The
    state has torch's shape, ``(num_layers, batch, hidden_size)``, or is a tuple of ``num_state_tensors`` such tensors.

    Args:
        input_size: Features per time step.
        hidden_size: Units, ``>= 1``.
        num_layers: Number of stacked layers, ``>= 1``.
        dropout: Dropout probability of the outputs between layers, in training, ``0 <= dropout < 1``.
        recurrent_init: Initialisation of the recurrent matrix of each gate; None for torch's.
        input_init: Initialisation of the input matrix of each gate; None for torch's.
        input_scale: Factor on the initial input weights of the first layer, ``> 0``.
        gate_bias: Initial biases of the gates; None for torch's.
        zero_bias: Whether biases that ``gate_bias`` does not set start at zero.
        single_bias: Whether each layer has only the bias ``bias_ih_l*``; torch adds a second, ``bias_hh_l*``.
        freeze_recurrent: Whether the recurrent matrices are not trained (see :class:`~rnn_tasks.cores.Elman`).

    Raises:
        UsageError: A value is outside its bounds, or an initialisation does not fit the shape of a matrix.

    Attributes:
        num_state_tensors: Number of tensors in the state; the first is the output.
        unfolded: Gates whose recurrent bias :meth:`step` receives separately. The recurrent biases of all other gates
            are added to ``U x_t + b`` beforehand.
        small_changes: Whether a step may change the state too little for half precision, so that steps are computed in
            single or double precision.
    """

    num_state_tensors = 1
    unfolded: tuple[str, ...] = ()
    small_changes = False

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
        self.dropout = at_least_0_below_1(dropout, "dropout")
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
    def step(self, input_terms: Blocks, state: States, weight: Blocks, bias: Blocks) -> States:
        """Return the state after one step, by the layer's equation.

        Args:
            input_terms: For each gate ``U x_t + b + c``, for gates in ``unfolded`` without c, ``(batch, hidden_size)``.
            state: The state after the previous step, ``num_state_tensors`` tensors ``(batch, hidden_size)``.
            weight: For each gate the transpose of its recurrent matrix W: compute ``W h`` as ``h @ weight``.
            bias: For each gate in ``unfolded`` its recurrent bias c, ``(hidden_size,)``.
        """

    def forward(self, inputs: Tensor, state: State = None) -> tuple[Tensor, State]:
        """Run the layer over a batch of sequences; the class documents the state."""
        starts = (state,) if isinstance(state, Tensor) else state
        ends = []
        for layer in range(self.num_layers):
            if layer:
                inputs = functional.dropout(inputs, self.dropout, self.training)
            start: States | None = None if starts is None else tuple(part[layer] for part in starts)
            inputs, end = self._run(layer, inputs, start)
            ends.append(end)
        parts = tuple(torch.stack(part) for part in zip(*ends, strict=True))
        return inputs, parts if self.num_state_tensors > 1 else parts[0]

    def _run(self, layer: int, inputs: Tensor, state: States | None) -> tuple[Tensor, States]:
        """Run one layer: compute the input terms of all steps at once, then the states step by step."""
        folded, unfolded = self._biases(layer)
        input_terms = affine(inputs.flatten(0, 1), getattr(self, f"weight_ih_l{layer}"), folded)
        input_terms = input_terms.view(*inputs.shape[:2], input_terms.shape[1])
        dtype = torch.promote_types(input_terms.dtype, torch.float32) if self.small_changes else input_terms.dtype
        # Cast once: autocast would cast the weights at every step.
        weight = tuple(block.T for block in self._split_gates(self._recurrent_weight(layer).to(dtype)))
        bias = tuple(block.to(dtype) for block in unfolded)
        if state is None:
            state = (input_terms.new_zeros(len(inputs), self.hidden_size),) * self.num_state_tensors
        state = tuple(part.to(dtype) for part in state)
        outputs = []
        steps = zip(*(block.unbind(1) for block in self._split_gates(input_terms.to(dtype), -1)), strict=True)
        with torch.autocast(inputs.device.type, enabled=False) if self.small_changes else nullcontext():
            for step_terms in steps:
                state = self.step(step_terms, state, weight, bias)
                outputs.append(state[0])
        return torch.stack(outputs, 1).to(input_terms.dtype), state

    def _split_gates(self, stacked: Tensor, dim: int = 0) -> Blocks:
        # With one gate nothing is split: the gradient of a split would copy the whole tensor.
        return (stacked,) if len(self.gates) == 1 else stacked.chunk(len(self.gates), dim)

    def _biases(self, layer: int) -> tuple[Tensor, Blocks]:
        """Return the bias that is added to ``U x_t`` beforehand, and the biases that :meth:`step` receives."""
        bias: Tensor = getattr(self, f"bias_ih_l{layer}")
        if self.single_bias:
            return bias, tuple(bias.new_zeros(self.hidden_size) for _ in self.unfolded)
        recurrent: Tensor = getattr(self, f"bias_hh_l{layer}")
        if not self.unfolded:
            return bias + recurrent, ()
        blocks = dict(zip(self.gates, self._split_gates(recurrent), strict=True))
        folded = [torch.zeros_like(block) if gate in self.unfolded else block for gate, block in blocks.items()]
        return bias + torch.cat(folded), tuple(blocks[gate] for gate in self.unfolded)

    def _recurrent_weight(self, layer: int) -> Tensor:
        name = f"weight_hh_l{layer}"
        weight: Tensor
        if not is_parametrized(self, name):
            weight = getattr(self, name)
            return weight
        # Compute a parametrization in the precision of its parameters even under autocast. In half precision torch has
        # few decompositions, and the matrix would be orthogonal to only two digits.
        with torch.autocast(self.bias_ih_l0.device.type, enabled=False):
            weight = getattr(self, name)
            return weight
