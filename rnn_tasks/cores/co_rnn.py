"""The coupled oscillatory layer (coRNN)."""

import math

import torch
from torch import Tensor, nn

from rnn_tasks.cores.bounds import at_least_1, positive
from rnn_tasks.cores.core import Core
from rnn_tasks.cores.state import State
from rnn_tasks.cores.unrolled import affine
from rnn_tasks.errors import require


class CoRNN(Core):
    """The coupled oscillatory layer: each unit is a damped oscillator, and the units drive one another.

    The recurrence of the positions y and the velocities z::

        z_t = z_{t-1} + dt (tanh(V x_t + b + W_y y_{t-1} + W_z z_{t-1}) - gamma y_{t-1} - epsilon z_{t-1})
        y_t = y_{t-1} + dt z_t

    The output is y. The state is ``(y, z)``, two tensors ``(batch, hidden_size)``. Parameters: ``weight_ih
    (hidden_size, input_size)`` is V, ``weight_hh (hidden_size, 2 * hidden_size)`` holds W_y beside W_z, and ``bias
    (hidden_size,)`` is b. All start uniform between ``+-1 / sqrt(input_size + 2 hidden_size)``, as in the authors'
    code.

    The numbers dt, gamma and epsilon decide what the layer can remember; the authors searched them for each task. The
    authors' values are 0.042, 2.7 and 4.7 for pixels of digits, the defaults here, and 0.06, 66 and 15 for the adding
    task.

    Source: T. K. Rusch and S. Mishra, "Coupled oscillatory recurrent neural network (coRNN): an accurate and (gradient)
    stable architecture for learning long time dependencies", 2021, https://arxiv.org/abs/2010.00951

    Args:
        input_size: Features per time step.
        hidden_size: Features of the output, ``>= 1``: one oscillator each.
        dt: Step size, ``> 0``.
        gamma: Stiffness: the squared frequency of an oscillator without damping, ``> 0``.
        epsilon: Damping, ``> 0``.

    Raises:
        UsageError: A value is outside its bounds, or ``dt * (dt * gamma + 2 * epsilon)`` is at least 4: then the
            oscillators grow without bound even if nothing drives them.

    Example:
        >>> outputs, (y, z) = CoRNN(input_size=3, hidden_size=5)(torch.zeros(2, 7, 3))
        >>> outputs.shape, z.shape
        (torch.Size([2, 7, 5]), torch.Size([2, 5]))
    """

    input_names = ("weight_ih", "bias")

    def __init__(
        self, input_size: int, hidden_size: int, dt: float = 0.042, gamma: float = 2.7, epsilon: float = 4.7
    ) -> None:
        super().__init__()
        self.input_size = input_size
        self.hidden_size = at_least_1(hidden_size, "hidden_size")
        self.dt = positive(dt, "dt")
        self.gamma = positive(gamma, "gamma")
        self.epsilon = positive(epsilon, "epsilon")
        growth = dt * (dt * gamma + 2 * epsilon)
        require(
            growth < 4, f"dt * (dt * gamma + 2 * epsilon) must be less than 4, got {growth:.3g}: choose a smaller dt"
        )
        bound = 1 / math.sqrt(input_size + 2 * hidden_size)
        self.weight_ih = nn.Parameter(torch.empty(hidden_size, input_size).uniform_(-bound, bound))
        self.weight_hh = nn.Parameter(torch.empty(hidden_size, 2 * hidden_size).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(hidden_size).uniform_(-bound, bound))

    def forward(self, inputs: Tensor, state: State = None) -> tuple[Tensor, State]:
        """Run the layer over a batch of sequences; the class documents the state."""
        input_terms = affine(inputs.transpose(0, 1).flatten(0, 1), self.weight_ih, self.bias)
        # The changes of one step are too small for half precision.
        precise = torch.promote_types(input_terms.dtype, torch.float32)
        weight = self.weight_hh.to(precise).t().contiguous()
        start = (inputs.new_zeros(len(inputs), self.hidden_size),) * 2 if state is None else state
        y, z = (part.to(precise) for part in start)
        outputs = []
        with torch.autocast(inputs.device.type, enabled=False):
            for step_terms in input_terms.to(precise).view(inputs.shape[1], *y.shape).unbind(0):
                drive = torch.tanh(torch.addmm(step_terms, torch.cat([y, z], 1), weight))
                z = (1 - self.dt * self.epsilon) * z + self.dt * (drive - self.gamma * y)
                y = y + self.dt * z
                outputs.append(y)
        return torch.stack(outputs, 1).to(input_terms.dtype), (y, z)

    def recurrent_weights(self) -> dict[str, Tensor]:
        """Return W_y and W_z as ``weight_hh/y`` and ``weight_hh/z``, views of ``weight_hh``."""
        position, velocity = self.weight_hh.chunk(2, 1)
        return {"weight_hh/y": position, "weight_hh/z": velocity}

    def input_weights(self) -> list[Tensor]:
        """Return V, ``(hidden_size, input_size)``."""
        return [self.weight_ih]

    def eigenvalues(self, inputs: Tensor) -> dict[str, Tensor]:
        """Return the eigenvalues of the step ``(y, z) -> (y, z)`` where tanh has slope 1, ``(2 hidden_size,)``."""
        identity = torch.eye(self.hidden_size, dtype=torch.float64)
        w_y, w_z = (block.detach().cpu().double() for block in self.recurrent_weights().values())
        z_row = torch.cat(
            [self.dt * (w_y - self.gamma * identity), identity + self.dt * (w_z - self.epsilon * identity)], 1
        )
        y_row = torch.cat([identity, torch.zeros_like(identity)], 1) + self.dt * z_row
        return {"oscillators": torch.linalg.eigvals(torch.cat([y_row, z_row]))}
