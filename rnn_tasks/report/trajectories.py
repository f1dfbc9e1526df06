"""The hidden state along one sequence: its principal components during training, and its units."""

import numpy as np

from rnn_tasks.analysis import hidden_states
from rnn_tasks.analysis.trajectory import pca_trajectory
from rnn_tasks.errors import require
from rnn_tasks.plots.trajectories import TrainingTrajectory, Units
from rnn_tasks.report.answers import is_text
from rnn_tasks.report.run_data import RunData
from rnn_tasks.report.sequences import lengths, longest
from rnn_tasks.spec import Batch

NUM_SNAPSHOTS = 4
"""Number of snapshots whose trajectories are drawn."""

MAX_STEPS, MAX_CHARACTERS = 120, 80
"""Largest number of drawn steps of a sequence, and of a text."""


def trajectory_of(run: RunData) -> TrainingTrajectory | None:
    """Return the hidden states along a sequence, without its padding, at several snapshots of the training.

    Without snapshots, return the states of the untrained and the trained network along the longest test
    sequence, or None if there is no test sequence.

    Args:
        run: The run.
    """
    snapshots = run.snapshots
    if snapshots is not None and len(snapshots) > 1:
        chosen = sorted({round(index) for index in np.linspace(0, len(snapshots) - 1, NUM_SNAPSHOTS)})
        of_sequence = Batch(snapshots.inputs[None], snapshots.targets[None])
        end = min(MAX_STEPS, int(lengths(of_sequence)[0]))
        states = snapshots.states[chosen, :end].double().numpy()
        names = [f"after {step:,} steps" for step in snapshots.steps[chosen].tolist()]
        read = run.characters(snapshots.inputs[:end].tolist())
    elif run.batch is not None:
        one = longest(run.batch, 1)
        states = np.stack(
            [hidden_states(network, one)[0, :MAX_STEPS].double().numpy() for network in (run.untrained, run.network)]
        )
        names = ["untrained", "trained"]
        read = run.characters(one.inputs[0, :MAX_STEPS].tolist())
    else:
        return None
    require(min(states.shape[1:]) >= 2, "principal components need at least two units and two steps")
    return TrainingTrajectory(names, pca_trajectory(states, states[-1]), read)


def caption_of_trajectory(trajectory: TrainingTrajectory) -> str:
    """Return the caption of a trajectory."""
    share = trajectory.points.explained[:2].sum()
    return (
        f"The hidden state along one sequence of {trajectory.points.points.shape[1]} steps (ring: the first step), "
        "projected to the first two principal components (PC) of the states in the last panel, which explain "
        f"{share:.0%} of their variance. All panels use the same projection."
    )


def units_of(run: RunData) -> Units | None:
    """Return the hidden states along the longest test sequence; None without test sequences.

    Args:
        run: The run.
    """
    if run.batch is None:
        return None
    one, length = longest(run.batch, 1), MAX_CHARACTERS if is_text(run) else MAX_STEPS
    states = hidden_states(run.network, one)[0, :length].double().numpy()
    require(bool(np.isfinite(states).all()), "the hidden states are not finite: the network has diverged")
    return Units(states[:, states.mean(0).argsort()], run.characters(one.inputs[0, :length].tolist()))
