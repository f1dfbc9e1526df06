"""The hidden state along one sequence: followed through training by its principal components, and unit by unit."""

import numpy as np

from rnn_tasks.analysis import hidden_states
from rnn_tasks.analysis.trajectory import pca_trajectory
from rnn_tasks.errors import require
from rnn_tasks.plots.trajectories import TrainingTrajectory, Units
from rnn_tasks.report.answers import is_text
from rnn_tasks.report.run_data import RunData

MOMENTS = 4
"""Moments of a training at which a trajectory is drawn."""

MAX_STEPS, MAX_CHARACTERS = 120, 80
"""Steps of a sequence, and of a text, that are drawn."""


def trajectory_of(run: RunData) -> TrainingTrajectory | None:
    """Return the states along a recorded sequence at some snapshots, else along a test sequence before and after.

    None where there is neither.

    Args:
        run: The run.
    """
    kept = run.snapshots
    if kept is not None and len(kept) > 1:
        chosen = sorted({round(index) for index in np.linspace(0, len(kept) - 1, MOMENTS)})
        states = kept.states[chosen, :MAX_STEPS].double().numpy()
        names = [f"after {step:,} steps" for step in kept.steps[chosen].tolist()]
        read = run.shown(kept.inputs[:MAX_STEPS].tolist())
    elif run.batch is not None:
        one = run.batch.rows(0, 1)
        states = np.stack(
            [hidden_states(network, one)[0, :MAX_STEPS].double().numpy() for network in (run.untrained, run.network)]
        )
        names = ["untrained", "trained"]
        read = run.shown(one.inputs[0, :MAX_STEPS].tolist())
    else:
        return None
    require(min(states.shape[1:]) >= 2, "a trajectory in a plane needs two units and two steps")
    return TrainingTrajectory(names, pca_trajectory(states, states[-1]), read)


def caption_of_trajectory(found: TrainingTrajectory) -> str:
    """Return the caption of a trajectory."""
    share = found.points.explained[:2].sum()
    return (
        f"The hidden state along one sequence of {found.points.points.shape[1]} steps (ring: the first), seen along "
        "the two directions in which the states of the last picture vary most (principal components, PC); they hold "
        f"{share:.0%} of that variance. The others are seen from the same side."
    )


def units_of(run: RunData) -> Units | None:
    """Return the hidden states along the first test sequence; None without test sequences.

    Args:
        run: The run.
    """
    if run.batch is None:
        return None
    one, shown = run.batch.rows(0, 1), MAX_CHARACTERS if is_text(run) else MAX_STEPS
    states = hidden_states(run.network, one)[0, :shown].double().numpy()
    require(bool(np.isfinite(states).all()), "the states are not finite: the network has diverged")
    return Units(states[:, states.mean(0).argsort()], run.shown(one.inputs[0, :shown].tolist()))
