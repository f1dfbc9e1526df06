"""Measure saturation: the share of time steps at which units are near their bounds."""

import numpy as np
from numpy.typing import NDArray

from rnn_tasks.analysis import hidden_states, saturation
from rnn_tasks.analysis.snapshots import has_bounds
from rnn_tasks.errors import require
from rnn_tasks.networks import Network
from rnn_tasks.plots.saturation import Saturation
from rnn_tasks.report.run_data import RunData
from rnn_tasks.runs.curves import Curve
from rnn_tasks.spec import Batch

THRESHOLD = 0.95
"""A unit is saturated if its absolute value is above this threshold."""


def saturation_of(run: RunData) -> Saturation | None:
    """Return the saturation of the units of a run; None without bounds or without test sequences.

    Args:
        run: The run.
    """
    batch = run.batch
    if batch is None or not has_bounds(run.network.core):
        return None

    def share_of_each_unit(network: Network) -> NDArray[np.float64]:
        return np.sort(saturation(hidden_states(network, batch), THRESHOLD).double().numpy())[::-1].copy()

    if not stays_within_bounds(run.network, batch):
        return None
    snapshots = run.snapshots
    curve = None
    if snapshots is not None and snapshots.saturation is not None and len(snapshots) > 1:
        curve = Curve(snapshots.steps.numpy(), snapshots.saturation.double().mean(1).numpy())
    elif "saturation/share" in run.curves:
        logged = run.curves["saturation/share"]
        curve = Curve(logged.steps + 1, logged.values)
    return Saturation(share_of_each_unit(run.network), share_of_each_unit(run.untrained), curve)


def stays_within_bounds(network: Network, batch: Batch) -> bool:
    """Return whether all hidden states lie within -1..1, which is not the case for some custom layers.

    Args:
        network: The network.
        batch: The sequences that the network reads.

    Raises:
        UsageError: A hidden state is not finite.
    """
    states = hidden_states(network, batch)
    require(bool(states.isfinite().all()), "the hidden states are not finite: the network has diverged")
    return bool(states.abs().max() <= 1)
