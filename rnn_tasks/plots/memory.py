"""Memory: accuracy by lag, linear probes, and memory capacity."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from rnn_tasks.analysis.accuracy import Shares
from rnn_tasks.analysis.linear_probe import Probe
from rnn_tasks.analysis.memory import MemoryCapacity
from rnn_tasks.plots.style import (
    BASELINE,
    DOTS,
    LINES,
    MARKERS,
    UNTRAINED,
    integer_ticks,
    legend_below,
    level,
    name_axes,
    panels,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHORT_LAGS = 30
"""Probes are always drawn up to this lag; longer lags only if a probe is above chance."""

VISIBLE = 0.02
"""The axis of the lags ends after the last squared correlation above this value."""


class ProbePair(NamedTuple):
    """Linear probes of a trained and an untrained network."""

    trained: Probe
    untrained: Probe


class Capacities(NamedTuple):
    """Memory capacities of a trained and an untrained network, each a mean over input directions."""

    trained: MemoryCapacity
    untrained: MemoryCapacity
    units: int


def draw_accuracy_by_lag(
    runs: Sequence[tuple[str, Shares]], by_delay: bool, chance: Sequence[float], width: float
) -> "Figure":
    """Draw the accuracy by delay or by position in the answer, with all runs in one panel.

    Args:
        runs: The name and the accuracies of each run.
        by_delay: Whether the accuracies are by delay, not by position in the answer.
        chance: The chance accuracies.
        width: The width of the picture in inches.
    """
    figure, (ax,) = panels(width, 1)
    for index, (name, shares) in enumerate(runs):
        label = name if len(runs) > 1 else "network"
        at = shares.groups + (0 if by_delay else 1)
        ax.plot(at, shares.share, **LINES[index], marker=MARKERS[index], markersize=4, label=label)
    for index, value in enumerate(sorted(set(chance))):
        level(ax, value, "" if index else "chance")
    name_axes(ax, "delay, time steps" if by_delay else "position in the answer (from 1)", "accuracy")
    integer_ticks(ax)
    ax.set_ylim(-0.03, 1.03)
    legend_below(figure, ax, width)
    return figure


def draw_probes(probes: Sequence[tuple[str, ProbePair]], width: float) -> "Figure":
    """Draw the accuracy of probes by lag, in one panel per run.

    Args:
        probes: The name and the probes of each run.
        width: The width of the picture in inches.
    """
    figure, axes = panels(width, len(probes), height=2.7, sharex=True, sharey=True)
    for ax, (name, (trained, untrained)) in zip(axes, probes, strict=True):
        ax.plot(trained.lags, trained.accuracy, **LINES[0], **DOTS, label="trained")
        ax.plot(untrained.lags, untrained.accuracy, **UNTRAINED, label="untrained")
        ax.fill_between(trained.lags, trained.low, trained.high, color="0.8", linewidth=0, label="chance range")
        ax.plot(trained.lags, trained.chance, **BASELINE, label="most frequent symbol")
        name_axes(ax, "lag, time steps", "probe accuracy", name if len(probes) > 1 else "")
        integer_ticks(ax)
        ax.set_ylim(-0.03, 1.03)
    above = [probe.lags_above_chance[-1] for _, pair in probes for probe in pair if probe.lags_above_chance]
    longest = max(int(probe.lags[-1]) for _, pair in probes for probe in pair)
    shown = min(longest, max([SHORT_LAGS, *(1.5 * lag for lag in above)]))
    axes[0].set_xlim(-0.02 * shown, 1.02 * shown)
    legend_below(figure, axes[0], width)
    return figure


def draw_capacities(runs: Sequence[tuple[str, Capacities]], width: float) -> "Figure":
    """Draw the squared correlation by lag, in one panel per run.

    Args:
        runs: The name and the memory capacities of each run.
        width: The width of the picture in inches.
    """
    figure, axes = panels(width, len(runs), height=2.7, sharex=True, sharey=True)
    for ax, (name, (trained, untrained, _)) in zip(axes, runs, strict=True):
        ax.plot(trained.lags, trained.by_lag, **LINES[0], linewidth=1.6, zorder=3, label="trained")
        ax.plot(untrained.lags, untrained.by_lag, **UNTRAINED, label="untrained")
        level(ax, trained.chance / len(trained.lags), "chance", BASELINE)
        name_axes(ax, "lag, time steps", "squared correlation", name if len(runs) > 1 else "")
        integer_ticks(ax)
        ax.set_ylim(-0.03, 1.03)
    visible = [c.lags[c.by_lag > VISIBLE].max(initial=10) for _, pair in runs for c in pair[:2]]
    axes[0].set_xlim(0, 1.1 * max(visible))
    legend_below(figure, axes[0], width)
    return figure
