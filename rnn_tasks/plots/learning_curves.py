"""Loss and accuracy over training."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from rnn_tasks.plots.style import (
    BASELINE,
    FLOOR,
    LINES,
    MARKERS,
    decades,
    legend_below,
    level,
    logarithmic,
    name_axes,
    panels,
)
from rnn_tasks.runs.tensorboard_log import Curve
from rnn_tasks.spec import Baseline

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DECADES = 0.8
"""Powers of ten between the least and the greatest loss from which on its axis is logarithmic."""


class LearningRun(NamedTuple):
    """A run as learning curves show it.

    Attributes:
        label: Its name in the legend.
        curves: ``train/loss``, ``val/loss``, ``val/accuracy`` and ``val/worst_accuracy``, as far as they were logged.
        baseline: The baseline of its validation; None if it is not known.
        solved_at: The optimizer step at which validation first said solved; None if it was not solved.
        has_conditions: Whether its worst condition differs from its mean over conditions.
    """

    label: str
    curves: Mapping[str, Curve]
    baseline: Baseline | None
    solved_at: int | None
    has_conditions: bool


def draw_learning_curves(runs: Sequence[LearningRun], of_text: bool, width: float) -> "Figure":
    """Draw loss and accuracy over training, all runs in the same two fields.

    Args:
        runs: The runs.
        of_text: Whether they predict characters, whose baseline is an n-gram.
        width: Inches.
    """
    figure, (losses, accuracies) = panels(width, 2, height=2.8, sharex=True)
    several = len(runs) > 1
    for index, run in enumerate(runs):
        labels = (run.label, "") if several else ("validation", "training")
        draw_pair(losses, index, run, ("val/loss", "train/loss"), labels)
        names = ("val/accuracy", "val/worst_accuracy" if run.has_conditions else "val/accuracy")
        draw_pair(accuracies, index, run, names, ("", "" if several else "worst condition"))
    name_axes(losses, "optimizer steps", f"loss, nats per {'character' if of_text else 'step'}", "Loss")
    name_axes(accuracies, "optimizer steps", "share of right answers", "Accuracy in validation")
    baselines = [run.baseline for run in runs]
    draw_levels(losses, "n-gram" if of_text else "baseline", [b and b.loss for b in baselines])
    draw_levels(losses, "least possible", [b and b.floor for b in baselines], floor=True)
    draw_levels(accuracies, "", [b and b.accuracy for b in baselines])
    values = [run.curves[name].values for run in runs for name in ("train/loss", "val/loss") if name in run.curves]
    if decades(values) > DECADES:
        logarithmic(losses, values)
    accuracies.set_ylim(-0.03, 1.03)
    if any(run.solved_at is not None for run in runs):
        losses.plot([], [], "o", color="white", markeredgecolor="black", markersize=7, label="solved")
    legend_below(figure, losses, width)
    return figure


def draw_pair(field: "Axes", index: int, run: LearningRun, names: tuple[str, str], labels: tuple[str, str]) -> None:
    """Draw a thick and a thin curve of a run, and a mark where it was solved.

    Args:
        field: Where.
        index: Number of the run.
        run: The run.
        names: The thick curve and the thin one; the same one twice for no thin one.
        labels: Their names in the legend, or empty.
    """
    thick, thin = (run.curves.get(name) for name in names)
    if thin is not None and names[0] != names[1]:
        field.plot(*thin, **LINES[index], linewidth=0.7, alpha=0.75, label=labels[1] or None)
    if thick is None:
        return
    marker = "." if len(thick.steps) == 1 else ""
    field.plot(*thick, **LINES[index], linewidth=2, marker=marker, label=labels[0] or None)
    if run.solved_at is not None:
        there = np.interp([run.solved_at], *thick)
        colour = LINES[index]["color"]
        field.plot([run.solved_at], there, MARKERS[index], color=colour, markeredgecolor="black", markersize=7)


def draw_levels(field: "Axes", name: str, values: Sequence[float | None], floor: bool = False) -> None:
    """Draw the levels of runs, each value once.

    Args:
        field: Where.
        name: Of the level, or empty.
        values: Of each run; None if it has none.
        floor: Whether it is a floor, not a baseline.
    """
    for index, value in enumerate(sorted({round(value, 6) for value in values if value is not None})):
        level(field, value, "" if index else name, FLOOR if floor else BASELINE)
