"""Small layers with other states and transitions than a square matrix, whose equations are simple enough to check."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from rnn_tasks.cores import Core


class Rotations(Core):
    """A diagonal of complex numbers: ``h_t = values * h_{t-1} + U x_t``, with the real parts of h as outputs.

    The state is ``(batch, 2 n)``: real parts, then imaginary parts.
    """

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.input_size, self.hidden_size = input_size, hidden_size
        self.radius = nn.Parameter(torch.linspace(0.5, 0.99, hidden_size))
        self.angle = nn.Parameter(torch.linspace(0.1, 3.0, hidden_size))
        self.weight_ih_l0 = nn.Parameter(torch.randn(hidden_size, input_size))

    def forward(self, inputs: Tensor, state: Any = None) -> tuple[Tensor, Tensor]:
        zeros = inputs.new_zeros(len(inputs), self.hidden_size)
        hidden = torch.complex(zeros, zeros) if state is None else torch.complex(*state.chunk(2, 1))
        outputs = []
        for step in (inputs @ self.weight_ih_l0.T).unbind(1):
            hidden = torch.polar(self.radius, self.angle) * hidden + step
            outputs.append(hidden.real)
        return torch.stack(outputs, 1), torch.cat([hidden.real, hidden.imag], 1)

    def input_weights(self) -> list[Tensor]:
        return [self.weight_ih_l0]

    def eigenvalues(self, inputs: Tensor) -> dict[str, Tensor]:
        return {"diagonal": torch.polar(self.radius, self.angle)}


class Leaky(Core):
    """A diagonal that the input decides: ``h_t = f_t h_{t-1} + (1 - f_t) U x_t`` with ``f_t = sigmoid(V x_t)``.

    The state is ``(batch, n)``.
    """

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.input_size, self.hidden_size = input_size, hidden_size
        self.weight_ih_l0 = nn.Parameter(torch.randn(2 * hidden_size, input_size))

    def forward(self, inputs: Tensor, state: Any = None) -> tuple[Tensor, Tensor]:
        hidden = inputs.new_zeros(len(inputs), self.hidden_size) if state is None else state
        outputs = []
        for step in (inputs @ self.weight_ih_l0.T).unbind(1):
            gate, new = step.chunk(2, 1)
            hidden = torch.sigmoid(gate) * hidden + torch.sigmoid(-gate) * new
            outputs.append(hidden)
        return torch.stack(outputs, 1), hidden

    def input_weights(self) -> list[Tensor]:
        return [self.weight_ih_l0]

    def eigenvalues(self, inputs: Tensor) -> dict[str, Tensor]:
        gates = torch.sigmoid(inputs @ self.weight_ih_l0[: self.hidden_size].T)
        return {"forget": torch.complex(gates, torch.zeros_like(gates))}


class Associative(Core):
    """A matrix for each head: ``S_t = 0.9 S_{t-1} + k_t v_t'`` with the outputs ``q_t' S_t``.

    The state is ``(batch, heads, size, size)`` with ``heads * size = hidden_size``.
    """

    def __init__(self, input_size: int, hidden_size: int, heads: int = 2) -> None:
        super().__init__()
        self.input_size, self.hidden_size, self.heads = input_size, hidden_size, heads
        self.weight_ih_l0 = nn.Parameter(torch.randn(3 * hidden_size, input_size) / input_size**0.5)

    def forward(self, inputs: Tensor, state: Any = None) -> tuple[Tensor, Tensor]:
        size = self.hidden_size // self.heads
        matrix = inputs.new_zeros(len(inputs), self.heads, size, size) if state is None else state
        outputs = []
        for step in (inputs @ self.weight_ih_l0.T).unbind(1):
            query, key, value = step.view(len(step), 3, self.heads, size).unbind(1)
            matrix = 0.9 * matrix + key[..., :, None] * value[..., None, :]
            outputs.append((query[..., None, :] @ matrix).flatten(1))
        return torch.stack(outputs, 1), matrix

    def input_weights(self) -> list[Tensor]:
        return [self.weight_ih_l0]


STATE_LAYERS: dict[str, Callable[[int], Core]] = {
    "complex diagonal": partial(Rotations, hidden_size=4),
    "diagonal that the input decides": partial(Leaky, hidden_size=4),
    "matrix states": partial(Associative, hidden_size=4),
}
