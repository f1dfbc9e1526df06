"""Selective copy: remember K symbols that stand at random steps, then repeat them in order."""

import math
import string
from typing import Any, Literal, NamedTuple, Self

import torch
from torch import Tensor
from torch.nn import functional

from rnn_tasks.errors import require
from rnn_tasks.spec import NOT_SCORED, Baseline, Batch, Codec, Grouping, Plateau, Repeat, TaskSpec
from rnn_tasks.tasks.generated import GeneratedTask
from rnn_tasks.tasks.unordered import unordered_accuracy, unordered_loss

LayoutName = Literal["s4_variable", "mad", "denoise", "noisy"]
LETTERS = string.ascii_lowercase + string.ascii_uppercase + string.digits
BLANK, MARKER = ".", ":"


class Layout(NamedTuple):
    """What differs between the layouts.

    Attributes:
        marker_each: Whether there is a marker at each of the K steps of the answer, or one marker before K blanks.
        scores_blanks: Whether the steps before the answer are scored as well; their target is the blank.
        ends_with_symbol: Whether the last symbol always stands directly before the marker.
        noise: Whether other letters of the alphabet stand between the symbols, instead of blanks, and the K symbols are
            marked.
    """

    marker_each: bool = False
    scores_blanks: bool = False
    ends_with_symbol: bool = False
    noise: bool = False


LAYOUTS: dict[LayoutName, Layout] = {
    "s4_variable": Layout(marker_each=True),
    "mad": Layout(ends_with_symbol=True),
    "denoise": Layout(scores_blanks=True),
    "noisy": Layout(noise=True),
}


