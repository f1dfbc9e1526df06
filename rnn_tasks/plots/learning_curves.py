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
from rnn_tasks.runs.curves import Curve
from rnn_tasks.spec import Baseline

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DECADES = 0.8
"""The axis of the loss is logarithmic if the losses span more powers of ten than this."""


class LearningRun(NamedTuple):
    """The learning curves of a run.

    Attributes:
        label: The name of the run in the legend.
        curves: ``train/loss``, ``val/loss``, ``val/accuracy`` and ``val/worst_accuracy``, as far as they were logged.
        baseline: The baseline on the validation data; None if it is unknown.
        solved_at: The optimizer step of the first validation that counts as solved; None if there is none.
        has_conditions: Whether the accuracy of the worst condition is drawn.
    """

    label: str
    curves: Mapping[str, Curve]
    baseline: Baseline | None
    solved_at: int | None
    has_conditions: bool


def draw_learning_curves(runs: Sequence[LearningRun], of_text: bool, width: float) -> "Figure":
    """Draw loss and accuracy over training in two panels that all runs share.

    Args:
        runs: The runs.
        of_text: Whether the runs predict the characters of a text, where the baseline is an n-gram.
        width: The width of the picture in inches.
    """
    figure, (losses, accuracies) = panels(width, 2, height=2.8, sharex=True)
    several = len(runs) > 1
    for index, run in enumerate(runs):
        labels = (run.label, "") if several else ("validation", "training")
        draw_pair(losses, index, run, ("val/loss", "train/loss"), labels)
        names = ("val/accuracy", "val/worst_accuracy" if run.has_conditions else "val/accuracy")
        draw_pair(accuracies, index, run, names, ("", "" if several else "worst condition"))
    name_axes(losses, "optimizer steps", f"loss, nats per {'character' if of_text else 'step'}", "Loss")
    name_axes(accuracies, "optimizer steps", "accuracy", "Validation accuracy")
    baselines = [run.baseline for run in runs]
    draw_levels(losses, "n-gram" if of_text else "baseline", [b and b.loss for b in baselines])
    draw_levels(losses, "lowest possible loss", [b and b.floor for b in baselines], floor=True)
    draw_levels(accuracies, "", [b and b.accuracy for b in baselines])
    values = [run.curves[name].values for run in runs for name in ("train/loss", "val/loss") if name in run.curves]
    if decades(values) > DECADES:
        logarithmic(losses, values)
    accuracies.set_ylim(-0.03, 1.03)
    if any(run.solved_at is not None for run in runs):
        losses.plot([], [], "o", color="white", markeredgecolor="black", markersize=7, label="solved")
    legend_below(figure, losses, width)
    return figure


def draw_pair(ax: "Axes", index: int, run: LearningRun, names: tuple[str, str], labels: tuple[str, str]) -> None:
    """Draw a thick and a thin curve of a run, and a marker at the step where the run was solved.

    Args:
        ax: The panel.
        index: The index of the run.
        run: The run.
        names: The names of the thick and the thin curve; equal names for no thin curve.
        labels: The labels of the two curves in the legend; empty for none.
    """
    thick, thin = (run.curves.get(name) for name in names)
    if thin is not None and names[0] != names[1]:
        ax.plot(*thin, **LINES[index], linewidth=0.7, alpha=0.75, label=labels[1] or None)
    if thick is None:
        return
    marker = "." if len(thick.steps) == 1 else ""
    ax.plot(*thick, **LINES[index], linewidth=2, marker=marker, label=labels[0] or None)
    if run.solved_at is not None:
        height = np.interp([run.solved_at], *thick)
        colour = LINES[index]["color"]
        ax.plot([run.solved_at], height, MARKERS[index], color=colour, markeredgecolor="black", markersize=7)


def draw_levels(ax: "Axes", name: str, values: Sequence[float | None], floor: bool = False) -> None:
    """Draw a horizontal line at each distinct value.

    Args:
        ax: The panel.
        name: The label in the legend; empty for none.
        values: The value of each run; None if the run has none.
        floor: Whether the values are lower bounds of the loss, not baselines.
    """
    for index, value in enumerate(sorted({round(value, 6) for value in values if value is not None})):
        level(ax, value, "" if index else name, FLOOR if floor else BASELINE)
