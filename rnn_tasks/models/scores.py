"""Losses and accuracies, summed exactly over batches and processes."""

import torch
from torch import Tensor
from torchmetrics import Metric

from rnn_tasks.spec import Batch


def ratio(part: float, whole: float) -> float:
    """Return ``part / whole``; NaN if ``whole`` is 0.

    Example:
        >>> ratio(1, 2), ratio(0, 0)
        (0.5, nan)
    """
    return part / whole if whole else float("nan")


class Scores(Metric):
    """Loss and accuracies over all batches, each a ratio of two sums, so that every step has the same weight.

    Memory steps are the scored steps that need memory, see :class:`~rnn_tasks.spec.Batch`.

    - ``loss``: mean over the scored steps, nats per step.
    - ``accuracy``: fraction of memory steps with the correct symbol.
    - ``worst_accuracy``: the lowest accuracy of a condition; equal to ``accuracy`` without conditions.
    - ``exact_match``: fraction of sequences in which all memory steps are correct.

    Args:
        num_conditions: Number of values of ``Batch.condition``, 0 for a task without conditions.

    Attributes:
        loss: Sum of the losses of the scored steps, nats.
        scored: Number of scored steps.
        correct: Number of correct memory steps of each condition.
        memory_steps: Number of memory steps of each condition.
        exact_matches: Number of sequences in which all memory steps are correct.
        sequences: Number of sequences.

    Example:
        >>> scores = Scores()
        >>> batch = Batch(torch.tensor([[0, 1]]), torch.tensor([[1, 1]]))
        >>> scores.update(torch.tensor(3.0), torch.tensor([[1, 0]]), batch)
        >>> scores.compute()["loss"], scores.compute()["accuracy"]
        (1.5, 0.5)
    """

    full_state_update = False
    loss: Tensor
    scored: Tensor
    correct: Tensor
    memory_steps: Tensor
    exact_matches: Tensor
    sequences: Tensor

    def __init__(self, num_conditions: int = 0) -> None:
        super().__init__()
        self.num_conditions = num_conditions
        counters = torch.zeros(max(1, num_conditions), dtype=torch.long)
        self.add_state("loss", torch.tensor(0.0), dist_reduce_fx="sum")
        self.add_state("correct", counters, dist_reduce_fx="sum")
        self.add_state("memory_steps", counters.clone(), dist_reduce_fx="sum")
        for name in ("scored", "exact_matches", "sequences"):
            self.add_state(name, torch.tensor(0), dist_reduce_fx="sum")

    def update(self, loss: Tensor, answers: Tensor, batch: Batch) -> None:
        """Add a batch.

        Args:
            loss: Sum of the losses of the scored steps.
            answers: The network's symbols, ``(sequences, time)``.
            batch: The batch.
        """
        scored, needs_memory = batch.scored, batch.needs_memory
        correct = ((answers == batch.targets) & needs_memory).sum(1)
        memory_steps = needs_memory.sum(1)
        self.loss = self.loss + loss.detach().float()
        self.scored = self.scored + scored.sum()
        self.exact_matches = self.exact_matches + (correct == memory_steps).sum()
        self.sequences = self.sequences + len(memory_steps)
        if self.num_conditions and batch.condition is not None:
            self.correct = self.correct.index_add(0, batch.condition, correct)
            self.memory_steps = self.memory_steps.index_add(0, batch.condition, memory_steps)
        else:
            self.correct = self.correct + correct.sum()
            self.memory_steps = self.memory_steps + memory_steps.sum()

    def compute(self) -> dict[str, float]:
        """Return the scores by name, and the number of memory steps as ``memory_steps``.

        ``accuracy_at/<condition>`` is the accuracy of one condition.
        """
        correct, memory_steps = self.correct.tolist(), self.memory_steps.tolist()
        by_condition = {
            condition: part / steps
            for condition, (part, steps) in enumerate(zip(correct, memory_steps, strict=True))
            if steps  # a condition that did not occur has no accuracy
        }
        scores = {
            "loss": ratio(self.loss.item(), self.scored.item()),
            "accuracy": ratio(sum(correct), sum(memory_steps)),
            "worst_accuracy": min(by_condition.values(), default=0.0),
            "exact_match": ratio(self.exact_matches.item(), self.sequences.item()),
            "memory_steps": sum(memory_steps),
        }
        if self.num_conditions:
            scores |= {f"accuracy_at/{condition}": accuracy for condition, accuracy in by_condition.items()}
        return scores


class Errors(Metric):
    """Mean squared error of real values over all batches, a ratio of two sums, so that every step has the same weight.

    Attributes:
        loss: Sum of the squared errors of the scored steps, each a mean over the outputs.
        scored: Number of scored steps.

    Example:
        >>> errors = Errors()
        >>> batch = Batch(torch.zeros(1, 2, 1), torch.tensor([[[torch.nan], [1.0]]]))
        >>> errors.update(torch.tensor(0.25), torch.tensor([[[9.0], [0.5]]]), batch)
        >>> errors.compute()["loss"]
        0.25
    """

    full_state_update = False
    loss: Tensor
    scored: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("loss", torch.tensor(0.0), dist_reduce_fx="sum")
        self.add_state("scored", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, loss: Tensor, answers: Tensor, batch: Batch) -> None:
        """Add a batch.

        Args:
            loss: Sum of the squared errors of the scored steps.
            answers: The network's values, ``(sequences, time, outputs)``; not used.
            batch: The batch.
        """
        self.loss = self.loss + loss.detach().float()
        self.scored = self.scored + batch.scored.sum()

    def compute(self) -> dict[str, float]:
        """Return the mean squared error as ``loss``."""
        return {"loss": ratio(self.loss.item(), self.scored.item())}


class GroupMeans(Metric):
    """The mean of a value of each step, such as whether the answer is correct, for each group of steps.

    Args:
        num_groups: Groups are ``0..num_groups - 1``.

    Attributes:
        sums: Sum of the values of each group.
        counts: Number of steps of each group.

    Example:
        >>> means = GroupMeans(3)
        >>> means.update(torch.tensor([[1.0, 0.0, 1.0]]), torch.tensor([[True, True, False]]), torch.tensor([[2]]))
        >>> means.compute()
        {2: (0.5, 2)}
    """

    full_state_update = False
    sums: Tensor
    counts: Tensor

    def __init__(self, num_groups: int) -> None:
        super().__init__()
        self.add_state("sums", torch.zeros(num_groups), dist_reduce_fx="sum")
        self.add_state("counts", torch.zeros(num_groups, dtype=torch.long), dist_reduce_fx="sum")

    def update(self, values: Tensor, counted: Tensor, group: Tensor) -> None:
        """Add a batch.

        Args:
            values: The value of each step, ``(sequences, time)``.
            counted: Mask of the steps that count, ``(sequences, time)`` bool.
            group: The group of each sequence ``(sequences, 1)``, or of each step ``(sequences, time)``.
        """
        groups = group.expand(counted.shape)[counted]
        self.sums = self.sums.index_add(0, groups, values[counted].to(self.sums.dtype))
        self.counts = self.counts + groups.bincount(minlength=len(self.counts))

    def compute(self) -> dict[int, tuple[float, int]]:
        """Return the mean and the number of steps of each group that occurred."""
        pairs = zip(self.sums.tolist(), self.counts.tolist(), strict=True)
        return {group: (total / count, count) for group, (total, count) in enumerate(pairs) if count}
