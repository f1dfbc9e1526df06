"""Saturation: how often units are near their bounds."""

import numpy as np
from numpy.typing import NDArray

from rnn_tasks.analysis import hidden_states, saturation
from rnn_tasks.analysis.snapshots import has_bounds
from rnn_tasks.errors import require
from rnn_tasks.networks import Network
from rnn_tasks.plots.saturation import Saturation
from rnn_tasks.report.run_data import RunData
from rnn_tasks.runs.tensorboard_log import Curve
from rnn_tasks.spec import Batch

THRESHOLD = 0.95
"""A unit is saturated where its absolute value is above."""


def saturation_of(run: RunData) -> Saturation | None:
    """Return how often the units of a run are near their bounds; None without bounds or without sequences.

    Args:
        run: The run.
    """
    batch = run.batch
    if batch is None or not has_bounds(run.network.core):
        return None

    def of(network: Network) -> NDArray[np.float64]:
        return np.sort(saturation(hidden_states(network, batch), THRESHOLD).double().numpy())[::-1].copy()

    if not stays_within_bounds(run.network, batch):
        return None
    kept = run.snapshots
    curve = None
    if kept is not None and kept.saturation is not None and len(kept) > 1:
        curve = Curve(kept.steps.numpy(), kept.saturation.double().mean(1).numpy())
    elif "saturation/share" in run.curves:
        logged = run.curves["saturation/share"]
        curve = Curve(logged.steps + 1, logged.values)
    return Saturation(of(run.network), of(run.untrained), curve)


def stays_within_bounds(network: Network, batch: Batch) -> bool:
    """Return whether the states stay within -1..1; those of a custom layer need not.

    Args:
        network: The network.
        batch: What it reads.

    Raises:
        UsageError: They are not finite.
    """
    states = hidden_states(network, batch)
    require(bool(states.isfinite().all()), "the states are not finite: the network has diverged")
    return bool(states.abs().max() <= 1)
