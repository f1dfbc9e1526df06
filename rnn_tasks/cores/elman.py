"""The Elman layer from scratch."""

import warnings
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized, register_parametrization

from rnn_tasks.cores.orthogonal_maps import OrthogonalMap, OrthogonalMapName
from rnn_tasks.cores.recurrent_init import Orthogonal, RecurrentInit
from rnn_tasks.cores.scan import ElmanScan, needs_step_graph
from rnn_tasks.cores.state import State
from rnn_tasks.cores.unrolled import Blocks, States, Unrolled, affine
from rnn_tasks.errors import UsageError, require

Activation = Literal["tanh", "relu", "sigmoid", "identity", "modrelu"]
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "tanh": torch.tanh,
    "relu": torch.relu,
    "sigmoid": torch.sigmoid,
    "identity": lambda values: values,
}


def modrelu(values: Tensor, bias: Tensor) -> Tensor:
    """Return ``sign(z) * relu(|z| + c)``: with ``c < 0`` values near 0 become 0, and others move towards 0 by ``|c|``.

    Source: M. Arjovsky, A. Shah and Y. Bengio, "Unitary evolution recurrent neural networks", 2016,
    https://arxiv.org/abs/1511.06464

    Args:
        values: z, ``(batch, hidden)``.
        bias: c, ``(hidden,)``.

    Example:
        >>> modrelu(torch.tensor([[-3.0, 0.5, 3.0]]), torch.tensor([-1.0]))
        tensor([[-2.,  0.,  2.]])
    """
    return values.sign() * torch.relu(values.abs() + bias)


class Elman(Unrolled):
    """The Elman layer, ``h_t = f(U x_t + b + W h_{t-1} + c)``, with the parameters of ``torch.nn.RNN``.

    Source: J. L. Elman, "Finding structure in time", 1990, https://doi.org/10.1207/s15516709cog1402_1

    The gradient over a sequence is written by hand (:class:`~rnn_tasks.cores.scan.ElmanScan`). Second derivatives exist
    only within :func:`~rnn_tasks.cores.differentiable_twice`. On a CPU, over two or more steps, tanh is computed from a
    sigmoid, with an absolute error of at most 2.4e-7 in single precision
    (:func:`~rnn_tasks.cores.scan.tanh_of_half_`).

    Args:
        input_size: Features per time step.
        hidden_size: Units, ``>= 1``.
        activation: The function f: ``tanh``, ``relu``, ``sigmoid``, ``identity`` or ``modrelu``. The last is
            :func:`modrelu` of ``U x_t + b + W h_{t-1}`` with the bias c, which starts uniform between +-0.01; with
            ``orthogonal_map: matrix_exp`` and the start :class:`~rnn_tasks.cores.Henaff` this is expRNN (M.
            Lezcano-Casado and D. Martinez-Rubio, 2019, https://arxiv.org/abs/1901.08428).
        recurrent_init: Initialisation of W; None for torch's, or orthogonal if ``orthogonal_map`` is given.
        input_scale: Factor on the initial U of the first layer, ``> 0``; a small factor keeps tanh in its linear range.
        orthogonal_map: Computes W, which then stays orthogonal, from an unconstrained matrix: ``matrix_exp``,
            ``cayley`` or ``householder``, as in :func:`torch.nn.utils.parametrizations.orthogonal`. None for a free W.
        num_layers: Number of stacked layers, ``>= 1``.
        dropout: Dropout probability of the outputs between layers, in training, ``0 <= dropout < 1``.
        input_init: Initialisation of U; None for torch's.
        zero_bias: Whether b and c start at zero.
        single_bias: Whether the layer has the bias b only, without c.
        freeze_recurrent: Whether W is not trained, as in a reservoir (H. Jaeger, "The 'echo state' approach to
            analysing and training recurrent neural networks", 2001,
            https://www.ai.rug.nl/minds/uploads/EchoStatesTechRep.pdf).

    Raises:
        UsageError: A value is outside its bounds, an initialisation does not fit the shape of a matrix, or
            ``modrelu`` has no bias c because of ``single_bias``.

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
        orthogonal_map: OrthogonalMapName | None = None,
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
        if activation == "modrelu":
            require(not single_bias, "activation modrelu has a bias of its own: set single_bias to false")
            self.unfolded = self.gates
            for layer in range(num_layers):
                nn.init.uniform_(getattr(self, f"bias_hh_l{layer}"), -0.01, 0.01)
        if orthogonal_map:
            for layer in range(num_layers):
                name = f"weight_hh_l{layer}"
                register_parametrization(self, name, OrthogonalMap(orthogonal_map))

    def step(self, input_terms: Blocks, state: States, weight: Blocks, bias: Blocks) -> States:
        """Return ``f(U x_t + b + W h_{t-1} + c)``."""
        (x,), (hidden,), (w,) = input_terms, state, weight
        total = torch.addmm(x, hidden, w)
        return (modrelu(total, *bias) if bias else ACTIVATIONS[self.activation](total),)

    def forward(self, inputs: Tensor, state: State = None) -> tuple[Tensor, State]:
        """Run the layer over a batch of sequences; the state is ``(num_layers, batch, hidden_size)``, as in torch."""
        if is_parametrized(self) and self.bias_ih_l0.dtype in (torch.bfloat16, torch.float16):
            raise UsageError(
                f"orthogonal_map needs weights of at least 32 bits, got {self.bias_ih_l0.dtype}: "
                "use --trainer.precision bf16-mixed"
            )
        return super().forward(inputs, state)

    def _run(self, layer: int, inputs: Tensor, state: States | None) -> tuple[Tensor, States]:
        if inputs.shape[1] < 2 or len(inputs) == 0 or self.unfolded or needs_step_graph():
            return super()._run(layer, inputs, state)
        if inputs.is_cuda and self.activation in ("tanh", "relu") and not torch.is_autocast_enabled("cuda"):
            return self._run_with_cudnn(layer, inputs, state)
        (bias, _), weight_ih = self._biases(layer), getattr(self, f"weight_ih_l{layer}")
        # The scan overwrites this tensor. It stays two-dimensional here because autograd copies an overwritten view.
        input_terms = affine(inputs.transpose(0, 1).flatten(0, 1), weight_ih, bias)
        weight = self._recurrent_weight(layer).to(input_terms.dtype)
        shape = (len(inputs), self.hidden_size)
        start = input_terms.new_zeros(shape) if state is None else state[0].to(input_terms.dtype)
        states: Tensor = ElmanScan.apply(input_terms, start, weight, self.activation)  # type: ignore[no-untyped-call]
        states = states.view(-1, *start.shape)
        return states.transpose(0, 1), (states[-1],)

    def _run_with_cudnn(self, layer: int, inputs: Tensor, state: States | None) -> tuple[Tensor, States]:
        # One kernel for the whole sequence: with a kernel for each step, a GPU mostly waits for the next launch.
        (bias, _), weight_hh = self._biases(layer), self._recurrent_weight(layer)
        weights = [getattr(self, f"weight_ih_l{layer}"), weight_hh, bias, torch.zeros_like(bias)]
        start = inputs.new_zeros(len(inputs), self.hidden_size) if state is None else state[0].to(inputs.dtype)
        run = torch.rnn_tanh if self.activation == "tanh" else torch.rnn_relu
        with warnings.catch_warnings():
            # The weights are separate parameters here, and small enough to be copied into one chunk.
            warnings.filterwarnings("ignore", "RNN module weights are not part of single contiguous chunk", UserWarning)
            outputs, end = run(inputs, start[None], weights, True, 1, 0.0, torch.is_grad_enabled(), False, True)
        return outputs, (end[0],)
