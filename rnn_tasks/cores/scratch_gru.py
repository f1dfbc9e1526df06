"""Gated recurrent units from scratch: the full unit, and units with only one of its two gates."""

from typing import Literal

import torch

from rnn_tasks.cores.gate_bias import GateBias
from rnn_tasks.cores.recurrent_init import RecurrentInit
from rnn_tasks.cores.unrolled import Blocks, States, Unrolled
from rnn_tasks.errors import UsageError

Reset = Literal["after", "before"]


class ScratchGRU(Unrolled):
    """Gated recurrent unit with the parameters of ``torch.nn.GRU``; ``*`` is elementwise.

    - ``r = sigmoid(U_r x_t + b_r + W_r h_{t-1} + c_r)``, the reset gate
    - ``z = sigmoid(U_z x_t + b_z + W_z h_{t-1} + c_z)``, the update gate
    - ``n = tanh(U_n x_t + b_n + r * (W_n h_{t-1} + c_n))`` with ``reset="after"``, torch's form, or
      ``n = tanh(U_n x_t + b_n + W_n (r * h_{t-1}) + c_n)`` with ``reset="before"``, the published form
    - ``h_t = (1 - z) * n + z * h_{t-1}``

    Source: K. Cho et al., "Learning phrase representations using RNN encoder-decoder for statistical machine
    translation", 2014, https://arxiv.org/abs/1406.1078

    Args:
        input_size: Features per time step.
        hidden_size: Units, ``>= 1``.
        reset: Whether the reset gate acts ``after`` or ``before`` the product with W_n.
        num_layers: Number of stacked layers, ``>= 1``.
        dropout: Dropout probability of the outputs between layers, in training, ``0 <= dropout < 1``.
        recurrent_init: Initialisation of the recurrent matrix of each gate; None for torch's.
        input_init: Initialisation of the input matrix of each gate; None for torch's.
        input_scale: Factor on the initial input weights of the first layer, ``> 0``.
        gate_bias: Initial biases of ``reset``, ``update`` and ``new``; None for torch's.
        zero_bias: Whether biases that ``gate_bias`` does not set start at zero.
        single_bias: Whether the layer has the bias b only, without c.
        freeze_recurrent: Whether the recurrent matrices are not trained (see :class:`~rnn_tasks.cores.Elman`).

    Raises:
        UsageError: A value is outside its bounds, or an initialisation does not fit the shape of a matrix.

    Example:
        >>> outputs, state = ScratchGRU(input_size=3, hidden_size=5, num_layers=2)(torch.zeros(2, 7, 3))
        >>> outputs.shape, state.shape
        (torch.Size([2, 7, 5]), torch.Size([2, 2, 5]))
    """

    gates: tuple[str, ...] = ("reset", "update", "new")

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        reset: Reset = "after",
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
        super().__init__(
            input_size,
            hidden_size,
            num_layers=num_layers,
            dropout=dropout,
            recurrent_init=recurrent_init,
            input_init=input_init,
            input_scale=input_scale,
            gate_bias=gate_bias,
            zero_bias=zero_bias,
            single_bias=single_bias,
            freeze_recurrent=freeze_recurrent,
        )
        if reset not in ("after", "before"):
            raise UsageError(f"reset must be 'after' or 'before', got {reset!r}")
        self.unfolded = ("new",) if reset == "after" else ()  # the reset gate multiplies the bias c_n
        self.reset = reset

    def step(self, input_terms: Blocks, state: States, weight: Blocks, bias: Blocks) -> States:
        """Return the average of the new values n and the previous state, weighted by the update gate."""
        (hidden,) = state
        x_reset, x_update, x_new = input_terms
        w_reset, w_update, w_new = weight
        reset = torch.sigmoid(torch.addmm(x_reset, hidden, w_reset))
        update = torch.sigmoid(torch.addmm(x_update, hidden, w_update))
        if self.reset == "after":
            (c_new,) = bias
            new = torch.tanh(x_new + reset * torch.addmm(c_new, hidden, w_new))
        else:
            new = torch.tanh(torch.addmm(x_new, reset * hidden, w_new))
        return (torch.lerp(new, hidden, update),)  # (1 - update) * new + update * hidden


