"""Reber: predict the next letter of a string of the embedded Reber grammar."""

import math
from functools import cache
from typing import Any, NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from rnn_tasks.errors import require
from rnn_tasks.spec import NOT_SCORED, Baseline, Batch, Codec, Grouping, TaskSpec
from rnn_tasks.tasks.generated import GeneratedTask

SYMBOLS = "BTPSXVE"
BEGIN, END = SYMBOLS.index("B"), SYMBOLS.index("E")
ARCS = ("T1 P2", "S1 X3", "T2 V4", "X2 S5", "P3 V5")
"""The two arcs that leave each of the states 0 to 4 of the inner grammar: a letter, and the next state."""
FINAL = len(ARCS)
NEXT_STATES = np.array([int(arc[1]) for state in ARCS for arc in state.split()] + [FINAL, FINAL])
ARC_SYMBOLS = torch.tensor([SYMBOLS.index(arc[0]) for state in ARCS for arc in state.split()] + [BEGIN, BEGIN])
FRAME = 6
"""Letters of a string around those of the arcs: B and T or P, B, then E, T or P, and E."""
SHORTEST, LONGEST = 9, 1000


def embedded_reber(arcs: Tensor, outer: Tensor) -> tuple[Tensor, Tensor]:
    """Return strings of the embedded Reber grammar, and their lengths.

    ::

        B - T - B - inner - E - T - E        each letter T or P with probability 1/2, and the same letter at the end
        B - P - B - inner - E - P - E

    Args:
        arcs: Numbers of the arcs of the inner grammar, ``2 * state`` or ``2 * state + 1``, ``(batch, steps)``;
            ``2 * FINAL`` or more after the last arc.
        outer: Symbols of the second letter, T or P, ``(batch,)``.

    Returns:
        The symbols, ``(batch, steps + 6)``, which are 0 after the end of each string; and the lengths, ``(batch,)``.
    """
    inner_lengths = (arcs < 2 * FINAL).sum(1)
    strings = functional.pad(ARC_SYMBOLS[arcs], (3, 3))
    rows = torch.arange(len(arcs))
    strings[:, 0] = strings[:, 2] = BEGIN
    strings[:, 1] = strings[rows, inner_lengths + 4] = outer
    strings[rows, inner_lengths + 3] = strings[rows, inner_lengths + 5] = END
    return strings, inner_lengths + FRAME


