"""What is measured on a batch, summed exactly over batches and processes."""

import torch
from torch import Tensor
from torchmetrics import Metric

from rnn_tasks.spec import Batch


class Scores(Metric):
    """Loss and accuracies of a stage, each a ratio of sums, so that no batch weighs more than its steps.

    - ``loss``: mean over the scored steps, nats.
    - ``accuracy``: share of right answers on the scored steps that need memory.
    - ``worst_accuracy``: the same for the condition with the lowest; equal to ``accuracy`` without conditions.
    - ``sequence_accuracy``: share of sequences without an error on those steps.

    Args:
        num_conditions: Number of values of ``Batch.condition``, 0 when there is none.

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
    flawless: Tensor
    sequences: Tensor

    def __init__(self, num_conditions: int = 0) -> None:
        super().__init__()
        self.num_conditions = num_conditions
        counters = torch.zeros(max(1, num_conditions), dtype=torch.long)
        self.add_state("loss", torch.tensor(0.0), dist_reduce_fx="sum")
        self.add_state("right", counters, dist_reduce_fx="sum")
        self.add_state("needed", counters.clone(), dist_reduce_fx="sum")
        for name in ("scored", "flawless", "sequences"):
            self.add_state(name, torch.tensor(0), dist_reduce_fx="sum")

    def update(self, loss: Tensor, answers: Tensor, batch: Batch) -> None:
        """Add a batch.

        Args:
            loss: Sum of the losses of its scored steps.
            answers: The network's symbols, ``(batch, time)``.
            batch: The batch.
        """
        needed = batch.scored if batch.memory is None else batch.memory & batch.scored
        right = (answers == batch.targets) & needed
        rows = torch.zeros_like(batch.inputs[:, 0]) if batch.condition is None else batch.condition
        self.loss += loss.detach().float()
        self.scored += batch.scored.sum()
        self.right.index_add_(0, rows, right.sum(1))
        self.needed.index_add_(0, rows, needed.sum(1))
        self.flawless += (right == needed).all(1).sum()
        self.sequences += len(rows)

    def compute(self) -> dict[str, float]:
        """The scores by name; those per condition as ``accuracy_at/<condition>``."""
        by_condition = (self.right / self.needed).tolist()
        scores = {
            "loss": (self.loss / self.scored).item(),
            "accuracy": (self.right.sum() / self.needed.sum()).item(),
            # A condition that has not come up yet is 0 / 0, and says nothing.
            "worst_accuracy": min((value for value in by_condition if value == value), default=0.0),
            "sequence_accuracy": (self.flawless / self.sequences).item(),
        }
        if self.num_conditions:
            scores |= {f"accuracy_at/{index}": value for index, value in enumerate(by_condition) if value == value}
        return scores
