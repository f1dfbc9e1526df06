"""Linear predictors of a series, to compare networks with."""

import math

import numpy as np
import torch
from torch.nn import functional

from rnn_tasks.spec import Batch

MOST_STEPS, MOST_SEQUENCES = 200_000, 2_000


def estimation_sequences(scored_steps: int) -> int:
    """Return the number of sequences from which a task without closed forms estimates the losses of its predictors.

    They have at most about 200,000 scored steps, so that the estimation takes less than a second.

    Args:
        scored_steps: Number of scored steps of each sequence.
    """
    return min(MOST_SEQUENCES, math.ceil(MOST_STEPS / scored_steps))


def mean_loss(batch: Batch) -> float:
    """Return the mean squared error of the best constant, which is the variance of the targets at the scored steps.

    Args:
        batch: Sequences with one real target.
    """
    return float(batch.targets[batch.scored].double().var(correction=0))


def linear_loss(batch: Batch, num_inputs: int) -> float:
    """Return the mean squared error of the best linear function of the last inputs and a constant.

    The function is fitted by least squares to the same batch, so the batch must have many more scored steps than
    ``num_inputs``.

    Args:
        batch: Sequences with one real input and one real target.
        num_inputs: Number of inputs, the current one included, ``>= 1``. Inputs before the start of a sequence are 0.
    """
    padded = functional.pad(batch.inputs[..., 0].double(), (num_inputs - 1, 0))
    inputs = functional.pad(padded.unfold(1, num_inputs, 1)[batch.scored], (0, 1), value=1.0)
    targets = batch.targets[batch.scored].double()
    # Not by the normal equations: the values of a smooth series are almost linearly dependent. Not by torch's lstsq,
    # which needs columns that are independent: inputs before the start of short sequences are all 0.
    weights = np.linalg.lstsq(inputs.numpy(), targets.numpy(), rcond=None)[0]
    return float((inputs @ torch.from_numpy(weights) - targets).square().mean())
