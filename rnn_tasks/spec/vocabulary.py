"""The characters of a text and the symbols that stand for them."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

UNKNOWN = "<unk>"
"""How symbol 0 is shown: any character that the vocabulary does not hold."""


@dataclass(frozen=True)
class Vocabulary:
    """Symbol 0 stands for every unknown character, symbol ``i + 1`` for ``characters[i]``.

    Args:
        characters: The known characters, each once.
        prefix: What a text may begin with, for samples.

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
    def of(cls, text: str, prefix: str = "", min_count: int = 1) -> "Vocabulary":
        """The characters of a text in the order of their code points.

        Args:
            text: The text.
            prefix: What a text may begin with.
            min_count: How often a character must be there to be known.
        """
        points, counts = np.unique(code_points(text), return_counts=True)
        return cls("".join(map(chr, points[counts >= min_count].tolist())), prefix)

    def encode(self, text: str) -> Tensor:
        """The symbols of a text, ``(characters,)`` int64."""
        points = code_points(text)
        known = self._code_points
        if not len(known):
            return torch.zeros(len(points), dtype=torch.long)
        place = np.searchsorted(known, points, sorter=self._order).clip(max=len(known) - 1)
        symbols = self._order[place]
        return torch.from_numpy(np.where(known[symbols] == points, symbols + 1, 0).astype(np.int64))

    def decode(self, symbols: Iterable[int]) -> str:
        """The text of symbols."""
        return "".join(self.characters[symbol - 1] if symbol else UNKNOWN for symbol in symbols)

    def unknown(self, text: str) -> str:
        """The characters of a text that are not known, each once."""
        return "".join(dict.fromkeys(character for character in text if character not in self.characters))

    @cached_property
    def _code_points(self) -> NDArray[np.uint32]:
        return code_points(self.characters)

    @cached_property
    def _order(self) -> NDArray[np.intp]:
        return np.argsort(self._code_points)


def code_points(text: str) -> NDArray[np.uint32]:
    """The Unicode code points of a text, ``(characters,)``."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
