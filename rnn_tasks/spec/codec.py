"""How a task's strings become symbols, and its symbols strings."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from rnn_tasks.errors import UsageError
from rnn_tasks.spec.batch import NOT_SCORED, Batch


class Repeat(NamedTuple):
    """A symbol repeated ``per_delay * delay + per_letter * letters + constant`` times."""

    symbol: int
    per_delay: int = 0
    per_letter: int = 0
    constant: int = 0

    def length(self, delay: int, letters: int) -> int:
        """How often the symbol is repeated for this delay and this number of letters."""
        return self.per_delay * delay + self.per_letter * letters + self.constant


@dataclass(frozen=True)
class Codec:
    """How a task's strings become symbols, and its symbols strings; plain values only.

    Args:
        symbols: The character that shows each symbol, by index.
        letters: Those of them that a user may write.
        cue: What follows the user's letters in the input.
        answer_per_letter: The answer starts at step ``delay + answer_per_letter * letters``.
        min_delay: Shortest delay that the task knows.
        max_delay: Longest delay that the task knows; when equal to ``min_delay``, it need not be given.
        conditional: Whether the network is told the delay.
        num_letters: Number of letters in training, 0 when any number does.

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

    def delay(self, delay: int | None) -> int:
        """The delay to use when the user gave ``delay``.

        Raises:
            UsageError: It is missing, or the task does not know it.
        """
        known = (
            f"{self.min_delay}" if self.min_delay == self.max_delay else f"one of {self.min_delay}..{self.max_delay}"
        )
        if delay is None:
            if self.min_delay != self.max_delay:
                raise UsageError(f"this network was trained on several delays: give --delay, {known}")
            return self.min_delay
        if not self.min_delay <= delay <= self.max_delay:
            raise UsageError(f"this network was not trained on a delay of {delay}; it knows {known}")
        return delay

    def encode(self, texts: Sequence[str], delay: int | None = None) -> Batch:
        """The batch that asks the network for its answers to ``texts``.

        Shorter texts are filled up at the end, which a network that reads from left to right cannot notice.
        Targets are ``NOT_SCORED`` outside the answer and 0 in it: they only mark where the answer stands.

        Raises:
            UsageError: A letter that the task does not have, an empty text, or an unknown delay.
        """
        delay = self.delay(delay)
        if not texts or not all(texts):
            raise UsageError(f"nothing to answer: give at least one of the letters {self.letters}")
        rows, marks = [], []
        for text in texts:
            symbols = [self.index(letter) for letter in text]
            cue = [run.symbol for run in self.cue for _ in range(max(0, run.length(delay, len(symbols))))]
            rows.append(torch.tensor(symbols + cue))
            marks.append(torch.full((len(rows[-1]),), NOT_SCORED))
            marks[-1][delay + self.answer_per_letter * len(symbols) :] = 0
        return Batch(
            inputs=torch.nn.utils.rnn.pad_sequence(rows, batch_first=True),
            targets=torch.nn.utils.rnn.pad_sequence(marks, batch_first=True, padding_value=NOT_SCORED),
            condition=torch.full((len(rows),), delay) if self.conditional else None,
        )

    def example(self) -> str:
        """Words of a command line that ask the network something.

        Example:
            >>> Codec(" abc", "abc", max_delay=4, conditional=True).example()
            'abcabca --delay 2'
        """
        delay = (self.min_delay + self.max_delay) // 2
        size = self.num_letters or max(7, delay + 3)  # longer than the delay, so that there is an answer
        text = (self.letters * size)[:size]
        return text if self.min_delay == self.max_delay else f"{text} --delay {delay}"

    def lengths(self, texts: Sequence[str], delay: int | None = None) -> list[int]:
        """The number of steps that each text takes, its cue included."""
        delay = self.delay(delay)
        return [len(text) + sum(max(0, run.length(delay, len(text))) for run in self.cue) for text in texts]

    def decode(self, symbols: Tensor) -> list[str]:
        """One string for each row of ``(batch, time)``; ``NOT_SCORED`` is shown empty."""
        return ["".join(" " if index < 0 else self.symbols[index] for index in row) for row in symbols.tolist()]

    def index(self, letter: str) -> int:
        """The symbol of a letter that a user wrote.

        Raises:
            UsageError: The task has no such letter.
        """
        if letter not in self.letters:
            raise UsageError(f"{letter!r} is not in this network's alphabet, {self.letters}")
        return self.symbols.index(letter)
