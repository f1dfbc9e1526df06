"""Measurements of the profiled layer beside its runs: gradient, memory capacity, Lyapunov exponent, and cost."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rnn_tasks.analysis import gradient_by_lag
from rnn_tasks.analysis.cost import Cost, costs_of
from rnn_tasks.analysis.flow import affordable, output_is_state
from rnn_tasks.analysis.memory import MemoryCapacity
from rnn_tasks.cores import GRU
from rnn_tasks.errors import require
from rnn_tasks.networks import Network
from rnn_tasks.report.gradients import GRADIENT_SEQUENCES
from rnn_tasks.report.jacobians import largest_exponent
from rnn_tasks.report.probes import mean_capacity
from rnn_tasks.report.run_data import attempt, in_double_precision
from rnn_tasks.report.write import one_thread
from rnn_tasks.runs.find import RunLocation
from rnn_tasks.runs.trained_network import load_network
from rnn_tasks.spec import Batch
from rnn_tasks.tasks import TemporalOrder

TASK = "temporal_order"
"""The task whose network is measured; every profile has it."""

LAG = 100
"""The lag at which the gradient is given."""

LENGTH, SEQUENCES = 120, 64
"""Length and number of the sequences of the task on which the network is measured."""

MEASURED_BATCH = 64
"""The number of sequences of a batch for which time and memory are given, as in the runs."""


class Gradient(NamedTuple):
    """The gradient of the loss at the last step with respect to the state, by lag.

    Attributes:
        norms: The norms, ``(lags,)``.
        first: The first lag that is comparable with larger lags, see :class:`rnn_tasks.plots.gradients.ByLag`.
    """

    norms: "np.typing.NDArray[np.float64]"
    first: int

    @property
    def left(self) -> float:
        """The norm at the lag ``LAG`` as a share of the norm at the first lag; NaN if that is 0."""
        return float(self.norms[LAG] / self.norms[self.first]) if self.norms[self.first] > 0 else float("nan")


class Measures(NamedTuple):
    """Measurements of a network; None for one that could not be made.

    Attributes:
        gradient: The gradient by lag.
        capacity: The memory capacity of the layer.
        exponent: The largest Lyapunov exponent in nats per step.
    """

    gradient: Gradient | None
    capacity: MemoryCapacity | None
    exponent: float | None


def measure(network: Network, label: str, missing: list[str]) -> Measures:
    """Measure a network of the task temporal order on sequences of ``LENGTH`` steps.

    Args:
        network: The network.
        label: What the network is, for the lines about missing parts.
        missing: Lines about missing parts, to which this function may append.
    """
    task = TemporalOrder(length=LENGTH, test_sequences=SEQUENCES, seed=0)
    batch = next(iter(task.predict_dataloader()))

    def tried(what: str, compute: Callable[[], Any]) -> Any:
        return attempt(missing, f"{what} of the {label}", compute)

    with one_thread():
        return Measures(
            tried("gradient", lambda: gradient_of(network, batch)),
            tried("memory capacity", lambda: mean_capacity(network, batch)),
            tried("largest Lyapunov exponent", lambda: largest_exponent(network, batch)),
        )


def gradient_of(network: Network, batch: Batch) -> Gradient:
    """Return the gradient norms by lag, counted back from the last step.

    Args:
        network: The network.
        batch: Sequences with an answer at the last step.

    Raises:
        UsageError: The state cannot be flattened or is too large, or the gradient is not finite.
    """
    few = affordable(network, batch.rows(0, GRADIENT_SEQUENCES))
    norms = gradient_by_lag(in_double_precision(network), few).numpy()
    require(bool(np.isfinite(norms).all()), "the gradient is not finite: the network has diverged")
    return Gradient(norms, 0 if output_is_state(network, few) else 1)


def trained_network(folder: Path) -> Network:
    """Load the network of a run of the profile, whose classes the user has just trained.

    Args:
        folder: The run folder.

    Raises:
        UsageError: The run has no checkpoint, or is damaged.
    """
    return load_network(RunLocation(folder), trust=True, must_be_finite=False)


def cost_beside_gru(network: Network) -> dict[str, Cost]:
    """Return the cost of the layer of a network, ``layer``, and of torch's GRU of the same sizes, ``gru``."""
    core = network.core
    return costs_of({"layer": core, "gru": GRU(core.input_size, core.hidden_size)}, MEASURED_BATCH)
