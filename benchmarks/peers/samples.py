"""Data made one sequence at a time, as the recipes do."""

import random
import string
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.utils.data import Dataset, IterableDataset

LETTERS = string.ascii_lowercase


def drawn_text(length: int) -> str:
    """Random letters."""
    return "".join([random.choice(LETTERS) for _ in range(length)])


def numbers(text: str) -> list[int]:
    """Letters as 1..26."""
    return [ord(letter) - ord("a") + 1 for letter in text]


def answer(logits: Tensor) -> str:
    """A network's answer as text, which is asked for letter by letter.

    Args:
        logits: Those of one string, ``(1, time, symbols)``.
    """
    symbols = logits.argmax(2).squeeze(0)
    return "".join([" " if symbol == 0 else chr(symbol + ord("a") - 1) for symbol in symbols])


def right_letters(text: str, said: str, delay: int) -> int:
    """How many letters of a string were said again so much later."""
    return sum(int(one == other) for one, other in zip(text[: len(text) - delay], said[delay:], strict=True))


class EchoSamples(IterableDataset[tuple[Tensor, int, Tensor]]):
    """Letters as 1..26, a delay, and the letters that much later behind zeros.

    Args:
        count: Sequences.
        length: Of a sequence.
        delays: Shortest and longest delay; one between them is drawn for each sequence.
    """

    def __init__(self, count: int, length: int, delays: tuple[int, int]) -> None:
        self.count, self.length, self.delays = count, length, delays

    def __iter__(self) -> Iterator[tuple[Tensor, int, Tensor]]:
        for _ in range(self.count):
            drawn = [random.choice(range(1, len(LETTERS) + 1)) for _ in range(self.length)]
            letters = torch.tensor(drawn, dtype=torch.int64)
            delay = random.randint(*self.delays)
            late = torch.cat((torch.zeros(delay), letters[: self.length - delay])).type(torch.int64)
            yield letters, delay, late

    def __len__(self) -> int:
        return self.count


class CopySamples(Dataset[tuple[Tensor, Tensor]]):
    """Symbols, a blank, and as many blanks as symbols; the target is the symbols behind blanks; drawn at every read.

    Args:
        count: Sequences.
        size: Symbols to remember.
        alphabet: Number of different symbols; the next number is the blank.
    """

    def __init__(self, count: int, size: int = 10, alphabet: int = 8) -> None:
        self.count, self.size, self.alphabet = count, size, alphabet

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        symbols, cue = torch.randint(self.alphabet, (self.size,)), self.size
        source = torch.full((2 * self.size + 1,), self.alphabet)
        source[:cue] = symbols
        source[cue] = self.alphabet
        target = torch.full_like(source, self.alphabet)
        target[cue + 1 :] = symbols
        return source, target
