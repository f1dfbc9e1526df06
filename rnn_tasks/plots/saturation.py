"""Saturation: how often units are near their bounds."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rnn_tasks.plots.style import LINES, UNTRAINED, legend_below, name_axes, panels, whole
from rnn_tasks.runs.tensorboard_log import Curve

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


class Saturation(NamedTuple):
    """How often units are near their bounds.

    Attributes:
        trained: Of each unit, from large to small, ``(hidden_size,)``.
        untrained: The same of an untrained network.
        over_training: Share of the whole layer; None if it was not recorded.
    """

    trained: NDArray[np.float64]
    untrained: NDArray[np.float64]
    over_training: Curve | None


def draw_saturation(found: Sequence[tuple[str, Saturation]], width: float) -> "Figure":
    """Draw the saturation of the units, and of the layer over training where that is known.

    Args:
        found: Name and saturation of each run.
        width: Inches.
    """
    curves = [(index, known.over_training) for index, (_, known) in enumerate(found) if known.over_training is not None]
    figure, fields = panels(width, 2 if curves else 1, height=2.7)
    for index, (name, (trained, untrained, _)) in enumerate(found):
        units = np.arange(1, len(trained) + 1)
        fields[0].plot(units, trained, **LINES[index], linewidth=1.8, label=name if len(found) > 1 else "trained")
        fields[0].plot(units, untrained, **UNTRAINED, label="untrained" if index == len(found) - 1 else None)
    name_axes(fields[0], "unit, from the most saturated", "share of the steps", "Unit by unit")
    for index, curve in curves:
        fields[1].plot(*curve, **LINES[index], linewidth=1.8)
    if curves:
        name_axes(fields[1], "optimizer steps", "share of all states", "Whole layer over training")
    for field in fields:
        share_axis(field)
    legend_below(figure, fields[0], width)
    return figure


def share_axis(field: "Axes") -> None:
    """Show an axis from 0 to at least 0.1, so that a tiny share looks tiny."""
    field.set_ylim(-0.02 * field.get_ylim()[1], max(0.1, field.get_ylim()[1]))
    whole(field)
