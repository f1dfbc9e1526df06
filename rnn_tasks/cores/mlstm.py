"""The mLSTM: an LSTM whose memory is a matrix that is read by keys."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from rnn_tasks.cores.bounds import multiple_of_heads
from rnn_tasks.cores.core import Core, as_eigenvalues
from rnn_tasks.cores.linear_scan import at_least_single
from rnn_tasks.cores.matrix_scan import matrix_scan
from rnn_tasks.cores.state import State


class MLSTM(Core):
    """The mLSTM of the xLSTM: gates that depend on the input only, and a matrix C as memory.

    Each head has a matrix C, ``(d, d)``, and a vector n, ``(d,)``, with ``d = hidden_size / heads``:

    - ``q = W_q x_t + b_q``, ``k = (W_k x_t + b_k) / sqrt(d)``, ``v = W_v x_t + b_v``, ``o = sigmoid(W_o x_t + b_o)``
    - ``i = exp(w_i x_t + b_i)`` and ``f = sigmoid(w_f x_t + b_f)``, the input gate and the forget gate, one per head
    - ``C_t = f C_{t-1} + i k v^T``, ``n_t = f n_{t-1} + i k``
    - ``h_t = o * (C_t^T q) / max(|n_t^T q|, 1)``, the output; ``*`` is elementwise

    C and n are stored divided by ``exp(m_t)``, with ``m_t = max(log f + m_{t-1}, log i, 0)``, because an input gate can
    be larger than the largest number. The output h does not depend on m. The original has no 0 here, so that 1 / exp(m)
    overflows when the input gate is nearly closed.

    The state is C with n as its last column, ``(batch, heads, d, d + 1)``, and m, ``(batch, heads)``.

    Parameters: ``query``, ``key``, ``value`` and ``output_gate`` hold ``W_q`` to ``W_o`` and their biases for all
    heads, ``(hidden_size, input_size)`` and ``(hidden_size,)``, with the initial values of ``torch.nn.Linear``;
    ``input_gate`` and ``forget_gate`` hold ``w_i`` with ``b_i``, and ``w_f``, of all heads; ``forget_bias (heads,)`` is
    ``b_f``.

    Source: M. Beck et al., "xLSTM: extended long short-term memory", 2024, https://arxiv.org/abs/2405.04517. The start
    is that of the authors' code: the weights of both gates are 0, b_f goes from 3 to 6 over the heads, and b_i is
    normal with standard deviation 0.1. The convolution, normalisation and projections around this layer in an xLSTM are
    left to a block.

    Args:
        input_size: Features per time step.
        hidden_size: Features of the output, a multiple of ``heads``.
        heads: Number of matrices, ``>= 1``.

    Raises:
        UsageError: A value is outside its bounds.

    Example:
        >>> outputs, (matrix, scale) = MLSTM(input_size=3, hidden_size=8, heads=2)(torch.zeros(5, 7, 3))
        >>> outputs.shape, matrix.shape, scale.shape
        (torch.Size([5, 7, 8]), torch.Size([5, 2, 4, 5]), torch.Size([5, 2]))
    """

    recurrent_names = ("forget_bias",)
    input_names = ("query", "key", "value", "input_gate", "forget_gate", "output_gate")

    def __init__(self, input_size: int, hidden_size: int, heads: int = 1) -> None:
        super().__init__()
        self.input_size, self.hidden_size, self.heads = input_size, multiple_of_heads(hidden_size, heads), heads
        self.query = nn.Linear(input_size, hidden_size)
        self.key = nn.Linear(input_size, hidden_size)
        self.value = nn.Linear(input_size, hidden_size)
        self.output_gate = nn.Linear(input_size, hidden_size)
        self.input_gate = nn.Linear(input_size, heads)
        self.forget_gate = nn.Linear(input_size, heads, bias=False)
        self.forget_bias = nn.Parameter(torch.linspace(3, 6, heads))
        nn.init.zeros_(self.input_gate.weight)
        nn.init.normal_(self.input_gate.bias, std=0.1)
        nn.init.zeros_(self.forget_gate.weight)

    def input_weights(self) -> list[Tensor]:
        """Return the matrices of queries, keys, values and gates."""
        layers = (self.query, self.key, self.value, self.output_gate, self.input_gate, self.forget_gate)
        return [layer.weight for layer in layers]

    def forward(self, inputs: Tensor, state: State = None) -> tuple[Tensor, State]:
        """Run the layer over a batch of sequences; the class documents the state."""
        shape = (*inputs.shape[:2], self.heads, self.hidden_size // self.heads)
        query, value = self.query(inputs).view(shape), self.value(inputs).view(shape)
        key = self.key(inputs).view(shape) / math.sqrt(shape[3])
        log_input, log_forget = at_least_single(self.input_gate(inputs)), self._log_forget(inputs)
        matrix, start = (None, log_forget.new_zeros(len(inputs), self.heads)) if state is None else state
        # m by steps is a running maximum: without its start, m_t - F_t grows, where F_t is the sum of log f until t.
        total = log_forget.cumsum(1)
        highest = (log_input.clamp(min=0) - total).cummax(1).values
        scale = total + torch.maximum(start[:, None], highest)
        log_decay = log_forget + torch.cat([start[:, None], scale[:, :-1]], 1) - scale
        value = torch.cat([value, torch.ones_like(value[..., :1])], 3)  # n is the column of C that stores ones
        strength = torch.exp(log_input - scale)
        outputs, matrix = matrix_scan(query, key, value, matrix, strength, log_decay, delta=False)
        outputs = outputs[..., :-1] / torch.maximum(outputs[..., -1:].abs(), torch.exp(-scale)[..., None])
        outputs = torch.sigmoid(self.output_gate(inputs)) * outputs.flatten(2).to(query.dtype)
        return outputs, (matrix, scale[:, -1])

    def eigenvalues(self, inputs: Tensor) -> dict[str, Tensor]:
        """Return the forget gates, ``(batch, time, heads)``: each multiplies all of its C."""
        return {"transition": as_eigenvalues(self._log_forget(inputs).exp())}

    def _log_forget(self, inputs: Tensor) -> Tensor:
        return at_least_single(functional.logsigmoid(self.forget_gate(inputs) + self.forget_bias))
