"""Copy: read K symbols, wait T steps, repeat the symbols."""

import math
import string
from typing import Literal, NamedTuple, Self

import torch
from torch import Tensor
from torch.nn import functional

from rnn_tasks.errors import require
from rnn_tasks.spec import NOT_SCORED, Baseline, Batch, Codec, Grouping, Repeat, TaskSpec
from rnn_tasks.tasks.generated import GeneratedTask

LayoutName = Literal["plain", "arjovsky", "exprnn", "recall"]
SYMBOLS = string.digits + string.ascii_lowercase + string.ascii_uppercase
BLANK, MARKER = " ", ":"


class Layout(NamedTuple):
    """The inputs after the K symbols, and which steps are scored, for a delay of T.

    Attributes:
        blanks: Offset of the number of blanks before the marker, which is ``T + blanks``.
        markers: Number of markers: 0, 1, or None for K.
        scores_blanks: Whether the steps before the recall are scored as well; their target is the blank.
    """

    blanks: int
    markers: int | None
    scores_blanks: bool


LAYOUTS: dict[LayoutName, Layout] = {
    "plain": Layout(blanks=0, markers=0, scores_blanks=True),
    "arjovsky": Layout(blanks=-1, markers=1, scores_blanks=True),
    "exprnn": Layout(blanks=0, markers=1, scores_blanks=True),
    "recall": Layout(blanks=0, markers=None, scores_blanks=False),
}


def cue(layout: Layout, blank: int, marker: int) -> tuple[Repeat, ...]:
    """Return the inputs that follow the symbols: blanks, then the marker, then blanks during the answer."""
    waiting = Repeat(blank, per_delay=1, constant=layout.blanks)
    if layout.markers is None:
        return waiting, Repeat(marker, per_letter=1)
    # The answer starts K + T steps after the first symbol, for any number of blanks and markers.
    answering = Repeat(blank, per_letter=1, constant=-layout.blanks - layout.markers)
    return (waiting, Repeat(marker, constant=layout.markers), answering) if layout.markers else (waiting, answering)


