"""The linear recurrent unit."""

import math
from typing import Any

import torch
from torch import Tensor, nn

from rnn_tasks.cores.bounds import at_least_1, positive
from rnn_tasks.cores.core import Core, as_eigenvalues
from rnn_tasks.cores.linear_scan import at_least_single, complex_from_pairs, linear_scan, pairs_from_complex
from rnn_tasks.cores.state import State
from rnn_tasks.errors import UsageError


class LRU(Core):
    """The linear recurrent unit: a complex diagonal recurrence; ``*`` is elementwise.

    - ``lambda = exp(-exp(nu) + i exp(theta))``, the eigenvalues, all inside the unit circle
    - ``h_t = lambda * h_{t-1} + exp(gamma) * (B x_t)``, the complex state
    - ``y_t = Re(C h_t) + D x_t``, the output

    The state is ``(batch, 2 * num_states)``: the real and the imaginary part of each number, one after the other. All
    parameters are real: ``nu_log``, ``theta_log`` and ``gamma_log (num_states,)`` hold nu, theta and gamma;
    ``weight_in (2 * num_states, input_size)`` has the rows ``Re B_1, Im B_1, Re B_2, ...``;
    ``weight_out (hidden_size, 2 * num_states)`` has the columns ``Re C_1, -Im C_1, Re C_2, ...``; ``skip`` is the
    diagonal of D, or the matrix D if ``input_size`` differs from ``hidden_size``.

    The eigenvalues start uniformly distributed in the ring ``r_min <= |lambda| <= r_max`` of the complex plane, with
    phases between 0 and ``max_phase``. Gamma starts at ``log(sqrt(1 - |lambda|^2))``, so that the state keeps the size
    of ``B x_t``. B, C and D start normal with variances ``1 / (2 input_size)``, ``1 / num_states`` and, for a diagonal,
    1, for a matrix, ``1 / input_size``.

    Source: A. Orvieto, S. L. Smith, A. Gu, A. Fernando, C. Gulcehre, R. Pascanu and S. De, "Resurrecting recurrent
    neural networks for long sequences", 2023, https://arxiv.org/abs/2303.06349. The authors train nu, theta, gamma and
    B with a smaller learning rate than C and D (``recurrent_lr_factor`` of a model changes that of nu, theta and gamma
    only), and for long dependencies start with ``r_min=0.9`` or more and ``max_phase=0.314``.

    Args:
        input_size: Features per time step.
        hidden_size: Features of the output, ``>= 1``.
        num_states: Complex numbers of the state, ``>= 1``; None for ``hidden_size``.
        r_min: Smallest initial ``|lambda|``, ``0 <= r_min < r_max``.
        r_max: Largest initial ``|lambda|``, ``r_max <= 1``.
        max_phase: Largest initial phase in radians, ``> 0``.

    Raises:
        UsageError: A value is outside its bounds.

    Example:
        >>> outputs, state = LRU(input_size=3, hidden_size=5, num_states=4)(torch.zeros(2, 7, 3))
        >>> outputs.shape, state.shape
        (torch.Size([2, 7, 5]), torch.Size([2, 8]))
    """

    recurrent_names = ("nu_log", "theta_log", "gamma_log")
    input_names = ("weight_in", "skip")

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_states: int | None = None,
        r_min: float = 0.0,
        r_max: float = 1.0,
        max_phase: float = 2 * math.pi,
    ) -> None:
        super().__init__()
        if not 0 <= r_min < r_max <= 1:
            raise UsageError(f"r_min and r_max must satisfy 0 <= r_min < r_max <= 1, got {r_min} and {r_max}")
        self.input_size = input_size
        self.hidden_size = at_least_1(hidden_size, "hidden_size")
        self.num_states = hidden_size if num_states is None else at_least_1(num_states, "num_states")
        # The ends are left out: log(0) is infinite. In single precision, numbers close to 1 would be rounded to 1.
        squares, phases = torch.empty(2, self.num_states, dtype=torch.float64).uniform_(1e-6, 1 - 1e-6)
        dtype = torch.get_default_dtype()
        nu = -torch.log(squares * (r_max**2 - r_min**2) + r_min**2) / 2
        self.nu_log = nn.Parameter(nu.log().to(dtype))
        self.theta_log = nn.Parameter(torch.log(positive(max_phase, "max_phase") * phases).to(dtype))
        self.gamma_log = nn.Parameter(torch.log(-torch.expm1(-2 * nu)).to(dtype) / 2)
        self.weight_in = nn.Parameter(torch.randn(2 * self.num_states, input_size) / math.sqrt(2 * input_size))
        self.weight_out = nn.Parameter(torch.randn(hidden_size, 2 * self.num_states) / math.sqrt(self.num_states))
        if input_size == hidden_size:
            self.skip = nn.Parameter(torch.randn(hidden_size))
        else:
            self.skip = nn.Parameter(torch.randn(hidden_size, input_size) / math.sqrt(input_size))

    def forward(self, inputs: Tensor, state: Any = None) -> tuple[Tensor, State]:
        """Run the layer over a batch of sequences; the class documents the state."""
        batch, time = inputs.shape[:2]
        rows = inputs.transpose(0, 1).flatten(0, 1)  # time first, as in the scan
        scale = self.gamma_log.exp().repeat_interleave(2)[:, None]
        terms = rows @ (scale * self.weight_in).t().contiguous()
        start = None if state is None else complex_from_pairs(state)
        states = linear_scan(self._diagonal(), complex_from_pairs(terms.view(time, batch, 2 * self.num_states)), start)
        pairs = pairs_from_complex(states)
        skipped = rows * self.skip if self.skip.ndim == 1 else rows @ self.skip.t().contiguous()
        outputs = torch.addmm(skipped, pairs.flatten(0, 1).to(rows.dtype), self.weight_out.t().contiguous())
        return outputs.view(time, batch, self.hidden_size).transpose(0, 1), pairs[-1]

    def input_weights(self) -> list[Tensor]:
        """Return B, as rows of real and imaginary parts, and D."""
        return [self.weight_in, self.skip]

    def eigenvalues(self, inputs: Tensor) -> dict[str, Tensor]:
        """Return lambda, ``(num_states,)``."""
        return {"diagonal": as_eigenvalues(self._diagonal())}

    def _diagonal(self) -> Tensor:
        nu, theta = at_least_single(self.nu_log).exp(), at_least_single(self.theta_log).exp()
        return torch.polar(torch.exp(-nu), theta)
