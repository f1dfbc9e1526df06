"""The minimal gated recurrent unit."""

from typing import Any

import torch
from torch import Tensor, nn

from rnn_tasks.cores.bounds import at_least_1
from rnn_tasks.cores.core import Core, as_eigenvalues
from rnn_tasks.cores.gate_bias import GateBias
from rnn_tasks.cores.linear_scan import at_least_single, linear_scan
from rnn_tasks.cores.state import State
from rnn_tasks.cores.unrolled import affine


class MinGRU(Core):
    """A gated recurrent unit whose gate and new values do not depend on the state; ``*`` is elementwise.

    - ``z = sigmoid(U_z x_t + b_z)``, the update gate; a gate of 1 keeps the state
    - ``n = U_n x_t + b_n``, the new values; with ``positive``, ``n = g(U_n x_t + b_n)`` where ``g(v)`` is ``v + 1/2``
      for ``v >= 0`` and ``sigmoid(v)`` for ``v < 0``
    - ``h_t = z * h_{t-1} + (1 - z) * n``, the state and the output

    The state is ``(batch, hidden_size)``. The layer is linear in its state and has no function after it: to let
    features of different steps act on each other, use it in blocks. ``linear`` holds ``U_z, U_n`` and ``b_z, b_n``,
    stacked, with the initial values of ``torch.nn.Linear``.

    Source: L. Feng, F. Tung, M. O. Ahmed, Y. Bengio and H. Hajimirsadeghi, "Were RNNs all we needed?", 2024,
    https://arxiv.org/abs/2410.01201. The paper writes ``1 - z`` for our z, which is the z of ``torch.nn.GRU``. The
    paper's form in log space uses g and starts from states of 1/2; this layer starts from zeros.

    Args:
        input_size: Features per time step.
        hidden_size: Features of the output, ``>= 1``.
        positive: Whether new values pass through g, as in the paper's form in log space.
        gate_bias: Initial biases of ``update`` and ``new``; None for those of ``torch.nn.Linear``.

    Raises:
        UsageError: A value is outside its bounds.

    Example:
        >>> outputs, state = MinGRU(input_size=3, hidden_size=5)(torch.zeros(2, 7, 3))
        >>> outputs.shape, state.shape
        (torch.Size([2, 7, 5]), torch.Size([2, 5]))
    """

    recurrent_names = ()
    input_names = ("linear",)

    def __init__(
        self, input_size: int, hidden_size: int, positive: bool = False, gate_bias: GateBias | None = None
    ) -> None:
        super().__init__()
        self.input_size = input_size
        self.hidden_size = at_least_1(hidden_size, "hidden_size")
        self.positive = positive
        self.linear = stacked_linear(input_size, hidden_size, ("update", "new"), gate_bias)

    def forward(self, inputs: Tensor, state: Any = None) -> tuple[Tensor, State]:
        """Run the layer over a batch of sequences; the state is ``(batch, hidden_size)``."""
        update, new = linear_by_gate(self.linear, inputs, 2)
        values = positive_values(new) if self.positive else new
        # 1 - z would be rounded to 0 where z is close to 1.
        states = linear_scan(torch.sigmoid(update), torch.sigmoid(-update) * values, state)
        return states.to(inputs.dtype).transpose(0, 1), states[-1]

    def input_weights(self) -> list[Tensor]:
        """Return ``U_z`` above ``U_n``, ``(2 * hidden_size, input_size)``."""
        return [self.linear.weight]

    def eigenvalues(self, inputs: Tensor) -> dict[str, Tensor]:
        """Return z, ``(batch, time, hidden_size)``."""
        update, _ = linear_by_gate(self.linear, inputs, 2)
        return {"diagonal": as_eigenvalues(torch.sigmoid(update).transpose(0, 1))}


def stacked_linear(input_size: int, hidden_size: int, gates: tuple[str, ...], gate_bias: GateBias | None) -> nn.Linear:
    """Return a linear map with ``hidden_size`` rows for each gate, and its initial biases."""
    linear = nn.Linear(input_size, len(gates) * hidden_size)
    initial = {} if gate_bias is None else gate_bias.values(gates, hidden_size)
    with torch.no_grad():
        for gate, bias in zip(gates, linear.bias.chunk(len(gates)), strict=True):
            bias.copy_(initial.get(gate, bias))
    return linear


def linear_by_gate(linear: nn.Linear, inputs: Tensor, gates: int) -> tuple[Tensor, ...]:
    """Return the linear map of ``(batch, time, features)`` for each gate, ``(time, batch, hidden_size)``.

    Half precision becomes single precision, since a gate close to 1 needs its digits.
    """
    batch, time, _ = inputs.shape
    terms = affine(inputs.transpose(0, 1).flatten(0, 1), linear.weight, linear.bias)
    return at_least_single(terms).view(time, batch, linear.out_features).chunk(gates, -1)


def positive_values(values: Tensor) -> Tensor:
    """Return ``v + 1/2`` for ``v >= 0`` and ``sigmoid(v)`` for ``v < 0``: continuous, increasing and positive."""
    return torch.where(values >= 0, values + 0.5, torch.sigmoid(values))
