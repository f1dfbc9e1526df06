"""The Elman layer with stacks."""

import math
from typing import Any

import torch
from torch import Tensor, nn

from rnn_tasks.cores.bounds import at_least_1
from rnn_tasks.cores.core import Core
from rnn_tasks.cores.state import State
from rnn_tasks.cores.unrolled import affine


class StackRNN(Core):
    """An Elman layer that reads the tops of stacks, and then pushes, pops, or keeps the contents of each stack.

    For each step, with the stacks s, whose cells ``s[0], s[1], ...`` are vectors and where ``s[0]`` is the top::

        h_t = tanh(U x_t + b + W h_{t-1} + P s_{t-1}[0])
        push, pop, keep = softmax(A h_t + a)
        s_t[0] = push (V h_t + d)  + pop s_{t-1}[1]     + keep s_{t-1}[0]
        s_t[i] = push s_{t-1}[i-1] + pop s_{t-1}[i+1]   + keep s_{t-1}[i]       for i > 0

    A push moves every cell down by one and puts the value ``V h_t + d`` on top. A popped stack gets a cell of zeros at
    its end; a pushed stack loses its last cell. Each stack has a softmax and a value of its own. The state is ``(h,
    s)``: h is ``(batch, hidden_size)``, s is ``(batch, num_stacks, stack_depth, cell_size)``.

    Parameters: ``weight_ih_l0``, ``bias_ih_l0`` and ``weight_hh_l0`` are U, b and W; ``weight_stack (hidden_size,
    num_stacks * cell_size)`` is P; all four start uniform between ``+-1 / sqrt(hidden_size)``, as in torch. ``actions``
    holds A and a, ``values`` V and d, with the initial values of ``torch.nn.Linear``.

    Sources: A. Joulin and T. Mikolov, "Inferring algorithmic patterns with stack-augmented recurrent nets", 2015,
    https://arxiv.org/abs/1503.01007; the linear values and the defaults are those of G. Delétang et al., "Neural
    networks and the Chomsky hierarchy", 2023, https://arxiv.org/abs/2207.02098. Their code has one softmax for all
    stacks together.

    Args:
        input_size: Features per time step.
        hidden_size: Features of the output, ``>= 1``.
        num_stacks: Number of stacks, ``>= 1``.
        stack_depth: Cells of a stack, ``>= 1``; what is pushed further down is lost.
        cell_size: Features of a cell, ``>= 1``.

    Raises:
        UsageError: A value is outside its bounds.

    Example:
        >>> outputs, (hidden, stack) = StackRNN(input_size=3, hidden_size=5)(torch.zeros(2, 7, 3))
        >>> outputs.shape, hidden.shape, stack.shape
        (torch.Size([2, 7, 5]), torch.Size([2, 5]), torch.Size([2, 1, 30, 8]))
    """

    recurrent_names = ("weight_hh", "weight_stack")

    def __init__(
        self, input_size: int, hidden_size: int, num_stacks: int = 1, stack_depth: int = 30, cell_size: int = 8
    ) -> None:
        super().__init__()
        self.input_size = input_size
        self.hidden_size = at_least_1(hidden_size, "hidden_size")
        self.num_stacks, self.stack_depth, self.cell_size = (
            at_least_1(size, name)
            for size, name in ((num_stacks, "num_stacks"), (stack_depth, "stack_depth"), (cell_size, "cell_size"))
        )
        self.weight_ih_l0 = nn.Parameter(torch.empty(hidden_size, input_size))
        self.weight_hh_l0 = nn.Parameter(torch.empty(hidden_size, hidden_size))
        self.weight_stack = nn.Parameter(torch.empty(hidden_size, num_stacks * cell_size))
        self.bias_ih_l0 = nn.Parameter(torch.empty(hidden_size))
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -1 / math.sqrt(hidden_size), 1 / math.sqrt(hidden_size))
        self.actions = nn.Linear(hidden_size, num_stacks * 3)
        self.values = nn.Linear(hidden_size, num_stacks * cell_size)

    def forward(self, inputs: Tensor, state: Any = None) -> tuple[Tensor, State]:
        """Run the layer over a batch of sequences; the steps are computed in single or double precision."""
        terms = affine(inputs.transpose(0, 1).flatten(0, 1), self.weight_ih_l0, self.bias_ih_l0)
        dtype = torch.promote_types(terms.dtype, torch.float32)
        batch, time, _ = inputs.shape
        if state is None:
            zeros = terms.new_zeros(batch, self.num_stacks, self.stack_depth, self.cell_size)
            state = terms.new_zeros(batch, self.hidden_size), zeros
        hidden, stack = (values.to(dtype) for values in state)
        bottom, outputs = stack.new_zeros(batch, self.num_stacks, 1, self.cell_size), []
        weight = torch.cat([self.weight_hh_l0, self.weight_stack], 1).to(dtype).t().contiguous()
        control = torch.cat([self.actions.weight, self.values.weight]).to(dtype).t().contiguous()
        bias = torch.cat([self.actions.bias, self.values.bias]).to(dtype)
        with torch.autocast(inputs.device.type, enabled=False):
            for step_terms in terms.to(dtype).view(time, batch, self.hidden_size).unbind(0):
                tops = stack[:, :, 0].flatten(1)
                hidden = torch.tanh(torch.addmm(step_terms, torch.cat([hidden, tops], 1), weight))
                actions, values = torch.addmm(bias, hidden, control).tensor_split([3 * self.num_stacks], 1)
                push, pop, keep = torch.softmax(actions.view(batch, self.num_stacks, 3, 1, 1), 2).unbind(2)
                pushed = torch.cat([values.view(bottom.shape), stack[:, :, :-1]], 2)
                popped = torch.cat([stack[:, :, 1:], bottom], 2)
                stack = push * pushed + pop * popped + keep * stack
                outputs.append(hidden)
        return torch.stack(outputs, 1).to(terms.dtype), (hidden, stack)

    def recurrent_weights(self) -> dict[str, Tensor]:
        """Return W, ``(hidden_size, hidden_size)``."""
        return {"weight_hh_l0": self.weight_hh_l0}

    def input_weights(self) -> list[Tensor]:
        """Return U, ``(hidden_size, input_size)``."""
        return [self.weight_ih_l0]
