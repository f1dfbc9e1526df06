"""Gradient norms: by lag, over training, and before and after clipping."""

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
    integer_ticks,
    legend_below,
    level,
    logarithmic,
    name_axes,
    panels,
)
from rnn_tasks.runs.curves import Curve

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DECADES = 12
"""Range of a heat map in powers of ten; smaller gradients have the darkest colour."""

VANISHED = 1e-18
"""Gradient norms below this share of the largest norm are drawn at this share."""

COLUMNS = 400
"""Columns of a heat map over training; each column shows the nearest snapshot."""


class ByLag(NamedTuple):
    """Norm of ``dL_T/dh_{T-k}`` by lag k of a trained and an untrained network.

    Attributes:
        trained: The norms of the trained network, ``(lags,)``.
        untrained: The norms of the untrained network, ``(lags,)``.
        first: The smallest lag that is comparable with larger lags: 1 if the layer's output is not its state, because
            at lag 0 the loss depends on the output alone.
    """

    trained: NDArray[np.float64]
    untrained: NDArray[np.float64]
    first: int = 0


class GradientMap(NamedTuple):
    """Gradient norms at several steps of a training.

    Attributes:
        steps: The number of optimizer steps before each snapshot, ascending, ``(snapshots,)``.
        log_norms: The logarithms of the norms to base 10, ``-inf`` for a gradient of 0, ``(snapshots, rows)``.
    """

    steps: NDArray[np.int64]
    log_norms: NDArray[np.floating[Any]]


class Clipping(NamedTuple):
    """The norm of the gradient over training, before and after clipping.

    Attributes:
        before: The norm before clipping.
        after: The norm after clipping, which the optimizer used.
        limit: The clipping threshold; None if the gradient was not clipped by its norm.
        clipped: The share of the logged steps at which the gradient was clipped.
    """

    before: Curve
    after: Curve
    limit: float | None
    clipped: float


def draw_gradient_by_lag(runs: Sequence[tuple[str, ByLag, int | None]], width: float, unit: str = "nats") -> "Figure":
    """Draw the norm of the gradient by lag, from the first comparable lag, in one panel per run.

    Args:
        runs: The name of each run, its gradient norms, and the lag of the symbol to recall, or None.
        width: The width of the picture in inches.
        unit: The unit of the loss: ``nats`` or ``squared error``.
    """
    figure, axes = panels(width, len(runs), height=2.8, sharex=True, sharey=True)
    pairs = [(by_lag.trained[by_lag.first :], by_lag.untrained[by_lag.first :]) for _, by_lag, _ in runs]
    smallest = VANISHED * max(float(norms.max()) for pair in pairs for norms in pair)
    drawn = [np.maximum(norms, smallest) for pair in pairs for norms in pair]
    for ax, (name, by_lag, recall_lag), (trained, untrained) in zip(axes, runs, pairs, strict=True):
        lags = by_lag.first + np.arange(len(trained))
        ax.plot(lags, np.maximum(trained, smallest), **LINES[0], linewidth=1.8, label="trained")
        ax.plot(lags, np.maximum(untrained, smallest), **UNTRAINED, label="untrained")
        if recall_lag is not None:
            ax.axvline(recall_lag, label="lag of the symbol to recall", **BASELINE)
        logarithmic(ax, drawn)
        title = name if len(runs) > 1 else ""
        name_axes(ax, "lag k: time steps back from the loss", f"|dL/dh|, {unit} per unit of h", title)
        integer_ticks(ax)
    legend_below(figure, axes[0], width)
    return figure


def draw_gradient_maps(
    maps: Sequence[tuple[str, GradientMap]], row_label: str, width: float, unit: str = "nats"
) -> "Figure":
    """Draw gradient norms over training as heat maps, one per run; dark where the gradient vanishes.

    Args:
        maps: The title and the gradient norms of each run.
        row_label: The label of the vertical axis: what the rows are, such as the lag.
        width: The width of the picture in inches.
        unit: The unit of the loss: ``nats`` or ``squared error``.
    """
    figure, axes = panels(width, len(maps), height=2.9)
    finite = np.concatenate([log_norms[np.isfinite(log_norms)] for _, (_, log_norms) in maps])
    smallest, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    low = max(high - DECADES, min(smallest, high - 1))
    for ax, (title, (steps, log_norms)) in zip(axes, maps, strict=True):
        first, last = float(steps[0]), float(max(steps[-1], steps[0] + 1))
        nearest = np.abs(np.linspace(first, last, COLUMNS)[:, None] - steps).argmin(1)
        shown = np.maximum(log_norms[nearest].T, low)
        image = heat_map(ax, shown, low, high, (first, last, -0.5, len(shown) - 0.5))
        name_axes(ax, "optimizer steps", row_label, title)
        integer_ticks(ax)
        integer_ticks(ax, "y")
    colour_bar(figure, image, axes, f"log10 of |dL/dh|, {unit} per unit of h")
    return figure


def draw_clipping(runs: Sequence[tuple[str, Clipping]], width: float) -> "Figure":
    """Draw the norm of the gradient over training, in one panel per run.

    Args:
        runs: The name of each run and its logged norms.
        width: The width of the picture in inches.
    """
    figure, axes = panels(width, len(runs), height=2.8, sharey=True)
    for ax, (name, clipping) in zip(axes, runs, strict=True):
        ax.plot(*clipping.before, **UNTRAINED, label="before clipping")
        ax.plot(*clipping.after, **LINES[0], linewidth=1.6, label="after clipping")
        if clipping.limit is not None:
            level(ax, clipping.limit, "clipping threshold")
        logarithmic(ax, [clipping.before.values, clipping.after.values])
        name_axes(ax, "optimizer steps", "gradient norm", name if len(runs) > 1 else "")
        integer_ticks(ax)
    legend_below(figure, axes[0], width)
    return figure
