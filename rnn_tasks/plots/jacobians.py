"""Growth of small state differences over many steps: singular values of Jacobian products, Lyapunov exponents."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rnn_tasks.plots.style import LINES, UNTRAINED, integer_ticks, legend_below, level, name_axes, panels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LOWEST = 1e-12
"""Singular values below this value are drawn at this value."""


class Stretching(NamedTuple):
    """The factors by which a network stretches or shrinks small state differences.

    Attributes:
        after: The numbers of steps of the Jacobian products, ``(n,)``.
        factors: The singular values of each product, in descending order, ``(n, state_size)``.
        exponents: The Lyapunov exponents in nats per step, in descending order, ``(state_size,)``.
        steps: The number of steps over which the exponents were measured.
    """

    after: NDArray[np.int64]
    factors: NDArray[np.float64]
    exponents: NDArray[np.float64]
    steps: int


class StretchingPair(NamedTuple):
    """The stretching factors of a trained and an untrained network."""

    trained: Stretching
    untrained: Stretching


def draw_products(runs: Sequence[tuple[str, StretchingPair]], width: float) -> "Figure":
    """Draw the singular values of Jacobian products by the number of steps, in one panel per run.

    Args:
        runs: The name and the stretching factors of each run.
        width: The width of the picture in inches.
    """
    figure, axes = panels(width, len(runs), height=2.8, sharex=True, sharey=True)
    for ax, (name, (trained, untrained)) in zip(axes, runs, strict=True):
        lines = {"largest": 0, "median": trained.factors.shape[1] // 2, "smallest": -1}
        for index, (label, column) in enumerate(lines.items()):
            values = np.maximum(trained.factors[:, column], LOWEST)
            ax.plot(trained.after, values, **LINES[index], linewidth=1.8, label=label)
        values = np.maximum(untrained.factors[:, 0], LOWEST)
        ax.plot(untrained.after, values, **UNTRAINED, label="largest, untrained")
        level(ax, 1.0, "no growth, no decay")
        ax.set_yscale("log")
        name_axes(ax, "number of time steps", "singular value", name if len(runs) > 1 else "")
        integer_ticks(ax)
    legend_below(figure, axes[0], width)
    return figure


def draw_exponents(runs: Sequence[tuple[str, StretchingPair]], width: float) -> "Figure":
    """Draw Lyapunov exponents in descending order, in one panel per run.

    Args:
        runs: The name and the stretching factors of each run.
        width: The width of the picture in inches.
    """
    figure, axes = panels(width, len(runs), height=2.8, sharex=True, sharey=True)
    for ax, (name, (trained, untrained)) in zip(axes, runs, strict=True):
        draw_spectrum(ax, trained.exponents, "trained", {**LINES[0], "linewidth": 1.8})
        draw_spectrum(ax, untrained.exponents, "untrained", UNTRAINED)
        level(ax, 0.0, "no growth, no decay")
        name_axes(ax, "rank of the exponent", "exponent, nats per step", name if len(runs) > 1 else "")
        integer_ticks(ax)
    finite = [s.exponents[np.isfinite(s.exponents)] for _, pair in runs for s in pair]
    highest = max((float(values[0]) for values in finite if len(values)), default=0.0)
    lowest = min([*(float(np.quantile(values, 0.25)) for values in finite if len(values)), -0.05])
    axes[0].set_ylim(1.6 * lowest, max(0.15 * -lowest, 1.2 * highest))
    legend_below(figure, axes[0], width)
    return figure


def draw_spectrum(ax: "Axes", exponents: NDArray[np.float64], label: str, style: dict[str, object]) -> None:
    """Draw the finite exponents; exponents of -inf are omitted.

    Args:
        ax: The panel.
        exponents: The exponents in descending order.
        label: The label of the line.
        style: The style of the line.
    """
    finite = exponents[np.isfinite(exponents)]
    ax.plot(np.arange(1, len(finite) + 1), finite, **style, label=label)  # type: ignore[arg-type]
