"""The accuracy of answers by condition, by place in the recall, or by lag."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rnn_tasks.analysis.arrays import Floats, Integers, Values, integers
from rnn_tasks.errors import require
from rnn_tasks.spec import Batch


class Shares(NamedTuple):
    """Shares of right answers.

    Attributes:
        at: What they are the shares of: conditions, or positions, ``(n,)``.
        share: Right answers over all, in 0..1, ``(n,)``.
        counts: All answers, ``(n,)``.
    """

    at: Integers
    share: Floats
    counts: Integers


def shares(right: NDArray[np.bool_], groups: Integers) -> Shares:
    """The share of right answers in each group.

    Args:
        right: Whether each answer is right, ``(answers,)``.
        groups: The group of each answer, ``(answers,)``.

    Returns:
        Only the groups that occur, in their order.

    Example:
        >>> shares(np.array([True, False, True]), np.array([0, 0, 5])).share.tolist()
        [0.5, 1.0]
    """
    at, place = np.unique(groups, return_inverse=True)
    count = np.bincount(place, minlength=len(at))
    return Shares(at, np.bincount(place, right, len(at)) / count, count)


def _needed(answers: Values, batch: Batch) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which answers are right, and which need memory, both ``(batch, time)``."""
    targets = batch.targets.cpu().numpy()
    given = integers(answers, "answers", targets.shape)
    needed = (batch.scored if batch.memory is None else batch.memory & batch.scored).cpu().numpy()
    require(bool(needed.any()), "no step of this batch needs memory")
    return given == targets, needed


def accuracy_by_condition(answers: Values, batch: Batch) -> Shares:
    """The share of right answers for each condition, such as the delay of an echo.

    Args:
        answers: The network's symbols, ``(batch, time)``.
        batch: A batch with conditions.

    Returns:
        Shares of the steps that need memory, by ``Batch.condition``.

    Raises:
        UsageError: A batch without conditions or without a step that needs memory, or another shape.

    Example:
        >>> import torch
        >>> targets = torch.tensor([[5, 6], [7, 8]])
        >>> batch = Batch(targets, targets, condition=torch.tensor([0, 3]))
        >>> accuracy_by_condition(torch.tensor([[5, 6], [7, 0]]), batch).share.tolist()
        [1.0, 0.5]
    """
    right, needed = _needed(answers, batch)
    require(batch.condition is not None, "this batch has no conditions: use accuracy_by_recall")
    assert batch.condition is not None
    groups = np.broadcast_to(batch.condition.cpu().numpy()[:, None], right.shape)
    return shares(right[needed], groups[needed])


def accuracy_by_recall(answers: Values, batch: Batch) -> Shares:
    """The share of right answers for each place in the recall: 0 is the first step of a sequence that needs memory.

    Args:
        answers: The network's symbols, ``(batch, time)``.
        batch: The batch.

    Returns:
        Shares of the steps that need memory.

    Raises:
        UsageError: A batch without a step that needs memory, or another shape.

    Example:
        >>> import torch
        >>> batch = Batch(torch.zeros(1, 4).long(), torch.tensor([[-100, -100, 5, 6]]))
        >>> accuracy_by_recall(torch.tensor([[0, 0, 5, 0]]), batch).share.tolist()
        [1.0, 0.0]
    """
    right, needed = _needed(answers, batch)
    return shares(right[needed], (needed.cumsum(axis=1) - 1)[needed])


def accuracy_by_lag(answers: Values, batch: Batch) -> Shares:
    """:func:`accuracy_by_condition` where the batch has conditions, else :func:`accuracy_by_recall`."""
    return (accuracy_by_recall if batch.condition is None else accuracy_by_condition)(answers, batch)
