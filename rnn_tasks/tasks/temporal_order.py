"""Temporal order: tell in which order two or three marks occurred among noise."""

import math
from typing import Any, Literal, Self

import torch
from torch import Tensor

from rnn_tasks.errors import require
from rnn_tasks.spec import NOT_SCORED, Baseline, Batch, Codec, Grouping, Plateau, TaskSpec
from rnn_tasks.tasks.generated import GeneratedTask
from rnn_tasks.tasks.lengths import draw_lengths

LayoutName = Literal["martens", "hochreiter"]
LAYOUTS: tuple[LayoutName, ...] = ("martens", "hochreiter")
SYMBOLS = "abcdXYEB"
NUM_NOISE, MARK, START, END = 4, 4, 6, 7  # indices in SYMBOLS: the noise is 0..3, the marks are 4 and 5
CLASSES = "QRSUVABC"
WINDOWS = {2: ((10, 20), (50, 60)), 3: ((10, 20), (33, 43), (66, 76))}
"""First and last step of each mark, in percent of the length, for two and for three marks."""


def temporal_order(noise: Tensor, marks: Tensor, positions: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """Return inputs and targets of temporal order sequences.

    ::

        time      0 1 2 3 4 5 6 7 8 9
        inputs    E a X d b Y c a a B
        targets   . . . . . . . . . R

    'E' starts a sequence, 'B' ends it and asks for the answer, 'X' and 'Y' are the marks, the other letters are noise,
    '.' is not scored. The answers are Q for XX, R for XY, S for YX, U for YY; with three marks Q for XXX, R for XXY,
    S for XYX, U for XYY, V for YXX, A for YXY, B for YYX, C for YYY.

    Args:
        noise: Symbols 0 to 3, ``(batch, time)``.
        marks: 0 for X and 1 for Y, in their order, ``(batch, marks)``.
        positions: Steps of the marks, ``(batch, marks)``, each in ``1..length - 2``.
        lengths: Length of each sequence, ``(batch,)``; the inputs of later steps are 0.

    Returns:
        Inputs and targets, each ``(batch, time)``.
    """
    ends = lengths[:, None] - 1
    inputs = noise.masked_fill(torch.arange(noise.shape[1]) > ends, 0)
    inputs[:, 0] = START
    inputs.scatter_(1, positions, MARK + marks).scatter_(1, ends, END)
    place_values = 2 ** torch.arange(marks.shape[1]).flip(0)
    classes = (marks * place_values).sum(1, keepdim=True)
    return inputs, torch.full_like(inputs, NOT_SCORED).scatter_(1, ends, classes)


class TemporalOrder(GeneratedTask):
    """Tell, at the end of a sequence of noise, in which order the marks X and Y occurred.

    The first mark comes after 10 to 20 % of the length T, and a second one after 50 to 60 %. Three marks come after 10
    to 20, 33 to 43 and 66 to 76 %. Each mark is X or Y with probability 1/2, so there are 4 or 8 equally likely
    answers, one for each order. The noise is uniform over four letters. :func:`temporal_order` draws a sequence.

    Results are sorted by the lag: the number of steps between the first mark and the answer.

    Args:
        length: Length of the sequences, T, ``>= 10``, including the first symbol and the last one; in the layout
            ``hochreiter`` the shortest length.
        marks: Number of marks, 2 or 3.
        layout: ``martens`` (all sequences have the length T) or ``hochreiter`` (lengths are uniform in T to 1.1 T; with
            T = 100, the task of the publication). Both have the symbols of ``hochreiter``, with E and B.
        one_length_per_batch: Whether all sequences of a training batch have the same random length.
        options: Options of :class:`GeneratedTask`.

    Raises:
        UsageError: A value is out of bounds.

    References:
        ``hochreiter``: S. Hochreiter and J. Schmidhuber, "Long short-term memory", Neural Computation 9 (1997),
        experiments 6a and 6b (https://doi.org/10.1162/neco.1997.9.8.1735). ``martens``: J. Martens and I. Sutskever,
        "Learning recurrent neural networks with Hessian-free optimization", ICML 2011, which has positions in
        proportion to the length.

    Example:
        >>> task = TemporalOrder(length=10, batch_size=3)
        >>> task.train_batch(0).targets[:, :-1].unique()
        tensor([-100])
    """

    def __init__(
        self,
        length: int = 60,
        marks: int = 2,
        layout: LayoutName = "martens",
        one_length_per_batch: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        require(length >= 10, f"length must be at least 10, got {length}")
        require(marks in WINDOWS, f"marks must be 2 or 3, got {marks}")
        require(layout in LAYOUTS, f"layout must be one of {', '.join(LAYOUTS)}, got {layout}")
        self.lengths = (length, length + length // 10 if layout == "hochreiter" else length)
        self.training_length = self.lengths[1]
        self.marks = marks
        self.one_length_per_batch = one_length_per_batch

    @property
    def spec(self) -> TaskSpec:
        """The symbols are four letters of noise, the marks, the first and the last symbol; each order is an output."""
        num_classes = 2**self.marks
        codec = Codec(SYMBOLS, SYMBOLS, output_symbols=CLASSES[:num_classes], answer_at="B", sample=self._sample_text())
        return TaskSpec(len(SYMBOLS), num_classes, codec=codec)

    @property
    def baseline(self) -> Baseline:
        """A predictor that guesses one of the orders."""
        return Baseline(self.marks * math.log(2), 0.5**self.marks)

    @property
    def plateaus(self) -> tuple[Plateau, ...]:
        """Predictors that know only the latest mark, or only the latest two of three, and guess the others."""
        names = ("knows only the latest mark", "knows only the latest two marks")
        return tuple(
            Plateau(name, unknown * math.log(2), 0.5**unknown)
            for name, unknown in zip(names, range(self.marks - 1, 0, -1), strict=False)
        )

    @property
    def grouping(self) -> Grouping:
        """Results are sorted by the number of steps from the first mark to the answer."""
        return Grouping("lag", self.lengths[1])

    def at_length(self, length: int) -> Self:
        """Return this task with sequences of one length, in steps."""
        require(length >= 10, f"eval_lengths must be at least 10, got {length}")
        return self.changed(lengths=(length, length))

    def sample(self, num_sequences: int, split: str, generator: torch.Generator) -> Batch:
        """Draw random noise, marks and positions, and random lengths in the layout ``hochreiter``."""
        low, high = self.lengths
        lengths = draw_lengths(low, high, num_sequences, split, generator, self.one_length_per_batch)
        noise = torch.randint(0, NUM_NOISE, (num_sequences, int(lengths.max())), generator=generator)
        marks = torch.randint(0, 2, (num_sequences, self.marks), generator=generator)
        positions = torch.stack(
            [torch.randint(first, last + 1, (num_sequences,), generator=generator) for first, last in self._windows()],
            1,
        )
        inputs, targets = temporal_order(noise, marks, positions, lengths)
        return Batch(inputs, targets, group=lengths[:, None] - 1 - positions[:, :1])

    def _windows(self) -> list[tuple[int, int]]:
        """Return the first and the last step of each mark."""
        return [(first * self.lengths[0] // 100, last * self.lengths[0] // 100) for first, last in WINDOWS[self.marks]]

    def _sample_text(self) -> str:
        """Return a sequence whose marks are X, Y, X, at the first step of their windows."""
        length = self.lengths[0]
        text = list("E" + ("abcd" * length)[: length - 2] + "B")
        for mark, (first, _) in zip("XYX", self._windows(), strict=False):
            text[first] = mark
        return "".join(text)