class ResetOnlyGRU(ScratchGRU):
    """A GRU without its update gate, ``z = 0``: each step overwrites the whole state; ``*`` is elementwise.

    - ``r = sigmoid(U_r x_t + b_r + W_r h_{t-1} + c_r)``, the reset gate
    - ``h_t = tanh(U_n x_t + b_n + r * (W_n h_{t-1} + c_n))`` with ``reset="after"``, or
      ``h_t = tanh(U_n x_t + b_n + W_n (r * h_{t-1}) + c_n)`` with ``reset="before"``

    The full unit and its source: :class:`ScratchGRU`.

    Args:
        input_size: Features per time step.
        hidden_size: Units, ``>= 1``.
        reset: Whether the reset gate acts ``after`` or ``before`` the product with W_n.
        num_layers: Number of stacked layers, ``>= 1``.
        dropout: Dropout probability of the outputs between layers, in training, ``0 <= dropout < 1``.
        recurrent_init: Initialisation of the recurrent matrix of each gate; None for torch's.
        input_init: Initialisation of the input matrix of each gate; None for torch's.
        input_scale: Factor on the initial input weights of the first layer, ``> 0``.
        gate_bias: Initial biases of ``reset`` and ``new``; None for torch's.
        zero_bias: Whether biases that ``gate_bias`` does not set start at zero.
        single_bias: Whether the layer has the bias b only, without c.
        freeze_recurrent: Whether the recurrent matrices are not trained (see :class:`~rnn_tasks.cores.Elman`).

    Raises:
        UsageError: A value is outside its bounds, or an initialisation does not fit the shape of a matrix.

    Example:
        >>> outputs, state = ResetOnlyGRU(input_size=3, hidden_size=5, num_layers=2)(torch.zeros(2, 7, 3))
        >>> outputs.shape, state.shape
        (torch.Size([2, 7, 5]), torch.Size([2, 2, 5]))
    """

    gates = ("reset", "new")

    def step(self, input_terms: Blocks, state: States, weight: Blocks, bias: Blocks) -> States:
        """Return the new values, in which the reset gate scales the contribution of the previous state."""
        (hidden,) = state
        x_reset, x_new = input_terms
        w_reset, w_new = weight
        reset = torch.sigmoid(torch.addmm(x_reset, hidden, w_reset))
        if self.reset == "after":
            (c_new,) = bias
            return (torch.tanh(x_new + reset * torch.addmm(c_new, hidden, w_new)),)
        return (torch.tanh(torch.addmm(x_new, reset * hidden, w_new)),)


class UpdateOnlyGRU(Unrolled):
    """A GRU without its reset gate, ``r = 1``; ``*`` is elementwise.

    - ``z = sigmoid(U_z x_t + b_z + W_z h_{t-1} + c_z)``, the update gate
    - ``n = tanh(U_n x_t + b_n + W_n h_{t-1} + c_n)``
    - ``h_t = (1 - z) * n + z * h_{t-1}``

    The full unit and its source: :class:`ScratchGRU`. Arguments: see :class:`~rnn_tasks.cores.Unrolled`.

    Example:
        >>> outputs, state = UpdateOnlyGRU(input_size=3, hidden_size=5)(torch.zeros(2, 7, 3))
        >>> outputs.shape, state.shape
        (torch.Size([2, 7, 5]), torch.Size([1, 2, 5]))
    """

    gates = ("update", "new")

    def step(self, input_terms: Blocks, state: States, weight: Blocks, bias: Blocks) -> States:
        """Return the average of the new values n and the previous state, weighted by the update gate."""
        (hidden,) = state
        x_update, x_new = input_terms
        w_update, w_new = weight
        update = torch.sigmoid(torch.addmm(x_update, hidden, w_update))
        new = torch.tanh(torch.addmm(x_new, hidden, w_new))
        return (torch.lerp(new, hidden, update),)  # (1 - update) * new + update * hidden
