"""Principal components of hidden states."""

from typing import NamedTuple

import numpy as np

from rnn_tasks.analysis.arrays import Floats, Values, floats
from rnn_tasks.errors import require


class Trajectory(NamedTuple):
    """Hidden states in the coordinates of principal components.

    Attributes:
        points: The coordinates of each state, ``(..., num_components)``.
        explained: Share of the reference states' variance along each component, decreasing, ``(num_components,)``.
        components: The orthonormal components, ``(num_components, hidden)``; the largest entry of each is positive.
        mean: Mean of the reference states, the origin of the coordinates, ``(hidden,)``.
    """

    points: Floats
    explained: Floats
    components: Floats
    mean: Floats


def pca_trajectory(states: Values, reference: Values | None = None, num_components: int = 2) -> Trajectory:
    """Project hidden states onto principal components.

    To compare states from several snapshots of a training run, use the same reference, such as the last states.

    Args:
        states: Hidden states, ``(..., hidden)``.
        reference: The states whose principal components are used, ``(..., hidden)``; None for ``states``.
        num_components: The number of components, at most ``hidden`` and the number of reference states, ``>= 1``.

    Raises:
        UsageError: A value outside its bounds, shapes that do not fit, or reference states that are all equal.

    Example:
        >>> line = np.arange(5.0)[:, None] * np.array([3.0, 4.0])
        >>> pca_trajectory(line, num_components=1).points.ravel().round(6).tolist()
        [-10.0, -5.0, 0.0, 5.0, 10.0]
    """
    from sklearn.decomposition import PCA  # takes two seconds to import

    hidden = floats(states, "states", states.ndim)
    fitted = hidden if reference is None else floats(reference, "reference", reference.ndim)
    require(hidden.ndim >= 2 and fitted.ndim >= 2, "states must be (..., hidden), with at least two dimensions")
    require(
        hidden.shape[-1] == fitted.shape[-1],
        f"the states have {hidden.shape[-1]} units and the reference has {fitted.shape[-1]}",
    )
    flat = fitted.reshape(-1, fitted.shape[-1])
    require(
        1 <= num_components <= min(flat.shape),
        f"num_components must be in 1..{min(flat.shape)}, got {num_components}",
    )
    require(bool((np.ptp(flat, axis=0) > 0).any()), "the reference states are all equal: they have no components")
    # The other solvers may use random numbers, or square the condition number.
    pca = PCA(num_components, svd_solver="full").fit(flat)
    points = pca.transform(hidden.reshape(-1, hidden.shape[-1])).reshape(*hidden.shape[:-1], num_components)
    return Trajectory(points, pca.explained_variance_ratio_, pca.components_, pca.mean_)
