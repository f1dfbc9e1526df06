"""What is measured on batches, summed exactly over batches and processes."""

import torch
from torch import Tensor
from torchmetrics import Metric

from rnn_tasks.spec import Batch


def ratio(part: float, whole: float) -> float:
    """``part / whole``; NaN where there is nothing.

    Example:
        >>> ratio(1, 2), ratio(0, 0)
        (0.5, nan)
    """
    return part / whole if whole else float("nan")


class Scores(Metric):
    """Loss and accuracies, each a ratio of sums, so that no batch weighs more than its steps.

    - ``loss``: mean over the scored steps, nats.
    - ``accuracy``: share of right answers on the scored steps that need memory.
    - ``worst_accuracy``: the same for the condition with the lowest; equal to ``accuracy`` without conditions.
    - ``exact_match``: share of sequences without an error on those steps.

    Args:
        num_conditions: Number of values of ``Batch.condition``, 0 when there is none.

    Attributes:
        loss: Sum of the losses of the scored steps, nats.
        scored: Scored steps.
        right: Right answers on the scored steps that need memory, by condition.
        needed: Those steps, by condition.
        exact_matches: Sequences without an error on those steps.
        sequences: Sequences.

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
    right: Tensor
    needed: Tensor
    exact_matches: Tensor
    sequences: Tensor

    def __init__(self, num_conditions: int = 0) -> None:
        super().__init__()
        self.num_conditions = num_conditions
        counters = torch.zeros(max(1, num_conditions), dtype=torch.long)
        self.add_state("loss", torch.tensor(0.0), dist_reduce_fx="sum")
        self.add_state("right", counters, dist_reduce_fx="sum")
        self.add_state("needed", counters.clone(), dist_reduce_fx="sum")
        for name in ("scored", "exact_matches", "sequences"):
            self.add_state(name, torch.tensor(0), dist_reduce_fx="sum")

    def update(self, loss: Tensor, answers: Tensor, batch: Batch) -> None:
        """Add a batch.

        Args:
            loss: Sum of the losses of its scored steps.
            answers: The network's symbols, ``(sequences, time)``.
            batch: The batch.
        """
        scored = batch.scored
        needed = scored if batch.memory is None else batch.memory & scored
        right = ((answers == batch.targets) & needed).sum(1)
        due = needed.sum(1)
        self.loss = self.loss + loss.detach().float()
        self.scored = self.scored + scored.sum()
        self.exact_matches = self.exact_matches + (right == due).sum()
        self.sequences = self.sequences + len(due)
        if self.num_conditions and batch.condition is not None:
            self.right = self.right.index_add(0, batch.condition, right)
            self.needed = self.needed.index_add(0, batch.condition, due)
        else:
            self.right = self.right + right.sum()
            self.needed = self.needed + due.sum()

    def compute(self) -> dict[str, float]:
        """The scores by name; those per condition as ``accuracy_at/<condition>``."""
        right, needed = self.right.tolist(), self.needed.tolist()
        # A condition that has not come up yet is 0 / 0, and says nothing.
        by_condition = {index: hits / due for index, (hits, due) in enumerate(zip(right, needed, strict=True)) if due}
        scores = {
            "loss": ratio(self.loss.item(), self.scored.item()),
            "accuracy": ratio(sum(right), sum(needed)),
            "worst_accuracy": min(by_condition.values(), default=0.0),
            "exact_match": ratio(self.exact_matches.item(), self.sequences.item()),
        }
        if self.num_conditions:
            scores |= {f"accuracy_at/{index}": value for index, value in by_condition.items()}
        return scores
