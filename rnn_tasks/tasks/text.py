"""A text of the user's own, character by character."""

import os
from functools import cached_property
from pathlib import Path

from rnn_tasks.errors import require
from rnn_tasks.spec.vocabulary import Vocabulary
from rnn_tasks.tasks.language_task import LanguageTask, Sampling
from rnn_tasks.texts.cleaning import CLEANINGS, Cleaning, read_text


class Text(LanguageTask):
    r"""Predict the next character of any text file; its end is kept for validation and test.

    Args:
        path: The file, UTF-8.
        cleaning: ``letters``: lower case, one space for each run of anything but letters; ``lower``: lower case;
            ``none``: as it is. Line ends are ``\n`` in any case.
        min_count: How often a character must be in the training text to be known, ``>= 1``; others are ``<unk>``.
        val_share: Share of the text for validation, ``> 0``.
        test_share: Share of the text for the test, the last of it, ``> 0``.
        prefix: How samples begin; None for the first word of the text.
        sampling: How sequences are cut (see :class:`LanguageTask`).
        batch_size: Sequences in a training batch of one process, ``>= 1``.
        sequence_length: Characters in a sequence, ``>= 1``.
        random_offset: Whether each epoch leaves out a few characters at the beginning, so that the cuts differ.
        eval_batch_size: Rows in which validation and test texts are read, ``>= 1``.
        seed: Seed of the order, ``>= 0``; None follows ``seed_everything`` on the command line, and is 0 elsewhere.

    Raises:
        UsageError: A value outside its bounds, or a file that is missing, is not text, or is too short.
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
    ) -> None:
        super().__init__(sampling, batch_size, sequence_length, random_offset, eval_batch_size, seed)
        require(min_count >= 1, f"min_count must be at least 1, got {min_count}")
        require(
            val_share > 0 and test_share > 0 and val_share + test_share < 1,
            f"val_share and test_share must be above 0 and below 1 together, got {val_share} and {test_share}",
        )
        self.path = path
        self.clean = CLEANINGS[cleaning]
        self.min_count = min_count
        self.shares = (val_share, test_share)
        self.prefix = prefix

    @cached_property
    def whole_text(self) -> str:
        """All characters, cleaned."""
        require(bool(self.path), "the task text needs a file: --data.path FILE")
        raw = read_text(Path(os.path.expanduser(str(self.path))))
        require(bool(raw.strip()), f"{self.path} is empty")
        text = self.clean(raw)
        require(bool(text.strip()), f"the cleaning leaves nothing of {self.path}: set data.cleaning to none")
        return text

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """The characters of the training text: what only the rest holds, nobody could have learnt."""
        prefix = self.prefix or self.whole_text.split(maxsplit=1)[0][:20]
        return Vocabulary.of(self.text("train"), prefix, self.min_count)

    def text(self, split: str) -> str:
        """The first part is for training, the next for validation, the last for the test."""
        characters = len(self.whole_text)
        val, test = (round(characters * share) for share in self.shares)
        first, second = characters - val - test, characters - test
        parts = {"train": (0, first), "val": (first, second), "test": (second, characters)}
        return self.whole_text[slice(*parts[split])]
