"""Adding: return the sum of two marked numbers at the end of a long sequence of numbers."""

from typing import Any, Literal, Self, get_args

import torch
from torch import Tensor

from rnn_tasks.errors import require
from rnn_tasks.spec import Baseline, Batch, Grouping, Plateau, TaskSpec
from rnn_tasks.tasks.generated import GeneratedTask
from rnn_tasks.tasks.lengths import draw_lengths

LayoutName = Literal["arjovsky", "tcn", "hochreiter"]
FIRST_STEPS = 10  # layout hochreiter: the first mark is at one of these steps


def adding(values: Tensor, marked: Tensor, lengths: Tensor, marks_ends: bool = False) -> tuple[Tensor, Tensor]:
    """Return inputs and targets of adding sequences.

    ::

        arjovsky and tcn   time      0    1    2    3    4    5
                           value     0.2  0.9  0.5  0.7  0.1  0.4
                           mark      0    1    0    0    1    0
                           target    .    .    .    .    .    1.0

        hochreiter         time      0    1    2    3    4    5
                           value     0.2  -0.6 0.5  0.8  0.1  0.4
                           mark      -1   1    0    1    0    -1
                           target    .    .    .    .    .    0.55

    '.' is a step that is not scored. The second target is 0.5 + (-0.6 + 0.8) / 4.

    Args:
        values: The numbers, ``(batch, time)``.
        marked: The two marked steps of each sequence, ``(batch, 2)``.
        lengths: Length of each sequence, ``(batch,)``; later steps are 0 and not scored.
        marks_ends: Whether to mark the first and the last step with -1, as the layout ``hochreiter`` does. A mark of
            the first step is then lost, and the value of this step is set to 0. The target is scaled to 0..1.

    Returns:
        Inputs ``(batch, time, 2)``, which are pairs of value and mark, and targets ``(batch, time, 1)``.
    """
    marks = torch.zeros_like(values).scatter_(1, marked, 1.0)
    last = lengths[:, None] - 1
    if marks_ends:
        values = torch.cat([values[:, :1] * (1 - marks[:, :1]), values[:, 1:]], 1)
        marks[:, 0] = -1.0
        marks.scatter_(1, last, -1.0)
    total = (values * (marks == 1)).sum(1, keepdim=True)
    answer = 0.5 + total / 4 if marks_ends else total
    targets = torch.full_like(values, torch.nan).scatter_(1, last, answer)
    inputs = torch.stack([values, marks], -1).masked_fill((torch.arange(values.shape[1]) > last)[..., None], 0.0)
    return inputs, targets[..., None]


