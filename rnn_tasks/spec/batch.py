"""The batch: what a task gives to a model."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

NOT_SCORED = -100
"""Target of a step that is not scored: the ``ignore_index`` of torch's losses."""


class Batch(NamedTuple):
    """One batch of any task, batch first.

    Each of its sequences is a row of ``targets``. Where the network is asked for several conditions of one string, such
    as every delay of an echo, ``inputs`` holds the string once, and k successive sequences belong to it, to the last
    string perhaps fewer.

    Attributes:
        inputs: Symbols, ``(sequences / k, time)`` int64, rounded up.
        targets: Symbols, ``(sequences, time)`` int64, ``NOT_SCORED`` where a step is not scored.
        memory: ``(sequences, time)`` bool, the scored steps that need memory; None when all scored steps do.
        condition: ``(sequences,)`` int64, what the network is given about each sequence; None when nothing.
        continues: Whether the rows continue those of the previous batch.
        conditions_per_input: k.
    """

    inputs: Tensor
    targets: Tensor
    memory: Tensor | None = None
    condition: Tensor | None = None
    continues: bool = False
    conditions_per_input: int = 1

    @property
    def num_sequences(self) -> int:
        """Number of sequences, each with its condition."""
        return len(self.targets)

    @property
    def scored(self) -> Tensor:
        """``(sequences, time)`` bool: the steps that the loss is taken over."""
        return self.targets != NOT_SCORED

    def to(self, device: torch.device | str) -> "Batch":
        """The batch on a device."""
        if self.inputs.device == torch.device(device):
            return self
        return self._mapped(lambda part: part.to(device))

    def expanded(self) -> "Batch":
        """The same sequences with an input for each.

        Example:
            >>> targets = torch.arange(4)[:, None]
            >>> Batch(torch.tensor([[7], [8]]), targets, conditions_per_input=2).expanded().inputs.flatten()
            tensor([7, 7, 8, 8])
        """
        if self.conditions_per_input == 1:
            return self
        inputs = self.inputs.repeat_interleave(self.conditions_per_input, 0)[: self.num_sequences]
        return self._replace(inputs=inputs, conditions_per_input=1)

    def filled_condition(self) -> Tensor | None:
        """The condition with k values for each input: zeros are added where the last input has fewer sequences."""
        lacking = self.conditions_per_input * len(self.inputs) - self.num_sequences
        return self.condition if self.condition is None or not lacking else functional.pad(self.condition, (0, lacking))

    def rows(self, start: int, stop: int) -> "Batch":
        """The sequences ``start`` to ``stop - 1``."""
        k, stop = self.conditions_per_input, min(stop, self.num_sequences)
        if start % k:  # the first string would lack its first sequences
            return self.expanded().rows(start, stop)
        return self._mapped(lambda part: part[start:stop])._replace(inputs=self.inputs[start // k : -(-stop // k)])

    def selected(self, sequences: Tensor) -> "Batch":
        """Some of the sequences, with an input for each.

        Args:
            sequences: Their numbers, int64, or one bool for each.
        """
        return self.expanded()._mapped(lambda part: part[sequences])

    def one_per_input(self, at_least: int = 1) -> "Batch":
        """One sequence for each input, so that no string is there twice; their conditions rotate.

        Args:
            at_least: All sequences stay, with an input for each, if there are fewer inputs than this.

        Example:
            >>> columns = torch.arange(4)[:, None]
            >>> batch = Batch(columns[:2], columns, condition=torch.tensor([0, 1, 0, 1]), conditions_per_input=2)
            >>> batch.one_per_input().inputs.flatten(), batch.one_per_input().condition
            (tensor([0, 1]), tensor([0, 1]))
        """
        k, count = self.conditions_per_input, len(self.inputs)
        if k == 1 or count < at_least:
            return self.expanded()
        number = torch.arange(count, device=self.inputs.device)
        sequences = (self.num_sequences - number * k).clamp(max=k)  # of each input
        return self.selected(number * k + number % sequences)

    def _mapped(self, function: Callable[[Tensor], Tensor]) -> "Batch":
        return self._replace(
            inputs=function(self.inputs),
            targets=function(self.targets),
            memory=None if self.memory is None else function(self.memory),
            condition=None if self.condition is None else function(self.condition),
        )


def joined(batches: Sequence[Batch]) -> Batch:
    """Join batches into one: along time where they continue one another, else one below the other.

    Args:
        batches: At least one. All but the first continue the one before, or none does; those that do not continue are
            of the same length.

    Returns:
        A batch with an input for each sequence.

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
    along = int(batches[-1].continues and len(batches) > 1)
    memory = [batch.memory for batch in batches if batch.memory is not None]
    condition = [batch.condition for batch in batches if batch.condition is not None]
    return Batch(
        torch.cat([batch.inputs for batch in batches], along),
        torch.cat([batch.targets for batch in batches], along),
        torch.cat(memory, along) if memory else None,
        first.condition if along or not condition else torch.cat(condition),
        first.continues,
    )
