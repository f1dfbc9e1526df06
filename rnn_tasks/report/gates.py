"""Gates over the steps of one sequence, and how nearly one of them does what carrying a single input takes."""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from rnn_tasks.analysis.gates import MEANING, carried, gate_activity, gates_only
from rnn_tasks.errors import require
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
from rnn_tasks.report.answers import about, is_text, stem
from rnn_tasks.report.page import Block, Picture
from rnn_tasks.report.run_data import Subject, attempt

MAX_GATES = 6
"""Gates that are drawn; a layer of several layers has more."""

IN_TEXT = 8
"""Steps that something in a text is to be carried over: longer than most words."""

SHOWN_OF_TEXT = 60
"""Characters of a text along which gates are drawn; where the unit that carries most does it is among them."""

LITTLE = 0.05
"""A share below this one is next to nothing."""


class Carrier(NamedTuple):
    """The unit whose gates come nearest to carrying the input of one step, untouched, over some more.

    Attributes:
        layer: Its layer, from 0.
        unit: Its number in the layer, from 0.
        start: The step t' whose input it takes in.
        lag: Steps that it is to be carried over.
        share: How much of it is left then, from 0 to 1.
    """

    layer: int
    unit: int
    start: int
    lag: int
    share: float


class Gates(NamedTuple):
    """What gates do along a sequence.

    Attributes:
        values: ``(time, hidden_size)`` each, by ``layer/gate``, of some steps of the sequence.
        read: The symbol of each step; empty if the task does not say.
        means: Of each gate, over all units and all steps of the sequence.
        carrier: None where no gate keeps anything, or the sequence is too short.
        first: The step of the sequence that is the first one here.
    """

    values: dict[str, NDArray[np.float64]]
    read: list[str]
    means: dict[str, float]
    carrier: Carrier | None
    first: int = 0


