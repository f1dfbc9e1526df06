"""The minimal long short-term memory."""

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import softplus

from rnn_tasks.cores.bounds import at_least_1
from rnn_tasks.cores.core import Core, as_eigenvalues
from rnn_tasks.cores.gate_bias import GateBias
from rnn_tasks.cores.linear_scan import linear_scan
from rnn_tasks.cores.min_gru import linear_by_gate, positive_values, stacked_linear
from rnn_tasks.cores.state import State


class MinLSTM(Core):
    """A long short-term memory whose gates and new values do not depend on the state; ``*`` is elementwise.

    - ``f = sigmoid(U_f x_t + b_f)``, the forget gate
    - ``i = sigmoid(U_i x_t + b_i)``, the input gate
    - ``n = U_n x_t + b_n``, the new values; with ``positive``, ``n = g(U_n x_t + b_n)`` as in
      :class:`~rnn_tasks.cores.MinGRU`
    - ``h_t = f / (f + i) * h_{t-1} + i / (f + i) * n``, the state and the output

    The state is ``(batch, hidden_size)``. ``linear`` holds ``U_f, U_i, U_n`` and ``b_f, b_i, b_n``, stacked, with the
    initial values of ``torch.nn.Linear``. ``f / (f + i)`` is computed as ``sigmoid(log(f) - log(i))``.

    Source: L. Feng, F. Tung, M. O. Ahmed, Y. Bengio and H. Hajimirsadeghi, "Were RNNs all we needed?", 2024,
    https://arxiv.org/abs/2410.01201. The paper's form in log space uses g and starts from states of 1/2; this layer
    starts from zeros.

    Args:
        input_size: Features per time step.
        hidden_size: Features of the output, ``>= 1``.
        positive: Whether new values pass through g, as in the paper's form in log space.
        gate_bias: Initial biases of ``forget``, ``input`` and ``new``; None for those of ``torch.nn.Linear``.

    Raises:
        UsageError: A value is outside its bounds.

    Example:
        >>> outputs, state = MinLSTM(input_size=3, hidden_size=5)(torch.zeros(2, 7, 3))
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
        self.linear = stacked_linear(input_size, hidden_size, ("forget", "input", "new"), gate_bias)

    def forward(self, inputs: Tensor, state: Any = None) -> tuple[Tensor, State]:
        """Run the layer over a batch of sequences; the state is ``(batch, hidden_size)``."""
        log_odds, new = self._log_odds_and_new(inputs)
        values = positive_values(new) if self.positive else new
        # 1 - f / (f + i) would be rounded to 0 where f / (f + i) is close to 1.
        states = linear_scan(torch.sigmoid(log_odds), torch.sigmoid(-log_odds) * values, state)
        return states.to(inputs.dtype).transpose(0, 1), states[-1]

    def input_weights(self) -> list[Tensor]:
        """Return ``U_f`` above ``U_i`` above ``U_n``, ``(3 * hidden_size, input_size)``."""
        return [self.linear.weight]

    def eigenvalues(self, inputs: Tensor) -> dict[str, Tensor]:
        """Return ``f / (f + i)``, ``(batch, time, hidden_size)``."""
        log_odds, _ = self._log_odds_and_new(inputs)
        return {"diagonal": as_eigenvalues(torch.sigmoid(log_odds).transpose(0, 1))}

    def _log_odds_and_new(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``log(f / i)``, whose sigmoid is ``f / (f + i)``, and the pre-activations of n, time first."""
        forget, admit, new = linear_by_gate(self.linear, inputs, 3)
        return softplus(-admit) - softplus(-forget), new  # log(sigmoid(v)) is -softplus(-v)
