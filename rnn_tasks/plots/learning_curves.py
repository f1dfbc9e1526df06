"""Loss and accuracy over training."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from rnn_tasks.plots.style import (
    BASELINE,
    FLOOR,
    LINES,
    MARKERS,
    PLATEAUS,
    decades,
    legend_below,
    level,
    logarithmic,
    name_axes,
    panels,
)
from rnn_tasks.runs.curves import Curve
from rnn_tasks.spec import Baseline, Plateau

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
        plateaus: The scores of partial solutions.
    """

    label: str
    curves: Mapping[str, Curve]
    baseline: Baseline | None
    solved_at: int | None
    has_conditions: bool
    plateaus: Sequence[Plateau] = ()


def draw_learning_curves(runs: Sequence[LearningRun], unit: str, width: float) -> "Figure":
    """Draw the loss over training and, for runs with an accuracy, the accuracy, in panels that all runs share.

    Args:
        runs: The runs.
        unit: The unit of the loss: ``nats per step``, ``nats per character`` of a text, where the baseline is an
            n-gram, or ``mean squared error``.
        width: The width of the picture in inches.
    """
    has_accuracy = any("accuracy" in name for run in runs for name in run.curves)
    figure, axes = panels(width, 2 if has_accuracy else 1, height=2.8, sharex=True)
    losses, several = axes[0], len(runs) > 1
    for index, run in enumerate(runs):
        labels = (run.label, "") if several else ("validation", "training")
        draw_pair(losses, index, run, ("val/loss", "train/loss"), labels)
    name_axes(losses, "optimizer steps", f"loss, {unit}", "Loss")
    baselines = [run.baseline for run in runs]
    draw_levels(losses, "n-gram" if unit == "nats per character" else "baseline", [b and b.loss for b in baselines])
    draw_levels(losses, "lowest possible loss", [b and b.floor for b in baselines], FLOOR)
    plateaus = [plateau for run in runs for plateau in run.plateaus]
    for index, name in enumerate(dict.fromkeys(plateau.name for plateau in plateaus)):
        style = PLATEAUS[index % len(PLATEAUS)]
        losses.plot([], [], label=name, **style)  # in the legend, even if only its accuracy is known
        draw_levels(losses, "", [plateau.loss for plateau in plateaus if plateau.name == name], style)
        if has_accuracy:
            draw_levels(axes[1], "", [plateau.accuracy for plateau in plateaus if plateau.name == name], style)
    if has_accuracy:
        draw_accuracies(axes[1], runs)
        draw_levels(axes[1], "", [b and b.accuracy for b in baselines])
    values = [run.curves[name].values for run in runs for name in ("train/loss", "val/loss") if name in run.curves]
    if decades(values) > DECADES:
        logarithmic(losses, values)
    if any(run.solved_at is not None for run in runs):
        losses.plot([], [], "o", color="white", markeredgecolor="black", markersize=7, label="solved")
    legend_below(figure, losses, width)
    return figure


def draw_accuracies(ax: "Axes", runs: Sequence[LearningRun]) -> None:
    """Draw the validation accuracy of all runs.

    Args:
        ax: The panel.
        runs: The runs.
    """
    for index, run in enumerate(runs):
        names = ("val/accuracy", "val/worst_accuracy" if run.has_conditions else "val/accuracy")
        draw_pair(ax, index, run, names, ("", "" if len(runs) > 1 else "worst condition"))
    name_axes(ax, "optimizer steps", "accuracy", "Validation accuracy")
    ax.set_ylim(-0.03, 1.03)


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


def draw_levels(ax: "Axes", name: str, values: Sequence[float | None], style: dict[str, Any] | None = None) -> None:
    """Draw a horizontal line at each distinct value.

    Args:
        ax: The panel.
        name: The label in the legend; empty for none.
        values: The value of each run; None if the run has none.
        style: The style of the lines; that of baselines if None.
    """
    finite = {round(value, 6) for value in values if value is not None and np.isfinite(value)}
    for index, value in enumerate(sorted(finite)):
        level(ax, value, "" if index else name, BASELINE if style is None else style)
