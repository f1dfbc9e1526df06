"""Gate values along one sequence."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rnn_tasks.analysis.gates import MEANING, ROWS
from rnn_tasks.plots.style import (
    BASELINE,
    LINES,
    colour_bar,
    heat_map,
    integer_ticks,
    legend_below,
    name_axes,
    panels,
    symbols_below,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


class CarryingUnit(NamedTuple):
    """The gates of one unit, with the time steps over which the unit carries an input.

    Attributes:
        unit: The index of the unit in its layer, from 0.
        keep: The name of the gate that keeps the state, ``update`` or ``forget``.
        gates: The values of each gate at the drawn steps, ``(time,)``, by the name of the gate.
        start: The step whose input the unit stores, counted from the first drawn step.
        lag: The number of steps over which the input is carried.
        share: The share of the input that is left after these steps, from 0 to 1.
    """

    unit: int
    keep: str
    gates: Mapping[str, NDArray[np.floating[Any]]]
    start: int
    lag: int
    share: float


def draw_gates(
    gates: Mapping[str, NDArray[np.floating[Any]]],
    symbols: Sequence[str],
    width: float,
    carrying: CarryingUnit | None = None,
) -> "Figure":
    """Draw each gate as a heat map of units, heads or stacks by time steps, and the gates of one unit in a panel below.

    Args:
        gates: Gate values from 0 to 1 (beta: to 2), ``(time, units)`` each, by ``layer/gate``.
        symbols: The input symbol of each step; empty to number the steps.
        width: The width of the picture in inches.
        carrying: The unit of the last panel; None for no such panel.
    """
    several = len({name.partition("/")[0] for name in gates}) > 1
    figure, axes = panels(width, len(gates) + (carrying is not None), height=1.6, min_width=width)
    high = 1 if all(values.max() <= 1 for values in gates.values()) else 2
    for ax, (name, values) in zip(axes, gates.items(), strict=False):
        # The order of the units in the layer has no meaning, so they are sorted.
        image = heat_map(ax, values[:, values.mean(0).argsort()].T, 0, high)
        gate = name.rpartition("/")[2]
        title = (name.replace("/", ", ") if several else gate).capitalize() + ("" if gate in ROWS else " gate")
        title = f"{title}: {MEANING[gate]}" if gate in MEANING else title
        name_axes(ax, "", f"{ROWS.get(gate, 'unit')} (sorted)", title)
        integer_ticks(ax, "y")
    colour_bar(figure, image, axes[: len(gates)], "gate value (0: closed, 1: open)")
    if carrying is not None:
        draw_carrying(axes[-1], carrying)
        legend_below(figure, axes[-1], width)
    for ax in axes[:-1]:
        ax.tick_params(labelbottom=False)
    symbols_below(axes[-1], symbols, width)
    return figure


def draw_carrying(ax: "Axes", carrying: CarryingUnit) -> None:
    """Draw the gate of one unit that keeps the state, beside the ideal gate, which carries an input unchanged.

    Args:
        ax: The panel.
        carrying: The unit.
    """
    keep, start = carrying.keep, carrying.start
    steps = np.arange(len(carrying.gates[keep]))
    style: dict[str, Any] = {"drawstyle": "steps-mid", "linewidth": 1.8}
    ax.plot(steps, carrying.gates[keep], **LINES[0], **style, label=f"{keep} gate of unit {carrying.unit}")
    if keep == "forget":
        ax.plot(steps, carrying.gates["input"], **LINES[1], **style, label=f"input gate of unit {carrying.unit}")
    span = np.arange(start, start + carrying.lag + 1)
    ideal = {**BASELINE, **style, "linewidth": 1.2, "zorder": 4}
    ax.plot(span, (span > start).astype(float), **ideal, label=f"ideal {keep} gate")
    ax.set_xlim(-0.5, len(steps) - 0.5)
    ax.set_ylim(-0.05, 1.05)
    title = f"Unit that keeps an input best: {carrying.share:.0%} is left after {carrying.lag} steps"
    name_axes(ax, "", "gate value", title)
