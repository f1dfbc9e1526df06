"""Fixed points of a network at a constant input: states that a step leaves unchanged, and their stability."""

from copy import deepcopy
from typing import NamedTuple

import torch
from torch import Tensor

from rnn_tasks.analysis.arrays import Complexes, Flags, Floats, Integers
from rnn_tasks.analysis.dynamics import core_jacobian, example_state
from rnn_tasks.analysis.flow import evaluating
from rnn_tasks.cores import Core, State
from rnn_tasks.errors import require
from rnn_tasks.networks import Network

SOLVED_SPEED = 1e-26
"""A start is finished when its speed is below this value; rounding errors of a step are of this size."""

FIRST_DAMPING, MIN_DAMPING, MAX_DAMPING = 1e-2, 1e-12, 1e12
"""The damping of the first step, its lower bound, and the damping at which a start is given up."""


class FixedPoints(NamedTuple):
    """Fixed points of a network at a constant input, the stable ones first, then in the order of their speeds.

    Attributes:
        states: The states, in the order of :func:`rnn_tasks.analysis.flatten_state`, ``(points, state_size)``.
        speeds: ``|F(h) - h|^2 / 2`` at each point, where F is one step of the network, ``(points,)``.
        eigenvalues: The eigenvalues of the Jacobian of F at each point, in decreasing order of absolute value,
            ``(points, state_size)``.
        is_stable: Whether all eigenvalues are inside the unit circle, so that nearby states come closer, ``(points,)``.
        counts: The number of starts that led to each point, ``(points,)``.
        num_starts: The number of all starts.
    """

    states: Floats
    speeds: Floats
    eigenvalues: Complexes
    is_stable: Flags
    counts: Integers
    num_starts: int

    @property
    def unstable_directions(self) -> Integers:
        """The number of eigenvalues on or outside the unit circle, for each point, ``(points,)``."""
        outside: Integers = (abs(self.eigenvalues) >= 1).sum(axis=1)
        return outside


def fixed_points(
    network: Network,
    encoded_input: Tensor,
    starts: Tensor,
    max_speed: float = 1e-12,
    max_iterations: int = 200,
    merge_share: float = 1e-3,
    reach: float = 2.0,
) -> FixedPoints:
    """Find states that a step of the network leaves unchanged, if the input is constant.

    From each start, the speed ``q(h) = |F(h) - h|^2 / 2`` is minimised, where F is one step of the network. Unstable
    fixed points are found as well as stable ones, since both are minima of q. The method is that of D. Sussillo and
    O. Barak, "Opening the black box: low-dimensional dynamics in high-dimensional recurrent neural networks" (2013),
    https://doi.org/10.1162/NECO_a_00409, with Levenberg-Marquardt steps, which use the Jacobian of F. All starts are
    optimized together, in double precision.

    Args:
        network: The network; it is not changed.
        encoded_input: The constant input of the layer, ``(features,)``, one step of :func:`rnn_tasks.analysis.encoded`.
        starts: States from which to search, such as states along test sequences, ``(starts, state_size)``.
        max_speed: Points with a larger q are not returned, ``>= 0``.
        max_iterations: Largest number of steps of the optimization, ``>= 1``.
        merge_share: Points closer together than this share of the spread of the starts are one point, ``>= 0``. The
            spread is the root mean square distance of the starts from their mean, at least 1e-3.
        reach: Points farther from the mean of the starts than this multiple of the farthest start are not returned,
            because the network never visits their surroundings, ``> 0``.

    Raises:
        UsageError: A value outside its bounds, starts that are not finite, or a layer whose state cannot be flattened.

    Example:
        >>> from functools import partial
        >>> from rnn_tasks.cores import Elman
        >>> from rnn_tasks.networks import TaggerNetwork
        >>> from rnn_tasks.tasks import Echo
        >>> network = TaggerNetwork(partial(Elman, hidden_size=1), Echo().spec)
        >>> for weight in network.core.parameters():
        ...     _ = weight.data.fill_(0)
        >>> _ = network.core.weight_hh_l0.data.fill_(2)  # h becomes tanh(2 h)
        >>> found = fixed_points(network, torch.zeros(27), torch.linspace(-1, 1, 20)[:, None])
        >>> sorted((found.states.ravel().round(4) + 0).tolist()), found.is_stable.tolist()
        ([-0.9575, 0.0, 0.9575], [True, True, False])
    """
    require(max_speed >= 0, f"max_speed must be at least 0, got {max_speed}")
    require(max_iterations >= 1, f"max_iterations must be at least 1, got {max_iterations}")
    require(merge_share >= 0, f"merge_share must be at least 0, got {merge_share}")
    require(reach > 0, f"reach must be above 0, got {reach}")
    require(starts.ndim == 2 and len(starts) > 0, f"starts must be (starts, state_size), got {tuple(starts.shape)}")
    require(bool(starts.isfinite().all()), "the starts are not finite: the network has diverged")
    network = deepcopy(network).double()
    first = starts.detach().to(network.device, torch.double)
    inputs = encoded_input.detach().to(first)
    with evaluating(network):
        like = example_state(network.core, inputs[None])
        states, speeds = minimize_speed(network.core, inputs, first, like, max_iterations)
        center = first.mean(0)
        distances = torch.linalg.vector_norm(states - center, dim=1)
        farthest = torch.linalg.vector_norm(first - center, dim=1).max().clamp(min=1e-3)
        is_found = (speeds <= max_speed) & (distances <= reach * farthest)
        spread = (first - center).square().sum(1).mean().sqrt().clamp(min=1e-3)
        order = speeds.argsort(stable=True)
        kept, counts = merge(states[order][is_found[order]], float(merge_share * spread))
        points, q = states[order][is_found[order]][kept], speeds[order][is_found[order]][kept]
        matrices = [core_jacobian(network.core, inputs[None], point[None], like)[0][0] for point in points]
    values = (
        torch.stack([torch.linalg.eigvals(matrix) for matrix in matrices]) if matrices else points.to(torch.cdouble)
    )
    values = values.gather(1, values.abs().argsort(dim=1, descending=True))
    is_stable = (values.abs() < 1).all(1)
    order = (~is_stable).long().argsort(stable=True)
    return FixedPoints(
        points[order].cpu().numpy(),
        q[order].cpu().numpy(),
        values[order].cpu().numpy(),
        is_stable[order].cpu().numpy(),
        counts[order].cpu().numpy(),
        len(starts),
    )


