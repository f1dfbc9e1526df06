"""Conversion of a task's strings to symbols, and of symbols to strings."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from rnn_tasks.errors import UsageError
from rnn_tasks.spec.batch import NOT_SCORED, Batch

LONGEST_CUE = 1_000_000
"""The largest number of repetitions of a cue; more would fill the memory."""


class Repeat(NamedTuple):
    """A symbol repeated ``per_delay * delay + per_letter * letters + constant`` times."""

    symbol: int
    per_delay: int = 0
    per_letter: int = 0
    constant: int = 0

    def length(self, delay: int, letters: int) -> int:
        """Return the number of repetitions for a delay and a number of letters."""
        return self.per_delay * delay + self.per_letter * letters + self.constant


@dataclass(frozen=True)
class Codec:
    """Converts a task's strings to symbols, and symbols to strings. All fields are plain values.

    Args:
        symbols: The character of each symbol: ``symbols[i]`` shows symbol ``i``.
        letters: The characters that a user may write.
        cue: The inputs that follow the user's letters.
        answer_per_letter: The answer starts at step ``delay + answer_per_letter * letters``.
        min_delay: Shortest delay of the task.
        max_delay: Longest delay of the task; if it equals ``min_delay``, users need not give a delay.
        conditional: Whether the network receives the delay.
        num_letters: Number of letters in training; 0 if it varies.
        output_symbols: The character of each output symbol; empty if outputs have the characters of inputs.
        answer_at: The letters at which an answer is due; empty if an answer is due at every step from the start.
        not_before: No answer is due at a letter that is followed by one of these letters.
        sample: An example of a text; empty for the letters in their order.

    Example:
        >>> codec = Codec(" abc", "abc", min_delay=2, max_delay=2)
        >>> codec.encode(["abcab"]).inputs
        tensor([[1, 2, 3, 1, 2]])
        >>> codec.decode(codec.encode(["abcab"]).targets)
        ['     ']
    """

    symbols: str
    letters: str
    cue: tuple[Repeat, ...] = ()
    answer_per_letter: int = 0
    min_delay: int = 0
    max_delay: int = 0
    conditional: bool = False
    num_letters: int = 0
    output_symbols: str = ""
    answer_at: str = ""
    not_before: str = ""
    sample: str = ""

    @property
    def layout(self) -> tuple[object, ...]:
        """The meaning of the symbols and the inputs after the letters, which two networks must share."""
        return (
            self.symbols,
            self.output_symbols,
            self.cue,
            self.answer_per_letter,
            self.answer_at,
            self.not_before,
        )

    def fits(self, input_size: int, output_size: int, num_conditions: int) -> bool:
        """Return whether all fields have the right types, and symbols that a network knows.

        Args:
            input_size: Number of input symbols of the network.
            output_size: Number of output symbols of the network.
            num_conditions: Number of conditions of the network.
        """
        cue = self.cue if isinstance(self.cue, tuple) else (None,)
        texts = (self.symbols, self.letters, self.output_symbols, self.answer_at, self.not_before, self.sample)
        numbers = (self.answer_per_letter, self.min_delay, self.max_delay, self.num_letters)
        return (
            all(isinstance(text, str) for text in texts)
            and len(self.symbols) >= input_size
            and len(self.output_symbols or self.symbols) >= output_size
            and all(letter in self.letters for letter in self.answer_at + self.not_before + self.sample)
            and len(self.letters) > 0
            and all(letter in self.symbols[:input_size] for letter in self.letters)
            and all(isinstance(part, Repeat) and all(type(value) is int for value in part) for part in cue)
            and all(0 <= part.symbol < input_size for part in self.cue)
            and all(abs(value) <= LONGEST_CUE for part in self.cue for value in part[1:])
            and all(type(number) is int and number >= 0 for number in numbers)
            and self.min_delay <= self.max_delay
            and type(self.conditional) is bool
            and (not self.conditional or self.max_delay < num_conditions)
        )

    def delay(self, delay: int | None) -> int:
        """Return the delay to use; None means the task's only delay.

        Raises:
            UsageError: The delay is None although the task has several, or outside ``min_delay..max_delay``.
        """
        low, high = self.min_delay, self.max_delay
        if delay is None:
            if low != high:
                raise UsageError(f"this network was trained on several delays: set --delay to one of {low}..{high}")
            return low
        if not low <= delay <= high:
            choice = f"{low}, or leave it out" if low == high else f"one of {low}..{high}"
            raise UsageError(f"this network was not trained on delay {delay}: set --delay to {choice}")
        return delay

    def encode(self, texts: Sequence[str], delay: int | None = None) -> Batch:
        """Return the batch that asks the network for its answers to ``texts``.

        Shorter texts are padded at the end, which does not affect a network that reads from left to right. The targets
        only mark the steps of the answer: they are 0 there, and ``NOT_SCORED`` elsewhere.

        Raises:
            UsageError: A character is not a letter of the task, a text is empty, or the delay is not one of the task's.
        """
        delay = self.delay(delay)
        if not texts or not all(texts):
            raise UsageError(f"the text is empty: give at least one of the letters {self.letters}")
        rows, marks = [], []
        for text in texts:
            symbols = [self.index(letter) for letter in text]
            cue = [part.symbol for part in self.cue for _ in range(max(0, part.length(delay, len(symbols))))]
            rows.append(torch.tensor(symbols + cue))
            marks.append(torch.full((len(rows[-1]),), NOT_SCORED))
            marks[-1][delay + self.answer_per_letter * len(symbols) :] = 0
            if self.answer_at:
                is_due = [self._is_answered(text, step) for step in range(len(symbols))]
                marks[-1][: len(symbols)].masked_fill_(~torch.tensor(is_due), NOT_SCORED)
        return Batch(
            inputs=torch.nn.utils.rnn.pad_sequence(rows, batch_first=True),
            targets=torch.nn.utils.rnn.pad_sequence(marks, batch_first=True, padding_value=NOT_SCORED),
            condition=torch.full((len(rows),), delay) if self.conditional else None,
        )

    def example(self) -> str:
        """Return example arguments of ``rnn-tasks respond``: a text and, if the task has several delays, a delay.

        Example:
            >>> Codec(" abc", "abc", max_delay=4, conditional=True).example()
            'abcabca --delay 2'
        """
        if self.sample:
            return shlex.join([self.sample])
        delay = (self.min_delay + self.max_delay) // 2
        size = self.num_letters or max(7, delay + 3)  # longer than the delay, so that the answer is not empty
        text = (self.letters * size)[:size]
        return text if self.min_delay == self.max_delay else f"{text} --delay {delay}"

    def lengths(self, texts: Sequence[str], delay: int | None = None) -> list[int]:
        """Return the number of steps of each text, including the cue."""
        delay = self.delay(delay)
        return [len(text) + sum(max(0, part.length(delay, len(text))) for part in self.cue) for text in texts]

    def decode(self, symbols: Tensor) -> list[str]:
        """Return one string for each row of input symbols, ``(batch, time)``; ``NOT_SCORED`` becomes a space."""
        return ["".join(" " if index < 0 else self.symbols[index] for index in row) for row in symbols.tolist()]

    def decode_outputs(self, symbols: Tensor) -> list[str]:
        """Return one string for each row of output symbols, ``(batch, time)``; ``NOT_SCORED`` becomes a space."""
        characters = self.output_symbols or self.symbols
        return ["".join(" " if index < 0 else characters[index] for index in row) for row in symbols.tolist()]

    def index(self, letter: str) -> int:
        """Return the symbol of a letter that a user wrote.

        Raises:
            UsageError: The letter is not one of the task's.
        """
        if letter not in self.letters:
            is_cue = any(self.symbols[part.symbol] == letter for part in self.cue)
            note = " (it is added after the text)" if is_cue else ""
            raise UsageError(f"{letter!r} is not in this network's alphabet{note}: use only {self.letters}")
        return self.symbols.index(letter)

    def _is_answered(self, text: str, step: int) -> bool:
        """Return whether an answer is due at a letter of a text."""
        return text[step] in self.answer_at and text[step + 1 : step + 2] not in tuple(self.not_before)
