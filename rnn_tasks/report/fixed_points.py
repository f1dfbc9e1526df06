"""Fixed points of the networks of runs at a constant input."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from rnn_tasks.analysis.fixed_points import FixedPoints, fixed_points
from rnn_tasks.analysis.flow import encoded, flat_size, state_trajectory
from rnn_tasks.analysis.trajectory import pca_trajectory
from rnn_tasks.errors import UsageError, require
from rnn_tasks.plots.fixed_points import PlacedPoints, draw_fixed_points
from rnn_tasks.report.answers import labelled, picture_name
from rnn_tasks.report.blocks import Block, Picture
from rnn_tasks.report.run_data import RunData, attempt
from rnn_tasks.report.sequences import lengths, longest
from rnn_tasks.spec import Batch, TaskSpec

SEQUENCES, STEPS = 30, 200
"""The search starts from states along this number of test sequences, up to this step."""

DRAWN = 8
"""Number of sequences whose states are drawn."""

MAX_STARTS, MIN_STARTS, MAX_ITERATIONS = 200, 10, 60
"""Largest and smallest number of starts, and largest number of steps of the search."""

MAX_WORK = 1e8
"""Starts are reduced until starts times the third power of the state size is below this value."""

MAX_SIZE = 512
"""Largest state size for which fixed points are searched, because the time grows with its third power."""

ENDS_ELSEWHERE = "stopped where the state still moves, or far from all states of the sequences"
"""What the caption says of searches that did not end at a fixed point."""

ATTRACTORS = (
    " Each stable point attracts the states around it, so the network keeps which of them it is near for any number of "
    "steps. The Lyapunov exponents and the time constant do not show this memory: they describe small differences, "
    "which decay near a stable point."
)
"""What the caption says of several stable points."""


def constant_input(run: RunData) -> Tensor | None:
    """Return the encoded constant input, ``(features,)``: the blank symbol, or zeros for real inputs.

    Args:
        run: The run.

    Returns:
        The input, with the last condition if the task has conditions; None for a task without a blank, or where the
        blank occurs only in the padding after the last scored steps.
    """
    spec = run.network.spec
    if spec.real_inputs:
        inputs = torch.zeros(1, 1, spec.input_size)
    elif spec.blank is None or (run.batch is not None and not reads(run.batch, spec.blank)):
        return None
    else:
        inputs = torch.full((1, 1), spec.blank)
    condition = torch.tensor([spec.num_conditions - 1]) if spec.num_conditions else None
    return encoded(run.network, Batch(inputs, torch.zeros(1, 1), condition=condition))[0, 0]


def reads(batch: Batch, symbol: int) -> bool:
    """Return whether a symbol occurs in a sequence before or at its last scored step.

    Args:
        batch: The sequences.
        symbol: The symbol.
    """
    return bool(((batch.expanded().inputs == symbol) & before_end(batch)).any())


def before_end(batch: Batch) -> Tensor:
    """Return the mask of the steps up to the last scored step of each sequence, ``(sequences, time)``.

    Args:
        batch: The sequences.
    """
    return torch.arange(batch.targets.shape[1]) < lengths(batch)[:, None]


def name_of_input(spec: TaskSpec) -> str:
    """Return the name of the constant input for a caption."""
    return "zeros" if spec.real_inputs else "the blank symbol"


def fixed_points_of(run: RunData) -> PlacedPoints | None:
    """Find fixed points of the trained network; None without a constant input or without test sequences.

    Args:
        run: The run.

    Raises:
        UsageError: No fixed point is found, or the state of the layer cannot be flattened.
    """
    inputs = constant_input(run)
    if inputs is None or run.batch is None:
        return None
    few = run.batch.rows(0, SEQUENCES).expanded()
    size = flat_size(run.network, few)
    require(size >= 2, "principal components need at least two units")
    require(
        size <= MAX_SIZE, f"the state has {size:,} numbers, more than {MAX_SIZE}: skipped, as it would take minutes"
    )
    states = state_trajectory(run.network, first_steps(few)).double()
    require(bool(states.isfinite().all()), "the hidden states are not finite: the network has diverged")
    count = min(MAX_STARTS, max(MIN_STARTS, int(MAX_WORK / size**3)))
    flat = states[before_end(few)[:, :STEPS]]
    require(len(flat) > 0, "no step of the first test sequences is scored")
    chosen = torch.randperm(len(flat), generator=torch.Generator().manual_seed(0))[:count]
    found = fixed_points(run.network, inputs, flat[chosen], max_iterations=MAX_ITERATIONS)
    if not len(found.states):
        raise UsageError(
            f"none was found from {found.num_starts} states, at a constant input of {name_of_input(run.network.spec)}"
        )
    components = min(3, size, len(flat))
    points = pca_trajectory(found.states, flat, components)
    drawn = state_trajectory(run.network, first_steps(longest(run.batch, DRAWN))).double()
    return PlacedPoints(found, points, pca_trajectory(drawn, flat, components).points)


def first_steps(batch: Batch) -> Batch:
    """Return the first ``STEPS`` steps of sequences.

    Args:
        batch: The sequences.
    """
    return batch._replace(inputs=batch.inputs[:, :STEPS], targets=batch.targets[:, :STEPS], memory=None, group=None)


def caption_of_fixed_points(found: FixedPoints, spec: TaskSpec) -> str:
    """Return the caption of fixed points.

    Args:
        found: The fixed points.
        spec: The spec of the network.
    """
    stable = int(found.is_stable.sum())
    unstable = len(found.is_stable) - stable
    others = "" if found.counts.sum() == found.num_starts else f", and the others {ENDS_ELSEWHERE}"
    text = (
        f"Fixed points at a constant input ({name_of_input(spec)}): states that a step leaves unchanged, found by "
        f"minimising the speed |F(h) - h|²/2 from {found.num_starts} states of test sequences; "
        f"{found.counts.sum()} of these searches ended at a fixed point{others}. {stable} "
        f"{'is' if stable == 1 else 'are'} stable: all eigenvalues of the Jacobian are inside the unit circle "
        f"(dashed), so nearby states come closer. "
        f"{unstable} {'is' if unstable == 1 else 'are'} unstable"
    )
    if unstable:
        directions = found.unstable_directions[~found.is_stable]
        low, high = directions.min(), directions.max()
        counts = f"{low}" if low == high else f"{low} to {high}"
        text += f", with {counts} eigenvalue{'' if high == 1 else 's'} on or outside the circle"
    text += ". PC: principal component of the states."
    return text + (ATTRACTORS if stable > 1 else "")


def fixed_point_blocks(runs: Sequence[RunData], missing: list[str]) -> tuple[list[Block], dict[str, Any]]:
    """Return a picture of the fixed points of each run, and the numbers by run.

    Args:
        runs: The runs.
        missing: Lines about missing parts, to which this function may append.
    """
    blocks: list[Block] = []
    numbers: dict[str, Any] = {}
    for run in runs:
        placed = attempt(missing, labelled(runs, run, "fixed points"), partial(fixed_points_of, run))
        if placed is None:
            continue
        found = placed.found
        caption = labelled(runs, run, caption_of_fixed_points(found, run.network.spec))
        blocks.append(Picture(picture_name(runs, run, "fixed_points"), partial(draw_fixed_points, placed), caption))
        numbers[run.label] = {
            "stable": int(found.is_stable.sum()),
            "unstable_directions": found.unstable_directions,
            "coordinates": placed.points.points,
            **found._asdict(),
        }
    return blocks, {"fixed_points": numbers}
