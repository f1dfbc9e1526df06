"""The Legendre memory unit (LMU)."""

import math

import torch
from torch import Tensor, nn

from rnn_tasks.cores.bounds import at_least_1, positive
from rnn_tasks.cores.core import Core
from rnn_tasks.cores.legendre import legendre_delay
from rnn_tasks.cores.state import State


class LMU(Core):
    """The Legendre memory unit: a fixed linear memory of the last theta steps, and a tanh layer that reads it.

    The recurrence of the memory m and the hidden units h::

        u_t = E_x x_t + E_h h_{t-1} + E_m m_{t-1}
        m_t = A m_{t-1} + B u_t                           for each of the signals in u; A and B are fixed
        h_t = tanh(W_x x_t + W_h h_{t-1} + W_m m_t)

    A and B are those of :func:`~rnn_tasks.cores.legendre.legendre_delay`. The output is h. The state is ``(h, m)``,
    ``(batch, hidden_size)`` and ``(batch, num_signals * order)``. Parameters: ``weight_ih (hidden_size, input_size)``,
    ``weight_hh (hidden_size, hidden_size)`` and ``weight_mh (hidden_size, num_signals * order)`` are W_x, W_h and W_m;
    ``encoder_ih``, ``encoder_hh`` and ``encoder_mh``, with ``num_signals`` rows, are E_x, E_h and E_m. As in the
    authors' code, E_x and E_h start uniform with variance 1 over the number of columns, E_m at zero, and the matrices W
    normal with variance 2 over the sum of rows and columns.

    Source: A. R. Voelker, I. Kajic and C. Eliasmith, "Legendre memory units: continuous-time representation in
    recurrent neural networks", 2019,
    https://papers.nips.cc/paper/9689-legendre-memory-units-continuous-time-representation-in-recurrent-neural-networks

    Args:
        input_size: Features per time step.
        hidden_size: Features of the output, ``>= 1``.
        order: Numbers that the memory keeps of each signal, ``>= 1``.
        theta: Steps that the memory covers, ``> 0``: about the longest delay of the task.
        num_signals: Signals that the memory stores, each by itself, ``>= 1``; 1 as published.

    Raises:
        UsageError: A value is outside its bounds.

    Example:
        >>> outputs, (hidden, memory) = LMU(input_size=3, hidden_size=5, order=4)(torch.zeros(2, 7, 3))
        >>> outputs.shape, memory.shape
        (torch.Size([2, 7, 5]), torch.Size([2, 4]))
    """

    recurrent_names = ("weight_hh", "weight_mh", "encoder_hh", "encoder_mh")
    input_names = ("weight_ih", "encoder_ih")

    def __init__(
        self, input_size: int, hidden_size: int, order: int = 32, theta: float = 64.0, num_signals: int = 1
    ) -> None:
        super().__init__()
        self.input_size = input_size
        self.hidden_size = at_least_1(hidden_size, "hidden_size")
        transition, drive = legendre_delay(at_least_1(order, "order"), positive(theta, "theta"))
        signals = torch.eye(at_least_1(num_signals, "num_signals"), dtype=torch.float64)
        # Plain tensors: a change of the module's precision must not round them.
        self.transition, self.drive = torch.kron(signals, transition), torch.kron(signals, drive)
        memory_size = num_signals * order
        self.weight_ih = nn.Parameter(torch.empty(hidden_size, input_size))
        self.weight_hh = nn.Parameter(torch.empty(hidden_size, hidden_size))
        self.weight_mh = nn.Parameter(torch.empty(hidden_size, memory_size))
        self.encoder_ih = nn.Parameter(torch.empty(num_signals, input_size))
        self.encoder_hh = nn.Parameter(torch.empty(num_signals, hidden_size))
        self.encoder_mh = nn.Parameter(torch.zeros(num_signals, memory_size))
        for weight in (self.weight_ih, self.weight_hh, self.weight_mh):
            nn.init.xavier_normal_(weight)
        for encoder in (self.encoder_ih, self.encoder_hh):
            nn.init.uniform_(encoder, -math.sqrt(3 / encoder.shape[1]), math.sqrt(3 / encoder.shape[1]))

    def forward(self, inputs: Tensor, state: State = None) -> tuple[Tensor, State]:
        """Run the layer over a batch of sequences; the class documents the state."""
        by_step = inputs.transpose(0, 1).flatten(0, 1)
        x_hidden, signals = by_step @ self.weight_ih.t(), by_step @ self.encoder_ih.t()
        dtype, shape = x_hidden.dtype, inputs.shape[1::-1]
        # The memory is a sum over many steps, which loses small terms in half precision.
        precise = torch.promote_types(dtype, torch.float32)
        drive = self.drive.to(inputs.device, precise)
        hidden = inputs.new_zeros(inputs.shape[0], self.hidden_size, dtype=precise)
        memory = inputs.new_zeros(inputs.shape[0], len(drive), dtype=precise)
        if state is not None:
            hidden, memory = (part.to(precise) for part in state)
        outputs = []
        with torch.autocast(inputs.device.type, enabled=False):
            x_memory = (signals.to(precise) @ drive.t()).view(*shape, len(drive))
            to_memory = torch.cat([drive @ self.encoder_hh.to(precise), self._memory_matrix(precise)], 1)
            to_hidden = torch.cat([self.weight_hh, self.weight_mh], 1).to(precise)
            to_memory, to_hidden = to_memory.t().contiguous(), to_hidden.t().contiguous()
            for x_m, x_h in zip(
                x_memory.unbind(0), x_hidden.to(precise).view(*shape, self.hidden_size).unbind(0), strict=True
            ):
                memory = torch.addmm(x_m, torch.cat([hidden, memory], 1), to_memory)
                hidden = torch.tanh(torch.addmm(x_h, torch.cat([hidden, memory], 1), to_hidden))
                outputs.append(hidden)
        return torch.stack(outputs, 1).to(dtype), (hidden, memory)

    def recurrent_weights(self) -> dict[str, Tensor]:
        """Return W_h, ``(hidden_size, hidden_size)``; the memory's matrix is fixed."""
        return {"weight_hh": self.weight_hh}

    def input_weights(self) -> list[Tensor]:
        """Return W_x, ``(hidden_size, input_size)``, and E_x, ``(num_signals, input_size)``."""
        return [self.weight_ih, self.encoder_ih]

    def eigenvalues(self, inputs: Tensor) -> dict[str, Tensor]:
        """Return the eigenvalues of W_h, and those of ``A + B E_m``, which multiplies the memory."""
        memory = self._memory_matrix(torch.float64).detach().cpu()
        return super().eigenvalues(inputs) | {"memory": torch.linalg.eigvals(memory)}

    def _memory_matrix(self, dtype: torch.dtype) -> Tensor:
        """Return ``A + B E_m``."""
        encoder = self.encoder_mh.to(dtype)
        return self.transition.to(encoder) + self.drive.to(encoder) @ encoder
