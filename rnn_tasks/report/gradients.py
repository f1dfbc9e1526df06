"""Gradients: how far back one loss reaches, where they were while the network learnt, and how they were clipped."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rnn_tasks.analysis import gradient_by_lag
from rnn_tasks.errors import require
from rnn_tasks.plots.gradients import ByLag, Clipping, GradientMap
from rnn_tasks.report.run_data import RunData, doubled
from rnn_tasks.runs.tensorboard_log import Curve

GRADIENT_SEQUENCES = 16
BEFORE, AFTER = "gradient_norm/before_clipping", "gradient_norm/after_clipping"
SHORTER = 0.999
"""A gradient was clipped if its norm became less than this share of itself; less of a change is rounding."""


class InTraining(NamedTuple):
    """Length of ``dL/dh_t`` over the time step t, at some moments of a training.

    Attributes:
        steps: Optimizer steps before each moment, at least two, ``(moments,)``.
        norms: ``(moments, time)``.
    """

    steps: NDArray[np.int64]
    norms: NDArray[np.float64]


def gradients_by_lag(run: RunData) -> ByLag | None:
    """Return the gradient by lag, back from the last scored step of the first sequences.

    Args:
        run: The run.
    """
    if run.batch is None:
        return None
    scored = run.batch.scored.any(1).nonzero()[:GRADIENT_SEQUENCES, 0]
    few = run.batch.rows(0, int(scored[-1]) + 1)
    both = [gradient_by_lag(doubled(network), few).numpy() for network in (run.network, run.untrained)]
    require(all(np.isfinite(norms).all() for norms in both), "it is not finite: the network has diverged")
    return ByLag(*both)


def clipping(run: RunData) -> Clipping | None:
    """Return what was logged of the norm of the gradient; None if it was not logged.

    Args:
        run: The run.
    """
    before, after = run.curves.get(BEFORE), run.curves.get(AFTER)
    if before is None or after is None:
        return None
    trainer = run.config.get("trainer") or {}
    by_norm = trainer.get("gradient_clip_algorithm") in (None, "norm")
    limit = trainer.get("gradient_clip_val") if by_norm else None
    steps, here, there = np.intersect1d(before.steps, after.steps, return_indices=True)
    was, became = before.values[here], after.values[there]
    clipped = float((became < SHORTER * was).mean()) if len(steps) else float("nan")
    return Clipping(Curve(steps + 1, was), Curve(steps + 1, became), limit or None, clipped)


def gradients_while_learning(run: RunData) -> InTraining | None:
    """Return the gradients that were recorded during training; None if there are fewer than two moments.

    Args:
        run: The run.
    """
    kept = run.snapshots
    if kept is None or kept.gradient_by_time_step is None or len(kept) < 2:
        return None
    return InTraining(kept.steps.numpy(), kept.gradient_by_time_step.double().numpy())


def gradient_map(gradients: InTraining) -> GradientMap:
    """Return gradients over a training as a map shows them.

    Args:
        gradients: The gradients.
    """
    with np.errstate(divide="ignore"):  # the logarithm of 0 is -inf
        return GradientMap(gradients.steps, np.log10(gradients.norms))
