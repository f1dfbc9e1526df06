"""A layer whose units move a part of the way at each step."""

import torch

from rnn_tasks.cores import Orthogonal, Unrolled
from rnn_tasks.errors import require

Tensors = tuple[torch.Tensor, ...]


class LeakyRNN(Unrolled):
    """A recurrent layer with leaky units.

    The recurrence::

        h_t = (1 - leak) h_{t-1} + leak tanh(U x_t + W h_{t-1} + b)

    Args:
        input_size: Features per time step.
        hidden_size: Units, ``>= 1``.
        leak: The part of the way that a unit moves in a step, ``0 < leak <= 1``.

    Raises:
        UsageError: A value is outside its bounds.
    """

    gates = ("h",)

    def __init__(self, input_size: int, hidden_size: int, leak: float = 0.5) -> None:
        super().__init__(input_size, hidden_size, recurrent_init=Orthogonal())
        require(0 < leak <= 1, f"leak must be above 0 and at most 1, got {leak}")
        self.leak = leak

    def step(self, input_terms: Tensors, state: Tensors, weight: Tensors, bias: Tensors) -> Tensors:
        """Return ``(h_t,)``."""
        (term,), (hidden,), (recurrent,) = input_terms, state, weight
        return (torch.lerp(hidden, torch.tanh(torch.addmm(term, hidden, recurrent)), self.leak),)
