"""A state that is a matrix, along one sequence."""

import textwrap
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rnn_tasks.plots.style import LINES, colour_bar, heat_map, integer_ticks, name_axes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CURVES = 1.6
"""Height of the panel of singular values in inches."""


class MatrixStates(NamedTuple):
    """The matrix that a layer carries as its state, along one sequence.

    Attributes:
        after: The numbers of time steps after which the matrix is shown, increasing, ``(shown,)``.
        matrices: The matrix after these steps, ``(shown, rows, columns)``.
        singular_values: The singular values after each step, in decreasing order, ``(time, min(rows, columns))``; None
            for a stack, of which they say nothing.
        rows: What the rows are.
        columns: What the columns are.
    """

    after: NDArray[np.int64]
    matrices: NDArray[np.float64]
    singular_values: NDArray[np.float64] | None
    rows: str = "rows"
    columns: str = "columns"


def draw_matrix_states(states: MatrixStates, width: float) -> "Figure":
    """Draw the matrix after some steps, and below its singular values after each step.

    Args:
        states: The matrix along a sequence.
        width: The width of the picture in inches.
    """
    from matplotlib.figure import Figure

    shown, rows, columns = states.matrices.shape
    matrix_height = min(width / shown * rows / columns, 3.5) + 0.8  # with the title, the labels and the colour bar
    curves = states.singular_values
    heights = [matrix_height] if curves is None else [matrix_height, CURVES]
    figure = Figure(figsize=(width, sum(heights)), layout="constrained")
    grid = figure.add_gridspec(len(heights), shown, height_ratios=heights)
    axes = [figure.add_subplot(grid[0, i]) for i in range(shown)]
    limit = float(np.abs(states.matrices).max())
    for ax, after, matrix in zip(axes, states.after, states.matrices, strict=True):
        image = heat_map(ax, matrix[::-1], -limit, limit)  # the first row at the top, as matrices are written
        ax.set(xticks=[], yticks=[], aspect="equal")
        name_axes(ax, "\n".join(textwrap.wrap(states.columns, 12)), "", f"step {after:,}")
    axes[0].set_ylabel(states.rows, fontsize=9)
    if curves is not None:
        ax = figure.add_subplot(grid[1, :])
        ax.plot(np.arange(1, len(curves) + 1), curves, color=LINES[0]["color"], linewidth=0.9)
        ax.spines[["top", "right"]].set_visible(False)
        ax.tick_params(labelsize=8)
        name_axes(ax, "time step", "singular value", "all singular values")
        ax.set_ylim(bottom=0)
        integer_ticks(ax)
    colour_bar(figure, image, axes, "value", location="bottom", aspect=40)
    return figure
