"""Saturation: the share of steps at which units are near their bounds."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rnn_tasks.plots.style import LINES, UNTRAINED, integer_ticks, legend_below, name_axes, panels
from rnn_tasks.runs.curves import Curve

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


class Saturation(NamedTuple):
    """Shares of time steps at which units are near their bounds.

    Attributes:
        trained: The share of each unit of the trained network, in descending order, ``(hidden_size,)``.
        untrained: The share of each unit of an untrained network, in descending order, ``(hidden_size,)``.
        over_training: The mean share of all units over training; None if it was not recorded.
    """

    trained: NDArray[np.float64]
    untrained: NDArray[np.float64]
    over_training: Curve | None


def draw_saturation(runs: Sequence[tuple[str, Saturation]], width: float) -> "Figure":
    """Draw the saturation of each unit, and the mean over training where it was recorded.

    Args:
        runs: The name and the saturation of each run.
        width: The width of the picture in inches.
    """
    curves = [(index, share.over_training) for index, (_, share) in enumerate(runs) if share.over_training is not None]
    figure, axes = panels(width, 2 if curves else 1, height=2.7)
    for index, (name, (trained, untrained, _)) in enumerate(runs):
        units = np.arange(1, len(trained) + 1)
        axes[0].plot(units, trained, **LINES[index], linewidth=1.8, label=name if len(runs) > 1 else "trained")
        axes[0].plot(units, untrained, **UNTRAINED, label="untrained" if index == len(runs) - 1 else None)
    name_axes(axes[0], "unit (most saturated first)", "share of time steps", "Saturation of each unit")
    for index, curve in curves:
        axes[1].plot(*curve, **LINES[index], linewidth=1.8)
    if curves:
        name_axes(axes[1], "optimizer steps", "share of time steps", "Mean saturation during training")
    for ax in axes:
        share_axis(ax)
    legend_below(figure, axes[0], width)
    return figure


def share_axis(ax: "Axes") -> None:
    """Set the vertical axis to run from 0 to at least 0.1, so that small shares look small."""
    ax.set_ylim(-0.02 * ax.get_ylim()[1], max(0.1, ax.get_ylim()[1]))
    integer_ticks(ax)
