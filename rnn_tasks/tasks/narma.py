"""NARMA-10: predict a nonlinear system of order ten from its random input."""

from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple, Self

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from rnn_tasks.errors import require
from rnn_tasks.spec import Baseline, Batch, Plateau, TaskSpec
from rnn_tasks.tasks.generated import GeneratedTask
from rnn_tasks.tasks.linear_prediction import estimation_sequences, linear_loss, mean_loss

ORDER = 10
DIVERGED = 2.0  # the system rarely exceeds 1.02, and what exceeds this number grows without bound
LONGEST = 10_000  # 4 % of sequences of this length diverge
NUM_INPUTS = (10, 40)  # of the linear regressions
SOLVED_SHARE = 0.05


def narma(inputs: Tensor) -> Tensor:
    """Return the states of the system NARMA-10, which starts at rest, one step after each input.

    ::

        y[t+1] = 0.3 y[t] + 0.05 y[t] (y[t] + y[t-1] + ... + y[t-9]) + 1.5 u[t-9] u[t] + 0.1

        time      0     1     2     3
        input     u[0]  u[1]  u[2]  u[3]
        target    y[1]  y[2]  y[3]  y[4]     u and y are 0 before step 0, and y[0] = 0

    Args:
        inputs: u, ``(batch, time)``, in 0..0.5.

    Returns:
        y, with the same shape. Some sequences may diverge to infinity.
    """
    delayed = functional.pad(inputs, (ORDER - 1, 0))[:, : inputs.shape[1]]
    # The loop is in NumPy, whose operations on a few numbers cost a fifth of torch's.
    drive = np.ascontiguousarray((1.5 * delayed * inputs + 0.1).numpy().T)
    states = np.zeros((ORDER + len(drive), len(inputs)), drive.dtype)  # the first rows are the states up to step 0
    with np.errstate(over="ignore", invalid="ignore"):  # of sequences that diverge
        for step, value in enumerate(drive):
            last = states[step : step + ORDER]
            states[step + ORDER] = last[-1] * (0.3 + 0.05 * last.sum(0)) + value
    return torch.from_numpy(states[ORDER:].T.copy())


def draw(num_sequences: int, length: int, washout: int, generator: torch.Generator) -> Batch:
    """Draw sequences of NARMA-10 whose first ``washout`` steps are not scored; sequences that diverge are redrawn."""
    inputs = torch.rand(num_sequences, length, generator=generator) / 2
    states = narma(inputs)
    while (diverged := (states > DIVERGED).any(1)).any():
        inputs[diverged] = torch.rand(int(diverged.sum()), length, generator=generator) / 2
        states[diverged] = narma(inputs[diverged])
    targets = states.clone()
    targets[:, :washout] = torch.nan
    return Batch(inputs[..., None], targets[..., None])


class Losses(NamedTuple):
    """Mean squared errors of simple predictors.

    Attributes:
        mean: The best constant.
        linear: The best linear functions of the last inputs, for each number in ``NUM_INPUTS``.
    """

    mean: float
    linear: tuple[float, ...]


@cache
def estimated_losses(length: int, washout: int) -> Losses:
    """Estimate the losses of simple predictors from a fixed sample, in about half a second."""
    batch = draw(estimation_sequences(length - washout), length, washout, torch.Generator().manual_seed(0))
    return Losses(mean_loss(batch), tuple(linear_loss(batch, number) for number in NUM_INPUTS))


class Narma(GeneratedTask):
    """Predict the system NARMA-10 one step ahead, from its random input.

    The name means nonlinear autoregressive moving average. The network reads the input u[t], uniform in 0..0.5, and
    must return y[t+1], which depends on the last ten states and on the product of two inputs nine steps apart::

        y[t+1] = 0.3 y[t] + 0.05 y[t] (y[t] + y[t-1] + ... + y[t-9]) + 1.5 u[t-9] u[t] + 0.1

    Each sequence starts at rest, and its first steps are not scored. A sequence diverges with a probability of about
    0.00001 per step, and is then drawn again. The score is the mean squared error. The share of the baseline is the
    normalized error, NMSE; its square root is NRMSE.

    The baseline and the references have no closed form. They are estimates from up to 2,000 fixed sequences, with a
    standard error of about 1 %. The linear regressions read the last 10 or 40 inputs and reach an NMSE of about 0.33
    and 0.15. The task counts as solved at an NMSE of 0.05, a third of the error of the better regression. Within 1,500
    batches of 32 sequences, GRUs with 64 units reach 0.004 to 0.04; the usual 0.01 of tasks with real values is not
    within reach of all of them.

    Published errors are comparable only for the same definition. reservoirpy (0.4) sums the states before y[t] and
    multiplies by u[t-10], so its "order 10" is another system.

    Args:
        length: Number of steps, ``washout < length <= 10000``.
        washout: Number of steps at the start that are not scored, ``>= 0``.
        options: Options of :class:`GeneratedTask`. ``eval_lengths`` are numbers of steps.

    Raises:
        UsageError: A value is out of bounds.

    References:
        A. F. Atiya and A. G. Parlos, "New results on recurrent network training: unifying the algorithms and
        accelerating convergence", IEEE Transactions on Neural Networks 11(3), 2000 (https://doi.org/10.1109/72.846741).

    Example:
        >>> task = Narma(length=50, washout=20, batch_size=3)
        >>> task.train_batch(0).scored.sum().item()
        90
    """

    def __init__(self, length: int = 130, washout: int = 30, **options: Any) -> None:
        super().__init__(**options)
        require(washout >= 0, f"washout must be at least 0, got {washout}")
        self.washout = washout
        self._check_length("length", length)
        self.length = length
        self.training_length = length

    def _check_length(self, name: str, length: int) -> None:
        require(
            self.washout < length <= LONGEST,
            f"{name} must be above washout ({self.washout}) and at most {LONGEST}, got {length}",
        )

    @property
    def spec(self) -> TaskSpec:
        """The input is one number, and the output is one number."""
        return TaskSpec(1, 1, real_inputs=True, real_targets=True)

    @property
    def baseline(self) -> Baseline:
        """A predictor that always returns the mean state; an estimate."""
        return Baseline(estimated_losses(self.length, self.washout).mean, name="mean")

    @property
    def plateaus(self) -> tuple[Plateau, ...]:
        """Linear regressions on the last inputs; estimates."""
        losses = estimated_losses(self.length, self.washout).linear
        names = [f"linear in the last {number} inputs" for number in NUM_INPUTS]
        return tuple(Plateau(name, loss, kind="reference") for name, loss in zip(names, losses, strict=True))

    def at_length(self, length: int) -> Self:
        """Return this task with sequences of one length, in steps."""
        self._check_length("eval_lengths", length)
        return self.changed(length=length)

    def solved(self, metrics: Mapping[str, float], stage: str = "val", threshold: float = 1 - SOLVED_SHARE) -> bool:
        """Return whether the normalized error is low enough, by default at most 0.05.

        Args:
            metrics: Metrics by name, including ``<stage>/loss_share``.
            stage: ``val`` or ``test``.
            threshold: The error must be at most ``1 - threshold`` of the error of the baseline.
        """
        return super().solved(metrics, stage, threshold)

    def sample(self, num_sequences: int, split: str, generator: torch.Generator) -> Batch:
        """Draw random inputs."""
        return draw(num_sequences, self.length, self.washout, generator)
