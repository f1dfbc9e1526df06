"""Small tasks with real inputs, for tests of measurements and pictures."""

from typing import Any, Self

import torch

from rnn_tasks.spec import NOT_SCORED, Baseline, Batch, Grouping, Plateau, TaskSpec
from rnn_tasks.tasks import GeneratedTask


class RecallValue(GeneratedTask):
    """Read a random number and a mark at each step; output the number at the marked step at the end.

    The numbers are uniform in 0..1. The group is the lag between the marked step and the last step.

    Args:
        length: Steps of each sequence, ``>= 2``.
        is_symbol: Whether to output only the symbol 1 if the number is above 1/2, and the symbol 0 otherwise.
        options: Options of :class:`GeneratedTask`.
    """

    def __init__(self, length: int = 6, is_symbol: bool = False, **options: Any) -> None:
        super().__init__(**{"batch_size": 16, "val_sequences": 40, "test_sequences": 60, **options})
        self.length = length
        self.is_symbol = is_symbol

    @property
    def spec(self) -> TaskSpec:
        """Two real inputs; one real output, or two symbols."""
        return TaskSpec(2, 2 if self.is_symbol else 1, real_inputs=True, real_targets=not self.is_symbol)

    @property
    def baseline(self) -> Baseline:
        """A constant output of 1/2, or a symbol at random."""
        return Baseline(0.6931471805599453, 0.5) if self.is_symbol else Baseline(1 / 12)

    @property
    def plateaus(self) -> tuple[Plateau, ...]:
        """The error of a network that knows only whether the number is above 1/2."""
        return () if self.is_symbol else (Plateau("knows which half", loss=1 / 48),)

    @property
    def grouping(self) -> Grouping:
        """The lag, from 0 to ``length - 1``."""
        return Grouping("lag", self.length)

    def at_length(self, length: int) -> Self:
        """Return this task with another length."""
        return self.changed(length=length)

    def sample(self, num_sequences: int, split: str, generator: torch.Generator) -> Batch:
        """Return a batch, see the class."""
        values = torch.rand(num_sequences, self.length, generator=generator)
        marked = torch.randint(self.length, (num_sequences, 1), generator=generator)
        marks = torch.zeros_like(values).scatter_(1, marked, 1.0)
        answer = values.gather(1, marked)
        if self.is_symbol:
            targets = torch.full(values.shape, NOT_SCORED)
            targets[:, -1:] = (answer > 0.5).long()
        else:
            targets = torch.full((*values.shape, 1), torch.nan)
            targets[:, -1] = answer
        return Batch(torch.stack([values, marks], -1), targets, group=self.length - 1 - marked)
