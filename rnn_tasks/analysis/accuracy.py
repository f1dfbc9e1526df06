"""The accuracy of answers by condition, by position in the recall, or by lag."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rnn_tasks.analysis.arrays import Floats, Integers, Values, integers
from rnn_tasks.errors import require
from rnn_tasks.spec import Batch


class Shares(NamedTuple):
    """The share of correct answers in each group.

    Attributes:
        groups: The groups: conditions, or positions, ``(n,)``.
        share: The share of correct answers in each group, in 0..1, ``(n,)``.
        counts: The number of answers in each group, ``(n,)``.
    """

    groups: Integers
    share: Floats
    counts: Integers


def share_by_group(correct: NDArray[np.bool_], group_of_answer: Integers) -> Shares:
    """Return the share of correct answers in each group.

    Args:
        correct: Whether each answer is correct, ``(answers,)``.
        group_of_answer: The group of each answer, ``(answers,)``.

    Returns:
        The shares of the groups that occur, sorted by group.

    Example:
        >>> share_by_group(np.array([True, False, True]), np.array([0, 0, 5])).share.tolist()
        [0.5, 1.0]
    """
    groups, index = np.unique(group_of_answer, return_inverse=True)
    counts = np.bincount(index, minlength=len(groups))
    return Shares(groups, np.bincount(index, correct, len(groups)) / counts, counts)


def _correct_and_needed(answers: Values, batch: Batch) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which answers are correct, and which steps need memory, both ``(batch, time)``."""
    targets = batch.targets.cpu().numpy()
    symbols = integers(answers, "answers", targets.shape)
    needed = (batch.scored if batch.memory is None else batch.memory & batch.scored).cpu().numpy()
    require(bool(needed.any()), "no step of this batch needs memory")
    return symbols == targets, needed


def accuracy_by_condition(answers: Values, batch: Batch) -> Shares:
    """Return the share of correct answers for each condition, such as the delay of an echo.

    Args:
        answers: The symbols that the network answered, ``(batch, time)``.
        batch: A batch with conditions.

    Returns:
        The share for each ``Batch.condition``, over the steps that need memory.

    Raises:
        UsageError: A batch without conditions or without a step that needs memory, or a shape that does not fit.

    Example:
        >>> import torch
        >>> targets = torch.tensor([[5, 6], [7, 8]])
        >>> batch = Batch(targets, targets, condition=torch.tensor([0, 3]))
        >>> accuracy_by_condition(torch.tensor([[5, 6], [7, 0]]), batch).share.tolist()
        [1.0, 0.5]
    """
    correct, needed = _correct_and_needed(answers, batch)
    require(batch.condition is not None, "this batch has no conditions: use accuracy_by_recall")
    assert batch.condition is not None
    conditions = np.broadcast_to(batch.condition.cpu().numpy()[:, None], correct.shape)
    return share_by_group(correct[needed], conditions[needed])


def accuracy_by_recall(answers: Values, batch: Batch) -> Shares:
    """Return the share of correct answers for each position in the recall.

    Position 0 is the first step of a sequence that needs memory.

    Args:
        answers: The symbols that the network answered, ``(batch, time)``.
        batch: The batch.

    Returns:
        The share for each position, over the steps that need memory.

    Raises:
        UsageError: A batch without a step that needs memory, or a shape that does not fit.

    Example:
        >>> import torch
        >>> batch = Batch(torch.zeros(1, 4).long(), torch.tensor([[-100, -100, 5, 6]]))
        >>> accuracy_by_recall(torch.tensor([[0, 0, 5, 0]]), batch).share.tolist()
        [1.0, 0.0]
    """
    correct, needed = _correct_and_needed(answers, batch)
    return share_by_group(correct[needed], (needed.cumsum(axis=1) - 1)[needed])


def accuracy_by_lag(answers: Values, batch: Batch) -> Shares:
    """Return :func:`accuracy_by_condition` if the batch has conditions, else :func:`accuracy_by_recall`."""
    return (accuracy_by_recall if batch.condition is None else accuracy_by_condition)(answers, batch)
