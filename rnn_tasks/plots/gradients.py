"""Gradients: by lag, over a training, and before and after clipping."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rnn_tasks.plots.style import (
    BASELINE,
    LINES,
    UNTRAINED,
    colour_bar,
    heat_map,
    legend_below,
    level,
    logarithmic,
    name_axes,
    panels,
    whole,
)
from rnn_tasks.runs.tensorboard_log import Curve

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DECADES = 12
"""Powers of ten below the longest gradient of a map that can be told apart."""

VANISHED = 1e-18
"""Gradients shorter than this share of the longest are drawn there."""

COLUMNS = 400
"""Columns of a map of moments, which lie unevenly: each column shows the moment nearest to it."""


class ByLag(NamedTuple):
    """Length of ``dL_T/dh_{T-k}`` over the lag k, of a trained network and of an untrained one."""

    trained: NDArray[np.float64]
    untrained: NDArray[np.float64]


class GradientMap(NamedTuple):
    """Gradients at some moments of a training.

    Attributes:
        steps: Optimizer steps before each moment, rising, ``(moments,)``.
        log_norms: Lengths as logarithms to base 10, ``-inf`` for a gradient of 0, ``(moments, rows)``.
    """

    steps: NDArray[np.int64]
    log_norms: NDArray[np.floating[Any]]


class Clipping(NamedTuple):
    """The norm of the gradient over a training.

    Attributes:
        before: Before it was clipped.
        after: What the optimizer used.
        limit: The norm that it was clipped to; None if it was not clipped by its norm.
        clipped: Share of the logged steps in which it was clipped.
    """

    before: Curve
    after: Curve
    limit: float | None
    clipped: float


def draw_gradient_by_lag(found: Sequence[tuple[str, ByLag, int | None]], width: float) -> "Figure":
    """Draw the length of the gradient by lag, a field for each run.

    Args:
        found: Name of each run, its gradients, and the lag at which the symbol was read that is asked for, if known.
        width: Inches.
    """
    figure, fields = panels(width, len(found), height=2.8, sharex=True, sharey=True)
    top = max(float(norms.max()) for _, both, _ in found for norms in both)
    for field, (name, (trained, untrained), wait) in zip(fields, found, strict=True):
        field.plot(np.maximum(trained, VANISHED * top), **LINES[0], linewidth=1.8, label="trained")
        field.plot(np.maximum(untrained, VANISHED * top), **UNTRAINED, label="untrained")
        if wait is not None:
            field.axvline(wait, label="where the answer was read", **BASELINE)
        field.set_yscale("log")
        title = name if len(found) > 1 else ""
        name_axes(field, "lag k: time steps back from the loss", "|dL/dh|, nats per unit of h", title)
        whole(field)
    legend_below(figure, fields[0], width)
    return figure


def draw_gradient_maps(found: Sequence[tuple[str, GradientMap]], rows: str, width: float) -> "Figure":
    """Draw gradients over the training as maps, one for each run; dark where the gradient vanishes.

    Args:
        found: Title and gradients of each run.
        rows: What the rows are, such as the lag, for the vertical axis.
        width: Inches.
    """
    figure, fields = panels(width, len(found), height=2.9)
    known = np.concatenate([log_norms[np.isfinite(log_norms)] for _, (_, log_norms) in found])
    least, high = (float(known.min()), float(known.max())) if known.size else (0.0, 0.0)
    low = max(high - DECADES, min(least, high - 1))
    for field, (title, (steps, log_norms)) in zip(fields, found, strict=True):
        first, last = float(steps[0]), float(max(steps[-1], steps[0] + 1))
        nearest = np.abs(np.linspace(first, last, COLUMNS)[:, None] - steps).argmin(1)
        shown = np.maximum(log_norms[nearest].T, low)
        image = heat_map(field, shown, low, high, (first, last, -0.5, len(shown) - 0.5))
        name_axes(field, "optimizer steps", rows, title)
        whole(field)
        whole(field, "y")
    colour_bar(figure, image, fields, "log10 of |dL/dh|, nats per unit of h")
    return figure


def draw_clipping(found: Sequence[tuple[str, Clipping]], width: float) -> "Figure":
    """Draw the norm of the gradient over training, a field for each run.

    Args:
        found: Name of each run, and what was logged.
        width: Inches.
    """
    figure, fields = panels(width, len(found), height=2.8, sharey=True)
    for field, (name, known) in zip(fields, found, strict=True):
        field.plot(*known.before, **UNTRAINED, label="before clipping")
        field.plot(*known.after, **LINES[0], linewidth=1.6, label="after clipping")
        if known.limit is not None:
            level(field, known.limit, "clipped to")
        logarithmic(field, [known.before.values, known.after.values])
        name_axes(field, "optimizer steps", "norm of the gradient", name if len(found) > 1 else "")
        whole(field)
    legend_below(figure, fields[0], width)
    return figure
