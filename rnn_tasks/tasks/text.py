"""Next-character prediction on any text file."""

import os
import sys
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from rnn_tasks.errors import require
from rnn_tasks.spec.vocabulary import Vocabulary, code_points
from rnn_tasks.tasks.language_task import LanguageTask, Sampling
from rnn_tasks.tasks.task import notify
from rnn_tasks.texts.cleaning import CLEANINGS, Cleaning, read_text

SLOW_FILE = 10_000_000
"""A file of more bytes than this, which takes some seconds to read, is announced."""


class Text(LanguageTask):
    r"""Predict the next character of a text file; the end of the text is for validation and test.

    Args:
        path: The file, in UTF-8.
        cleaning: ``letters``: lower case, with one space for any characters between letters; ``lower``: lower case;
            ``none``: unchanged. Line ends always become ``\n``.
        min_count: Characters that occur less often in the training text become ``<unk>``, ``>= 1``.
        val_share: Share of the text for validation, ``> 0``, before the test text.
        test_share: Share of the text for the test, ``> 0``, at the end. The two shares sum to less than 1.
        prefix: First characters of generated samples; None for the first word of the text.
        sampling: Method of cutting sequences from the text (see :class:`LanguageTask`).
        batch_size: Training sequences per batch, in each process, ``>= 1``.
        sequence_length: Characters per sequence, ``>= 1``.
        random_offset: Whether each epoch skips a random number of characters at the start, so that the cuts differ.
        eval_batch_size: Number of rows into which the validation and test texts are divided, ``>= 1``.
        seed: Seed of the order, ``>= 0``; None means ``seed_everything`` on the command line, and 0 in Python.
        baseline_characters: Characters at the end of the training text on which the n-gram baseline is counted,
            ``>= 2``. The default is the number of characters that the recipe reads in its 2,000 steps.

    Raises:
        UsageError: A value is out of bounds. Later, when the text is read: the file is missing, is not text, or is too
            short.
    """

    def __init__(
        self,
        path: str | None = None,
        cleaning: Cleaning = "letters",
        min_count: int = 1,
        val_share: float = 0.1,
        test_share: float = 0.1,
        prefix: str | None = None,
        sampling: Sampling = "sequential",
        batch_size: int = 32,
        sequence_length: int = 64,
        random_offset: bool = True,
        eval_batch_size: int = 32,
        seed: int | None = None,
        baseline_characters: int = 2_048_000,
    ) -> None:
        super().__init__(
            sampling=sampling,
            batch_size=batch_size,
            sequence_length=sequence_length,
            random_offset=random_offset,
            eval_batch_size=eval_batch_size,
            seed=seed,
        )
        require(cleaning in CLEANINGS, f"cleaning must be one of {', '.join(CLEANINGS)}, got {cleaning}")
        require(min_count >= 1, f"min_count must be at least 1, got {min_count}")
        require(
            val_share > 0 and test_share > 0 and val_share + test_share < 1,
            f"val_share and test_share must be above 0, and their sum below 1, got {val_share} and {test_share}",
        )
        require(baseline_characters >= 2, f"baseline_characters must be at least 2, got {baseline_characters}")
        self.path = path
        self.clean = CLEANINGS[cleaning]
        self.min_count = min_count
        self.shares = (val_share, test_share)
        self.prefix = prefix
        self.baseline_characters = baseline_characters

    @cached_property
    def whole_text(self) -> str:
        """The cleaned text of the file."""
        require(bool(self.path), "the task text needs a file: set --data.path FILE")
        file = Path(os.path.expanduser(str(self.path)))
        if file.is_file() and file.stat().st_size > SLOW_FILE:
            notify(f"reading {file} ({file.stat().st_size / 1e6:,.0f} MB)")
        raw = read_text(file)
        require(bool(raw.strip()), f"{self.path} is empty: choose a file with text")
        text = self.clean(raw)
        require(bool(text.strip()), f"{self.path} is empty after cleaning: set --data.cleaning none")
        return text

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """The characters of the training text; others cannot be learnt, and become ``<unk>``."""
        prefix = self.prefix or self.whole_text.split(maxsplit=1)[0][:20]
        counts = code_point_counts(self.text("train"))
        frequent = np.flatnonzero(counts >= self.min_count)  # min_count is at least 1
        return Vocabulary("".join(map(chr, frequent.tolist())), prefix)

    def text(self, split: str) -> str:
        """Return the first part of the text for training, the next for validation, or the last for the test."""
        characters = len(self.whole_text)
        val, test = (round(characters * share) for share in self.shares)
        first, second = characters - val - test, characters - test
        parts = {"train": (0, first), "val": (first, second), "test": (second, characters)}
        return self.whole_text[slice(*parts[split])]

    @property
    def baseline_symbols(self) -> Tensor:
        """The symbols that the n-gram is counted on: the end of the training text, nearest to the validation text."""
        return self.symbols("train")[-self.baseline_characters :]


def code_point_counts(text: str, chunk: int = 1_000_000) -> NDArray[np.int64]:
    """Return the number of occurrences of each Unicode code point in a text, ``(1_114_112,)``.

    Args:
        text: The text.
        chunk: Number of characters that are counted at a time, which bounds the memory.
    """
    counts = np.zeros(sys.maxunicode + 1, dtype=np.int64)
    for start in range(0, len(text), chunk):
        counts += np.bincount(code_points(text[start : start + chunk]), minlength=len(counts))
    return counts
