"""What a network remembers: right answers by lag, linear probes, and memory capacity."""

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
    legend_below,
    level,
    name_axes,
    panels,
    whole,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHORT_LAGS = 30
"""Up to this lag probes are always drawn; longer lags only where something is read."""

SEEN = 0.02
"""Squared correlations above this one are worth being drawn."""


class ProbePair(NamedTuple):
    """Linear probes of a trained network and of an untrained one."""

    trained: Probe
    untrained: Probe


class Capacities(NamedTuple):
    """Memory capacities of a run, each the mean over directions."""

    trained: MemoryCapacity
    untrained: MemoryCapacity
    units: int


def draw_accuracy_by_lag(
    found: Sequence[tuple[str, Shares]], by_delay: bool, chance: Sequence[float], width: float
) -> "Figure":
    """Draw the share of right answers by delay or by place in the answer, all runs in one field.

    Args:
        found: Name and shares of each run.
        by_delay: Whether the shares are by delay, not by place.
        chance: Shares of right guesses.
        width: Inches.
    """
    figure, (field,) = panels(width, 1)
    for index, (name, shares) in enumerate(found):
        label = name if len(found) > 1 else "the network"
        at = shares.groups + (0 if by_delay else 1)
        field.plot(at, shares.share, **LINES[index], marker=MARKERS[index], markersize=4, label=label)
    for index, value in enumerate(sorted(set(chance))):
        level(field, value, "" if index else "chance")
    name_axes(field, "delay, steps" if by_delay else "place in the answer, 1 is the first", "share of right answers")
    whole(field)
    field.set_ylim(-0.03, 1.03)
    legend_below(figure, field, width)
    return figure


def draw_probes(probes: Sequence[tuple[str, ProbePair]], width: float) -> "Figure":
    """Draw the accuracy of probes by lag, a field for each run.

    Args:
        probes: Name and probes of each run.
        width: Inches.
    """
    figure, fields = panels(width, len(probes), height=2.7, sharex=True, sharey=True)
    for field, (name, (trained, untrained)) in zip(fields, probes, strict=True):
        field.plot(trained.lags, trained.accuracy, **LINES[0], **DOTS, label="trained")
        field.plot(untrained.lags, untrained.accuracy, **UNTRAINED, label="untrained")
        field.fill_between(trained.lags, trained.low, trained.high, color="0.8", linewidth=0, label="band of chance")
        field.plot(trained.lags, trained.chance, **BASELINE, label="commonest symbol")
        name_axes(field, "steps ago (lag)", "share read rightly", name if len(probes) > 1 else "")
        whole(field)
        field.set_ylim(-0.03, 1.03)
    above = [probe.lags_above_chance[-1] for _, both in probes for probe in both if probe.lags_above_chance]
    longest = max(int(probe.lags[-1]) for _, both in probes for probe in both)
    shown = min(longest, max([SHORT_LAGS, *(1.5 * lag for lag in above)]))
    fields[0].set_xlim(-0.02 * shown, 1.02 * shown)
    legend_below(figure, fields[0], width)
    return figure


def draw_capacities(found: Sequence[tuple[str, Capacities]], width: float) -> "Figure":
    """Draw the squared correlation by lag, a field for each run.

    Args:
        found: Name and capacities of each run.
        width: Inches.
    """
    figure, fields = panels(width, len(found), height=2.7, sharex=True, sharey=True)
    for field, (name, (trained, untrained, _)) in zip(fields, found, strict=True):
        field.plot(trained.lags, trained.by_lag, **LINES[0], linewidth=1.6, zorder=3, label="trained")
        field.plot(untrained.lags, untrained.by_lag, **UNTRAINED, label="untrained")
        level(field, trained.chance / len(trained.lags), "chance", BASELINE)
        name_axes(field, "steps ago (lag)", "squared correlation", name if len(found) > 1 else "")
        whole(field)
        field.set_ylim(-0.03, 1.03)
    seen = [c.lags[c.by_lag > SEEN].max(initial=10) for _, both in found for c in both[:2]]
    fields[0].set_xlim(0, 1.1 * max(seen))
    legend_below(figure, fields[0], width)
    return figure
