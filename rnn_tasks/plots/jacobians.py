"""What many steps make of small differences between states: singular values and Lyapunov exponents."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rnn_tasks.plots.style import LINES, UNTRAINED, legend_below, level, name_axes, panels, whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LOWEST = 1e-12
"""Factors below this one are drawn there."""


class Stretching(NamedTuple):
    """How a network stretches small differences, along sequences.

    Attributes:
        after: Numbers of steps, ``(n,)``.
        factors: Singular values of the product of so many Jacobians, from large to small, ``(n, state_size)``.
        exponents: Lyapunov exponents, nats per step, from large to small, ``(state_size,)``.
        steps: Steps that these were measured along.
    """

    after: NDArray[np.int64]
    factors: NDArray[np.float64]
    exponents: NDArray[np.float64]
    steps: int


class StretchingPair(NamedTuple):
    """How a trained network and an untrained one stretch small differences."""

    trained: Stretching
    untrained: Stretching


def draw_products(found: Sequence[tuple[str, StretchingPair]], width: float) -> "Figure":
    """Draw the singular values of Jacobian products by the number of steps, a field for each run.

    Args:
        found: Name and stretching of each run.
        width: Inches.
    """
    figure, fields = panels(width, len(found), height=2.8, sharex=True, sharey=True)
    for field, (name, both) in zip(fields, found, strict=True):
        lines = {"largest": 0, "middle": both.trained.factors.shape[1] // 2, "smallest": -1}
        for index, (label, column) in enumerate(lines.items()):
            values = np.maximum(both.trained.factors[:, column], LOWEST)
            field.plot(both.trained.after, values, **LINES[index], linewidth=1.8, label=label)
        field.plot(
            both.untrained.after,
            np.maximum(both.untrained.factors[:, 0], LOWEST),
            **UNTRAINED,
            label="largest, untrained",
        )
        level(field, 1.0, "neither grows nor shrinks")
        field.set_yscale("log")
        name_axes(field, "steps", "factor (singular value)", name if len(found) > 1 else "")
        whole(field)
    legend_below(figure, fields[0], width)
    return figure


def draw_exponents(found: Sequence[tuple[str, StretchingPair]], width: float) -> "Figure":
    """Draw Lyapunov exponents from the largest to the smallest, a field for each run.

    Args:
        found: Name and stretching of each run.
        width: Inches.
    """
    figure, fields = panels(width, len(found), height=2.8, sharex=True, sharey=True)
    for field, (name, (trained, untrained)) in zip(fields, found, strict=True):
        draw_spectrum(field, trained.exponents, "trained", {**LINES[0], "linewidth": 1.8})
        draw_spectrum(field, untrained.exponents, "untrained", UNTRAINED)
        level(field, 0.0, "neither grows nor shrinks")
        name_axes(field, "direction, from the most lasting", "exponent, nats per step", name if len(found) > 1 else "")
        whole(field)
    finite = [s.exponents[np.isfinite(s.exponents)] for _, both in found for s in both]
    highest = max((float(values[0]) for values in finite if len(values)), default=0.0)
    lowest = min([*(float(np.quantile(values, 0.25)) for values in finite if len(values)), -0.05])
    fields[0].set_ylim(1.6 * lowest, max(0.15 * -lowest, 1.2 * highest))
    legend_below(figure, fields[0], width)
    return figure


def draw_spectrum(field: "Axes", exponents: NDArray[np.float64], label: str, style: dict[str, object]) -> None:
    """Draw exponents in their order; those of -inf are left out.

    Args:
        field: Where.
        exponents: From large to small.
        label: Of the line.
        style: Of the line.
    """
    there = exponents[np.isfinite(exponents)]
    field.plot(np.arange(1, len(there) + 1), there, **style, label=label)  # type: ignore[arg-type]
