"""Automaton: read a string, answer with the state that a finite automaton reaches."""

from functools import lru_cache
from typing import Any, Literal, Self, get_args

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from rnn_tasks.errors import require
from rnn_tasks.spec import NOT_SCORED, Baseline, Batch, Codec, Grouping, Plateau, Repeat, TaskSpec
from rnn_tasks.tasks.generated import GeneratedTask
from rnn_tasks.tasks.lengths import draw_lengths
from rnn_tasks.tasks.machines import DIGITS, MACHINES, LanguageName, Machine

AnswerName = Literal["end", "every_step"]
BLANK, END = " ", "="
TINY = 1e-300
"""Replaces a sum of zero by which zeros are divided."""


@lru_cache(maxsize=64)
def symbol_probabilities(machine: Machine, longest: int) -> Tensor:
    """Return the probability of each next symbol, such that all strings of a class and a length are equally likely.

    The probability of a symbol is its share of the strings of the class that are still possible. The numbers of these
    strings are computed from the end of a string to its start.

    Args:
        machine: The automaton.
        longest: Longest length.

    Returns:
        ``(longest + 1, classes, states, letters)`` float64; the first index is the number of symbols that are still to
        be drawn. All zeros where no string of the class is possible.
    """
    counts = machine.classes.double()  # of strings that end in the class, divided by the largest number
    probabilities = [torch.zeros(*counts.shape, len(machine.letters), dtype=torch.float64)]
    for _ in range(longest):
        by_symbol = counts[:, machine.table] * machine.allowed
        total = by_symbol.sum(-1)
        probabilities.append(by_symbol / total.clamp(min=TINY)[..., None])
        counts = total / total.amax(-1, keepdim=True).clamp(min=TINY)
    return torch.stack(probabilities)


@lru_cache(maxsize=64)
def class_probabilities(machine: Machine, longest: int) -> Tensor:
    """Return the probability of each class at each length, ``(longest + 1, classes)`` float64.

    The classes that have strings of a length are equally likely.
    """
    possible = symbol_probabilities(machine, longest)[:, :, 0].sum(-1) > 0
    return possible / possible.sum(-1, keepdim=True).double()


@lru_cache(maxsize=64)
def thresholds(machine: Machine, longest: int) -> Tensor:
    """Return the cumulative sums of :func:`symbol_probabilities`; the last one above zero is exactly 1."""
    sums = symbol_probabilities(machine, longest).cumsum(-1)
    return sums / sums[..., -1:].clamp(min=TINY)


def draw_strings(machine: Machine, lengths: Tensor, longest: int, generator: torch.Generator) -> Tensor:
    """Draw strings: a random class, then a random string of this class. All strings of a class are equally likely.

    Args:
        machine: The automaton.
        lengths: The length of each string, ``(batch,)``.
        longest: An upper bound of the lengths, up to which tables are computed once.
        generator: The source of random numbers.

    Returns:
        Symbols, ``(batch, longest of lengths)``. Symbols after the end of a string have no meaning.
    """
    num_classes, num_states = machine.classes.shape
    uniform = torch.rand(int(lengths.max()) + 1, len(lengths), 1, dtype=torch.float64, generator=generator)
    chosen = (uniform[-1] >= class_probabilities(machine, longest)[lengths].cumsum(-1)).sum(-1)
    remaining = (lengths - torch.arange(len(uniform) - 1)[:, None]).clamp(min=0)
    first_rows = ((remaining * num_classes + chosen) * num_states).numpy()
    # The loop is in NumPy, whose operations on a few numbers cost a fifth of torch's.
    rows, table = thresholds(machine, longest).flatten(0, 2)[:, :-1].numpy(), machine.table.numpy()
    values, symbols = uniform.numpy(), np.empty_like(first_rows)
    state = np.zeros(len(lengths), dtype=np.int64)
    for step, first_row in enumerate(first_rows):
        symbols[step] = (values[step] >= rows[first_row + state]).sum(-1)
        state = table[state, symbols[step]]
    return torch.from_numpy(symbols.T.copy())


