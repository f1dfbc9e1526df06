"""Learning curves: loss and accuracy over the optimizer steps of runs, with their baselines."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

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
from rnn_tasks.report.answers import is_text
from rnn_tasks.report.run_data import Curve, Subject
from rnn_tasks.spec import Baseline

CURVES = ("train/loss", "val/loss", "val/accuracy", "val/worst_accuracy")
MAX_POINTS = 1000
"""Points of a curve that are drawn."""

DECADES = 0.8
"""Powers of ten between the least and the greatest loss from which on its axis is logarithmic."""


def thinned(curve: Curve) -> Curve:
    """A curve by optimizer steps done, with at most some points, its last one among them.

    Example:
        >>> thinned(Curve(np.array([9, 19]), np.array([0.5, 0.25]))).steps.tolist()
        [10, 20]
    """
    stride = -(-len(curve.steps) // MAX_POINTS)
    # Lightning logs the step that it does, counted from 0; it is done then.
    return Curve(curve.steps[::-stride][::-1] + 1, curve.values[::-stride][::-1])


def curves(subject: Subject) -> dict[str, Curve]:
    """The curves of a run that are drawn, by name."""
    return {name: thinned(subject.curves[name]) for name in CURVES if name in subject.curves}


def draw_curves(subjects: Sequence[Subject], known: Sequence[Baseline | None], width: float) -> Figure:
    """Loss and accuracy over training, all runs in one field each.

    Args:
        subjects: The runs.
        known: The baselines of their validations.
        width: Inches.
    """
    figure, (losses, accuracies) = panels(width, 2, height=2.8, sharex=True)
    several = len(subjects) > 1
    for index, subject in enumerate(subjects):
        found = curves(subject)
        label = subject.label if several else "validation"
        solved = subject.summary.get("solved_at")
        draw_pair(losses, index, found, ("val/loss", "train/loss"), (label, "" if several else "training"), solved)
        names = ("val/accuracy", "val/worst_accuracy")
        if not subject.model.spec.num_conditions:
            names = names[:1] * 2  # the only condition is the worst
        draw_pair(accuracies, index, found, names, ("", "" if several else "worst condition"), solved)
    unit = "nats a character" if is_text(subjects[0]) else "nats a step"
    name_axes(losses, "optimizer steps", f"loss, {unit}", "Loss")
    name_axes(accuracies, "optimizer steps", "share of right answers", "Accuracy in validation")
    draw_levels(losses, "n-gram" if is_text(subjects[0]) else "baseline", [k and k.loss for k in known])
    draw_levels(losses, "least possible", [k and k.floor for k in known], floor=True)
    draw_levels(accuracies, "", [k and k.accuracy for k in known])
    values = [curve.values for s in subjects for name, curve in s.curves.items() if name in CURVES[:2]]
    if decades(values) > DECADES:
        logarithmic(losses, values)
    accuracies.set_ylim(-0.03, 1.03)
    if any(subject.summary.get("solved_at") is not None for subject in subjects):
        losses.plot([], [], "o", color="white", markeredgecolor="black", markersize=7, label="solved")
    legend_below(figure, losses, width)
    return figure


def draw_pair(
    field: Axes,
    index: int,
    found: Mapping[str, Curve],
    names: Sequence[str],
    labels: Sequence[str],
    solved_at: int | None,
) -> None:
    """A thick line and a thin one of a run, and a mark where it was solved.

    Args:
        field: Where.
        index: Number of the run.
        found: Its curves.
        names: The thick one and the thin one; the same one twice for no thin one.
        labels: Their names in the legend, or empty.
        solved_at: The step; None if it was not solved.
    """
    thick, thin = (found.get(name) for name in names)
    if thin is not None and names[0] != names[1]:
        field.plot(*thin, **LINES[index], linewidth=0.7, alpha=0.75, label=labels[1] or None)
    if thick is None:
        return
    marker = "." if len(thick.steps) == 1 else ""
    field.plot(*thick, **LINES[index], linewidth=2, marker=marker, label=labels[0] or None)
    if solved_at is not None:
        there = np.interp([solved_at], *thick)
        colour = LINES[index]["color"]
        field.plot([solved_at], there, MARKERS[index], color=colour, markeredgecolor="black", markersize=7)


def draw_levels(field: Axes, name: str, values: Sequence[float | None], floor: bool = False) -> None:
    """The levels of runs, each value once.

    Args:
        field: Where.
        name: Of the level, or empty.
        values: Of each run; None if it has none.
        floor: Whether it is a floor, not a baseline.
    """
    for index, value in enumerate(sorted({round(value, 6) for value in values if value is not None})):
        level(field, value, "" if index else name, FLOOR if floor else BASELINE)


def curve_caption(subjects: Sequence[Subject], known: Sequence[Baseline | None]) -> str:
    """How to read the curves.

    Args:
        subjects: The runs.
        known: The baselines of their validations.
    """
    counted = "the n-gram" if is_text(subjects[0]) else "the baseline, which has learnt nothing but the timing"
    text = (
        "Loss and accuracy after so many optimizer steps; the thick line is validation, the thin one training batches. "
    )
    text += f"Black: {counted}"
    if any(k is not None and k.floor is not None for k in known):
        text += ", and the least loss that any predictor can have"
    text += "."
    if any(subject.model.spec.num_conditions for subject in subjects):
        text += " The thin line of the accuracy is the worst condition."
    solved = [subject for subject in subjects if subject.summary.get("solved_at") is not None]
    if solved:
        ends = [f"step {subject.summary['solved_at']:,}" for subject in solved]
        if len(subjects) > 1:
            ends = [f"{subject.label} at {end}" for subject, end in zip(solved, ends, strict=True)]
        text += f" The mark is where validation first said that it is solved: {', '.join(ends)}."
    return text
