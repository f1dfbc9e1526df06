"""Choose sequences for pictures: the longest ones, without padding."""

from torch import Tensor

from rnn_tasks.errors import require
from rnn_tasks.spec import Batch


def lengths(batch: Batch) -> Tensor:
    """Return the number of steps of each sequence up to its last scored step; 0 if no step is scored.

    Args:
        batch: The sequences.

    Returns:
        ``(sequences,)`` int64.

    Example:
        >>> import torch
        >>> lengths(Batch(torch.zeros(2, 4), torch.tensor([[1, -100, 1, -100], [-100, -100, -100, -100]])))
        tensor([3, 0])
    """
    return batch.scored.flip(1).cummax(1).values.sum(1)


def longest(batch: Batch, count: int) -> Batch:
    """Return the longest sequences up to the last scored step of the shortest of them.

    Args:
        batch: The sequences.
        count: The number of sequences, ``>= 1``; all if there are fewer. Of equally long ones, the first are chosen.

    Raises:
        UsageError: A chosen sequence has no scored step.

    Example:
        >>> import torch
        >>> targets = torch.tensor([[1, -100, -100], [2, 2, -100], [3, -100, -100]])
        >>> longest(Batch(torch.arange(9).reshape(3, 3), targets), 1).inputs
        tensor([[3, 4]])
    """
    steps = lengths(batch)
    chosen = steps.argsort(descending=True, stable=True)[:count]
    end = int(steps[chosen].min())
    require(end > 0, "a test sequence has no scored step")
    few = batch.selected(chosen)
    return few._replace(
        inputs=few.inputs[:, :end],
        targets=few.targets[:, :end],
        memory=None if few.memory is None else few.memory[:, :end],
        group=None if few.group is None else few.group[:, :end],
    )
