"""Long expressive memory (LEM)."""

import torch

from rnn_tasks.cores.bounds import positive
from rnn_tasks.cores.unrolled import Blocks, States, Unrolled


class LEM(Unrolled):
    """Long expressive memory: two states y and z, whose units move by step sizes that gates decide.

    The recurrence, with the logistic function s::

        step_y = dt s(U_1 x_t + b_1 + W_1 y_{t-1})
        step_z = dt s(U_2 x_t + b_2 + W_2 y_{t-1})
        z_t = (1 - step_z) z_{t-1} + step_z tanh(U_z x_t + b_z + W_z y_{t-1})
        y_t = (1 - step_y) y_{t-1} + step_y tanh(U_y x_t + b_y + W_y z_t)

    The output is y. The state is ``(y, z)``, two tensors ``(num_layers, batch, hidden_size)``. With ``dt <= 1`` both
    stay between -1 and 1. The steps are computed in single or double precision. Parameters: ``weight_ih_l0 (4 *
    hidden_size, input_size)`` holds U, ``weight_hh_l0 (4 * hidden_size, hidden_size)`` W, and b is the sum of
    ``bias_ih_l0`` and ``bias_hh_l0 (4 * hidden_size,)``, each with the rows of ``step_y``, ``step_z``, ``z`` and ``y``
    one after the other. All start uniform between ``+-1 / sqrt(hidden_size)``, as in the authors' code.

    Source: T. K. Rusch, S. Mishra, N. B. Erichson and M. W. Mahoney, "Long expressive memory for sequence modeling",
    2022, https://arxiv.org/abs/2110.04744

    Args:
        input_size: Features per time step.
        hidden_size: Features of the output, ``>= 1``; the state has twice as many.
        dt: Largest step size, ``> 0``; the authors' code has 1 by default and 0.0242 for the adding task.
        num_layers: Number of stacked layers, ``>= 1``.
        dropout: Dropout probability of the outputs between layers, in training, ``0 <= dropout < 1``.

    Raises:
        UsageError: A value is outside its bounds.

    Example:
        >>> outputs, (y, z) = LEM(input_size=3, hidden_size=5)(torch.zeros(2, 7, 3))
        >>> outputs.shape, z.shape
        (torch.Size([2, 7, 5]), torch.Size([1, 2, 5]))
    """

    gates = ("step_y", "step_z", "z", "y")
    num_state_tensors = 2
    small_changes = True

    def __init__(
        self, input_size: int, hidden_size: int, dt: float = 1.0, num_layers: int = 1, dropout: float = 0.0
    ) -> None:
        super().__init__(input_size, hidden_size, num_layers=num_layers, dropout=dropout)
        self.dt = positive(dt, "dt")

    def step(self, input_terms: Blocks, state: States, weight: Blocks, bias: Blocks) -> States:
        """Return ``(y_t, z_t)``."""
        (x_1, x_2, x_z, x_y), (y, z), (w_1, w_2, w_z, w_y) = input_terms, state, weight
        step_y = self.dt * torch.sigmoid(torch.addmm(x_1, y, w_1))
        step_z = self.dt * torch.sigmoid(torch.addmm(x_2, y, w_2))
        z = torch.lerp(z, torch.tanh(torch.addmm(x_z, y, w_z)), step_z)
        y = torch.lerp(y, torch.tanh(torch.addmm(x_y, z, w_y)), step_y)
        return y, z
