"""Mackey-Glass: predict a chaotic series that depends on its own past."""

import math
from functools import cache
from typing import Any, NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rnn_tasks.errors import require
from rnn_tasks.spec import Baseline, Batch, Plateau, TaskSpec
from rnn_tasks.tasks.generated import GeneratedTask
from rnn_tasks.tasks.linear_prediction import estimation_sequences, linear_loss, mean_loss

FEEDBACK, DECAY = 0.2, 0.1
SUBSTEPS = 4  # of the solver, in one unit of time
TRANSIENT = 300  # units of time that are dropped
OFFSETS = (
    100  # a sequence starts at one of so many units of time after the transient; the series has a cycle of about 50
)
NUM_INPUTS = 40  # of the linear regression


def mackey_glass(past: Tensor, num_steps: int) -> Tensor:
    """Return the solution of the Mackey-Glass equation at the times 0, 1, ..., num_steps - 1.

    ::

        x'(t) = 0.2 x(t - tau) / (1 + x(t - tau)^10) - 0.1 x(t)

    The solver uses the method of steps: for the next tau units of time the delayed term is known, and the equation is
    linear. The delayed term is interpolated linearly between the steps of the solver.

    Args:
        past: x from -tau to 0, ``(batch, tau * SUBSTEPS + 1)``, in steps of 1 / ``SUBSTEPS``.
        num_steps: Number of values, ``>= 1``.

    Returns:
        x, ``(batch, num_steps)``.
    """
    size = past.shape[1] - 1
    step = np.arange(size)
    decay = math.exp(-DECAY / SUBSTEPS)
    powers = decay ** (step + 1)
    weight = (1 - decay) / DECAY / 2  # of the two ends of the delayed term during one step
    # Row i, column j: what the term of step i adds to the value after step j.
    response = weight * np.tril(decay ** np.abs(step[:, None] - step)).T
    # The loop is in NumPy, whose operations on a few numbers cost less than torch's.
    values = past.numpy()
    solution = [values[:, -1:]]
    for _ in range(math.ceil((num_steps - 1) * SUBSTEPS / size)):
        delayed = FEEDBACK * values / (1 + tenth_power(values))
        after = values[:, -1:] * powers + (delayed[:, :-1] + delayed[:, 1:]) @ response
        values = np.concatenate([values[:, -1:], after], 1)
        solution.append(after)
    return torch.from_numpy(np.concatenate(solution, 1)[:, ::SUBSTEPS][:, :num_steps])


