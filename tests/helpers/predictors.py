"""Scores of simulated predictors, for comparison with the baselines and plateaus of tasks."""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from rnn_tasks.spec import Batch
from rnn_tasks.tasks import GeneratedTask

STEPS = 100_000
"""Number of scored steps over which a predictor is simulated."""

MOST_ERRORS = 3.0
"""A simulated score may differ from the exact one by this many standard errors."""

Predict = Callable[[Batch], Tensor]


class Estimate(NamedTuple):
    """A mean over steps, and its standard error, which takes into account that steps of a sequence are not independent.

    Attributes:
        mean: The mean.
        error: The standard error of the mean.
    """

    mean: float
    error: float


def ratio_estimate(sums: Tensor, counts: Tensor) -> Estimate:
    """Return the mean of a quantity over all steps from its sum and its number of steps in each sequence."""
    mean = sums.sum() / counts.sum()
    residuals = sums - mean * counts
    return Estimate(mean.item(), (residuals.square().sum().sqrt() / counts.sum()).item())


def simulate(task: GeneratedTask, predict: Predict, split: str = "test") -> tuple[Estimate, Estimate]:
    """Return the loss and the accuracy of a predictor on generated sequences with at least ``STEPS`` scored steps.

    Args:
        task: The task.
        predict: Returns probabilities of the output symbols, ``(sequences, time, output_size)``, or real values,
            ``(sequences, time, outputs)``. Values at steps that are not scored do not matter.
        split: The split whose sequences are drawn.

    Returns:
        The loss (nats per scored step, or mean squared error) and the accuracy at the steps that need memory; the mean
        of the accuracy is NaN for real values. Ties between probabilities count as shared answers.
    """
    generator = torch.Generator().manual_seed(1)
    losses: list[Tensor] = []
    scored: list[Tensor] = []
    hits: list[Tensor] = []
    needed: list[Tensor] = []
    while sum(float(part.sum()) for part in scored) < STEPS:
        batch = task.sample(500, split, generator)
        predicted = predict(batch).double()
        loss, correct = score(predicted, batch)
        losses.append(loss.masked_fill(~batch.scored, 0).sum(1))
        scored.append(batch.scored.sum(1).double())
        hits.append(correct.masked_fill(~batch.needs_memory, 0).sum(1))
        needed.append(batch.needs_memory.sum(1).double())
    loss_estimate = ratio_estimate(torch.cat(losses), torch.cat(scored))
    if task.spec.real_targets:
        return loss_estimate, Estimate(math.nan, 0.0)
    return loss_estimate, ratio_estimate(torch.cat(hits), torch.cat(needed))


def score(predicted: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
    """Return the loss and the share of a correct answer at each step, ``(sequences, time)``."""
    if batch.targets.is_floating_point():
        loss = (predicted - batch.targets).square().mean(-1)
        return loss, torch.zeros_like(loss)
    targets = batch.targets.clamp(min=0)
    loss = -predicted.gather(-1, targets[..., None])[..., 0].clamp(min=1e-300).log()
    best = predicted >= predicted.amax(-1, keepdim=True) - 1e-9
    correct = best.gather(-1, targets[..., None])[..., 0].double() / best.sum(-1)
    return loss, correct


def check_score(
    task: GeneratedTask, predict: Predict, loss: float | None, accuracy: float | None, split: str = "test"
) -> None:
    """Assert that the exact scores of a predictor agree with its simulation.

    Args:
        task: The task.
        predict: See :func:`simulate`.
        loss: The exact loss; None to check the accuracy only.
        accuracy: The exact accuracy; None to check the loss only.
        split: See :func:`simulate`.
    """
    loss_estimate, accuracy_estimate = simulate(task, predict, split)
    for exact, estimate in ((loss, loss_estimate), (accuracy, accuracy_estimate)):
        if exact is not None:
            # A predictor whose score is the same at all steps has no error but rounding.
            assert abs(exact - estimate.mean) <= MOST_ERRORS * estimate.error + 1e-9, (exact, estimate)


def uniform(task: GeneratedTask) -> Predict:
    """Return a predictor that gives equal probabilities to all output symbols."""
    size = task.spec.output_size
    return lambda batch: torch.full((*batch.targets.shape, size), 1 / size, dtype=torch.double)


def certain(symbols: Tensor, size: int) -> Tensor:
    """Return probabilities of 1 for symbols ``(sequences, time)``, as ``(sequences, time, size)``."""
    return functional.one_hot(symbols.clamp(min=0), size).double()