def minimize_speed(
    core: Core, inputs: Tensor, starts: Tensor, like: State, max_iterations: int
) -> tuple[Tensor, Tensor]:
    """Minimise ``|F(h) - h|^2 / 2`` from each start by Levenberg-Marquardt steps, each start with its own damping.

    Args:
        core: The layer, in double precision.
        inputs: The constant input, ``(features,)``.
        starts: The first states, ``(starts, state_size)``.
        like: A state of the layer, as a template.
        max_iterations: Largest number of steps.

    Returns:
        The last states, ``(starts, state_size)``, and their speeds, ``(starts,)``.
    """
    states, damping = starts.clone(), torch.full((len(starts),), FIRST_DAMPING).to(starts)
    identity = torch.eye(starts.shape[1]).to(starts)
    slopes, after = core_jacobian(core, inputs.expand(len(states), -1), states, like)
    residuals = after - states
    speeds = residuals.square().sum(1) / 2
    for _ in range(max_iterations):
        active = ((speeds > SOLVED_SPEED) & (damping < MAX_DAMPING)).nonzero()[:, 0]
        if not len(active):
            break
        change = slopes[active] - identity
        curvature = change.mT @ change + damping[active, None, None] * identity
        gradient = (change.mT @ residuals[active, :, None])[..., 0]
        trial = states[active] - torch.linalg.solve_ex(curvature, gradient).result  # not finite if singular
        trial_slopes, after = core_jacobian(core, inputs.expand(len(active), -1), trial, like)
        trial_residuals = after - trial
        trial_speeds = trial_residuals.square().sum(1) / 2
        is_better = trial_speeds < speeds[active]
        damping[active] = (damping[active] * torch.where(is_better, 0.2, 5.0)).clamp(min=MIN_DAMPING)
        better = active[is_better]
        states[better], slopes[better] = trial[is_better], trial_slopes[is_better]
        residuals[better], speeds[better] = trial_residuals[is_better], trial_speeds[is_better]
    return states, speeds


def merge(points: Tensor, distance: float) -> tuple[Tensor, Tensor]:
    """Return the indices of points such that all others are near one of them, and the numbers of points near each.

    Args:
        points: ``(points, size)``; earlier points are preferred.
        distance: Points at most this far apart are one point.

    Returns:
        The indices ``(kept,)`` and the counts ``(kept,)``, both int64.

    Example:
        >>> merge(torch.tensor([[0.0], [1.0], [0.1]]), 0.2)
        (tensor([0, 1]), tensor([2, 1]))
    """
    kept: list[int] = []
    counts: list[int] = []
    for index, point in enumerate(points):
        gaps = torch.linalg.vector_norm(points[kept] - point, dim=1)
        if len(gaps) and gaps.min() <= distance:
            counts[int(gaps.argmin())] += 1
        else:
            kept.append(index)
            counts.append(1)
    return torch.tensor(kept, dtype=torch.long), torch.tensor(counts, dtype=torch.long)
