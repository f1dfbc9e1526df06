"""Fixed points of a network: where they are among the states, and their eigenvalues."""

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rnn_tasks.analysis.fixed_points import FixedPoints
from rnn_tasks.analysis.trajectory import Trajectory
from rnn_tasks.plots.style import BASELINE, LINES, legend_below, name_axes, panels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STABLE: dict[str, Any] = {"marker": "o", "linestyle": "", "color": LINES[0]["color"], "markersize": 6}
UNSTABLE: dict[str, Any] = {"marker": "x", "linestyle": "", "color": LINES[1]["color"], "markersize": 6}


class PlacedPoints(NamedTuple):
    """Fixed points and states of sequences, in the coordinates of the principal components of the states.

    Attributes:
        found: The fixed points.
        points: Their coordinates, ``points.points`` is ``(points, 2 or 3)``.
        states: The states of the sequences, ``(sequences, time, 2 or 3)``.
    """

    found: FixedPoints
    points: Trajectory
    states: NDArray[np.float64]


def draw_fixed_points(placed: PlacedPoints, width: float) -> "Figure":
    """Draw fixed points among the states of sequences, and the eigenvalues of all fixed points.

    Args:
        placed: The fixed points and the states, along two or three principal components.
        width: The width of the picture in inches.
    """
    pairs = [(0, 1), (0, 2)][: placed.states.shape[-1] - 1]
    figure, axes = panels(width, len(pairs) + 1, height=2.7, min_width=2.2)
    for ax, pair in zip(axes, pairs, strict=False):
        draw_plane(ax, placed, pair)
    draw_circle(axes[-1], placed.found)
    legend_below(figure, axes[0], width)
    return figure


def draw_plane(ax: "Axes", placed: PlacedPoints, components: tuple[int, int]) -> None:
    """Draw states and fixed points along two principal components.

    Args:
        ax: The panel.
        placed: The fixed points and the states.
        components: The indices of the two components.
    """
    x, y = components
    for index, path in enumerate(placed.states):
        label = "states of test sequences" if index == 0 else None
        ax.plot(path[:, x], path[:, y], ".-", color="0.75", linewidth=0.4, markersize=2, label=label, zorder=1)
    is_stable = placed.found.is_stable
    for mask, style, label in (
        (is_stable, STABLE, "stable fixed point"),
        (~is_stable, UNSTABLE, "unstable fixed point"),
    ):
        if mask.any():
            ax.plot(placed.points.points[mask, x], placed.points.points[mask, y], **style, label=label, zorder=3)
    shares = placed.points.explained
    name_axes(ax, f"PC {x + 1} ({shares[x]:.0%})", f"PC {y + 1} ({shares[y]:.0%})")


def draw_circle(ax: "Axes", found: FixedPoints) -> None:
    """Draw the eigenvalues of stable and unstable fixed points, and the unit circle.

    Args:
        ax: The panel.
        found: The fixed points.
    """
    from matplotlib.patches import Circle

    ax.add_patch(Circle((0, 0), 1, fill=False, **BASELINE))
    for mask, style in ((found.is_stable, STABLE), (~found.is_stable, UNSTABLE)):
        values = found.eigenvalues[mask].ravel()
        ax.plot(values.real, values.imag, **{**style, "markersize": 3}, alpha=0.7)
    ax.set_aspect("equal", adjustable="datalim")
    name_axes(ax, "real part", "imaginary part", "Eigenvalues")
