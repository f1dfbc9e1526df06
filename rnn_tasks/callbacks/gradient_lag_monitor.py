"""How far back the gradient reaches, as the network learns."""

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from rnn_tasks.analysis import gradient_by_lag
from rnn_tasks.callbacks._monitor import Monitor, add_picture
from rnn_tasks.errors import UsageError
from rnn_tasks.networks import Network
from rnn_tasks.plots.gradients import GradientMap, draw_gradient_maps
from rnn_tasks.plots.style import WIDE
from rnn_tasks.spec import Batch

MAX_COLUMNS = 300
"""A picture is not much wider; when there are more moments, those are forgotten that others are near to."""


def logged_lags(max_lag: int) -> list[int]:
    """0, 1, 2, 5, 10, 20, 50, ... up to the largest lag.

    Example:
        >>> logged_lags(24)
        [0, 1, 2, 5, 10, 20]
    """
    series = [0, *(digit * 10**power for power in range(len(str(max_lag))) for digit in (1, 2, 5))]
    return [lag for lag in series if lag <= max_lag]


def least_missed(steps: list[int]) -> int:
    """The index of the moment whose neighbours are nearest one another; neither the first nor the last.

    Args:
        steps: At least three moments, rising.

    Example:
        >>> least_missed([0, 10, 20, 22, 30])
        3
    """
    return min(range(1, len(steps) - 1), key=lambda index: steps[index + 1] - steps[index - 1])


class GradientLagMonitor(Monitor):
    """Shows how far back the loss of one step can see, as the network learns.

    On the first validation sequences it measures :func:`rnn_tasks.analysis.gradient_by_lag`: the length of the gradient
    of the last scored step's loss by the state k steps before. Logged before training and after validations as
    ``gradient_by_lag/0``, ``gradient_by_lag/1``, ``/2``, ``/5``, ``/10``, ...; in TensorBoard a picture of all lags
    over all moments so far.

    Args:
        every_n_validations: Validations between two measurements, ``>= 1``.
        max_lag: The largest lag that is shown, ``>= 1``; None for all of the sequence.
        num_sequences: Sequences that the mean is over, ``>= 1``.
        first_picture_after: Validations before the first picture, ``>= 1``; the next ones come after twice, four times,
            ... as many, and one when training ends.
        optional: Whether a network without it is trained all the same, and not refused.

    Raises:
        UsageError: A value outside its bounds, or a layer whose state is not made of tensors.
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

    def check_supported(self, network: Network, probe: Batch) -> None:
        """Refuse a state that gradients cannot be taken by."""
        gradient_by_lag(network, probe)

    def measure(self, network: Network, probe: Batch, step: int) -> dict[str, Tensor]:
        """The norms at some lags; those at all lags are kept for the picture."""
        norms = gradient_by_lag(network, probe)
        norms = norms if self.max_lag is None else norms[: self.max_lag + 1]
        column = norms.log10().float()[None]
        if not self.steps or self.norms.shape[1] != len(norms) or step < self.steps[-1]:  # a fit of its own
            self.steps, self.norms = [step], column
        elif step > self.steps[-1]:
            self.steps, self.norms = [*self.steps, step], torch.cat([self.norms, column])
        if len(self.steps) > MAX_COLUMNS:
            missed = least_missed(self.steps)
            self.steps = self.steps[:missed] + self.steps[missed + 1 :]
            self.norms = torch.cat([self.norms[:missed], self.norms[missed + 1 :]])
        return {f"gradient_by_lag/{lag}": norms[lag] for lag in logged_lags(len(norms) - 1)}

    def show(self, board: SummaryWriter, step: int) -> None:
        """Draw all moments."""
        if self.steps:
            title = "How much gradient comes back over k time steps (dark: it vanishes)"
            found = [(title, GradientMap(np.array(self.steps), self.norms.cpu().numpy()))]
            figure = draw_gradient_maps(found, "lag k: steps back from the loss", WIDE)
            add_picture(board, "gradient_by_lag", figure, step)

    def state_dict(self) -> dict[str, Any]:
        return {"steps": self.steps, "norms": self.norms}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.steps, self.norms = state_dict["steps"], state_dict["norms"]