def tenth_power(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ``values ** 10`` by four multiplications, which take a tenth of the time."""
    square: NDArray[np.float64] = values * values
    fourth = square * square
    return fourth * fourth * square


def prediction(series: Tensor, horizon: int, washout: int) -> tuple[Tensor, Tensor]:
    """Return inputs and targets of the prediction of a series.

    ::

        time      0     1     2     3
        input     x(0)  x(1)  x(2)  x(3)
        target    .     .     x(4)  x(5)     horizon = 2, washout = 2; '.' is not scored

    Args:
        series: ``(batch, time + horizon)``.
        horizon: Number of steps from the last input to the target, ``>= 1``.
        washout: Number of steps at the start that are not scored.

    Returns:
        Inputs and targets, ``(batch, time, 1)``.
    """
    targets = series[:, horizon:].clone()
    targets[:, :washout] = torch.nan
    return series[:, :-horizon, None], targets[..., None]


def draw(num_sequences: int, length: int, tau: int, horizon: int, washout: int, generator: torch.Generator) -> Batch:
    """Draw sequences of the Mackey-Glass equation: from random constants before time 0, starting at random times."""
    start = 0.5 + torch.rand(num_sequences, 1, generator=generator, dtype=torch.float64)
    offset = TRANSIENT + torch.randint(0, OFFSETS, (num_sequences, 1), generator=generator)
    num_steps = length + horizon
    series = mackey_glass(start.expand(-1, tau * SUBSTEPS + 1), TRANSIENT + OFFSETS + num_steps)
    series = series.gather(1, offset + torch.arange(num_steps)).float()
    return Batch(*prediction(series, horizon, washout))


class Losses(NamedTuple):
    """Mean squared errors of simple predictors.

    Attributes:
        mean: The best constant.
        persistence: The current value.
        linear: The best linear function of the last ``NUM_INPUTS`` values.
    """

    mean: float
    persistence: float
    linear: float


@cache
def estimated_losses(length: int, tau: int, horizon: int, washout: int) -> Losses:
    """Estimate the losses of simple predictors from a fixed sample, in about half a second."""
    batch = draw(
        estimation_sequences(length - washout), length, tau, horizon, washout, torch.Generator().manual_seed(0)
    )
    persistence = (batch.inputs - batch.targets)[batch.scored].double().square().mean()
    return Losses(mean_loss(batch), float(persistence), linear_loss(batch, NUM_INPUTS))


class MackeyGlass(GeneratedTask):
    """Predict the Mackey-Glass series, some steps ahead.

    The series is chaotic. It solves a differential equation with a delay of tau units of time::

        x'(t) = 0.2 x(t - tau) / (1 + x(t - tau)^10) - 0.1 x(t)

    The network reads x(t) once per unit of time and must return x(t + horizon). Each sequence is another part of the
    attractor. The first steps are not scored: they have too little past. The score is the mean squared error. The share
    of the baseline is the normalized error, NMSE; its square root is NRMSE.

    The baseline and the references have no closed form. They are estimates from up to 2,000 fixed sequences, with a
    standard error of about 1 %. For tau = 17, persistence (the current value as the answer) has an NMSE of 0.02 at a
    horizon of 1, and 2.6 at a horizon of 15, where the mean is the better answer. A linear regression on the last 40
    values reaches 0.24 at a horizon of 15. The task counts as solved at an NMSE of 0.01, the line of all tasks with
    real values: far below the linear regression, and above the 0.003 or so of a GRU with 64 units after 300 batches of
    32 sequences. At a horizon of 1 this line says little: there, the linear regression is almost perfect.

    Published errors are comparable only for the same series. reservoirpy (0.4) holds the delayed term during a whole
    unit of time, and its Runge-Kutta step is 3 % too short.

    Args:
        length: Number of steps, ``> washout``.
        horizon: Number of steps from the last input to the target, ``>= 1``.
        tau: Delay of the equation in units of time, ``>= 1``; the series is chaotic from about 17.
        washout: Number of steps at the start that are not scored, ``>= 0``.
        options: Options of :class:`GeneratedTask`. ``eval_lengths`` are numbers of steps.

    Raises:
        UsageError: A value is out of bounds.

    References:
        M. C. Mackey and L. Glass, "Oscillation and chaos in physiological control systems", Science 197, 1977
        (https://doi.org/10.1126/science.267326). As a task for recurrent networks, with a horizon of 15: A. Voelker,
        I. Kajić and C. Eliasmith, "Legendre memory units: continuous-time representation in recurrent neural networks",
        NeurIPS 2019 (https://github.com/nengo/keras-lmu).

    Example:
        >>> task = MackeyGlass(length=60, washout=40, batch_size=3)
        >>> task.train_batch(0).scored.sum().item()
        60
    """

    def __init__(self, length: int = 140, horizon: int = 15, tau: int = 17, washout: int = 40, **options: Any) -> None:
        super().__init__(**options)
        require(horizon >= 1, f"horizon must be at least 1, got {horizon}")
        require(tau >= 1, f"tau must be at least 1, got {tau}")
        require(washout >= 0, f"washout must be at least 0, got {washout}")
        require(length > washout, f"length must be above washout ({washout}), got {length}")
        self.length = length
        self.training_length = length
        self.horizon = horizon
        self.tau = tau
        self.washout = washout

    @property
    def spec(self) -> TaskSpec:
        """The input is one number, and the output is one number."""
        return TaskSpec(1, 1, real_inputs=True, real_targets=True)

    @property
    def _losses(self) -> Losses:
        return estimated_losses(self.length, self.tau, self.horizon, self.washout)

    @property
    def baseline(self) -> Baseline:
        """A predictor that always returns the mean of the series; an estimate."""
        return Baseline(self._losses.mean, name="mean")

    @property
    def plateaus(self) -> tuple[Plateau, ...]:
        """Persistence, and a linear regression on the last values; estimates."""
        return (
            Plateau("persistence", self._losses.persistence, kind="reference"),
            Plateau(f"linear in the last {NUM_INPUTS} values", self._losses.linear, kind="reference"),
        )

    def at_length(self, length: int) -> Self:
        """Return this task with sequences of one length, in steps."""
        require(length > self.washout, f"eval_lengths must be above washout ({self.washout}), got {length}")
        return self.changed(length=length)

    def sample(self, num_sequences: int, split: str, generator: torch.Generator) -> Batch:
        """Draw random parts of the series."""
        return draw(num_sequences, self.length, self.tau, self.horizon, self.washout, generator)
