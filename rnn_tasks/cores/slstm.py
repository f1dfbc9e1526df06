"""The LSTM with exponential gates."""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from rnn_tasks.cores.bounds import multiple_of_heads
from rnn_tasks.cores.core import Core, square_blocks
from rnn_tasks.cores.state import State
from rnn_tasks.cores.unrolled import affine


class SLSTM(Core):
    """The LSTM with exponential gates (sLSTM): it shows a weighted mean of the new values of all steps.

    For ``a_i, a_f, a_z, a_o = W x_t + b + R h_{t-1}``, with elementwise products::

        i   = exp(a_i)                      the input gate, which weighs the new values
        f   = sigmoid(a_f)                  the forget gate
        c_t = f c_{t-1} + i tanh(a_z)       the weighted sum of the new values
        n_t = f n_{t-1} + i                 the sum of their weights
        h_t = sigmoid(a_o) c_t / n_t        the output

    c and n are stored divided by ``exp(m_t)``, because i can be larger than the largest number: ``m_t`` is ``a_i`` at
    the first step, and then ``max(a_i, log(f) + m_{t-1})``. The output does not depend on m. The units are divided into
    heads: R connects the units of a head. The state is ``(h, c, n, m)``, each ``(batch, hidden_size)``.

    Parameters: ``weight_ih_l0 (4 * hidden_size, input_size)`` is W and ``bias_ih_l0 (4 * hidden_size,)`` is b, with the
    rows of i, f, z and o one after the other; ``weight_hh_l0 (heads, 4 * units, units)`` holds R for each head, with
    ``units = hidden_size / heads``. As in the reference code, R starts at zero, b at zero but for the forget gates,
    where it falls from 5 to -7 within each head, and W normal with standard deviation ``sqrt(2 / (5 input_size))``.

    Source: M. Beck et al., "xLSTM: extended long short-term memory", 2024, https://arxiv.org/abs/2405.04517

    Args:
        input_size: Features per time step.
        hidden_size: Features of the output, a multiple of ``heads``.
        heads: Number of groups of units that do not read one another's outputs, ``>= 1``.

    Raises:
        UsageError: A value is outside its bounds.

    Example:
        >>> outputs, state = SLSTM(input_size=3, hidden_size=8)(torch.zeros(2, 7, 3))
        >>> outputs.shape, len(state), state[0].shape
        (torch.Size([2, 7, 8]), 4, torch.Size([2, 8]))
    """

    gates = ("input", "forget", "cell", "output")

    def __init__(self, input_size: int, hidden_size: int, heads: int = 1) -> None:
        super().__init__()
        self.input_size = input_size
        self.hidden_size = multiple_of_heads(hidden_size, heads)
        self.heads = heads
        units = hidden_size // heads
        self.weight_ih_l0 = nn.Parameter(torch.randn(4 * hidden_size, input_size) * math.sqrt(2 / (5 * input_size)))
        self.weight_hh_l0 = nn.Parameter(torch.zeros(heads, 4 * units, units))
        bias = torch.zeros(4, heads, units)
        bias[1] = 5 - 12 * torch.linspace(0, 1, units) ** 0.3
        self.bias_ih_l0 = nn.Parameter(bias.flatten())

    def forward(self, inputs: Tensor, state: Any = None) -> tuple[Tensor, State]:
        """Run the layer over a batch of sequences; the steps are computed in single or double precision."""
        terms = affine(inputs.transpose(0, 1).flatten(0, 1), self.weight_ih_l0, self.bias_ih_l0)
        dtype = torch.promote_types(terms.dtype, torch.float32)
        batch, time, _ = inputs.shape
        units = self.hidden_size // self.heads
        if state is None:
            state = (terms.new_zeros(batch, self.hidden_size),) * 4
        by_head = terms.to(dtype).view(time, batch, 4, self.heads, units).permute(0, 3, 1, 2, 4).flatten(3)
        hidden, cell, total, scale = (x.to(dtype).view(batch, self.heads, units).transpose(0, 1) for x in state)
        scale = scale.masked_fill(total == 0, -math.inf)  # after the first step, the total is at least 1
        weight, outputs = self.weight_hh_l0.to(dtype).transpose(1, 2).contiguous(), []
        with torch.autocast(inputs.device.type, enabled=False):
            for step_terms in by_head.unbind(0):
                i, f, z, o = torch.baddbmm(step_terms, hidden, weight).chunk(4, -1)
                kept = functional.logsigmoid(f) + scale
                scale = torch.maximum(i, kept)
                forget, write = torch.exp(kept - scale), torch.exp(i - scale)
                cell = forget * cell + write * torch.tanh(z)
                total = forget * total + write
                hidden = torch.sigmoid(o) * cell / total
                outputs.append(hidden)
        end = tuple(x.transpose(0, 1).flatten(1) for x in (hidden, cell, total, scale))
        return torch.stack(outputs).permute(2, 0, 1, 3).flatten(2).to(terms.dtype), end

    def recurrent_weights(self) -> dict[str, Tensor]:
        """Return the matrix of each gate of each head, such as ``weight_hh_l0/head_0/forget``."""
        blocks: dict[str, Tensor] = {}
        for head, weight in enumerate(self.weight_hh_l0):
            blocks |= square_blocks(f"weight_hh_l0/head_{head}", weight, self.gates)
        return blocks

    def input_weights(self) -> list[Tensor]:
        """Return W, ``(4 * hidden_size, input_size)``."""
        return [self.weight_ih_l0]
