"""The hidden state along one sequence: by its principal components, and unit by unit."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rnn_tasks.analysis.trajectory import Trajectory
from rnn_tasks.plots.style import MAP, colour_bar, heat_map, name_axes, panels, symbols_below, whole
from rnn_tasks.spec.vocabulary import visible

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAMED = 24
"""Steps of a sequence up to which its symbols are written at the points."""


class TrainingTrajectory(NamedTuple):
    """Hidden states along one sequence at some moments of a training.

    Attributes:
        names: Of the moments.
        points: Along the first two principal components of the last moment, ``points`` is ``(moments, time, 2)``.
        read: The symbol of each step; empty if the task does not say.
    """

    names: list[str]
    points: Trajectory
    read: list[str]


class Units(NamedTuple):
    """Each unit along a sequence.

    Attributes:
        states: ``(time, hidden_size)``, the units in the order of their means.
        read: The symbol of each step; empty if the task does not say.
    """

    states: NDArray[np.float64]
    read: list[str]


def draw_trajectory(found: TrainingTrajectory, width: float) -> "Figure":
    """Draw the trajectory at each moment, seen from the same side.

    Args:
        found: The trajectory.
        width: Inches.
    """
    points = found.points.points
    figure, fields = panels(width, len(found.names), height=3.0, sharex=True, sharey=True, least=1.8)
    time = np.arange(points.shape[1])
    for field, name, path in zip(fields, found.names, points, strict=True):
        field.plot(*path.T, color="0.7", linewidth=0.7, zorder=1)
        drawn = field.scatter(path[:, 0], path[:, 1], c=time, cmap=MAP, s=14, edgecolor="0.3", linewidth=0.3, zorder=2)
        field.plot(*path[0], "o", color="none", markeredgecolor="black", markersize=9, zorder=3)
        share = [f"{value:.0%}" for value in found.points.explained[:2]]
        name_axes(field, f"PC 1 ({share[0]})", f"PC 2 ({share[1]})", name)
    if found.read and len(time) <= NAMED:
        beside: dict[str, Any] = {"xytext": (3, 3), "textcoords": "offset points", "fontsize": 7, "parse_math": False}
        for symbol, place in zip(map(visible, found.read), points[-1], strict=True):
            fields[-1].annotate(symbol, place, **beside)
    bar = figure.colorbar(drawn, ax=fields, pad=0.02)
    bar.ax.tick_params(labelsize=8)
    bar.set_label("time step", fontsize=9)
    return figure


def draw_units(found: Sequence[tuple[str, Units]], width: float) -> "Figure":
    """Draw a map of units by steps for each run.

    Args:
        found: Name and states of each run.
        width: Inches.
    """
    figure, fields = panels(width, len(found), height=2.6, least=width)
    far = max(float(np.abs(states).max()) for _, (states, _) in found)
    for field, (name, (states, read)) in zip(fields, found, strict=True):
        image = heat_map(field, states.T, -far, far)
        name_axes(field, "", "unit, sorted by mean", name if len(found) > 1 else "")
        symbols_below(field, read, width)
        whole(field, "y")
    colour_bar(figure, image, fields, "hidden state")
    return figure
