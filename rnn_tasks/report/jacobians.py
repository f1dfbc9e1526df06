"""Measure how small state differences grow or decay: singular values of Jacobian products, Lyapunov exponents."""

import numpy as np
from numpy.typing import NDArray

from rnn_tasks.analysis import jacobian_products, lyapunov_spectrum
from rnn_tasks.analysis.flow import flat_size
from rnn_tasks.errors import require
from rnn_tasks.networks import Network
from rnn_tasks.plots.jacobians import Stretching, StretchingPair
from rnn_tasks.report.run_data import in_double_precision
from rnn_tasks.report.sequences import longest
from rnn_tasks.spec import Batch

MAX_STEPS, MIN_STEPS = 250, 8
"""Largest and smallest number of steps along a sequence."""

MAX_WORK = 8e9
"""Steps are reduced, down to ``MIN_STEPS``, until steps times the third power of the state size is below this value."""

MAX_SIZE = 1024
"""Largest state size whose Jacobians are computed: ``MIN_STEPS`` of them then take about half a minute."""

PRODUCTS = 40
"""Approximate number of products whose singular values are computed."""

SEQUENCES = 2
"""Number of sequences over which the Lyapunov exponents are averaged."""

DISCARDED = 10
"""The first ``1 / DISCARDED`` of the steps are not used for Lyapunov exponents."""


def stretching(
    trained: Network, untrained: Network, batch: Batch, max_work: float = MAX_WORK, products: int = PRODUCTS
) -> StretchingPair:
    """Measure how two networks with equal state sizes stretch small differences along the longest sequences.

    Args:
        trained: The trained network.
        untrained: The network before training.
        batch: The sequences of which the networks read the longest.
        max_work: The bound on steps times the third power of the state size.
        products: The approximate number of products whose singular values are computed.

    Raises:
        UsageError: A state cannot be flattened or is too large, no step is scored, or the network has diverged.
    """
    trained, untrained = in_double_precision(trained), in_double_precision(untrained)
    few = few_steps(trained, batch, max_work)
    steps = few.inputs.shape[1]
    every = -(-steps // products)

    def measure(network: Network) -> Stretching:
        factors = jacobian_products(network, few, steps, every=every)
        exponents = lyapunov_spectrum(network, few, discard=steps // DISCARDED)
        return Stretching(every * np.arange(1, len(factors) + 1), factors.numpy(), exponents.numpy(), steps)

    pair = StretchingPair(measure(trained), measure(untrained))
    finite = all(np.isfinite(s.factors).all() and not np.isnan(s.exponents).any() for s in pair)
    require(finite, "the values are not finite: the network has diverged")
    return pair


def few_steps(network: Network, batch: Batch, max_work: float = MAX_WORK) -> Batch:
    """Return the longest sequences, with as many of their first steps as Jacobians can be computed for in seconds.

    Args:
        network: The network.
        batch: The sequences.
        max_work: The bound on steps times the third power of the state size.

    Raises:
        UsageError: The state cannot be flattened or is too large, or no step is scored.
    """
    few = longest(batch, SEQUENCES)
    size = flat_size(network, few)
    require(
        size <= MAX_SIZE, f"the state has {size:,} numbers, more than {MAX_SIZE:,}: skipped, as it would take minutes"
    )
    steps = min(few.inputs.shape[1], MAX_STEPS, max(MIN_STEPS, int(max_work / size**3)))
    return few._replace(inputs=few.inputs[:, :steps], targets=few.targets[:, :steps], memory=None, group=None)


def largest_exponent(network: Network, batch: Batch) -> float:
    """Return the largest Lyapunov exponent of a network, in nats per step, along the longest sequences.

    Args:
        network: The network.
        batch: The sequences.

    Raises:
        UsageError: The state cannot be flattened or is too large, no step is scored, or the network has diverged.
    """
    network = in_double_precision(network)
    few = few_steps(network, batch)
    exponent = float(lyapunov_spectrum(network, few, discard=few.inputs.shape[1] // DISCARDED)[0])
    require(not np.isnan(exponent), "the exponent is not a number: the network has diverged")
    return exponent


def time_constant(exponents: NDArray[np.float64]) -> float:
    """Return the number of steps after which the slowest decay reaches 1/e; infinity if a difference does not decay.

    Args:
        exponents: Lyapunov exponents in nats per step, in descending order.

    Example:
        >>> time_constant(np.array([-0.25, -3.0])), time_constant(np.array([0.1, -3.0]))
        (4.0, inf)
    """
    largest = float(exponents[0])
    return -1 / largest if largest < 0 else float("inf")
