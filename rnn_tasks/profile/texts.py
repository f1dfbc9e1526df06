"""The words and numbers of a card."""

import math
import statistics
from collections.abc import Sequence

from rnn_tasks.profile.card import Attempt, Card, KnownCell, TaskCard
from rnn_tasks.profile.measures import LAG, Measures
from rnn_tasks.studies.queue import RunState

DEFINITIONS = {
    f"gradient left after {LAG} steps": (
        f"The norm of the gradient of the loss at the last step by the state {LAG} steps earlier, as a share of the "
        "norm by the last state. 1: nothing is lost. Near 0: the layer cannot learn what it read so long ago."
    ),
    "memory capacity": (
        "The sum, over all lags, of the squared correlation of a linear readout of the layer's output with a random "
        "input of so many steps ago. It is at most the number of units."
    ),
    "largest Lyapunov exponent": (
        "The rate, in nats per step, at which a small difference of two states grows along a sequence. Below 0: "
        "differences shrink, and are forgotten. Above 0: they grow, and gradients explode."
    ),
}
"""What each measurement of a network says."""


def middle_steps(task: TaskCard) -> float:
    """Return the median of the steps to solve of the own runs, infinite if it is a run that was not solved."""
    steps = [math.inf if run.solved_at is None or run.state != "done" else run.solved_at for run in task.runs]
    return statistics.median_high(steps) if steps else math.inf


def number_of_steps(steps: float, budget: int) -> str:
    """Return steps to solve as text.

    Example:
        >>> number_of_steps(1200, 3000), number_of_steps(math.inf, 3000)
        ('1,200', '> 3,000')
    """
    return f"{steps:,.0f}" if math.isfinite(steps) else f"> {budget:,}"


def seeds_text(task: TaskCard) -> str:
    """Return how many own runs are solved, and the steps to solve of each seed."""
    each = ", ".join(run.steps_text(task.budget) for run in task.runs)
    return f"{task.solved} of {len(task.runs)}: {each}"


def tried_text(task: TaskCard) -> str:
    """Return the outcome of each setting that was tried on the tuning seed; the chosen one has a star."""
    marks = {True: "*", False: ""}
    return ", ".join(f"{t.setting}{marks[t.setting == task.chosen]} {t.steps_text(task.budget)}" for t in task.trials)


def score_text(score: float | None) -> str:
    """Return a score of a test with three digits.

    Example:
        >>> score_text(0.98765), score_text(None)
        ('0.988', '-')
    """
    return "-" if score is None or math.isnan(score) else f"{score:.3f}"


def scores_text(runs: Sequence[Attempt]) -> str:
    """Return the scores of the test of some runs."""
    return ", ".join(score_text(run.score) for run in runs)


def guesses_text(task: TaskCard) -> str:
    """Return chance, and the name and the accuracy of each partial solution."""
    partial = [f"{name} {score_text(accuracy)}" for name, accuracy in task.plateaus]
    return "; ".join([f"chance {score_text(task.chance)}", *partial])


def own_cell(task: TaskCard) -> tuple[str, str]:
    """Return the two lines of the own cell of a task: solved runs, and steps to solve or else the score."""
    unfinished = [run.state for run in task.runs if run.state not in (RunState.DONE.value, RunState.FAILED.value)]
    if unfinished:
        return unfinished[0], ""
    first = f"{task.solved} of {len(task.runs)}"
    if task.solved:
        return first, number_of_steps(middle_steps(task), task.budget)
    if any(run.state == RunState.FAILED.value for run in task.runs):
        return first, next(run.steps_text(task.budget) for run in task.runs if run.state == RunState.FAILED.value)
    scores = [run.score for run in task.runs if run.score is not None]
    return first, score_text(statistics.median(scores)) if scores else "-"


def known_cell_lines(cell: KnownCell | None, budget: int) -> tuple[str, str]:
    """Return the two lines of the cell of a known layer, as :func:`own_cell`; dashes without results."""
    if cell is None:
        return "-", ""
    first = f"{cell.solved} of {cell.runs}"
    return first, number_of_steps(cell.steps, budget) if cell.solved else score_text(cell.score)


def measure_values(measures: Measures | None) -> list[str]:
    """Return the three measurements of a network as text, in the order of ``DEFINITIONS``."""
    if measures is None:
        return ["-"] * len(DEFINITIONS)
    gradient, capacity, exponent = measures
    return [
        "-" if gradient is None or math.isnan(gradient.left) else f"{gradient.left:.2g}",
        "-" if capacity is None else f"{capacity.total:.1f}",
        "-" if exponent is None else f"{exponent:+.3f}",
    ]


def cost_text(card: Card) -> str:
    """Return the time of a training step and the memory, beside torch's GRU; empty if they could not be measured."""
    if card.cost is None:
        return ""
    own, gru = card.cost["layer"], card.cost["gru"]
    return (
        f"time to train {own.training_us / gru.training_us:.1f} times torch's GRU, "
        f"memory {own.training_bytes / 1e6:.0f} MB per 1,000 steps (GRU {gru.training_bytes / 1e6:.0f} MB)"
    )


def facts_text(card: Card) -> str:
    """Return units, parameters, state size and cost of the layer."""
    core = card.layer.network.core
    facts = [
        f"{core.hidden_size} units",
        f"{card.parameters:,} parameters",
        f"state of {core.state_size:,} numbers",
        cost_text(card),
    ]
    return " · ".join(filter(None, facts))
