"""A state that is a matrix, along one sequence."""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rnn_tasks.plots.style import LINES, colour_bar, heat_map, integer_ticks, name_axes, panels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SMALL = 1.7
"""Smallest width of a panel in inches."""


class MatrixStates(NamedTuple):
    """The matrix that a layer carries as its state, along one sequence.

    Attributes:
        after: The numbers of time steps after which the matrix is shown, increasing, ``(shown,)``.
        matrices: The matrix after these steps, ``(shown, rows, columns)``.
        singular_values: The singular values after each step, in decreasing order, ``(time, min(rows, columns))``.
    """

    after: NDArray[np.int64]
    matrices: NDArray[np.float64]
    singular_values: NDArray[np.float64]


def draw_matrix_states(states: MatrixStates, width: float) -> "Figure":
    """Draw the matrix after some steps, and its singular values after each step.

    Args:
        states: The matrix along a sequence.
        width: The width of the picture in inches.
    """
    figure, axes = panels(width, len(states.after) + 1, height=2.5, min_width=SMALL)
    limit = float(np.abs(states.matrices).max())
    for ax, after, matrix in zip(axes, states.after, states.matrices, strict=False):
        image = heat_map(ax, matrix[::-1], -limit, limit)  # the first row at the top, as matrices are written
        ax.set(xticks=[], yticks=[])
        name_axes(ax, f"{matrix.shape[1]} columns", f"{matrix.shape[0]} rows", f"time step {after:,}")
    colour_bar(figure, image, axes[:-1], "value")
    time = np.arange(1, len(states.singular_values) + 1)
    axes[-1].plot(time, states.singular_values, color=LINES[0]["color"], linewidth=0.9)
    name_axes(axes[-1], "time step", "singular value", "all singular values")
    axes[-1].set_ylim(bottom=0)
    integer_ticks(axes[-1])
    return figure