def automaton(machine: Machine, symbols: Tensor, lengths: Tensor, answer: AnswerName) -> tuple[Tensor, Tensor]:
    """Return inputs and targets of strings that an automaton reads.

    ::

        parity       time      0 1 2 3 4        parity       time      0 1 2 3
        end          inputs    1 0 1 1 =        every_step   inputs    1 0 1 1
                     targets   . . . . 1                     targets   1 1 0 1

        modular      time      0 1 2 3 4 5      modular      time      0 1 2 3 4
        end          inputs    2 + 3 * 4 =      every_step   inputs    2 + 3 * 4
                     targets   . . . . . 4                   targets   2 . 0 . 4

    '=' is the end symbol, '.' a step that is not scored. Shorter strings are followed by blanks that are not scored.

    Args:
        machine: The automaton.
        symbols: The strings, ``(batch, longest)``; symbols after the end of a string do not matter.
        lengths: The length of each string, ``(batch,)``.
        answer: ``end`` or ``every_step``.

    Returns:
        Inputs and targets, each ``(batch, longest + 1)`` for ``end``, ``(batch, longest)`` for ``every_step``.
    """
    blank, last = len(machine.letters), lengths[:, None] - 1
    is_padding = torch.arange(symbols.shape[1]) > last
    answers = machine.answers_after(symbols)
    inputs = symbols.masked_fill(is_padding, blank)
    if answer == "every_step":
        return inputs, answers.masked_fill(is_padding, NOT_SCORED)
    inputs = functional.pad(inputs, (0, 1), value=blank).scatter_(1, last + 1, blank + 1)
    return inputs, torch.full_like(inputs, NOT_SCORED).scatter_(1, last + 1, answers.gather(1, last))


@lru_cache(maxsize=64)
def answer_counts(machine: Machine, lengths: tuple[int, ...], answer: AnswerName) -> Tensor:
    """Return how often each answer is due, by the number of symbols so far, the first and the latest symbol.

    The distribution of the state is computed step by step, for all lengths at once.

    Args:
        machine: The automaton.
        lengths: The lengths of strings, equally likely, in increasing order.
        answer: Where answers are due.

    Returns:
        ``(longest + 1, letters, letters, answers)`` float64, mean numbers per sequence.
    """
    longest, letters, num_states = lengths[-1], len(machine.letters), len(machine.table)
    probabilities = symbol_probabilities(machine, longest)
    next_states = (torch.arange(letters) * num_states + machine.table).flatten()  # next to (state, symbol)
    is_answer = machine.answers[:, None] == torch.arange(len(machine.outputs))
    counts = torch.zeros(longest + 1, letters, letters, len(machine.outputs), dtype=torch.float64)
    # (lengths, classes, first symbols, states); the first symbol is unknown at the start
    state = torch.zeros(len(lengths), len(machine.classes), 1, num_states, dtype=torch.float64)
    state[..., 0, 0] = class_probabilities(machine, longest)[list(lengths)] / len(lengths)
    for read in range(1, longest + 1):
        remaining = torch.tensor([length - read for length in lengths if length >= read])
        state = state[-len(remaining) :]
        moves = (state[..., None] * probabilities[remaining + 1][:, :, None]).flatten(-2)
        reached = moves.new_zeros(*moves.shape[:-1], letters * num_states).index_add_(-1, next_states, moves)
        reached = reached.view(*moves.shape[:-1], letters, num_states)  # (..., latest symbol, state)
        if read == 1:
            reached = torch.eye(letters, dtype=torch.float64)[:, :, None] * reached
        due = reached if answer == "every_step" else reached[remaining == 0]
        counts[read] = due.sum((0, 1)) @ is_answer.double()
        state = reached.sum(-2)
    return counts


def score_of_best(counts: Tensor, known: int | None, memory_from: int = 0) -> tuple[float, float]:
    """Return loss and accuracy of the best predictor that knows one quantity, or none.

    Args:
        counts: See :func:`answer_counts`.
        known: The dimension that the predictor knows: 0 number of symbols, 1 first symbol, 2 latest symbol; or None.
        memory_from: Answers after fewer symbols than this do not count for the accuracy.
    """
    unknown = [dim for dim in range(3) if dim != known]
    by_answer = counts.sum(unknown)
    shares = by_answer / by_answer.sum(-1, keepdim=True).clamp(min=TINY)
    loss = -torch.special.xlogy(by_answer, shares).sum() / counts.sum()
    counted = counts[memory_from:]
    return loss.item(), (counted.sum(unknown).amax(-1).sum() / counted.sum()).item()


