"""Gates over the steps of one sequence."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rnn_tasks.analysis.gates import MEANING
from rnn_tasks.plots.style import (
    BASELINE,
    LINES,
    colour_bar,
    heat_map,
    legend_below,
    name_axes,
    panels,
    symbols_below,
    whole,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


class CarryingUnit(NamedTuple):
    """One unit's gates beside what carrying the input of one step takes.

    Attributes:
        unit: Its number in its layer, from 0.
        keep: Name of the gate that keeps the state, ``update`` or ``forget``.
        gates: Values over the steps that are drawn, ``(time,)`` each, by the name of the gate.
        start: The step whose input the unit takes in, counted from the first one that is drawn.
        lag: Steps that the input is to be carried over.
        share: How much of it is left then, from 0 to 1.
    """

    unit: int
    keep: str
    gates: Mapping[str, NDArray[np.floating[Any]]]
    start: int
    lag: int
    share: float


def draw_gates(
    gates: Mapping[str, NDArray[np.floating[Any]]],
    read: Sequence[str],
    width: float,
    carrying: CarryingUnit | None = None,
) -> "Figure":
    """Draw each gate as a map of units by steps, and below them the gates of the unit that carries most, if any.

    Args:
        gates: From 0 to 1, ``(time, hidden_size)`` each, by ``layer/gate``.
        read: The symbol of each step; empty to number the steps.
        width: Inches.
        carrying: The unit.
    """
    several = len({name.partition("/")[0] for name in gates}) > 1
    figure, fields = panels(width, len(gates) + (carrying is not None), height=1.6, least=width)
    for field, (name, values) in zip(fields, gates.items(), strict=False):
        # As they are numbered, units say nothing.
        image = heat_map(field, values[:, values.mean(0).argsort()].T, 0, 1)
        gate = name.rpartition("/")[2]
        title = f"{(name.replace('/', ', ') if several else gate).capitalize()} gate"
        name_axes(field, "", "unit, by mean", f"{title}: {MEANING[gate]}" if gate in MEANING else title)
        whole(field, "y")
    colour_bar(figure, image, fields[: len(gates)], "gate (0 shut, 1 open)")
    if carrying is not None:
        draw_carrying(fields[-1], carrying)
        legend_below(figure, fields[-1], width)
    for field in fields[:-1]:
        field.tick_params(labelbottom=False)
    symbols_below(fields[-1], read, width)
    return figure


def draw_carrying(field: "Axes", carrying: CarryingUnit) -> None:
    """Draw the keeping gate of one unit over the steps, beside what carrying one input takes.

    Args:
        field: Where.
        carrying: The unit.
    """
    keep, start = carrying.keep, carrying.start
    steps = np.arange(len(carrying.gates[keep]))
    style: dict[str, Any] = {"drawstyle": "steps-mid", "linewidth": 1.8}
    field.plot(steps, carrying.gates[keep], **LINES[0], **style, label=f"{keep} gate of unit {carrying.unit}")
    if keep == "forget":
        field.plot(steps, carrying.gates["input"], **LINES[1], **style, label="its input gate")
    span = np.arange(start, start + carrying.lag + 1)
    needed = {**BASELINE, **style, "linewidth": 1.2, "zorder": 4}
    field.plot(span, (span > start).astype(float), **needed, label=f"what the {keep} gate has to do")
    field.set_xlim(-0.5, len(steps) - 0.5)
    field.set_ylim(-0.05, 1.05)
    name_axes(field, "", "gate", f"The unit that carries most: {carrying.share:.0%} over {carrying.lag} steps")
