"""Hidden states along the directions in which they vary most."""

from typing import NamedTuple

import numpy as np

from rnn_tasks.analysis.arrays import Floats, Values, floats
from rnn_tasks.errors import require


class Trajectory(NamedTuple):
    """Hidden states, seen along the directions in which some of them vary most.

    Attributes:
        points: ``(..., num_components)``, as many as there were states.
        explained: Share of the reference states' variance along each direction, falling, ``(num_components,)``.
        components: The directions, orthonormal, ``(num_components, hidden)``; the largest entry of each is positive.
        mean: Mean of the reference states, where all points are 0, ``(hidden,)``.
    """

    points: Floats
    explained: Floats
    components: Floats
    mean: Floats


def pca_trajectory(states: Values, reference: Values | None = None, num_components: int = 2) -> Trajectory:
    """Principal components of hidden states.

    Give the same reference for states of several moments of a training, such as the last ones, or they are seen from
    different sides.

    Args:
        states: ``(..., hidden)``.
        reference: The states that the directions are fitted on, ``(..., hidden)``; None for ``states``.
        num_components: Directions, ``1..hidden``, and not more than there are reference states.

    Raises:
        UsageError: A value outside its bounds, shapes that do not fit, or reference states that do not vary.

    Example:
        >>> line = np.arange(5.0)[:, None] * np.array([3.0, 4.0])
        >>> pca_trajectory(line, num_components=1).points.ravel().round(6).tolist()
        [-10.0, -5.0, 0.0, 5.0, 10.0]
    """
    from sklearn.decomposition import PCA  # two seconds, which nobody else should wait

    seen = floats(states, "states", states.ndim)
    fitted = seen if reference is None else floats(reference, "reference", reference.ndim)
    require(seen.ndim >= 2 and fitted.ndim >= 2, "states must be (..., hidden), with at least two dimensions")
    require(
        seen.shape[-1] == fitted.shape[-1],
        f"the states have {seen.shape[-1]} units and the reference has {fitted.shape[-1]}",
    )
    flat = fitted.reshape(-1, fitted.shape[-1])
    require(
        1 <= num_components <= min(flat.shape),
        f"num_components must be in 1..{min(flat.shape)}, got {num_components}",
    )
    require(bool((np.ptp(flat, axis=0) > 0).any()), "the reference states are all the same: they have no directions")
    # full: the other solvers may draw, or square the condition number
    pca = PCA(num_components, svd_solver="full").fit(flat)
    points = pca.transform(seen.reshape(-1, seen.shape[-1])).reshape(*seen.shape[:-1], num_components)
    return Trajectory(points, pca.explained_variance_ratio_, pca.components_, pca.mean_)
