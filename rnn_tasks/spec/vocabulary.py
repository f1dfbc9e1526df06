"""The characters of a text, and their symbols."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

UNKNOWN = "<unk>"
"""The string for symbol 0, which stands for every character outside the vocabulary."""

SPACE = "\N{OPEN BOX}"
MARKS = {
    " ": SPACE,
    "\n": "\N{DOWNWARDS ARROW WITH CORNER LEFTWARDS}",
    "\t": "\N{RIGHTWARDS ARROW TO BAR}",
}
"""The visible form of white space."""

UNPRINTABLE = "\N{WHITE SQUARE}"
"""The visible form of any other character that cannot be printed."""


@dataclass(frozen=True)
class Vocabulary:
    """Maps characters to symbols: ``characters[i]`` is symbol ``i + 1``; symbol 0 is any other character.

    Args:
        characters: The characters of the vocabulary, each once.
        prefix: First characters of generated samples.

    Example:
        >>> vocabulary = Vocabulary(" abc")
        >>> vocabulary.encode("cab!")
        tensor([4, 2, 3, 0])
        >>> vocabulary.decode([4, 2, 3, 0])
        'cab<unk>'
    """

    characters: str
    prefix: str = ""

    def __len__(self) -> int:
        return len(self.characters) + 1

    @classmethod
    def from_text(cls, text: str, prefix: str = "", min_count: int = 1) -> "Vocabulary":
        """Return the vocabulary of a text, in the order of the code points.

        Args:
            text: The text.
            prefix: First characters of generated samples.
            min_count: Characters that occur less often are left out.
        """
        points, counts = np.unique(code_points(text), return_counts=True)
        return cls("".join(map(chr, points[counts >= min_count].tolist())), prefix)

    def encode(self, text: str) -> Tensor:
        """Return the symbols of a text, ``(characters,)`` int64."""
        points = code_points(text)
        vocabulary = self._code_points
        if not len(vocabulary):
            return torch.zeros(len(points), dtype=torch.long)
        ranks = np.searchsorted(vocabulary, points, sorter=self._order).clip(max=len(vocabulary) - 1)
        indices = self._order[ranks]
        return torch.from_numpy(np.where(vocabulary[indices] == points, indices + 1, 0).astype(np.int64))

    def decode(self, symbols: Iterable[int]) -> str:
        """Return the text of symbols."""
        return "".join(self.characters[symbol - 1] if symbol else UNKNOWN for symbol in symbols)

    def unknown(self, text: str) -> str:
        """Return the characters of a text that are not in the vocabulary, each once."""
        return "".join(dict.fromkeys(character for character in text if character not in self.characters))

    @cached_property
    def _code_points(self) -> NDArray[np.uint32]:
        return code_points(self.characters)

    @cached_property
    def _order(self) -> NDArray[np.intp]:
        return np.argsort(self._code_points)


def code_points(text: str) -> NDArray[np.uint32]:
    """Return the Unicode code points of a text, ``(characters,)``."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)


def visible(text: str) -> str:
    """Return a text with visible marks in place of white space and of characters that cannot be printed.

    Args:
        text: One or several characters.

    Example:
        >>> print(visible("a b" + chr(10) + chr(0)))
        a␣b↵□
    """
    return "".join(MARKS.get(c, c if c.isprintable() else UNPRINTABLE) for c in text)


def fixed_width(symbols: Iterable[str]) -> str:
    """Return symbols as a text with one character per symbol, so that several lines are aligned.

    Spaces stay spaces. A symbol of several characters, such as ``<unk>``, becomes a square.

    Args:
        symbols: The string of each symbol.

    Example:
        >>> fixed_width(["a", " ", chr(10), "<unk>"])
        'a ↵□'
    """
    return "".join(s if s == " " else visible(s) if len(s) == 1 else UNPRINTABLE for s in symbols)
