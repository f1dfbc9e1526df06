"""How far back the gradient reaches, as the network learns."""

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from rnn_tasks.analysis import gradient_by_lag
from rnn_tasks.callbacks._monitor import Observer, add_picture
from rnn_tasks.errors import UsageError
from rnn_tasks.spec import Batch

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_COLUMNS = 300
"""A picture is not much wider; when there are more moments, those are forgotten that others are near to."""

DECADES = 12
"""Powers of ten from the darkest to the brightest colour; what has vanished below is dark."""


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


def draw_gradient_by_lag(steps: list[int], norms: Tensor) -> "Figure":
    """A map of the gradient over the lag, at several moments of a training.

    Args:
        steps: When, rising.
        norms: Logarithms to base 10, -inf for a gradient of 0, ``(moments, lags)``.
    """
    import numpy as np
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(7.5, 4.2))
    figure.subplots_adjust(left=0.1, right=1.0, bottom=0.13, top=0.91)
    axes = figure.subplots()
    first, last = steps[0], max(steps[-1], steps[0] + 1)
    # Moments may lie unevenly, and columns of a picture do not: each shows the moment nearest to it.
    nearest = np.abs(np.linspace(first, last, 400)[:, None] - np.array(steps)).argmin(1)
    values = norms[nearest].T.numpy()
    finite = values[np.isfinite(values)]
    high = float(finite.max()) if finite.size else 0.0
    low = max(float(finite.min()) if finite.size else -DECADES, high - DECADES)
    image = axes.imshow(
        np.maximum(values, low - 1),
        origin="lower",
        aspect="auto",
        interpolation="nearest",
        cmap="viridis",
        vmin=low,
        vmax=max(high, low + 1),
        extent=(first, last, -0.5, len(values) - 0.5),
    )
    axes.set_xlabel("optimizer step")
    axes.set_ylabel("lag k (time steps back from the loss)")
    axes.set_title("How much gradient comes back over k time steps (dark: it vanishes)")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    unit = "log10 of |dL_T / dh_(T-k)|, in nats per unit of h"
    figure.colorbar(image, label=unit, pad=0.03, extend="min" if (values < low).any() else "neither")
    return figure


class GradientLagMonitor(Observer):
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

    def refuse(self, model: Any, probe: Batch) -> None:
        """Refuse a state that gradients cannot be taken by."""
        gradient_by_lag(model, probe)

    def measure(self, model: Any, probe: Batch, step: int) -> dict[str, Tensor]:
        """The norms at some lags; those at all lags are kept for the picture."""
        norms = gradient_by_lag(model, probe)
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
            add_picture(board, "gradient_by_lag", draw_gradient_by_lag(self.steps, self.norms), step)

    def state_dict(self) -> dict[str, Any]:
        return {"steps": self.steps, "norms": self.norms}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.steps, self.norms = state_dict["steps"], state_dict["norms"]
