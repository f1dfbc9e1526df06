"""What many steps make of small differences between states: singular values and Lyapunov exponents."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from rnn_tasks.analysis import jacobian_products, lyapunov_spectrum, state_trajectory
from rnn_tasks.errors import require
from rnn_tasks.models import RecurrentModel
from rnn_tasks.plots.style import LINES, UNTRAINED, legend_below, level, name_axes, panels, whole
from rnn_tasks.report.run_data import doubled
from rnn_tasks.spec import Batch

LONGEST = 250
"""Steps along a sequence, at most."""

WORK = 8e9
"""Steps times the third power of the numbers in a state, at most, unless these are fewer than the least steps."""

LEAST_STEPS = 8
PRODUCTS = 40
"""About so many products have their singular values taken."""

SEQUENCES = 2
"""That Lyapunov exponents are the mean of."""

SETTLING = 10
"""One in so many steps, the first ones, is not counted for Lyapunov exponents."""

LOWEST = 1e-12
"""Factors below this one are drawn there."""


class Stretching(NamedTuple):
    """How a network stretches small differences, along sequences.

    Attributes:
        after: Numbers of steps, ``(n,)``.
        factors: Singular values of the product of so many Jacobians, from large to small, ``(n, state_size)``.
        exponents: Lyapunov exponents, nats a step, from large to small, ``(state_size,)``.
        steps: Steps that these were measured along.
    """

    after: NDArray[np.int64]
    factors: NDArray[np.float64]
    exponents: NDArray[np.float64]
    steps: int


class BothStretchings(NamedTuple):
    """The same of a trained network and of an untrained one."""

    trained: Stretching
    untrained: Stretching


def stretching(trained: RecurrentModel, untrained: RecurrentModel, batch: Batch) -> BothStretchings:
    """How two networks with states of the same size stretch differences, along the same sequences.

    Args:
        trained: The network.
        untrained: One as training began.
        batch: What they read.

    Raises:
        UsageError: A state that cannot be flattened.
    """
    trained, untrained = doubled(trained), doubled(untrained)
    few = batch.rows(0, SEQUENCES)
    size = state_trajectory(trained, few.rows(0, 1)._replace(inputs=few.inputs[:1, :1])).shape[-1]
    steps = min(few.inputs.shape[1], LONGEST, max(LEAST_STEPS, int(WORK / size**3)))
    few = few._replace(inputs=few.inputs[:, :steps], targets=few.targets[:, :steps], memory=None)
    every = -(-steps // PRODUCTS)

    def of(model: RecurrentModel) -> Stretching:
        factors = jacobian_products(model, few, steps, every=every)
        exponents = lyapunov_spectrum(model, few, discard=steps // SETTLING)
        return Stretching(every * np.arange(1, len(factors) + 1), factors.numpy(), exponents.numpy(), steps)

    both = BothStretchings(of(trained), of(untrained))
    finite = all(np.isfinite(s.factors).all() and not np.isnan(s.exponents).any() for s in both)
    require(finite, "they are not finite: the network has diverged")
    return both


def forgotten_after(exponents: NDArray[np.float64]) -> float:
    """Steps after which the difference that lasts longest is 1/e of what it was; inf if it does not shrink.

    Args:
        exponents: Lyapunov exponents, nats a step, from large to small.

    Example:
        >>> forgotten_after(np.array([-0.25, -3.0])), forgotten_after(np.array([0.1, -3.0]))
        (4.0, inf)
    """
    largest = float(exponents[0])
    return -1 / largest if largest < 0 else float("inf")


def draw_products(found: Sequence[tuple[str, BothStretchings]], width: float) -> Figure:
    """Singular values of Jacobian products by the number of steps, a field for each run.

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


def draw_exponents(found: Sequence[tuple[str, BothStretchings]], width: float) -> Figure:
    """Lyapunov exponents from the largest to the smallest, a field for each run.

    Args:
        found: Name and stretching of each run.
        width: Inches.
    """
    figure, fields = panels(width, len(found), height=2.8, sharex=True, sharey=True)
    for field, (name, (trained, untrained)) in zip(fields, found, strict=True):
        draw_spectrum(field, trained.exponents, "trained", {**LINES[0], "linewidth": 1.8})
        draw_spectrum(field, untrained.exponents, "untrained", UNTRAINED)
        level(field, 0.0, "neither grows nor shrinks")
        name_axes(field, "direction, from the most lasting", "exponent, nats a step", name if len(found) > 1 else "")
        whole(field)
    finite = [s.exponents[np.isfinite(s.exponents)] for _, both in found for s in both]
    highest = max((float(values[0]) for values in finite if len(values)), default=0.0)
    lowest = min([*(float(np.quantile(values, 0.25)) for values in finite if len(values)), -0.05])
    fields[0].set_ylim(1.6 * lowest, max(0.15 * -lowest, 1.2 * highest))
    legend_below(figure, fields[0], width)
    return figure


def draw_spectrum(field: Axes, exponents: NDArray[np.float64], label: str, style: dict[str, object]) -> None:
    """Exponents in their order; those of -inf are left out.

    Args:
        field: Where.
        exponents: From large to small.
        label: Of the line.
        style: Of the line.
    """
    there = exponents[np.isfinite(exponents)]
    field.plot(np.arange(1, len(there) + 1), there, **style, label=label)  # type: ignore[arg-type]
