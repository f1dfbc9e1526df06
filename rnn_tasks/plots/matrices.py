"""Recurrent matrices: eigenvalues, and norms over training."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rnn_tasks.plots.style import BASELINE, LINES, integer_ticks, legend_below, level, logarithmic, name_axes, panels
from rnn_tasks.runs.curves import Curve

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SMALL = 1.85
"""Smallest width of a square panel in inches."""

MAX_SYMBOLS = 1000
"""More eigenvalues than this are stored as pixels in an SVG file, which would become too large."""

LEAST_ERROR = 1e-8
"""Orthogonality errors below this value are rounding errors and are drawn at this value."""

QUANTITIES = {
    "spectral_norm": "largest singular value",
    "spectral_radius": "largest |eigenvalue|",
    "orthogonality_error": "max |W'W - I|",
}


class Spectrum(NamedTuple):
    """Eigenvalues of a recurrent matrix, or of what else carries the state of a layer.

    Attributes:
        name: The name of the matrix.
        first: The eigenvalues before training, complex ``(n,)``.
        last: The eigenvalues of the trained network, complex ``(n,)``.
    """

    name: str
    first: NDArray[np.complex128]
    last: NDArray[np.complex128]


def draw_eigenvalues(spectra: Sequence[tuple[str, Spectrum]], moments: tuple[str, str], width: float) -> "Figure":
    """Draw eigenvalues and the unit circle in the complex plane, in one panel per matrix.

    Args:
        spectra: The title and the eigenvalues of each matrix.
        moments: The labels of the first and the last eigenvalues in the legend.
        width: The width of the picture in inches.
    """
    height = 2.6 if len(spectra) > 1 else 3.4
    figure, axes = panels(width, len(spectra), height=height, min_width=SMALL, sharex=True, sharey=True)
    radius = max(float(np.abs(values).max()) for _, (_, first, last) in spectra for values in (first, last))
    limit = 1.08 * max(radius, 1.0)
    circle = np.exp(2j * np.pi * np.linspace(0, 1, 201))
    for ax, (title, (_, first, last)) in zip(axes, spectra, strict=True):
        ax.plot(circle.real, circle.imag, **BASELINE, zorder=3, label="|eigenvalue| = 1")
        many = len(last) > MAX_SYMBOLS
        style: dict[str, Any] = {"linestyle": "none", "marker": "o", "rasterized": many}
        ax.plot(first.real, first.imag, **style, color="0.55", fillstyle="none", markersize=5, label=moments[0])
        ax.plot(last.real, last.imag, **style, color=LINES[0]["color"], markersize=2.6, label=moments[1])
        ax.set(xlim=(-limit, limit), ylim=(-limit, limit), aspect="equal")
        name_axes(ax, "real part", "imaginary part", title.replace("/", "/\n"))  # panels are narrow
    legend_below(figure, axes[0], width)
    return figure


def draw_norms(curves_by_quantity: Mapping[str, Mapping[str, Curve]], width: float) -> "Figure":
    """Draw norms of recurrent matrices over training, in one panel per quantity.

    Args:
        curves_by_quantity: Curves by their label in the legend, by quantity: any of ``spectral_norm``,
            ``spectral_radius`` and ``orthogonality_error``.
        width: The width of the picture in inches.
    """
    figure, axes = panels(width, len(curves_by_quantity), height=2.8, min_width=2.4)
    for ax, (quantity, curves) in zip(axes, curves_by_quantity.items(), strict=True):
        for index, (name, curve) in enumerate(curves.items()):
            values = np.maximum(curve.values, LEAST_ERROR) if quantity == "orthogonality_error" else curve.values
            marker = "." if len(values) < 4 else ""
            ax.plot(curve.steps, values, **LINES[index], linewidth=1.8, marker=marker, label=name)
        if quantity == "orthogonality_error":
            logarithmic(ax, [np.maximum(curve.values, LEAST_ERROR) for curve in curves.values()])
        else:
            level(ax, 1.0, "")
            ax.ticklabel_format(axis="y", useOffset=False)
        name_axes(ax, "optimizer steps", QUANTITIES[quantity], quantity.replace("_", " ").capitalize())
        integer_ticks(ax)
    most_lines = max(axes, key=lambda ax: len(ax.get_legend_handles_labels()[0]))
    legend_below(figure, most_lines, width)
    return figure
