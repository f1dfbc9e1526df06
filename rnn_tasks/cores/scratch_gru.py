"""Gated recurrent units from scratch: the full unit, and the units that have only one of its two gates."""

from typing import Literal

import torch

from rnn_tasks.cores.gate_bias import GateBias
from rnn_tasks.cores.recurrent_init import RecurrentInit
from rnn_tasks.cores.unrolled import Blocks, States, Unrolled
from rnn_tasks.errors import UsageError

Reset = Literal["after", "before"]


class ScratchGRU(Unrolled):
    """Gated recurrent unit (Cho et al. 2014), parameters as in ``torch.nn.GRU``; ``*`` is elementwise.

    - ``r = sigmoid(U_r x_t + b_r + W_r h_{t-1} + c_r)``
    - ``z = sigmoid(U_z x_t + b_z + W_z h_{t-1} + c_z)``
    - ``n = tanh(U_n x_t + b_n + r * (W_n h_{t-1} + c_n))``, torch's form, when the reset gate acts after the product;
      ``n = tanh(U_n x_t + b_n + W_n (r * h_{t-1}) + c_n)``, the published one, when it acts before it
    - ``h_t = (1 - z) * n + z * h_{t-1}``

    Args:
        input_size: Features of each step.
        hidden_size: Units, ``>= 1``.
        reset: Whether the reset gate acts ``after`` the product with W_n or ``before`` it.
        num_layers: Layers on top of one another, ``>= 1``.
        dropout: Share of the outputs between layers that is dropped in training, ``0 <= dropout < 1``.
        recurrent_init: How the recurrent matrix of each gate starts; None for torch's own.
        input_init: How the input matrix of each gate starts; None for torch's own.
        input_scale: Factor on the initial input weights of the first layer, ``> 0``.
        gate_bias: Where the biases of ``reset``, ``update`` and ``new`` start; None for torch's own.
        zero_bias: Whether the biases that ``gate_bias`` does not name start at zero.
        single_bias: Whether b is the only bias, without c.
        freeze_recurrent: Whether the recurrent matrices stay as they start: a reservoir.

    Raises:
        UsageError: A value outside its bounds, or a start that does not fit a matrix.

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
        self.unfolded = ("new",) if reset == "after" else ()  # the reset gate multiplies c_n
        self.reset = reset

    def step(self, current: Blocks, state: States, weight: Blocks, bias: Blocks) -> States:
        """Compute both gates, the new values, and the mixture of the new values and the old state."""
        (hidden,) = state
        x_reset, x_update, x_new = current
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

    - ``r = sigmoid(U_r x_t + b_r + W_r h_{t-1} + c_r)``
    - ``h_t = tanh(U_n x_t + b_n + r * (W_n h_{t-1} + c_n))``, when the reset gate acts after the product;
      ``h_t = tanh(U_n x_t + b_n + W_n (r * h_{t-1}) + c_n)``, when it acts before it

    A part of the unit of Cho et al. 2014, see :class:`ScratchGRU`.

    Args:
        input_size: Features of each step.
        hidden_size: Units, ``>= 1``.
        reset: Whether the reset gate acts ``after`` the product with W_n or ``before`` it.
        num_layers: Layers on top of one another, ``>= 1``.
        dropout: Share of the outputs between layers that is dropped in training, ``0 <= dropout < 1``.
        recurrent_init: How the recurrent matrix of each gate starts; None for torch's own.
        input_init: How the input matrix of each gate starts; None for torch's own.
        input_scale: Factor on the initial input weights of the first layer, ``> 0``.
        gate_bias: Where the biases of ``reset`` and ``new`` start; None for torch's own.
        zero_bias: Whether the biases that ``gate_bias`` does not name start at zero.
        single_bias: Whether b is the only bias, without c.
        freeze_recurrent: Whether the recurrent matrices stay as they start: a reservoir.

    Raises:
        UsageError: A value outside its bounds, or a start that does not fit a matrix.

    Example:
        >>> outputs, state = ResetOnlyGRU(input_size=3, hidden_size=5, num_layers=2)(torch.zeros(2, 7, 3))
        >>> outputs.shape, state.shape
        (torch.Size([2, 7, 5]), torch.Size([2, 2, 5]))
    """

    gates = ("reset", "new")

    def step(self, current: Blocks, state: States, weight: Blocks, bias: Blocks) -> States:
        """Compute the reset gate and the new state, which sees as much of the old state as the gate allows."""
        (hidden,) = state
        x_reset, x_new = current
        w_reset, w_new = weight
        reset = torch.sigmoid(torch.addmm(x_reset, hidden, w_reset))
        if self.reset == "after":
            (c_new,) = bias
            return (torch.tanh(x_new + reset * torch.addmm(c_new, hidden, w_new)),)
        return (torch.tanh(torch.addmm(x_new, reset * hidden, w_new)),)


class UpdateOnlyGRU(Unrolled):
    """A GRU without its reset gate, ``r = 1``; ``*`` is elementwise. Arguments are those of :class:`Unrolled`.

    - ``z = sigmoid(U_z x_t + b_z + W_z h_{t-1} + c_z)``
    - ``n = tanh(U_n x_t + b_n + W_n h_{t-1} + c_n)``
    - ``h_t = (1 - z) * n + z * h_{t-1}``

    A part of the unit of Cho et al. 2014, see :class:`ScratchGRU`.

    Example:
        >>> outputs, state = UpdateOnlyGRU(input_size=3, hidden_size=5)(torch.zeros(2, 7, 3))
        >>> outputs.shape, state.shape
        (torch.Size([2, 7, 5]), torch.Size([1, 2, 5]))
    """

    gates = ("update", "new")

    def step(self, current: Blocks, state: States, weight: Blocks, bias: Blocks) -> States:
        """Compute the update gate, the new values, and the mixture of the new values and the old state."""
        (hidden,) = state
        x_update, x_new = current
        w_update, w_new = weight
        update = torch.sigmoid(torch.addmm(x_update, hidden, w_update))
        new = torch.tanh(torch.addmm(x_new, hidden, w_new))
        return (torch.lerp(new, hidden, update),)  # (1 - update) * new + update * hidden
