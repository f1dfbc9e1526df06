"""The hidden state along one sequence: followed through training by its principal components, and unit by unit."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from rnn_tasks.analysis import hidden_states
from rnn_tasks.analysis.structure import Trajectory, pca_trajectory
from rnn_tasks.errors import require
from rnn_tasks.plots.style import MAP, colour_bar, heat_map, name_axes, panels, symbols_below, visible, whole
from rnn_tasks.report.answers import is_text
from rnn_tasks.report.run_data import Subject

MOMENTS = 4
"""Moments of a training at which a trajectory is drawn."""

MAX_STEPS, MAX_CHARACTERS = 120, 80
"""Steps of a sequence, and of a text, that are drawn."""

NAMED = 24
"""Steps of a sequence up to which its symbols are written at the points."""


class Followed(NamedTuple):
    """Hidden states along one sequence at some moments of a training.

    Attributes:
        names: Of the moments.
        points: Along the first two principal components of the last moment, ``points`` is ``(moments, time, 2)``.
        read: The symbol of each step; empty if the task does not say.
    """

    names: list[str]
    points: Trajectory
    read: list[str]


def followed(subject: Subject) -> Followed | None:
    """The trajectory of a recorder's sequence through its snapshots, or else of a test sequence before and after.

    None where there is neither.

    Args:
        subject: The run.
    """
    kept = subject.snapshots
    if kept is not None and len(kept) > 1:
        chosen = sorted({round(index) for index in np.linspace(0, len(kept) - 1, MOMENTS)})
        states = kept.states[chosen, :MAX_STEPS].double().numpy()
        names = [f"after {step:,} steps" for step in kept.steps[chosen].tolist()]
        read = subject.shown(kept.inputs[:MAX_STEPS].tolist())
    elif subject.batch is not None:
        one = subject.batch.rows(0, 1)
        states = np.stack(
            [hidden_states(model, one)[0, :MAX_STEPS].double().numpy() for model in (subject.untrained, subject.model)]
        )
        names = ["untrained", "trained"]
        read = subject.shown(one.inputs[0, :MAX_STEPS].tolist())
    else:
        return None
    require(min(states.shape[1:]) >= 2, "a trajectory in a plane needs two units and two steps")
    return Followed(names, pca_trajectory(states, states[-1]), read)


def draw_followed(found: Followed, width: float) -> Figure:
    """The trajectory at each moment, seen from the same side.

    Args:
        found: The trajectory.
        width: Inches.
    """
    points = found.points.points
    figure, fields = panels(width, len(found.names), height=3.0, sharex=True, sharey=True, least=1.8)
    time = np.arange(points.shape[1])
    for field, name, path in zip(fields, found.names, points, strict=True):
        field.plot(*path.T, color="0.7", linewidth=0.7, zorder=1)
        drawn = field.scatter(path[:, 0], path[:, 1], c=time, cmap=MAP, s=14, edgecolor="0.3", linewidth=0.3, zorder=2)
        field.plot(*path[0], "o", color="none", markeredgecolor="black", markersize=9, zorder=3)
        share = [f"{value:.0%}" for value in found.points.explained[:2]]
        name_axes(field, f"PC 1 ({share[0]})", f"PC 2 ({share[1]})", name)
    if found.read and len(time) <= NAMED:
        beside: dict[str, Any] = {"xytext": (3, 3), "textcoords": "offset points", "fontsize": 7, "parse_math": False}
        for symbol, place in zip(visible(found.read), points[-1], strict=True):
            fields[-1].annotate(symbol, place, **beside)
    bar = figure.colorbar(drawn, ax=fields, pad=0.02)
    bar.ax.tick_params(labelsize=8)
    bar.set_label("time step", fontsize=9)
    return figure


def caption_of_followed(found: Followed) -> str:
    """How to read a trajectory."""
    share = found.points.explained[:2].sum()
    return (
        f"The hidden state along one sequence of {found.points.points.shape[1]} steps (ring: the first), seen along "
        "the two directions in which the states of the last picture vary most (principal components, PC); they hold "
        f"{share:.0%} of that variance. The others are seen from the same side."
    )


class Units(NamedTuple):
    """Each unit along a sequence.

    Attributes:
        states: ``(time, hidden_size)``, the units in the order of their means.
        read: The symbol of each step; empty if the task does not say.
    """

    states: NDArray[np.float64]
    read: list[str]


def units(subject: Subject) -> Units | None:
    """The hidden states of the first test sequence; None without one.

    Args:
        subject: The run.
    """
    if subject.batch is None:
        return None
    one, shown = subject.batch.rows(0, 1), MAX_CHARACTERS if is_text(subject) else MAX_STEPS
    states = hidden_states(subject.model, one)[0, :shown].double().numpy()
    require(bool(np.isfinite(states).all()), "the states are not finite: the network has diverged")
    return Units(states[:, states.mean(0).argsort()], subject.shown(one.inputs[0, :shown].tolist()))


def draw_units(found: Sequence[tuple[str, Units]], width: float) -> Figure:
    """A map of units by steps for each run.

    Args:
        found: Name and states of each run.
        width: Inches.
    """
    figure, fields = panels(width, len(found), height=2.6, least=width)
    far = max(float(np.abs(states).max()) for _, (states, _) in found)
    for field, (name, (states, read)) in zip(fields, found, strict=True):
        image = heat_map(field, states.T, -far, far)
        name_axes(field, "", "unit, sorted by mean", name if len(found) > 1 else "")
        symbols_below(field, read, width)
        whole(field, "y")
    colour_bar(figure, image, fields, "hidden state")
    return figure