def gates_of(subject: Subject) -> Gates | None:
    """The gates along the first sequence, of several conditions the first one with the greatest; None without gates.

    Args:
        subject: The run.
    """
    batch = subject.batch
    if batch is None:
        return None
    row = 0 if batch.condition is None else int(batch.condition.argmax())
    one = batch.rows(row, row + 1)
    gates = {name: values[0].double() for name, values in gates_only(gate_activity(subject.model, one)).items()}
    if not gates:
        return None
    lag = subject.wait if one.condition is None else int(one.condition[0])
    lag = IN_TEXT if lag is None else lag
    carrier = None
    for layer in sorted({int(name.removeprefix("layer").partition("/")[0]) for name in gates}):
        left = carried(gates, layer, lag) if 1 <= lag < one.inputs.shape[1] else None
        if left is not None and (carrier is None or left.max() > carrier.share):
            start, unit = divmod(int(left.argmax()), left.shape[1])
            carrier = Carrier(layer, unit, start, lag, float(left.max()))
    read = subject.shown(one.inputs[0].tolist())
    first, last = 0, len(read)
    if is_text(subject):
        first = max(0, (0 if carrier is None else carrier.start) - SHOWN_OF_TEXT // 3)
        last = first + SHOWN_OF_TEXT
    require(all(bool(values.isfinite().all()) for values in gates.values()), "the network has diverged")
    shown = {name: values[first:last].numpy() for name, values in gates.items()}
    means = {name: float(values.mean()) for name, values in gates.items()}
    return Gates(shown, read[first:last], means, carrier, first)


def draw_gates(found: Gates, width: float) -> Figure:
    """Each gate as a map of units by steps, and below them the gate of the unit that carries most.

    Args:
        found: The gates.
        width: Inches.
    """
    names = list(found.values)[:MAX_GATES]
    several = len({name.partition("/")[0] for name in found.values}) > 1
    figure, fields = panels(width, len(names) + (found.carrier is not None), height=1.6, least=width)
    for field, name in zip(fields, names, strict=False):
        values = found.values[name]
        # As they are numbered, units say nothing.
        image = heat_map(field, values[:, values.mean(0).argsort()].T, 0, 1)
        gate = name.rpartition("/")[2]
        kind = name.replace("/", ", ") if several else gate
        name_axes(field, "", "unit, by mean", f"{kind.capitalize()} gate: {MEANING[gate]}")
        whole(field, "y")
    colour_bar(figure, image, fields[: len(names)], "gate (0 shut, 1 open)")
    if found.carrier is not None:
        draw_carrier(fields[-1], found, found.carrier)
        legend_below(figure, fields[-1], width)
    for field in fields[:-1]:
        field.tick_params(labelbottom=False)
    symbols_below(fields[-1], found.read, width)
    return figure


def draw_carrier(field: Axes, found: Gates, carrier: Carrier) -> None:
    """The keeping gate of one unit over the steps, beside what carrying one input takes.

    Args:
        field: Where.
        found: The gates.
        carrier: The unit.
    """
    layer = f"layer{carrier.layer}/"
    of = {name.removeprefix(layer): v[:, carrier.unit] for name, v in found.values.items() if name.startswith(layer)}
    keep = "update" if "update" in of else "forget"
    steps = np.arange(len(of[keep]))
    style: dict[str, Any] = {"drawstyle": "steps-mid", "linewidth": 1.8}
    field.plot(steps, of[keep], **LINES[0], **style, label=f"{keep} gate of unit {carrier.unit}")
    if keep == "forget":
        field.plot(steps, of["input"], **LINES[1], **style, label="its input gate")
    start = carrier.start - found.first
    span = np.arange(start, start + carrier.lag + 1)
    needed = (span > start).astype(float)
    field.plot(
        span, needed, **{**BASELINE, **style, "linewidth": 1.2}, label=f"what the {keep} gate has to do", zorder=4
    )
    field.set_xlim(-0.5, len(steps) - 0.5)
    field.set_ylim(-0.05, 1.05)
    name_axes(field, "", "gate", f"The unit that carries most: {carrier.share:.0%} over {carrier.lag} steps")


def caption_of_gates(found: Gates) -> str:
    """How to read gates, and what they must do to carry an input."""
    text = "What the gates do at each step of one test sequence, and what each of them means."
    carrier = found.carrier
    if carrier is None:
        return text
    if f"layer{carrier.layer}/update" in found.values:
        text += (
            " To carry the input of one step t' alone to a later step t, the update gate must be 0 at t', so that the "
            "state is written anew (and the reset gate 0, if nothing older is to be mixed in), and 1 from t'+1 to t, "
            "so that it is kept; the reset gate does not matter then. 1 keeps here, as in torch; some authors swap the "
            "two."
        )
    else:
        text += (
            " To carry the input of one step t' alone to a later step t, the input gate must be 1 at t' and 0 "
            "afterwards, the forget gate 0 at t', if nothing older is to be mixed in, and 1 from t'+1 to t."
        )
    text += (
        f" Of all units, number {carrier.unit} comes nearest: {carrier.share:.1%} of what it takes in at step "
        f"{carrier.start} is left {carrier.lag} steps later."
    )
    if carrier.share < LITTLE:
        text += (
            " So the gates alone carry next to nothing in this network: what it remembers goes from unit to unit, by "
            "the recurrent matrices."
        )
    return text


def gate_blocks(subjects: Sequence[Subject], missing: list[str]) -> tuple[list[Block], dict[str, Any]]:
    """A picture for each run with gates, and their numbers.

    Args:
        subjects: The runs.
        missing: Lines of what is missing, to which some may be added.
    """
    blocks: list[Block] = []
    numbers: dict[str, Any] = {}
    for subject in subjects:
        found = attempt(missing, about(subjects, subject, "gates"), partial(gates_of, subject))
        if found is None:
            continue
        caption = about(subjects, subject, caption_of_gates(found))
        blocks.append(Picture(stem(subjects, subject, "gates"), partial(draw_gates, found), caption))
        numbers[subject.label] = found
    return blocks, numbers