class Automaton(GeneratedTask):
    """Read a random string, answer with the state of a finite automaton.

    ========================== ==================================================== ===========
    ``language``               answer                                               example
    ========================== ==================================================== ===========
    ``parity``                 number of ones mod 2                                 1011 -> 1
    ``even_pairs``             number of pairs 01 and 10 mod 2                      0111 -> 1
    ``cycle``                  place on a cycle of five after steps to the left     rrlr -> 2
                               (l), to the right (r), or none (s), from place 0
    ``modular``                value modulo 5 of an expression, products first      2+3*4 -> 4
    ``modular_left_to_right``  value modulo 5, computed from left to right          2+3*4 -> 0
    ``tomita_1``               y (yes) for 1*, else n (no), here and below          1101 -> n
    ``tomita_2``               y for (10)*                                          1010 -> y
    ``tomita_3``               y unless an odd run of zeros comes anywhere after    1001 -> y
                               an odd run of ones
    ``tomita_4``               y unless 000 occurs                                  10010 -> y
    ``tomita_5``               y for even numbers of zeros and of ones              0110 -> y
    ``tomita_6``               y if (zeros - ones) mod 3 = 0                        1101 -> n
    ``tomita_7``               y for 0*1*0*1*                                       00110 -> y
    ========================== ==================================================== ===========

    See :func:`~rnn_tasks.tasks.automaton.automaton` for time diagrams.

    All strings of a length are equally likely. Of most Tomita languages, nearly all long strings are rejected. So half
    of their sequences are accepted strings, all equally likely, and half are rejected strings, all equally likely. At
    a length that has no accepted (rejected) string, all strings are rejected (accepted). Short strings, and accepted
    strings of small languages, occur in training, validation and test.

    With ``answer: every_step`` an answer is due after each symbol (in arithmetic, after each digit). The first answer
    needs no memory and does not count for the accuracy.

    Args:
        language: One of the languages above.
        answer: ``end`` (one answer, at a step with the end symbol "=" after the string) or ``every_step``.
        max_length: Longest string, in symbols without the end symbol, ``>= 1``. The lengths are uniform in
            ``min_length..max_length``; expressions have odd lengths only. ``eval_lengths`` are lengths of strings too;
            at these lengths, only the last answer of a string counts for the accuracy.
        min_length: Shortest string, ``1 <= min_length <= max_length``.
        one_length_per_batch: Whether all strings of a training batch have the same length, so that none is padded.
        options: Options of :class:`GeneratedTask`.

    Raises:
        UsageError: A value is out of bounds, or no string of the language has such a length.

    References:
        ``parity``, ``even_pairs``, ``cycle`` and ``modular`` are the regular tasks of G. Delétang et al., "Neural
        networks and the Chomsky hierarchy", ICLR 2023 (https://arxiv.org/abs/2207.02098), with ``answer: end`` and
        ``one_length_per_batch: true``. M. Beck et al., "xLSTM: Extended long short-term memory", NeurIPS 2024
        (https://arxiv.org/abs/2405.04517), ask for the answer one step earlier, without an end symbol.

        The other languages: M. Tomita, "Dynamic construction of finite automata from examples using hill-climbing",
        CogSci 1982; number 3 as in G. Weiss, Y. Goldberg and E. Yahav, "Extracting automata from recurrent neural
        networks using queries and counterexamples", ICML 2018 (https://arxiv.org/abs/1711.09576). Others reject in
        number 3 only an odd run of zeros directly after an odd run of ones.
    """

    def __init__(
        self,
        language: LanguageName = "parity",
        answer: AnswerName = "end",
        max_length: int = 20,
        min_length: int = 1,
        one_length_per_batch: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        answers = get_args(AnswerName)
        require(language in MACHINES, f"language must be one of {', '.join(MACHINES)}, got {language}")
        require(answer in answers, f"answer must be one of {', '.join(answers)}, got {answer}")
        require(max_length >= 1, f"max_length must be at least 1, got {max_length}")
        require(1 <= min_length <= max_length, f"min_length must be in 1..max_length ({max_length}), got {min_length}")
        self.language = language
        self.machine = MACHINES[language]
        self.answer = answer
        self.one_length_per_batch = one_length_per_batch
        self.memory_from = 1 if answer == "end" else 2
        self.lengths = self._possible_lengths(min_length, max_length)
        self.training_length = self.lengths[-1]

    def _possible_lengths(self, low: int, high: int) -> tuple[int, ...]:
        """Return the lengths that strings of the language have, in increasing order."""
        lengths = tuple(length for length in range(low, high + 1) if length % 2 or not self.machine.is_arithmetic)
        require(len(lengths) > 0, f"the strings of {self.language} have odd lengths, got {high}")
        require(
            self.answer == "end" or lengths[-1] > 1,
            "with answer every_step, strings must have a second answer, since the first one needs no memory: the "
            f"longest string has {lengths[-1]} symbol",
        )
        return lengths

    @property
    def spec(self) -> TaskSpec:
        """The symbols are the letters, the blank after shorter strings and, with ``answer: end``, the end symbol."""
        letters, outputs, has_end = self.machine.letters, self.machine.outputs, self.answer == "end"
        codec = Codec(
            letters + BLANK + END * has_end,
            letters,
            cue=(Repeat(len(letters) + 1, constant=1),) if has_end else (),
            answer_per_letter=int(has_end),
            output_symbols=outputs,
            answer_at=DIGITS if self.machine.is_arithmetic and not has_end else "",
            sample=self.machine.sample,
        )
        return TaskSpec(len(codec.symbols), len(outputs), blank=len(letters), codec=codec)

    @property
    def baseline(self) -> Baseline:
        """A predictor that knows how often each answer occurs, over all lengths, and nothing else.

        With ``answer: every_step``, a network is learning if its loss is below 95 % of the loss of a predictor without
        memory, which sees the present symbol and knows which step is the first.
        """
        loss, accuracy = score_of_best(self._counts, None, self.memory_from)
        if self.answer == "end":
            return Baseline(loss, accuracy)
        later = self._counts[2:]
        without_memory = score_of_best(later, 2)[0] * (later.sum() / self._counts.sum()).item()
        return Baseline(loss, accuracy, learning_loss=0.95 * without_memory)

    @property
    def plateaus(self) -> tuple[Plateau, ...]:
        """Predictors that know one thing about the string, if their loss is at least 1 % below the baseline."""
        highest = 0.99 * self.baseline.loss
        plateaus = []
        for dim, name in enumerate(("the number of symbols", "the first symbol", "the latest symbol")):
            loss, accuracy = score_of_best(self._counts, dim, self.memory_from)
            if loss < highest:
                plateaus.append(Plateau(f"knows only {name}", loss, accuracy))
        return tuple(plateaus)

    @property
    def grouping(self) -> Grouping:
        """Results are sorted by the number of symbols that the answer depends on."""
        return Grouping("length", self.lengths[-1] + 1)

    def at_length(self, length: int) -> Self:
        """Return this task with strings of one length; only the last answer counts for the accuracy."""
        return self.changed(lengths=self._possible_lengths(length, length), memory_from=length)

    def sample(self, num_sequences: int, split: str, generator: torch.Generator) -> Batch:
        """Draw lengths, then strings."""
        indices = draw_lengths(0, len(self.lengths) - 1, num_sequences, split, generator, self.one_length_per_batch)
        lengths = torch.tensor(self.lengths)[indices]
        symbols = draw_strings(self.machine, lengths, self.lengths[-1], generator)
        inputs, targets = automaton(self.machine, symbols, lengths, self.answer)
        if self.answer == "end":
            return Batch(inputs, targets, group=lengths[:, None])
        group = torch.arange(1, inputs.shape[1] + 1).expand_as(inputs)
        return Batch(inputs, targets, memory=group >= self.memory_from, group=group)

    @property
    def _counts(self) -> Tensor:
        """The distribution of the answers, see :func:`answer_counts`."""
        return answer_counts(self.machine, self.lengths, self.answer)
