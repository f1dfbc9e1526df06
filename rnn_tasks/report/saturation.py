"""Saturation: how often units are near their bounds."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from rnn_tasks.analysis import hidden_states, saturation
from rnn_tasks.analysis.snapshots import has_bounds
from rnn_tasks.errors import require
from rnn_tasks.models import RecurrentModel
from rnn_tasks.plots.style import LINES, UNTRAINED, legend_below, name_axes, panels, whole
from rnn_tasks.report.run_data import Curve, Subject
from rnn_tasks.spec import Batch

THRESHOLD = 0.95
"""A unit is saturated where its absolute value is above."""


class Saturated(NamedTuple):
    """How often units are near their bounds.

    Attributes:
        trained: Of each unit, from large to small, ``(hidden_size,)``.
        untrained: The same of an untrained network.
        over_training: Share of the whole layer; None if it was not recorded.
    """

    trained: NDArray[np.float64]
    untrained: NDArray[np.float64]
    over_training: Curve | None


def saturated(subject: Subject) -> Saturated | None:
    """How often a run's units are near their bounds; None if its layer has none, or no sequences.

    Args:
        subject: The run.
    """
    batch = subject.batch
    if batch is None or not has_bounds(subject.model.core):
        return None

    def of(model: RecurrentModel) -> NDArray[np.float64]:
        return np.sort(saturation(hidden_states(model, batch), THRESHOLD).double().numpy())[::-1].copy()

    if not stays_within_bounds(subject.model, batch):
        return None
    kept = subject.snapshots
    curve = None
    if kept is not None and kept.saturation is not None and len(kept) > 1:
        curve = Curve(kept.steps.numpy(), kept.saturation.double().mean(1).numpy())
    elif "saturation/share" in subject.curves:
        logged = subject.curves["saturation/share"]
        curve = Curve(logged.steps + 1, logged.values)
    return Saturated(of(subject.model), of(subject.untrained), curve)


def stays_within_bounds(model: RecurrentModel, batch: Batch) -> bool:
    """Whether the states stay within -1..1, as those of a layer of somebody's own need not.

    Args:
        model: The network.
        batch: What it reads.

    Raises:
        UsageError: They are not finite.
    """
    states = hidden_states(model, batch)
    require(bool(states.isfinite().all()), "the states are not finite: the network has diverged")
    return bool(states.abs().max() <= 1)


def draw_saturated(found: Sequence[tuple[str, Saturated]], width: float) -> Figure:
    """Saturation of the units, and of the layer over training where that is known.

    Args:
        found: Name and saturation of each run.
        width: Inches.
    """
    curves = [(index, known.over_training) for index, (_, known) in enumerate(found) if known.over_training is not None]
    figure, fields = panels(width, 2 if curves else 1, height=2.7)
    for index, (name, (trained, untrained, _)) in enumerate(found):
        units = np.arange(1, len(trained) + 1)
        fields[0].plot(units, trained, **LINES[index], linewidth=1.8, label=name if len(found) > 1 else "trained")
        fields[0].plot(units, untrained, **UNTRAINED, label="untrained" if index == len(found) - 1 else None)
    name_axes(fields[0], "unit, from the most saturated", "share of the steps", "Unit by unit")
    for index, curve in curves:
        fields[1].plot(*curve, **LINES[index], linewidth=1.8)
    if curves:
        name_axes(fields[1], "optimizer steps", "share of all states", "Whole layer over training")
    for field in fields:
        share_axis(field)
    legend_below(figure, fields[0], width)
    return figure


def share_axis(field: Axes) -> None:
    """From 0 to at least a tenth, so that next to nothing looks so."""
    field.set_ylim(-0.02 * field.get_ylim()[1], max(0.1, field.get_ylim()[1]))
    whole(field)
