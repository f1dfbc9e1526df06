"""The batch that a task passes to a model."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

NOT_SCORED = -100
"""The target of a step that is not scored, equal to the default ``ignore_index`` of torch's losses."""


class Batch(NamedTuple):
    """One batch of any task, batch first.

    Each row of ``targets`` is one sequence. If the same string occurs under several conditions, such as every delay of
    an echo, ``inputs`` holds the string once for k consecutive sequences (the last string may have fewer than k).

    Attributes:
        inputs: Symbols, ``(ceil(sequences / k), time)`` int64, or real features, ``(ceil(sequences / k), time,
            features)`` float.
        targets: Symbols, ``(sequences, time)`` int64 with ``NOT_SCORED`` at steps that are not scored, or real values,
            ``(sequences, time, outputs)`` float with NaN at these steps.
        memory: Mask of the scored steps that need memory, ``(sequences, time)`` bool; None if all scored steps do.
        condition: Value that the network receives with each sequence, ``(sequences,)`` int64; None without conditions.
        continues: Whether each row continues the same row of the previous batch.
        conditions_per_input: Number of sequences per row of ``inputs``, k.
        group: Value by which results are sorted, such as a length or a depth, int64; the network does not receive it.
            ``(sequences, 1)`` if all steps of a sequence belong to one group, else ``(sequences, time)``; None without
            groups.
    """

    inputs: Tensor
    targets: Tensor
    memory: Tensor | None = None
    condition: Tensor | None = None
    continues: bool = False
    conditions_per_input: int = 1
    group: Tensor | None = None

    @property
    def num_sequences(self) -> int:
        """Number of sequences, which is the number of rows of ``targets``."""
        return len(self.targets)

    @property
    def scored(self) -> Tensor:
        """Mask of the steps that count in the loss, ``(sequences, time)`` bool."""
        if self.targets.is_floating_point():
            return ~self.targets[..., 0].isnan()
        return self.targets != NOT_SCORED

    @property
    def needs_memory(self) -> Tensor:
        """Mask of the scored steps that need memory, ``(sequences, time)`` bool."""
        return self.scored if self.memory is None else self.memory & self.scored

    def to(self, device: torch.device | str) -> "Batch":
        """Return the batch on a device."""
        if self.inputs.device == torch.device(device):
            return self
        return self._mapped(lambda part: part.to(device))

    def expanded(self) -> "Batch":
        """Return the same sequences with one row of ``inputs`` per sequence.

        Example:
            >>> targets = torch.arange(4)[:, None]
            >>> Batch(torch.tensor([[7], [8]]), targets, conditions_per_input=2).expanded().inputs.flatten()
            tensor([7, 7, 8, 8])
        """
        if self.conditions_per_input == 1:
            return self
        inputs = self.inputs.repeat_interleave(self.conditions_per_input, 0)[: self.num_sequences]
        return self._replace(inputs=inputs, conditions_per_input=1)

    def padded_condition(self) -> Tensor | None:
        """Return the condition, padded with zeros to k values for each row of ``inputs``."""
        missing = self.conditions_per_input * len(self.inputs) - self.num_sequences
        return self.condition if self.condition is None or not missing else functional.pad(self.condition, (0, missing))

    def rows(self, start: int, stop: int) -> "Batch":
        """Return the sequences ``start`` to ``stop - 1``."""
        k, stop = self.conditions_per_input, min(stop, self.num_sequences)
        if start % k:  # the first row of inputs would have fewer than k sequences
            return self.expanded().rows(start, stop)
        return self._mapped(lambda part: part[start:stop])._replace(inputs=self.inputs[start // k : -(-stop // k)])

    def selected(self, sequences: Tensor) -> "Batch":
        """Return some of the sequences, with one row of ``inputs`` per sequence.

        Args:
            sequences: Indices of the sequences, int64, or a bool mask of all sequences.
        """
        return self.expanded()._mapped(lambda part: part[sequences])

    def one_per_input(self, at_least: int = 1) -> "Batch":
        """Return one sequence per row of ``inputs``, so that no string occurs twice; the conditions rotate.

        Args:
            at_least: If ``inputs`` has fewer rows, return all sequences, as :meth:`expanded` does.

        Example:
            >>> columns = torch.arange(4)[:, None]
            >>> batch = Batch(columns[:2], columns, condition=torch.tensor([0, 1, 0, 1]), conditions_per_input=2)
            >>> batch.one_per_input().inputs.flatten(), batch.one_per_input().condition
            (tensor([0, 1]), tensor([0, 1]))
        """
        k, count = self.conditions_per_input, len(self.inputs)
        if k == 1 or count < at_least:
            return self.expanded()
        row = torch.arange(count, device=self.inputs.device)
        sequences_per_row = (self.num_sequences - row * k).clamp(max=k)
        return self.selected(row * k + row % sequences_per_row)

    def _mapped(self, function: Callable[[Tensor], Tensor]) -> "Batch":
        return self._replace(
            inputs=function(self.inputs),
            targets=function(self.targets),
            memory=None if self.memory is None else function(self.memory),
            condition=None if self.condition is None else function(self.condition),
            group=None if self.group is None else function(self.group),
        )


def joined(batches: Sequence[Batch]) -> Batch:
    """Concatenate batches: along time if each continues the previous one, else along the batch dimension.

    Args:
        batches: At least one batch. Either all batches after the first continue the previous one, or none does and all
            have the same length.

    Returns:
        A batch with one row of ``inputs`` per sequence.

    Example:
        >>> one = Batch(torch.tensor([[1, 2]]), torch.tensor([[2, 3]]))
        >>> two = Batch(torch.tensor([[3, 4]]), torch.tensor([[4, 5]]))
        >>> joined([one, two]).inputs
        tensor([[1, 2],
                [3, 4]])
        >>> joined([one, two._replace(continues=True)]).inputs
        tensor([[1, 2, 3, 4]])
    """
    batches = [batch.expanded() for batch in batches]
    first = batches[0]
    dim = int(batches[-1].continues and len(batches) > 1)
    memory = [batch.memory for batch in batches if batch.memory is not None]
    condition = [batch.condition for batch in batches if batch.condition is not None]
    group = [batch.group.expand(batch.targets.shape[:2]) for batch in batches if batch.group is not None]
    return Batch(
        torch.cat([batch.inputs for batch in batches], dim),
        torch.cat([batch.targets for batch in batches], dim),
        torch.cat(memory, dim) if memory else None,
        first.condition if dim or not condition else torch.cat(condition),
        first.continues,
        group=torch.cat(group, dim) if group else None,
    )
