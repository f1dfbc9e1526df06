"""Gradients: how far back one loss reaches, where they were while the network learnt, and how they were clipped."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from rnn_tasks.analysis import gradient_by_lag
from rnn_tasks.errors import require
from rnn_tasks.plots.style import (
    BASELINE,
    LINES,
    UNTRAINED,
    colour_bar,
    heat_map,
    legend_below,
    level,
    logarithmic,
    name_axes,
    panels,
    whole,
)
from rnn_tasks.report.run_data import Curve, Subject, doubled

GRADIENT_SEQUENCES = 16
DECADES = 8
"""Powers of ten below the longest gradient of a map that can be told apart."""

VANISHED = 1e-18
"""Gradients shorter than this share of the longest are drawn there."""

BEFORE, AFTER = "gradient_norm/before_clipping", "gradient_norm/after_clipping"
SHORTER = 0.999
"""A gradient was clipped if its norm became less than this share of itself; less of a change is rounding."""


class ByLag(NamedTuple):
    """Length of ``dL_T/dh_{T-k}`` over the lag k, of a trained network and of an untrained one."""

    trained: NDArray[np.float64]
    untrained: NDArray[np.float64]


class InTraining(NamedTuple):
    """Length of ``dL/dh_t`` over the time step t, at some moments of a training.

    Attributes:
        steps: Optimizer steps before each moment, at least two, ``(moments,)``.
        norms: ``(moments, time)``.
    """

    steps: NDArray[np.int64]
    norms: NDArray[np.float64]


class Clipping(NamedTuple):
    """The norm of the gradient over a training.

    Attributes:
        before: Before it was clipped.
        after: What the optimizer used.
        limit: The norm that it was clipped to; None if it was not clipped by its norm.
        clipped: Share of the logged steps in which it was clipped.
    """

    before: Curve
    after: Curve
    limit: float | None
    clipped: float


def lags(subject: Subject) -> ByLag | None:
    """The gradient by lag, back from the last scored step of the first sequences.

    Args:
        subject: The run.
    """
    if subject.batch is None:
        return None
    scored = subject.batch.scored.any(1).nonzero()[:GRADIENT_SEQUENCES, 0]
    few = subject.batch.rows(0, int(scored[-1]) + 1)
    both = [gradient_by_lag(doubled(model), few).numpy() for model in (subject.model, subject.untrained)]
    require(all(np.isfinite(norms).all() for norms in both), "it is not finite: the network has diverged")
    return ByLag(*both)


def clipping(subject: Subject) -> Clipping | None:
    """What was logged of the gradient's norm.

    Args:
        subject: The run.
    """
    before, after = subject.curves.get(BEFORE), subject.curves.get(AFTER)
    if before is None or after is None:
        return None
    trainer = subject.config.get("trainer") or {}
    by_norm = trainer.get("gradient_clip_algorithm") in (None, "norm")
    limit = trainer.get("gradient_clip_val") if by_norm else None
    steps, here, there = np.intersect1d(before.steps, after.steps, return_indices=True)
    was, became = before.values[here], after.values[there]
    clipped = float((became < SHORTER * was).mean()) if len(steps) else float("nan")
    return Clipping(Curve(steps + 1, was), Curve(steps + 1, became), limit or None, clipped)


def gradients_while_learning(subject: Subject) -> InTraining | None:
    """What a recorder has kept; None if that is not more than one moment.

    Args:
        subject: The run.
    """
    kept = subject.snapshots
    if kept is None or kept.gradient_by_time_step is None or len(kept) < 2:
        return None
    return InTraining(kept.steps.numpy(), kept.gradient_by_time_step.double().numpy())


def draw_lags(found: Sequence[tuple[Subject, ByLag]], width: float) -> Figure:
    """Gradient by lag, a field for each run.

    Args:
        found: The runs with their gradients.
        width: Inches.
    """
    figure, fields = panels(width, len(found), height=2.8, sharex=True, sharey=True)
    top = max(float(norms.max()) for _, both in found for norms in both)
    for field, (subject, (trained, untrained)) in zip(fields, found, strict=True):
        for norms, label, style in (
            (trained, "trained", {**LINES[0], "linewidth": 1.8}),
            (untrained, "untrained", UNTRAINED),
        ):
            field.plot(np.maximum(norms, VANISHED * top), label=label, **style)
        if subject.wait is not None:
            field.axvline(subject.wait, label="where the answer was read", **BASELINE)
        field.set_yscale("log")
        title = subject.label if len(found) > 1 else ""
        name_axes(field, "lag k: time steps back from the loss", "|dL/dh|, nats per unit of h", title)
        whole(field)
    legend_below(figure, fields[0], width)
    return figure


def draw_training(found: Sequence[tuple[Subject, InTraining]], width: float) -> Figure:
    """The gradient at each time step over the training, as a map for each run.

    Args:
        found: The runs with their gradients.
        width: Inches.
    """
    figure, fields = panels(width, len(found), height=2.9)
    high = np.log10(max([VANISHED, *(float(norms.max()) for _, (_, norms) in found)]))
    least = min(float(np.log10(norms.min(initial=1, where=norms > 0))) for _, (_, norms) in found)
    low = max(high - DECADES, min(least, high - 1))
    for field, (subject, (steps, norms)) in zip(fields, found, strict=True):
        # Moments lie unevenly, and the columns of a map do not: each shows the moment nearest to it.
        columns = np.abs(np.linspace(steps[0], steps[-1], 300)[:, None] - steps).argmin(1)
        shown = np.log10(np.maximum(norms[columns].T, 10**low))
        ends = (float(steps[0]), float(steps[-1]), -0.5, len(shown) - 0.5)
        image = heat_map(field, shown, low, high, ends)
        title = subject.label if len(found) > 1 else ""
        name_axes(field, "optimizer steps", "time step t of the sequence", title)
        whole(field)
        whole(field, "y")
    colour_bar(figure, image, fields, "log10 of |dL/dh|, nats per unit of h")
    return figure


def draw_clipping(found: Sequence[tuple[Subject, Clipping]], width: float) -> Figure:
    """The gradient's norm over training, a field for each run.

    Args:
        found: The runs with what was logged.
        width: Inches.
    """
    figure, fields = panels(width, len(found), height=2.8, sharey=True)
    for field, (subject, known) in zip(fields, found, strict=True):
        field.plot(*known.before, **UNTRAINED, label="before clipping")
        field.plot(*known.after, **LINES[0], linewidth=1.6, label="after clipping")
        if known.limit is not None:
            level(field, known.limit, "clipped to")
        logarithmic(field, [known.before.values, known.after.values])
        name_axes(field, "optimizer steps", "norm of the gradient", subject.label if len(found) > 1 else "")
        whole(field)
    legend_below(figure, fields[0], width)
    return figure
