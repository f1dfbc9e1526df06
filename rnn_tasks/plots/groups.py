"""Test scores by length, lag, depth or another quantity by which a task sorts its results."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from rnn_tasks.plots.style import (
    BASELINE,
    LINES,
    MARKERS,
    PLATEAUS,
    integer_ticks,
    legend_below,
    logarithmic,
    name_axes,
    panels,
)
from rnn_tasks.runs.group_scores import GroupScores

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDE_RANGE = 20
"""The axis of the groups is logarithmic if the largest group is above this multiple of the smallest one."""

CATEGORIES = ("digit",)
"""Quantities whose groups have no order, so that no line joins them."""

FEW = 8
"""Up to this number of groups, each has a tick."""


def draw_groups(runs: Sequence[tuple[str, GroupScores]], quantity: str, of_error: bool, width: float) -> "Figure":
    """Draw the scores by group, with the baseline and partial solutions, with all runs in one panel.

    Args:
        runs: The name and the scores of each run.
        quantity: What the groups are, such as ``lag``.
        of_error: Whether the scores are mean squared errors, not accuracies.
        width: The width of the picture in inches.
    """
    figure, (ax,) = panels(width, 1, height=3.0)
    for index, (name, found) in enumerate(runs):
        label = name if len(runs) > 1 else "network"
        style = {**LINES[index], "linestyle": ""} if quantity in CATEGORIES else LINES[index]
        ax.plot(found.groups, found.scores, **style, marker=MARKERS[index], markersize=4, label=label, zorder=3)
    draw_references(ax, [found for _, found in runs], "baseline")
    shade_training(ax, [found for _, found in runs])
    set_axes(ax, [found for _, found in runs], quantity, of_error)
    legend_below(figure, ax, width)
    return figure


def set_axes(ax: "Axes", runs: Sequence[GroupScores], quantity: str, of_error: bool, title: str = "") -> None:
    """Name the axes, and choose their scales and ticks.

    Args:
        ax: The panel.
        runs: The drawn scores.
        quantity: What the groups are, such as ``lag``.
        of_error: Whether the scores are mean squared errors, not accuracies.
        title: The title of the panel; empty for none.
    """
    groups = np.concatenate([found.groups for found in runs])
    if groups.min() > 0 and groups.max() > WIDE_RANGE * groups.min():
        ax.set_xscale("log", base=2)
        ax.xaxis.set_major_formatter("{x:g}")
    elif len(set(groups.tolist())) <= FEW or quantity in CATEGORIES:
        ax.set_xticks(sorted(set(groups.tolist())))
    else:
        integer_ticks(ax)
    unit = ", time steps" if quantity in ("lag", "delay") else ""
    name_axes(ax, quantity.replace("_", " ") + unit, "mean squared error" if of_error else "accuracy", title)
    if of_error:
        logarithmic(ax, [values for found in runs for values in (found.scores, found.baseline)])
    else:
        ax.set_ylim(-0.03, 1.03)


def draw_references(ax: "Axes", runs: Sequence[GroupScores], name: str) -> None:
    """Draw the scores of the baseline and of partial solutions, each once if all runs have the same scores.

    Args:
        ax: The panel.
        runs: The scores of each run.
        name: The name of the baseline in the legend.
    """
    lines = [(name, BASELINE, [(found.groups, found.baseline) for found in runs])]
    for index, plateau in enumerate(dict.fromkeys(name for found in runs for name in found.plateaus)):
        scores = [(found.groups, found.plateaus[plateau]) for found in runs if plateau in found.plateaus]
        lines.append((plateau, PLATEAUS[index % len(PLATEAUS)], scores))
    for label, style, curves in lines:
        distinct = {(tuple(groups), tuple(values)): (groups, values) for groups, values in curves}
        known = [(groups, values) for groups, values in distinct.values() if np.isfinite(values).any()]
        for number, (groups, values) in enumerate(known):
            ax.plot(groups, values, **style, label=None if number else label, zorder=2)


def shade_training(ax: "Axes", runs: Sequence[GroupScores]) -> None:
    """Shade the lengths of training, if there are longer ones too.

    Args:
        ax: The panel.
        runs: The scores of each run.
    """
    trained = np.concatenate([found.groups[~found.is_longer] for found in runs])
    if len(trained) and any(found.is_longer.any() for found in runs):
        ax.axvspan(trained.min(), trained.max(), color="0.9", zorder=0, label="lengths of training")
