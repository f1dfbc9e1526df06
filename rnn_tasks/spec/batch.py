"""The batch: what a task gives to a model."""

from typing import NamedTuple

import torch
from torch import Tensor

NOT_SCORED = -100
"""Target of a step that is not scored: the ``ignore_index`` of torch's losses."""


class Batch(NamedTuple):
    """One batch of any task, batch first.

    Attributes:
        inputs: Symbols, ``(batch, time)`` int64.
        targets: Symbols, ``(batch, time)`` int64, ``NOT_SCORED`` where a step is not scored.
        memory: ``(batch, time)`` bool, the scored steps that need memory; None when all scored steps do.
        condition: ``(batch,)`` int64, what the network is told about each sequence; None when nothing.
        continues: Whether the rows go on where those of the previous batch ended.
    """

    inputs: Tensor
    targets: Tensor
    memory: Tensor | None = None
    condition: Tensor | None = None
    continues: bool = False

    @property
    def scored(self) -> Tensor:
        """``(batch, time)`` bool: the steps that the loss is taken over."""
        return self.targets != NOT_SCORED

    def to(self, device: torch.device | str) -> "Batch":
        """The batch on a device. That it has this method spares Lightning a search for its tensors at every step."""
        if self.inputs.device == torch.device(device):
            return self
        tensors = ("inputs", "targets", "memory", "condition")
        found = {name: getattr(self, name) for name in tensors}
        return self._replace(**{name: part.to(device) for name, part in found.items() if part is not None})

    def rows(self, start: int, stop: int) -> "Batch":
        """The sequences ``start`` to ``stop - 1``."""
        return self._chosen(slice(start, stop))

    def distinct(self, at_least: int = 1) -> "Batch":
        """One sequence of those that follow one another and differ in their condition alone; conditions take turns.

        Args:
            at_least: The batch stays as it is if fewer than so many sequences would be left.

        Example:
            >>> columns = torch.arange(4)[:, None]
            >>> batch = Batch(columns // 2, columns, condition=torch.tensor([0, 1, 0, 1]))
            >>> batch.distinct().inputs.flatten(), batch.distinct().condition
            (tensor([0, 1]), tensor([0, 1]))
        """
        if self.condition is None:
            return self
        _, counts = torch.unique_consecutive(self.inputs, return_counts=True, dim=0)
        if len(counts) < at_least:
            return self
        turn = torch.arange(len(counts), device=counts.device) % counts
        return self._chosen(counts.cumsum(0) - counts + turn)

    def _chosen(self, rows: slice | Tensor) -> "Batch":
        return self._replace(
            **{
                name: getattr(self, name)[rows]
                for name in ("inputs", "targets", "memory", "condition")
                if getattr(self, name) is not None
            }
        )
