"""What many steps make of small differences between states: singular values and Lyapunov exponents."""

import numpy as np
from numpy.typing import NDArray

from rnn_tasks.analysis import jacobian_products, lyapunov_spectrum, state_trajectory
from rnn_tasks.errors import require
from rnn_tasks.networks import Network
from rnn_tasks.plots.jacobians import Stretching, StretchingPair
from rnn_tasks.report.run_data import doubled
from rnn_tasks.spec import Batch

LONGEST = 250
"""Steps along a sequence, at most."""

WORK = 8e9
"""Steps times the third power of the numbers in a state, at most, unless these are fewer than the least steps."""

LEAST_STEPS = 8
PRODUCTS = 40
"""About so many products have their singular values taken."""

SEQUENCES = 2
"""That Lyapunov exponents are the mean of."""

SETTLING = 10
"""One in so many steps, the first ones, is not counted for Lyapunov exponents."""


def stretching(
    trained: Network, untrained: Network, batch: Batch, work: float = WORK, products: int = PRODUCTS
) -> StretchingPair:
    """Measure how two networks with states of the same size stretch differences, along the same sequences.

    Args:
        trained: The network.
        untrained: One as training began.
        batch: What they read.
        work: The largest product of steps and the third power of the state size; limits the steps.
        products: The approximate number of products whose singular values are computed.

    Raises:
        UsageError: A state that cannot be flattened.
    """
    trained, untrained = doubled(trained), doubled(untrained)
    few = batch.rows(0, SEQUENCES)
    size = state_trajectory(trained, few.rows(0, 1)._replace(inputs=few.inputs[:1, :1])).shape[-1]
    steps = min(few.inputs.shape[1], LONGEST, max(LEAST_STEPS, int(work / size**3)))
    few = few._replace(inputs=few.inputs[:, :steps], targets=few.targets[:, :steps], memory=None)
    every = -(-steps // products)

    def of(network: Network) -> Stretching:
        factors = jacobian_products(network, few, steps, every=every)
        exponents = lyapunov_spectrum(network, few, discard=steps // SETTLING)
        return Stretching(every * np.arange(1, len(factors) + 1), factors.numpy(), exponents.numpy(), steps)

    both = StretchingPair(of(trained), of(untrained))
    finite = all(np.isfinite(s.factors).all() and not np.isnan(s.exponents).any() for s in both)
    require(finite, "they are not finite: the network has diverged")
    return both


def forgotten_after(exponents: NDArray[np.float64]) -> float:
    """Return the steps after which the difference that lasts longest is 1/e of what it was; inf if it does not shrink.

    Args:
        exponents: Lyapunov exponents, nats per step, from large to small.

    Example:
        >>> forgotten_after(np.array([-0.25, -3.0])), forgotten_after(np.array([0.1, -3.0]))
        (4.0, inf)
    """
    largest = float(exponents[0])
    return -1 / largest if largest < 0 else float("inf")