class Adding(GeneratedTask):
    """Add two marked numbers of a long sequence.

    Each step has a random number and a mark. The target at the last step is the sum of the two numbers whose mark is 1;
    no other step is scored. The score is the mean squared error. Results are sorted by the lag: the number of steps
    from the first mark to the answer, which is how long the network must keep a number. The baseline of the layouts
    with numbers in 0..1 is 1/6 = 0.1667; some texts print 0.1767.

    Args:
        length: Number of steps, T, ``>= 2``, and ``>= 20`` in the layout ``hochreiter``.
        layout: ``arjovsky`` (numbers in 0..1; one mark in each half), ``tcn`` (numbers in 0..1; two marks anywhere) or
            ``hochreiter`` (numbers in -1..1; random lengths in T..T + T // 10; the first mark at one of the first ten
            steps, the second at one of the T // 2 - 1 other steps at the start; -1 marks both ends; the target is
            0.5 + sum / 4, and a number at the first step counts as 0).
        one_length_per_batch: Whether all sequences of a training batch of the layout ``hochreiter`` have the same
            random length, so that none is padded.
        options: Options of :class:`GeneratedTask`. ``eval_lengths`` are numbers of steps, the same for all sequences.

    Raises:
        UsageError: A value is out of bounds.

    References:
        ``hochreiter``: S. Hochreiter and J. Schmidhuber, "Long short-term memory", Neural Computation 9(8), 1997,
        experiment 4 (https://doi.org/10.1162/neco.1997.9.8.1735). ``arjovsky``: M. Arjovsky, A. Shah and Y. Bengio,
        "Unitary evolution recurrent neural networks", ICML 2016 (https://arxiv.org/abs/1511.06464). ``tcn``: S. Bai,
        J. Z. Kolter and V. Koltun, "An empirical evaluation of generic convolutional and recurrent networks for
        sequence modeling", 2018 (https://arxiv.org/abs/1803.01271).

    Example:
        >>> task = Adding(length=6, batch_size=3)
        >>> task.train_batch(0).inputs.shape
        torch.Size([3, 6, 2])
        >>> round(task.baseline.loss, 4)
        0.1667
    """

    def __init__(
        self,
        length: int = 100,
        layout: LayoutName = "arjovsky",
        one_length_per_batch: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        require(layout in get_args(LayoutName), f"layout must be one of arjovsky, tcn, hochreiter, got {layout}")
        self.layout = layout
        self._check_length("length", length)
        self.lengths = (length, length + length // 10 if layout == "hochreiter" else length)
        self.training_length = self.lengths[1]
        self.one_length_per_batch = one_length_per_batch

    def _check_length(self, name: str, length: int) -> None:
        shortest = 2 * FIRST_STEPS if self.layout == "hochreiter" else 2
        require(length >= shortest, f"{name} must be at least {shortest} in the layout {self.layout}, got {length}")

    @property
    def spec(self) -> TaskSpec:
        """The input features are the number and its mark; the output is one number."""
        return TaskSpec(2, 1, real_inputs=True, real_targets=True)

    @property
    def _second_steps(self) -> int:
        """In the layout ``hochreiter``, the number of steps among which the second mark is drawn."""
        return self.lengths[0] // 2 - 1

    @property
    def _lost_marks(self) -> float:
        """The probability that one of the marks is lost at the first step of a sequence."""
        if self.layout != "hochreiter":
            return 0.0
        return 1 / FIRST_STEPS + (1 - 1 / FIRST_STEPS) / self._second_steps

    @property
    def _variance(self) -> float:
        """The variance of one number, in the unit of the target."""
        return 1 / 48 if self.layout == "hochreiter" else 1 / 12

    @property
    def baseline(self) -> Baseline:
        """A predictor that always returns the mean target: 2 / 12, or (2 - lost marks) / 48 in ``hochreiter``."""
        return Baseline((2 - self._lost_marks) * self._variance, name="mean")

    @property
    def plateaus(self) -> tuple[Plateau, ...]:
        """A predictor that adds the mean to the latest marked number: 1 / 12, or (1 - lost marks) / 48."""
        return (Plateau("knows one of the two numbers", (1 - self._lost_marks) * self._variance),)

    @property
    def grouping(self) -> Grouping:
        """Results are sorted by the number of steps from the first mark to the answer."""
        return Grouping("lag", self.lengths[1])

    def at_length(self, length: int) -> Self:
        """Return this task with sequences of one length, in steps."""
        self._check_length("eval_lengths", length)
        return self.changed(lengths=(length, length))

    def sample(self, num_sequences: int, split: str, generator: torch.Generator) -> Batch:
        """Draw random numbers and two random marks, and random lengths in the layout ``hochreiter``."""
        hochreiter = self.layout == "hochreiter"
        lengths = draw_lengths(*self.lengths, num_sequences, split, generator, self.one_length_per_batch)
        longest, shape = int(lengths.max()), (num_sequences, 1)
        values = torch.rand(num_sequences, longest, generator=generator)
        if self.layout == "arjovsky":
            half = longest // 2
            first = torch.randint(0, half, shape, generator=generator)
            second = torch.randint(half, longest, shape, generator=generator)
        else:
            first_steps, second_steps = (FIRST_STEPS, self._second_steps) if hochreiter else (longest, longest - 1)
            first = torch.randint(0, first_steps, shape, generator=generator)
            second = torch.randint(0, second_steps, shape, generator=generator)
            second += second >= first  # the second mark is at another step than the first
        marked = torch.cat([first, second], 1)
        inputs, targets = adding(2 * values - 1 if hochreiter else values, marked, lengths, hochreiter)
        first_mark = (inputs[..., 1] == 1).long().argmax(1)
        return Batch(inputs, targets, group=(lengths - 1 - first_mark)[:, None])
