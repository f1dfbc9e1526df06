"""Recurrent matrices: their eigenvalues, and their norms over training."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rnn_tasks.plots.style import BASELINE, LINES, legend_below, level, logarithmic, name_axes, panels, whole
from rnn_tasks.runs.tensorboard_log import Curve

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SMALL = 1.85
"""Inches that a square field needs beside others."""

LEAST_ERROR = 1e-8
"""Errors below this one are rounding, and drawn there."""

QUANTITIES = {
    "spectral_norm": "largest singular value",
    "spectral_radius": "largest |eigenvalue|",
    "orthogonality_error": "max |W'W - I|",
}


class Spectrum(NamedTuple):
    """Eigenvalues of a recurrent matrix.

    Attributes:
        name: Of the matrix.
        first: Before training, complex ``(hidden_size,)``.
        last: Of the trained network.
    """

    name: str
    first: NDArray[np.complex128]
    last: NDArray[np.complex128]


def draw_eigenvalues(spectra: Sequence[tuple[str, Spectrum]], moments: tuple[str, str], width: float) -> "Figure":
    """Draw eigenvalues in the complex plane beside the unit circle, a field for each matrix.

    Args:
        spectra: Title and eigenvalues of each matrix.
        moments: When the first and the last eigenvalues were measured, for the legend.
        width: Inches.
    """
    height = 2.6 if len(spectra) > 1 else 3.4
    figure, fields = panels(width, len(spectra), height=height, least=SMALL, sharex=True, sharey=True)
    far = max(float(np.abs(values).max()) for _, (_, first, last) in spectra for values in (first, last))
    limit = 1.08 * max(far, 1.0)
    circle = np.exp(2j * np.pi * np.linspace(0, 1, 201))
    for field, (title, (_, first, last)) in zip(fields, spectra, strict=True):
        field.plot(circle.real, circle.imag, **BASELINE, label="|eigenvalue| = 1")
        field.plot(first.real, first.imag, "o", color="0.55", fillstyle="none", markersize=5, label=moments[0])
        field.plot(last.real, last.imag, "o", color=LINES[0]["color"], markersize=2.6, label=moments[1])
        field.set(xlim=(-limit, limit), ylim=(-limit, limit), aspect="equal")
        name_axes(field, "real part", "imaginary part", title.replace("/", "/\n"))  # fields are narrow
    legend_below(figure, fields[0], width)
    return figure


def draw_norms(known: Mapping[str, Mapping[str, Curve]], width: float) -> "Figure":
    """Draw norms of recurrent matrices over training, a field for each quantity.

    Args:
        known: Curves by their name in the legend, by quantity: ``spectral_norm``, ``spectral_radius`` and
            ``orthogonality_error``, as far as they are known.
        width: Inches.
    """
    figure, fields = panels(width, len(known), height=2.8, least=2.4)
    for field, (quantity, curves) in zip(fields, known.items(), strict=True):
        for index, (name, curve) in enumerate(curves.items()):
            values = np.maximum(curve.values, LEAST_ERROR) if quantity == "orthogonality_error" else curve.values
            marker = "." if len(values) < 4 else ""
            field.plot(curve.steps, values, **LINES[index], linewidth=1.8, marker=marker, label=name)
        if quantity == "orthogonality_error":
            logarithmic(field, [np.maximum(curve.values, LEAST_ERROR) for curve in curves.values()])
        else:
            level(field, 1.0, "")
        name_axes(field, "optimizer steps", QUANTITIES[quantity], quantity.replace("_", " ").capitalize())
        whole(field)
    legend_below(figure, fields[0], width)
    return figure
