"""How far back in time the gradient reaches, during training."""

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from rnn_tasks.analysis.flow import affordable, gradient_by_lag, loss_unit
from rnn_tasks.callbacks._monitor import Monitor, add_picture
from rnn_tasks.errors import UsageError
from rnn_tasks.networks import Network
from rnn_tasks.plots.gradients import GradientMap, draw_gradient_maps
from rnn_tasks.plots.style import WIDE
from rnn_tasks.spec import Batch

MAX_COLUMNS = 300
"""Maximum number of measurements in a picture; beyond it, measurements close to others in time are dropped."""


def logged_lags(max_lag: int) -> list[int]:
    """Return the lags 0, 1, 2, 5, 10, 20, 50, ... up to the largest lag.

    Example:
        >>> logged_lags(24)
        [0, 1, 2, 5, 10, 20]
    """
    series = [0, *(digit * 10**power for power in range(len(str(max_lag))) for digit in (1, 2, 5))]
    return [lag for lag in series if lag <= max_lag]


def index_to_drop(steps: list[int]) -> int:
    """Return the index whose removal leaves the smallest gap; never the first or the last.

    Args:
        steps: At least three steps, increasing.

    Example:
        >>> index_to_drop([0, 10, 20, 22, 30])
        3
    """
    return min(range(1, len(steps) - 1), key=lambda index: steps[index + 1] - steps[index - 1])


class GradientLagMonitor(Monitor):
    """Logs how far back in time the gradient of the loss reaches.

    Measures :func:`rnn_tasks.analysis.gradient_by_lag` on the first validation sequences: the norm of the gradient of
    the last scored step's loss with respect to the state k steps earlier. Logs ``gradient_by_lag/0``,
    ``gradient_by_lag/1``, ``/2``, ``/5``, ``/10``, ... before training and after validations. In TensorBoard it draws
    all lags over all measurements so far.

    Args:
        every_n_validations: Validations between two measurements, ``>= 1``.
        max_lag: The largest lag to show, ``>= 1``; None for the whole sequence.
        num_sequences: The number of validation sequences to average over, ``>= 1``.
        first_picture_after: Validations before the first picture, ``>= 1``. Later pictures follow after 2, 4, 8, ...
            times as many validations; the last is drawn when training ends.
        optional: Whether to print one line and skip the monitor, instead of raising, if it does not support the layer.

    Raises:
        UsageError: A value outside its bounds, or a layer whose state is not made of tensors or is too large.
    """

    def __init__(
        self,
        every_n_validations: int = 1,
        max_lag: int | None = None,
        num_sequences: int = 8,
        first_picture_after: int = 5,
        optional: bool = False,
    ) -> None:
        super().__init__(every_n_validations, first_picture_after, num_sequences, optional)
        if max_lag is not None and max_lag < 1:
            raise UsageError(f"max_lag must be at least 1, got {max_lag}")
        self.max_lag = max_lag
        self.steps: list[int] = []
        self.norms = torch.empty(0)
        self.unit = "nats"

    def check_supported(self, network: Network, sequences: Batch) -> None:
        """Raise if the layer's state cannot be differentiated, or is too large."""
        gradient_by_lag(network, affordable(network, sequences))

    def measure(self, network: Network, sequences: Batch, step: int) -> dict[str, Tensor]:
        """Return the norms at some lags, and keep those at all lags for the picture."""
        norms = gradient_by_lag(network, affordable(network, sequences))
        self.unit = loss_unit(network.spec)
        norms = norms if self.max_lag is None else norms[: self.max_lag + 1]
        column = norms.log10().float()[None]
        if not self.steps or self.norms.shape[1] != len(norms) or step < self.steps[-1]:  # a new fit
            self.steps, self.norms = [step], column
        elif step > self.steps[-1]:
            self.steps, self.norms = [*self.steps, step], torch.cat([self.norms, column])
        if len(self.steps) > MAX_COLUMNS:
            dropped = index_to_drop(self.steps)
            self.steps = self.steps[:dropped] + self.steps[dropped + 1 :]
            self.norms = torch.cat([self.norms[:dropped], self.norms[dropped + 1 :]])
        return {f"gradient_by_lag/{lag}": norms[lag] for lag in logged_lags(len(norms) - 1)}

    def show(self, writer: SummaryWriter, step: int) -> None:
        """Draw all measurements so far."""
        if self.steps:
            title = "Norm of the gradient k time steps before the loss (dark: it has vanished)"
            maps = [(title, GradientMap(np.array(self.steps), self.norms.cpu().numpy()))]
            figure = draw_gradient_maps(maps, "lag k: steps before the loss", WIDE, self.unit)
            add_picture(writer, "gradient_by_lag", figure, step)

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "steps": self.steps, "norms": self.norms}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        self.steps, self.norms = state_dict["steps"], state_dict["norms"]
