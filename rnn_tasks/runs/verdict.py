"""The verdict on a run."""

import math

from rnn_tasks.spec import Baseline

LEARNING_SHARE, BASELINE_SHARE = 0.95, 1.05
"""Shares of the baseline's loss: a lower loss than the first is learning, a higher one than the second is worse."""

SOLVED_ACCURACY = 0.99
"""The accuracy of the worst condition from which tasks count as solved, unless a task overrides ``solved``."""

NORMAL_QUANTILE = 2.5758293
"""The normal distribution has 99 % of its mass within this many standard deviations of its mean."""


def verdict(
    solved: bool, loss: float | None, baseline: Baseline, accuracy: float | None = None, memory_steps: int = 0
) -> str | None:
    """Return ``solved``, ``learning``, ``at_baseline``, ``worse_than_baseline`` or ``diverged``; None without a loss.

    Args:
        solved: Whether the task's criterion for solved is met.
        loss: Mean loss over the scored steps, in nats; None if it was never measured.
        baseline: The score of a predictor that has learnt nothing.
        accuracy: Accuracy over the steps that need memory; None if unknown.
        memory_steps: The number of these steps; 0 if unknown.

    Returns:
        ``diverged`` if the loss is not finite. ``learning`` if the loss is below 95 % of the baseline's loss, or below
        ``baseline.learning_loss`` if there is one, or if the accuracy is above the baseline's beyond chance.
        ``at_baseline`` if the loss is at most 105 % of the baseline's loss, or of the loss that has ``learning_loss``
        as its 95 %.

    Example:
        >>> chance = Baseline(loss=2.0, accuracy=0.125)
        >>> [verdict(False, loss, chance) for loss in (1.8, 2.0, 2.2, float("nan"))]
        ['learning', 'at_baseline', 'worse_than_baseline', 'diverged']
        >>> verdict(False, 2.2, chance, accuracy=0.5, memory_steps=1000)
        'learning'
    """
    if loss is None:
        return None
    if not math.isfinite(loss):
        return "diverged"
    if solved:
        return "solved"
    learning_loss = LEARNING_SHARE * baseline.loss if baseline.learning_loss is None else baseline.learning_loss
    is_above_chance = accuracy is not None and lowest_share(accuracy, memory_steps) > baseline.accuracy
    if loss < learning_loss or is_above_chance:
        return "learning"
    return "at_baseline" if loss <= BASELINE_SHARE / LEARNING_SHARE * learning_loss else "worse_than_baseline"


def lowest_share(share: float, trials: int) -> float:
    """Return the lower end of the 99 % interval of a probability, given the share of successes in independent trials.

    The interval is that of E. B. Wilson, "Probable inference, the law of succession, and statistical inference" (1927),
    https://doi.org/10.1080/01621459.1927.10502953.

    Args:
        share: The share of successes, from 0 to 1.
        trials: The number of trials; without any, the interval begins at 0.

    Example:
        >>> round(lowest_share(0.2, 100), 4), lowest_share(0.2, 0)
        (0.1172, 0.0)
    """
    if trials == 0:
        return 0.0
    spread = NORMAL_QUANTILE**2 / trials
    half = NORMAL_QUANTILE * math.sqrt(share * (1 - share) / trials + spread / (4 * trials))
    return (share + spread / 2 - half) / (1 + spread)
