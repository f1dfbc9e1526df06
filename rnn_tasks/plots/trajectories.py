"""The hidden state along one sequence: its principal components and its units."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rnn_tasks.analysis.trajectory import Trajectory
from rnn_tasks.plots.style import MAP, colour_bar, heat_map, integer_ticks, name_axes, panels, symbols_below
from rnn_tasks.spec.vocabulary import visible

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_LABELLED = 24
"""Points are labelled with their symbols if the sequence has at most this many steps."""


class TrainingTrajectory(NamedTuple):
    """Hidden states along one sequence at several steps of a training.

    Attributes:
        names: The title of each snapshot.
        points: The states along the first two principal components of the last snapshot; ``points.points`` is
            ``(snapshots, time, 2)``.
        read: The input symbol of each step; empty if the task has no printed form of its symbols.
    """

    names: list[str]
    points: Trajectory
    read: list[str]


class Units(NamedTuple):
    """The hidden states along a sequence.

    Attributes:
        states: The hidden states, ``(time, hidden_size)``, the units sorted by their means.
        read: The input symbol of each step; empty if the task has no printed form of its symbols.
    """

    states: NDArray[np.float64]
    read: list[str]


def draw_trajectory(trajectory: TrainingTrajectory, width: float) -> "Figure":
    """Draw the trajectory of each snapshot along the same two directions.

    Args:
        trajectory: The trajectory.
        width: The width of the picture in inches.
    """
    points = trajectory.points.points
    figure, axes = panels(width, len(trajectory.names), height=3.0, sharex=True, sharey=True, min_width=1.8)
    time = np.arange(points.shape[1])
    for ax, name, path in zip(axes, trajectory.names, points, strict=True):
        ax.plot(*path.T, color="0.7", linewidth=0.7, zorder=1)
        drawn = ax.scatter(path[:, 0], path[:, 1], c=time, cmap=MAP, s=14, edgecolor="0.3", linewidth=0.3, zorder=2)
        ax.plot(*path[0], "o", color="none", markeredgecolor="black", markersize=9, zorder=3)
        share = [f"{value:.0%}" for value in trajectory.points.explained[:2]]
        name_axes(ax, f"PC 1 ({share[0]})", f"PC 2 ({share[1]})", name)
    if trajectory.read and len(time) <= MAX_LABELLED:
        style: dict[str, Any] = {"xytext": (3, 3), "textcoords": "offset points", "fontsize": 7, "parse_math": False}
        for symbol, point in zip(map(visible, trajectory.read), points[-1], strict=True):
            axes[-1].annotate(symbol, point, **style)
    bar = figure.colorbar(drawn, ax=axes, pad=0.02)
    bar.ax.tick_params(labelsize=8)
    bar.set_label("time step", fontsize=9)
    return figure


def draw_units(runs: Sequence[tuple[str, Units]], width: float) -> "Figure":
    """Draw a heat map of units by time steps for each run.

    Args:
        runs: The name and the hidden states of each run.
        width: The width of the picture in inches.
    """
    figure, axes = panels(width, len(runs), height=2.6, min_width=width)
    largest = max(float(np.abs(states).max()) for _, (states, _) in runs)
    for ax, (name, (states, symbols)) in zip(axes, runs, strict=True):
        image = heat_map(ax, states.T, -largest, largest)
        name_axes(ax, "", "unit (sorted by mean)", name if len(runs) > 1 else "")
        symbols_below(ax, symbols, width)
        integer_ticks(ax, "y")
    colour_bar(figure, image, axes, "hidden state")
    return figure