def prediction(strings: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return inputs, targets and memory mask for the prediction of the next letter of each string.

    ::

        time      0 1 2 3 4 5 6 7
        inputs    B P B T X S E P
        targets   P B T X S E P E
        memory                ^          the target must equal the letter at step 1

    Args:
        strings: ``(batch, letters)``.
        lengths: Length of each string, ``(batch,)``; later letters are not scored.

    Returns:
        Inputs, targets and the bool mask of the only step that needs the outer letter, each ``(batch, letters - 1)``.
    """
    steps = torch.arange(strings.shape[1] - 1)
    last = lengths[:, None] - 2
    return strings[:, :-1], strings[:, 1:].masked_fill(steps > last, NOT_SCORED), steps == last - 1


class Lengths(NamedTuple):
    """The strings with a length in a range.

    Attributes:
        first_arc: Probability of the first of the two arcs of each state at each step, given that the length will be in
            the range, ``(steps, FINAL + 1)``.
        log_share: Natural logarithm of the share of these strings among all strings of the grammar.
        mean: Their mean length.
    """

    first_arc: NDArray[np.float32]
    log_share: float
    mean: float


@cache
def strings_of_lengths(shortest: int, longest: int) -> Lengths:
    """Return how to walk through the inner grammar so that the length of the whole string is in a range.

    Args:
        shortest: The shortest length, ``>= 9``.
        longest: The longest length, ``>= shortest``.
    """
    first, last = shortest - FRAME, longest - FRAME
    next_states = NEXT_STATES.reshape(FINAL + 1, 2)
    ends = np.zeros(FINAL + 1)  # by state: probability to end in the range
    expected = np.zeros(FINAL + 1)  # by state: the same, times the step at which the walk ends
    first_arc = np.zeros((last, FINAL + 1), np.float32)
    for step in range(last, 0, -1):
        ends[FINAL] = step >= first
        expected[FINAL] = ends[FINAL] * step
        choices = ends[next_states] / 2
        ends, expected = choices.sum(1), (expected[next_states] / 2).sum(1)
        first_arc[step - 1] = choices[:, 0] / np.maximum(ends, np.finfo(np.float64).tiny)
    return Lengths(first_arc, math.log(ends[0]), float(expected[0] / ends[0]) + FRAME)


class Reber(GeneratedTask):
    """Predict each next letter of strings of the embedded Reber grammar.

    A string is ``B T B inner E T E`` or ``B P B inner E P E``: the second-last letter, the outer letter, equals the
    second one. The inner part is a walk from state 0 to the end; the two letters of each state are equally likely::

        state 0   T -> 1   P -> 2
        state 1   S -> 1   X -> 3
        state 2   T -> 2   V -> 4
        state 3   X -> 2   S -> end
        state 4   P -> 3   V -> end

    The loss counts all letters (:func:`prediction`). Accuracy counts only the second-last letter, the only one that
    needs a memory of more than the last few letters.

    Strings are random walks, without a prepared set. The probabilities at each step are those of strings with at most
    ``max_length`` letters, so the strings are distributed as if longer ones were drawn again.

    Results are sorted by the length of the string; the outer letter must be kept for ``length - 4`` steps.

    Args:
        max_length: Letters of the longest string, ``9..1000``. Strings have 12 letters on average, and at least 9; with
            the default, one string in 17,600 would be longer.
        options: Options of :class:`GeneratedTask`; each of ``eval_lengths`` is a number of letters, in ``9..1000``.

    Raises:
        UsageError: A value is out of bounds.

    References:
        A. S. Reber, "Implicit learning of artificial grammars", Journal of Verbal Learning and Verbal Behavior 6
        (1967). The embedded grammar: S. E. Fahlman, "The recurrent cascade-correlation architecture", NIPS 1990, and
        S. Hochreiter and J. Schmidhuber, "Long short-term memory", Neural Computation 9 (1997), experiment 1
        (https://doi.org/10.1162/neco.1997.9.8.1735).

    Example:
        >>> task = Reber(batch_size=3)
        >>> task.spec.codec.decode(task.train_batch(0).inputs[:, :1])
        ['B', 'B', 'B']
    """

    def __init__(self, max_length: int = 40, **options: Any) -> None:
        super().__init__(**options)
        require(SHORTEST <= max_length <= LONGEST, f"max_length must be in {SHORTEST}..{LONGEST}, got {max_length}")
        self.lengths = (SHORTEST, max_length)
        self.training_length = max_length

    @property
    def spec(self) -> TaskSpec:
        """The seven letters of the grammar are inputs and outputs."""
        codec = Codec(SYMBOLS, SYMBOLS, sample="BPBTSXSE")
        return TaskSpec(len(SYMBOLS), len(SYMBOLS), codec=codec)

    @property
    def baseline(self) -> Baseline:
        """A predictor that knows the grammar and the letters since the second 'B', and guesses the outer letter.

        The floor is the entropy of a string, per predicted letter. A string of n letters results from ``n - 5`` choices
        between two letters, one of which is the outer letter. Its probability is ``2^-(n - 5)``, divided by the share
        of the strings that are not too long. For unlimited lengths, n is 12 on average: the floor is ``7 ln 2 / 11``,
        0.4411 nats per letter, and the baseline ``8 ln 2 / 11``, 0.5041.
        """
        _, log_share, mean_length = strings_of_lengths(*self.lengths)
        entropy = (mean_length - 5) * math.log(2) + log_share
        floor, loss = entropy / (mean_length - 1), (entropy + math.log(2)) / (mean_length - 1)
        return Baseline(loss, 0.5, "without the outer letter", floor=floor)

    @property
    def grouping(self) -> Grouping:
        """Results are sorted by the length of the string."""
        return Grouping("length", self.lengths[1] + 1)

    def at_length(self, length: int) -> Self:
        """Return this task with the strings that have one length, in letters."""
        require(SHORTEST <= length <= LONGEST, f"eval_lengths must be in {SHORTEST}..{LONGEST}, got {length}")
        return self.changed(lengths=(length, length))

    def sample(self, num_sequences: int, split: str, generator: torch.Generator) -> Batch:
        """Draw random strings."""
        first_arc = strings_of_lengths(*self.lengths).first_arc
        chance = torch.rand(len(first_arc), num_sequences, generator=generator).numpy()
        state = np.zeros(num_sequences, dtype=np.int64)
        arcs = []
        for probability, number in zip(first_arc, chance, strict=True):
            arcs.append(2 * state + (number >= probability[state]))
            state = NEXT_STATES[arcs[-1]]
            if state.min() == FINAL:
                break
        walks = torch.from_numpy(np.stack(arcs, 1))
        outer = torch.randint(SYMBOLS.index("T"), SYMBOLS.index("P") + 1, (num_sequences,), generator=generator)
        strings, lengths = embedded_reber(walks, outer)
        return Batch(*prediction(strings, lengths), group=lengths[:, None])