def selective_copy(
    background: Tensor, symbols: Tensor, places: Tensor, layout: Layout, blank: int, marked: int = 0
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return inputs, targets, memory mask and lags of selective copy sequences.

    ::

        s4_variable  time      0 1 2 3 4 5 6       mad          time      0 1 2 3 4 5 6 7
        K=2          inputs    . b . a . : :       K=2          inputs    . b . . a : . .
        length=5     targets   - - - - - b a       length=5     targets   - - - - - - b a

        denoise      time      0 1 2 3 4 5 6 7     noisy        time      0 1 2 3 4 5 6 7
        K=2          inputs    . b . a . : . .     K=2          inputs    c B a A c : . .
        length=5     targets   . . . . . . b a     length=5     targets   - - - - - - b a

    '.' is the blank, ':' the marker, '-' a step that is not scored; capitals are marked letters.

    Args:
        background: What stands at the steps before the marker where no symbol stands, ``(batch, length)``.
        symbols: The symbols to remember, ``(batch, K)``.
        places: The step of each symbol, ascending, ``(batch, K)``.
        layout: One of ``LAYOUTS``.
        blank: The blank's index; the marker is ``blank + 1``.
        marked: Added to a symbol where it is read: the input ``symbol + marked`` is the marked copy of a letter.

    Returns:
        Inputs, targets, the bool mask of the steps that repeat the symbols, and at these steps the number of steps
        since the symbol was read (0 elsewhere), each ``(batch, length + K)``, or one step more with a single marker.
    """
    size, count = symbols.shape
    inputs = background.scatter(1, places, symbols + marked)
    if layout.marker_each:
        inputs = functional.pad(inputs, (0, count), value=blank + 1)
    else:
        inputs = functional.pad(functional.pad(inputs, (0, 1), value=blank + 1), (0, count), value=blank)
    start = inputs.shape[1] - count
    waiting = torch.full((size, start), blank if layout.scores_blanks else NOT_SCORED)
    targets = torch.cat([waiting, symbols], 1)
    memory = (torch.arange(inputs.shape[1]) >= start).expand_as(inputs)
    lags = functional.pad(start + torch.arange(count) - places, (start, 0))
    return inputs, targets, memory, lags


class SelectiveCopy(GeneratedTask):
    """Remember K symbols among blanks or noise, and repeat them in their order after a marker.

    In plain copy all symbols wait for the same number of steps. Here the distances vary, so a network must select what
    it stores. :func:`selective_copy` draws one sequence of each layout.

    * ``s4_variable``: the symbols stand at K random steps, then K markers ask for them. The delay L of the original
      is ``length - num_symbols``.
    * ``mad``: each blank is inserted before a randomly chosen symbol, so the last symbol always stands directly before
      the only marker. The sequence length of the original is ``length + 1 + num_symbols``.
    * ``denoise``: the symbols stand at K random steps; all steps are scored. The delay T of the original is
      ``length + 1 - num_symbols``. The original draws the steps with replacement, so that some symbols overwrite each
      other and cannot be repeated; here all steps differ.
    * ``noisy``: the symbols stand among other letters of the same alphabet. A marked letter is another input symbol
      than the same letter without a mark. The original has the mark in a channel of its own, and can wait before the
      marker.

    The length of a sequence is the number of steps before the marker. Accuracy counts the repeated symbols only.
    Results are sorted by the lag, the number of steps since the symbol was read.

    Args:
        layout: ``s4_variable``, ``mad``, ``denoise`` or ``noisy``.
        num_symbols: Symbols to remember, K, ``>= 1``.
        alphabet_size: Number of different symbols, ``>= 2``.
        length: Steps before the first marker, ``>= num_symbols``.
        options: Options of :class:`GeneratedTask`.

    Raises:
        UsageError: A value is out of bounds.

    References:
        ``s4_variable``: the option ``variable`` of the copying data of A. Gu, K. Goel and C. Ré, "Efficiently modeling
        long sequences with structured state spaces", ICLR 2022 (https://arxiv.org/abs/2111.00396,
        https://github.com/state-spaces/s4); the task that A. Gu and T. Dao, "Mamba: linear-time sequence modeling with
        selective state spaces", 2023 (https://arxiv.org/abs/2312.00752) describe. ``mad``: M. Poli et al.,
        "Mechanistic design and scaling of hybrid architectures", 2024 (https://arxiv.org/abs/2403.17844,
        https://github.com/athms/mad-lab). ``denoise``: L. Jing et al., "Gated orthogonal recurrent units: on learning
        to forget", 2017 (https://arxiv.org/abs/1706.02761, https://github.com/jingli9111/GORU-tensorflow). ``noisy``:
        the task ``selective_copy`` of CogScale (https://github.com/Naowak/CogScale).

    Example:
        >>> task = SelectiveCopy("mad", num_symbols=16, alphabet_size=14, length=239, batch_size=8)
        >>> task.train_batch(0).inputs.shape
        torch.Size([8, 256])
    """

    def __init__(
        self,
        layout: LayoutName = "s4_variable",
        num_symbols: int = 4,
        alphabet_size: int = 4,
        length: int = 32,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        require(layout in LAYOUTS, f"layout must be one of {', '.join(LAYOUTS)}, got {layout}")
        require(num_symbols >= 1, f"num_symbols must be at least 1, got {num_symbols}")
        require(alphabet_size >= 2, f"alphabet_size must be at least 2, got {alphabet_size}")
        require(length >= num_symbols, f"length must be at least num_symbols ({num_symbols}), got {length}")
        self.layout = LAYOUTS[layout]
        self.num_symbols = num_symbols
        self.alphabet_size = alphabet_size
        self.length = length
        self.training_length = length
        self.blank = alphabet_size
        self.marked = alphabet_size + 2 if self.layout.noise else 0

    @property
    def spec(self) -> TaskSpec:
        """The symbols are 0, 1, ...; then come the blank, the marker and, in the layout noisy, the marked letters."""
        return TaskSpec(
            self.blank + 2 + (self.alphabet_size if self.layout.noise else 0),
            self.alphabet_size + self.layout.scores_blanks,
            blank=self.blank,
            codec=self._codec(),
        )

    def _codec(self) -> Codec | None:
        """Return the conversion of strings; None if there are more symbols than characters."""
        most = len(string.ascii_lowercase) if self.layout.noise else len(LETTERS)
        if self.alphabet_size > most:
            return None
        letters = LETTERS[: self.alphabet_size]
        marked = letters.upper() if self.layout.noise else ""
        symbols = letters + BLANK + MARKER + marked
        marker, blank, count = self.blank + 1, self.blank, self.num_symbols
        each = self.layout.marker_each
        example = self.sample(1, "test", torch.Generator().manual_seed(0)).inputs[0, : self.length].tolist()
        return Codec(
            symbols,
            letters + BLANK + marked,
            cue=(Repeat(marker, constant=count),)
            if each
            else (Repeat(marker, constant=1), Repeat(blank, constant=count)),
            answer_per_letter=1,
            min_delay=0 if each else 1,  # a single marker comes before the answer
            max_delay=0 if each else 1,
            num_letters=self.length,
            sample="".join(symbols[symbol] for symbol in example),
        )

    @property
    def scored_steps(self) -> int:
        """Number of scored steps of a sequence."""
        return self.num_symbols + (self.length + 1 if self.layout.scores_blanks else 0)

    @property
    def baseline(self) -> Baseline:
        """A predictor that knows the timing and guesses the K symbols: K ln A / (number of scored steps)."""
        loss = self.num_symbols * math.log(self.alphabet_size) / self.scored_steps
        return Baseline(loss, 1 / self.alphabet_size)

    @property
    def plateaus(self) -> tuple[Plateau, ...]:
        """A predictor that knows how often each symbol occurred among the K, but not their order."""
        if self.num_symbols == 1:
            return ()
        loss = self.num_symbols * unordered_loss(self.num_symbols, self.alphabet_size) / self.scored_steps
        return (
            Plateau(
                "knows which symbols, not their order", loss, unordered_accuracy(self.num_symbols, self.alphabet_size)
            ),
        )

    @property
    def grouping(self) -> Grouping:
        """Results are sorted by the number of steps since the symbol was read."""
        return Grouping("lag", self.length + self.num_symbols + 1)

    def at_length(self, length: int) -> Self:
        """Return this task with another number of steps before the marker."""
        require(
            length >= self.num_symbols,
            f"eval_lengths must be at least num_symbols ({self.num_symbols}), got {length}",
        )
        return self.changed(length=length)

    def sample(self, num_sequences: int, split: str, generator: torch.Generator) -> Batch:
        """Draw random symbols, their steps and, in the layout noisy, the letters between them."""
        shape = (num_sequences, self.length)
        symbols = torch.randint(0, self.alphabet_size, (num_sequences, self.num_symbols), generator=generator)
        if self.layout.ends_with_symbol:
            blanks = torch.randint(
                0, self.num_symbols, (num_sequences, self.length - self.num_symbols), generator=generator
            )
            blanks_before = torch.zeros_like(symbols).scatter_add_(1, blanks, torch.ones_like(blanks)).cumsum(1)
            places = torch.arange(self.num_symbols) + blanks_before
        else:
            places = torch.rand(shape, generator=generator).topk(self.num_symbols).indices.sort().values
        if self.layout.noise:
            background = torch.randint(0, self.alphabet_size, shape, generator=generator)
        else:
            background = torch.full(shape, self.blank)
        inputs, targets, memory, lags = selective_copy(
            background, symbols, places, self.layout, self.blank, self.marked
        )
        return Batch(inputs, targets, memory, group=lags)
