"""Gate values along one sequence, and the unit whose gates keep an input best."""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rnn_tasks.analysis.gates import ROWS, carried, gate_activity, gates_only
from rnn_tasks.errors import require
from rnn_tasks.plots.gates import CarryingUnit, draw_gates
from rnn_tasks.report.answers import is_text, labelled, picture_name
from rnn_tasks.report.blocks import Block, Picture
from rnn_tasks.report.run_data import RunData, attempt
from rnn_tasks.report.sequences import longest

MAX_GATES = 6
"""Largest number of drawn gates; stacked layers have more gates."""

LAG_IN_TEXT = 8
"""Steps over which an input of a text is to be kept: longer than most words."""

SHOWN_CHARACTERS = 60
"""Characters of a text along which gates are drawn, around the step whose input is kept best."""

NEGLIGIBLE = 0.05
"""The caption calls a share of the input below this value almost nothing."""


class Carrier(NamedTuple):
    """The unit whose gates keep the largest share of an input over a number of steps.

    Attributes:
        layer: The index of the layer, from 0.
        unit: The index of the unit in the layer, from 0.
        start: The step t' whose input the unit stores.
        lag: The number of steps over which the input is kept.
        share: The share of the input that is left after these steps, from 0 to 1.
    """

    layer: int
    unit: int
    start: int
    lag: int
    share: float


class Gates(NamedTuple):
    """Gate values along a sequence.

    Attributes:
        values: The gate values at the shown steps, ``(time, hidden_size)`` each, by ``layer/gate``.
        read: The input symbol of each shown step; empty if the task has no printed form of its symbols.
        means: The mean of each gate over all units and all steps of the sequence.
        carrier: The unit that keeps an input best; None if no gate keeps the state or the sequence is too short.
        first: The first shown step of the sequence.
        mixes: Whether the layer has recurrent matrices, which pass memory from unit to unit.
    """

    values: dict[str, NDArray[np.float64]]
    read: list[str]
    means: dict[str, float]
    carrier: Carrier | None
    first: int = 0
    mixes: bool = True


def gates_of(run: RunData) -> Gates | None:
    """Return the gates along the longest sequence with the largest condition; None if the layer has no gates.

    Args:
        run: The run.
    """
    batch = run.batch
    if batch is None:
        return None
    if batch.condition is not None:
        batch = batch.selected(batch.condition == batch.condition.max())
    one = longest(batch, 1)
    gates = {name: values[0].double() for name, values in gates_only(gate_activity(run.network, one)).items()}
    if not gates:
        return None
    lag = run.recall_lag if one.condition is None else int(one.condition[0])
    lag = LAG_IN_TEXT if lag is None else lag
    carrier = None
    for layer in sorted({int(name.removeprefix("layer").partition("/")[0]) for name in gates}):
        shares = carried(gates, layer, lag) if 1 <= lag < one.inputs.shape[1] else None
        if shares is not None and (carrier is None or shares.max() > carrier.share):
            start, unit = divmod(int(shares.argmax()), shares.shape[1])
            carrier = Carrier(layer, unit, start, lag, float(shares.max()))
    read = run.characters(one.inputs[0].tolist())
    first, last = 0, one.inputs.shape[1]
    if is_text(run):
        first = max(0, (0 if carrier is None else carrier.start) - SHOWN_CHARACTERS // 3)
        last = first + SHOWN_CHARACTERS
    require(all(bool(values.isfinite().all()) for values in gates.values()), "the network has diverged")
    shown = {name: values[first:last].numpy() for name, values in gates.items()}
    means = {name: float(values.mean()) for name, values in gates.items()}
    return Gates(shown, read[first:last], means, carrier, first, bool(run.network.core.recurrent_weights()))


def carrying_unit(gates: Gates) -> CarryingUnit | None:
    """Return the gates of the unit that keeps an input best; None if there is no such unit.

    Args:
        gates: The gates of the layer.
    """
    carrier = gates.carrier
    if carrier is None:
        return None
    layer = f"layer{carrier.layer}/"
    unit = {name.removeprefix(layer): v[:, carrier.unit] for name, v in gates.values.items() if name.startswith(layer)}
    keep = "update" if "update" in unit else "forget"
    return CarryingUnit(carrier.unit, keep, unit, carrier.start - gates.first, carrier.lag, carrier.share)


def caption_of_gates(gates: Gates) -> str:
    """Return the caption of gates: what is shown, and which values keep an input unchanged."""
    sorted_rows = ROWS.get(next(iter(gates.values)).rpartition("/")[2], "unit")
    text = f"Gate values at each step of one test sequence, with the {sorted_rows}s sorted by their mean."
    carrier = gates.carrier
    if carrier is None:
        return text
    if f"layer{carrier.layer}/update" in gates.values:
        text += (
            " To keep only the input of step t' until a later step t, the update gate must be 0 at step t', so that "
            "the state is overwritten, and 1 from t'+1 to t, so that the state is kept. An update gate of 1 keeps the "
            "state, as in PyTorch; some authors swap 0 and 1."
        )
        if f"layer{carrier.layer}/reset" in gates.values:
            text += (
                " The reset gate must be 0 at t', so that no older state is mixed in; its later values do not matter."
            )
    else:
        text += (
            " To keep only the input of step t' until a later step t, the input gate must be 1 at step t' and 0 "
            "afterwards. The forget gate must be 0 at t', so that no older state is mixed in, and 1 from t'+1 to t."
        )
    text += (
        f" Unit {carrier.unit} comes closest to this: {carrier.share:.1%} of the input that it stores at step "
        f"{carrier.start} is left {carrier.lag} steps later."
    )
    if carrier.share < NEGLIGIBLE and gates.mixes:
        text += (
            " So the gates alone keep almost nothing in this network: its memory passes from unit to unit through the "
            "recurrent matrices."
        )
    return text


def gate_blocks(runs: Sequence[RunData], missing: list[str]) -> tuple[list[Block], dict[str, Any]]:
    """Return a picture of the gates of each gated run, and the numbers by run.

    Args:
        runs: The runs.
        missing: Lines about missing parts, to which this function may append.
    """
    blocks: list[Block] = []
    numbers: dict[str, Any] = {}
    for run in runs:
        gates = attempt(missing, labelled(runs, run, "gates"), partial(gates_of, run))
        if gates is None:
            continue
        caption = labelled(runs, run, caption_of_gates(gates))
        drawn = dict(list(gates.values.items())[:MAX_GATES])
        draw = partial(draw_gates, drawn, gates.read, carrying=carrying_unit(gates))
        blocks.append(Picture(picture_name(runs, run, "gates"), draw, caption))
        numbers[run.label] = gates
    return blocks, numbers