def copy(symbols: Tensor, delays: Tensor, layout: Layout, blank: int, marker: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return inputs, targets and memory mask of copy sequences of K symbols with a delay of T.

    ::

        plain      time      0 1 2 3 4 5 6        arjovsky   time      0 1 2 3 4 5 6 7
        K=3, T=1   inputs    a b c _ _ _ _        K=3, T=2   inputs    a b c _ : _ _ _
                   targets   _ _ _ _ a b c                   targets   _ _ _ _ _ a b c

        exprnn     time      0 1 2 3 4 5 6 7      recall     time      0 1 2 3 4 5 6 7
        K=3, T=2   inputs    a b c _ _ : _ _      K=3, T=2   inputs    a b c _ _ : : :
                   targets   _ _ _ _ _ a b c                 targets   . . . . . a b c

    '_' is the blank, ':' the marker, '.' a step that is not scored. The mask marks the steps that repeat the symbols.

    Args:
        symbols: ``(batch, K)``.
        delays: T of each sequence, ``(batch,)``. Sequences with a shorter delay are padded at the end with blanks that
            are not scored.
        layout: One of ``LAYOUTS``.
        blank: The blank's index.
        marker: The marker's index.

    Returns:
        Inputs, targets and the bool mask of the steps that need memory, each ``(batch, 2 K + longest delay)``.
    """
    size = symbols.shape[1]
    shortest, longest = (2 * size + int(delay) for delay in delays.aminmax())
    recall_steps = size + delays[:, None] + torch.arange(size)
    inputs = functional.pad(symbols, (0, longest - size), value=blank)
    marker_steps = recall_steps[:, : layout.markers] + layout.blanks  # markers=None: one per recalled symbol
    inputs.scatter_(1, marker_steps, marker)
    targets = torch.full_like(inputs, blank if layout.scores_blanks else NOT_SCORED).scatter_(1, recall_steps, symbols)
    targets[:, shortest:].masked_fill_(torch.arange(shortest, longest) > recall_steps[:, -1:], NOT_SCORED)
    memory = torch.zeros_like(inputs, dtype=torch.bool).scatter_(1, recall_steps, True)
    return inputs, targets, memory


class Copy(GeneratedTask):
    """The copy task, in four layouts from the literature.

    Accuracy counts the recalled symbols only: a network that always answers "blank" is right at all other steps.

    Args:
        layout: ``plain`` (no marker; the network counts the steps), ``arjovsky`` (one marker, then K blanks),
            ``exprnn`` (the marker one step later) or ``recall`` (K markers; only the recall is scored).
        num_symbols: Symbols to remember, K, ``>= 1``.
        alphabet_size: Number of different symbols, ``2..62``.
        delay: Steps between the last symbol and the recall, T, ``>= 1``; the longest delay if ``min_delay`` is set.
        min_delay: Shortest delay, ``1 <= min_delay <= delay``: each sequence then has a random delay, and only the
            marker shows when to answer. None for the same delay in all sequences.
        batch_size: Training sequences per batch, in each process, ``>= 1``.
        epoch_sequences: Training sequences per epoch (the last batch may be smaller); None for an endless epoch.
        val_sequences: Validation sequences, ``>= 1``.
        test_sequences: Test sequences, ``>= 1``.
        eval_batch_size: Validation or test sequences per batch, ``>= 1``.
        seed: Seed of the data, ``>= 0``; None means ``seed_everything`` on the command line, and 0 in Python.
        eval_lengths: Longer delays, ``>= 1``, at which the network is tested once at the end.
        length_sequences: Test sequences of each of these lengths, ``>= 1``.

    Raises:
        UsageError: A value is out of bounds, or ``min_delay`` is set in the layout ``plain``, which has no marker.

    References:
        ``arjovsky``: M. Arjovsky, A. Shah and Y. Bengio, "Unitary evolution recurrent neural networks", ICML 2016
        (https://arxiv.org/abs/1511.06464). ``exprnn``: M. Lezcano-Casado and D. Martínez-Rubio, "Cheap orthogonal
        constraints in neural networks", ICML 2019 (https://arxiv.org/abs/1901.08428). ``recall``: A. Gu, K. Goel and
        C. Ré, "Efficiently modeling long sequences with structured state spaces", ICLR 2022
        (https://arxiv.org/abs/2111.00396).
    """

    def __init__(
        self,
        layout: LayoutName = "plain",
        num_symbols: int = 10,
        alphabet_size: int = 8,
        delay: int = 1,
        min_delay: int | None = None,
        batch_size: int = 128,
        epoch_sequences: int | None = None,
        val_sequences: int = 500,
        test_sequences: int = 2000,
        eval_batch_size: int = 250,
        seed: int | None = None,
        eval_lengths: list[int] | None = None,
        length_sequences: int = 250,
    ) -> None:
        super().__init__(
            batch_size=batch_size,
            epoch_sequences=epoch_sequences,
            val_sequences=val_sequences,
            test_sequences=test_sequences,
            eval_batch_size=eval_batch_size,
            seed=seed,
            eval_lengths=eval_lengths,
            length_sequences=length_sequences,
        )
        require(layout in LAYOUTS, f"layout must be one of {', '.join(LAYOUTS)}, got {layout}")
        require(num_symbols >= 1, f"num_symbols must be at least 1, got {num_symbols}")
        require(2 <= alphabet_size <= len(SYMBOLS), f"alphabet_size must be in 2..{len(SYMBOLS)}, got {alphabet_size}")
        require(delay >= 1, f"delay must be at least 1, got {delay}")
        if min_delay is not None:
            require(1 <= min_delay <= delay, f"min_delay must be in 1..delay ({delay}), got {min_delay}")
            require(
                layout != "plain",
                "layout plain has no marker to show when a random delay ends: leave out min_delay, or choose "
                "layout arjovsky, exprnn or recall",
            )
        self.layout = LAYOUTS[layout]
        self.num_symbols = num_symbols
        self.alphabet_size = alphabet_size
        self.delays = (delay if min_delay is None else min_delay, delay)
        self.training_length = delay
        self.blank = alphabet_size
        self.marker = alphabet_size if layout == "plain" else alphabet_size + 1

    @property
    def spec(self) -> TaskSpec:
        """The symbols are 0, 1, ...; then come the blank and the marker, which is never a target."""
        letters = SYMBOLS[: self.alphabet_size]
        codec = Codec(
            letters + BLANK + MARKER,
            letters,
            cue=cue(self.layout, self.blank, self.marker),
            answer_per_letter=1,
            min_delay=self.delays[0],
            max_delay=self.delays[1],
            num_letters=self.num_symbols,
        )
        return TaskSpec(self.marker + 1, self.blank + 1, blank=self.blank, codec=codec)

    @property
    def baseline(self) -> Baseline:
        """A predictor that knows the timing and guesses the K symbols: K ln A / (mean number of scored steps)."""
        scored = 2 * self.num_symbols + sum(self.delays) / 2 if self.layout.scores_blanks else self.num_symbols
        return Baseline(self.num_symbols * math.log(self.alphabet_size) / scored, 1 / self.alphabet_size)

    @property
    def grouping(self) -> Grouping | None:
        """Results are sorted by the delay, if it is random."""
        low, high = self.delays
        return None if low == high else Grouping("delay", high + 1)

    def at_length(self, length: int) -> Self:
        """Return this task with one delay; the length of copy sequences is their delay."""
        return self.changed(delays=(length, length))

    def sample(self, num_sequences: int, split: str, generator: torch.Generator) -> Batch:
        """Draw random symbols, and random delays if ``min_delay`` is set."""
        low, high = self.delays
        symbols = torch.randint(0, self.alphabet_size, (num_sequences, self.num_symbols), generator=generator)
        if low == high:
            delays = torch.full((num_sequences,), low)
        else:
            delays = torch.randint(low, high + 1, (num_sequences,), generator=generator)
        return Batch(*copy(symbols, delays, self.layout, self.blank, self.marker), group=delays[:, None])
