"""The Elman layer from scratch."""

import warnings
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor
from torch.nn.utils import parametrizations
from torch.nn.utils.parametrize import is_parametrized, register_parametrization

from rnn_tasks.cores.core import State
from rnn_tasks.cores.orthogonal_maps import OrthogonalMap
from rnn_tasks.cores.recurrent_init import Orthogonal, RecurrentInit
from rnn_tasks.cores.scan import ElmanScan, is_transformed
from rnn_tasks.cores.unrolled import Blocks, States, Unrolled, affine
from rnn_tasks.errors import UsageError

Activation = Literal["tanh", "relu", "sigmoid", "identity"]
ACTIVATIONS: dict[Activation, Callable[[Tensor], Tensor]] = {
    "tanh": torch.tanh,
    "relu": torch.relu,
    "sigmoid": torch.sigmoid,
    "identity": lambda values: values,
}


class Elman(Unrolled):
    """``h_t = f(U x_t + b + W h_{t-1} + c)`` (Elman 1990), parameters as in ``torch.nn.RNN``.

    The gradient over a sequence is written by hand (:class:`~rnn_tasks.cores.scan.ElmanScan`). Second derivatives exist
    only within :func:`~rnn_tasks.cores.differentiable_twice`. On a CPU, over two or more steps, tanh is computed from a
    sigmoid, with an absolute error of at most 2.4e-7 in single precision
    (:func:`~rnn_tasks.cores.scan.tanh_of_half_`).

    Args:
        input_size: Features of each step.
        hidden_size: Units, ``>= 1``.
        activation: f: ``tanh``, ``relu``, ``sigmoid`` or ``identity``.
        recurrent_init: How W starts; None for torch's own, or for orthogonal if ``orthogonal_map`` is given.
        input_scale: Factor on the initial U of the first layer, ``> 0``. A small one keeps tanh in its linear range.
        orthogonal_map: Keeps W orthogonal by computing it from a free matrix: ``matrix_exp``, ``cayley`` or
            ``householder``, as torch's parametrizations of these names do. None leaves W free.
        num_layers: Layers on top of one another, ``>= 1``.
        dropout: Share of the outputs between layers that is dropped in training, ``0 <= dropout < 1``.
        input_init: How U starts; None for torch's own.
        zero_bias: Whether b and c start at zero.
        single_bias: Whether b is the only bias, without c.
        freeze_recurrent: Whether W stays as it starts: a reservoir (Jaeger 2001).

    Raises:
        UsageError: A value outside its bounds, or a start that does not fit a matrix.

    Example:
        >>> outputs, state = Elman(input_size=3, hidden_size=5)(torch.zeros(2, 7, 3))
        >>> outputs.shape, state.shape
        (torch.Size([2, 7, 5]), torch.Size([1, 2, 5]))
    """

    gates = ("hidden",)

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        activation: Activation = "tanh",
        recurrent_init: RecurrentInit | None = None,
        input_scale: float = 1.0,
        orthogonal_map: Literal["matrix_exp", "cayley", "householder"] | None = None,
        num_layers: int = 1,
        dropout: float = 0.0,
        input_init: RecurrentInit | None = None,
        zero_bias: bool = False,
        single_bias: bool = False,
        freeze_recurrent: bool = False,
    ) -> None:
        if orthogonal_map and recurrent_init is None:
            recurrent_init = Orthogonal()
        super().__init__(
            input_size,
            hidden_size,
            num_layers=num_layers,
            dropout=dropout,
            recurrent_init=recurrent_init,
            input_init=input_init,
            input_scale=input_scale,
            zero_bias=zero_bias,
            single_bias=single_bias,
            freeze_recurrent=freeze_recurrent,
        )
        self.activation = activation
        if orthogonal_map:
            for layer in range(num_layers):
                name = f"weight_hh_l{layer}"
                if orthogonal_map == "cayley":
                    parametrizations.orthogonal(self, name, orthogonal_map)
                else:
                    register_parametrization(self, name, OrthogonalMap(orthogonal_map))

    def step(self, current: Blocks, state: States, weight: Blocks, bias: Blocks) -> States:
        """Return ``f(U x_t + b + W h_{t-1} + c)``."""
        (x,), (hidden,), (w,) = current, state, weight
        return (ACTIVATIONS[self.activation](torch.addmm(x, hidden, w)),)

    def forward(self, inputs: Tensor, state: State = None) -> tuple[Tensor, State]:
        """Run over a sequence; the state is ``(num_layers, batch, hidden_size)``, as torch has it."""
        if is_parametrized(self) and self.bias_ih_l0.dtype in (torch.bfloat16, torch.float16):
            raise UsageError("orthogonal_map needs weights of 32 bits: use --trainer.precision bf16-mixed")
        return super().forward(inputs, state)

    def _run(self, layer: int, inputs: Tensor, state: States | None) -> tuple[Tensor, States]:
        if inputs.shape[1] < 2 or len(inputs) == 0 or is_transformed():
            return super()._run(layer, inputs, state)
        if inputs.is_cuda and self.activation in ("tanh", "relu") and not torch.is_autocast_enabled("cuda"):
            return self._run_by_cudnn(layer, inputs, state)
        (bias, _), weight_ih = self._biases(layer), getattr(self, f"weight_ih_l{layer}")
        # Not yet a view by time: the scan overwrites this tensor, and autograd would copy a view that is overwritten.
        currents = affine(inputs.transpose(0, 1).flatten(0, 1), weight_ih, bias)
        weight = self._recurrent_weight(layer).to(currents.dtype)
        shape = (len(inputs), self.hidden_size)
        start = currents.new_zeros(shape) if state is None else state[0].to(currents.dtype)
        states: Tensor = ElmanScan.apply(currents, start, weight, self.activation)  # type: ignore[no-untyped-call]
        states = states.view(-1, *start.shape)
        return states.transpose(0, 1), (states[-1],)

    def _run_by_cudnn(self, layer: int, inputs: Tensor, state: States | None) -> tuple[Tensor, States]:
        # One kernel for the whole sequence; step by step, a GPU would wait for the next launch most of the time.
        (bias, _), weight_hh = self._biases(layer), self._recurrent_weight(layer)
        weights = [getattr(self, f"weight_ih_l{layer}"), weight_hh, bias, torch.zeros_like(bias)]
        start = inputs.new_zeros(len(inputs), self.hidden_size) if state is None else state[0].to(inputs.dtype)
        run = torch.rnn_tanh if self.activation == "tanh" else torch.rnn_relu
        with warnings.catch_warnings():
            # Each weight is a parameter of its own here, and small.
            warnings.filterwarnings("ignore", "RNN module weights are not part of single contiguous chunk", UserWarning)
            outputs, end = run(inputs, start[None], weights, True, 1, 0.0, torch.is_grad_enabled(), False, True)
        return outputs, (end[0],)
