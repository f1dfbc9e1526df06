"""Measure gradient norms: by lag, by time step over training, and before and after clipping."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rnn_tasks.analysis import gradient_by_lag
from rnn_tasks.analysis.flow import affordable, output_is_state
from rnn_tasks.errors import require
from rnn_tasks.plots.gradients import ByLag, Clipping, GradientMap
from rnn_tasks.report.run_data import RunData, in_double_precision
from rnn_tasks.runs.curves import Curve

GRADIENT_SEQUENCES = 16
BEFORE, AFTER = "gradient_norm/before_clipping", "gradient_norm/after_clipping"
CLIPPED_SHARE = 0.999
"""A gradient counts as clipped if clipping reduced its norm below this share; smaller changes are rounding errors."""


class InTraining(NamedTuple):
    """Norm of ``dL/dh_t`` by time step t, at several steps of a training.

    Attributes:
        steps: The number of optimizer steps before each of at least two snapshots, ``(snapshots,)``.
        norms: The norms, ``(snapshots, time)``.
    """

    steps: NDArray[np.int64]
    norms: NDArray[np.float64]


def gradients_by_lag(run: RunData) -> ByLag | None:
    """Return the gradient norms by lag, counted back from the last scored step; None without test sequences.

    Args:
        run: The run.
    """
    if run.batch is None:
        return None
    scored = run.batch.scored.any(1).nonzero()[:GRADIENT_SEQUENCES, 0]
    few = affordable(run.network, run.batch.rows(0, int(scored[-1]) + 1))
    trained, untrained = (
        gradient_by_lag(in_double_precision(network), few).numpy() for network in (run.network, run.untrained)
    )
    finite = bool(np.isfinite(trained).all() and np.isfinite(untrained).all())
    require(finite, "the gradient is not finite: the network has diverged")
    first = 0 if output_is_state(run.network, few) else min(1, len(trained) - 1)
    return ByLag(trained, untrained, first)


def clipping_of(run: RunData) -> Clipping | None:
    """Return the logged gradient norms before and after clipping; None if they were not logged.

    Args:
        run: The run.
    """
    before, after = run.curves.get(BEFORE), run.curves.get(AFTER)
    if before is None or after is None:
        return None
    trainer = run.config.get("trainer") or {}
    by_norm = trainer.get("gradient_clip_algorithm") in (None, "norm")
    limit = trainer.get("gradient_clip_val") if by_norm else None
    steps, in_before, in_after = np.intersect1d(before.steps, after.steps, return_indices=True)
    old, new = before.values[in_before], after.values[in_after]
    clipped = float((new < CLIPPED_SHARE * old).mean()) if len(steps) else float("nan")
    return Clipping(Curve(steps + 1, old), Curve(steps + 1, new), limit or None, clipped)


def gradients_in_training(run: RunData) -> InTraining | None:
    """Return the gradient norms recorded during training; None if there are fewer than two snapshots.

    Args:
        run: The run.
    """
    snapshots = run.snapshots
    if snapshots is None or snapshots.gradient_by_time_step is None or len(snapshots) < 2:
        return None
    return InTraining(snapshots.steps.numpy(), snapshots.gradient_by_time_step.double().numpy())


def gradient_map(gradients: InTraining) -> GradientMap:
    """Return the logarithms of gradient norms for a heat map.

    Args:
        gradients: The gradient norms.
    """
    with np.errstate(divide="ignore"):  # the logarithm of 0 is -inf
        return GradientMap(gradients.steps, np.log10(gradients.norms))
