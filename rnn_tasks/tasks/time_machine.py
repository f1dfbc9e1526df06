"""The Time Machine, character by character."""

from collections.abc import Callable
from functools import cached_property
from typing import Literal, NamedTuple

from rnn_tasks.errors import require
from rnn_tasks.spec.vocabulary import Vocabulary
from rnn_tasks.tasks.language_task import LanguageTask, Sampling
from rnn_tasks.texts.book import book
from rnn_tasks.texts.cleaning import ascii_letters, ascii_letters_by_line

ProtocolName = Literal["book", "windows", "classic"]


class Protocol(NamedTuple):
    """What a protocol makes of the book.

    Attributes:
        clean: From the text of the file to the characters of the task.
        sampling: How sequences are cut, unless the user says otherwise.
        parts: First and last position of ``train``, ``val`` and ``test``, for a text of so many characters and
            sequences of such a length.
    """

    clean: Callable[[str], str]
    sampling: Sampling
    parts: Callable[[int, int], dict[str, tuple[int, int]]]


def book_parts(characters: int, length: int) -> dict[str, tuple[int, int]]:
    """The first 80 %, the next 10 % and the last 10 %."""
    first, second = characters * 8 // 10, characters * 9 // 10
    return {"train": (0, first), "val": (first, second), "test": (second, characters)}


def windows_parts(characters: int, length: int) -> dict[str, tuple[int, int]]:
    """10,000 windows, the 5,000 after them, and 5,000 more; a window needs the characters behind its first."""
    starts = {"train": (0, 10_000), "val": (10_000, 15_000), "test": (15_000, 20_000)}
    return {split: (first, last + length) for split, (first, last) in starts.items()}


def classic_parts(characters: int, length: int) -> dict[str, tuple[int, int]]:
    """The first 10,000 characters, the same again for validation, and the 5,000 after them."""
    return {"train": (0, 10_000), "val": (0, 10_000), "test": (10_000, 15_000)}


PROTOCOLS: dict[ProtocolName, Protocol] = {
    "book": Protocol(ascii_letters, "sequential", book_parts),
    "windows": Protocol(ascii_letters, "windows", windows_parts),
    "classic": Protocol(ascii_letters_by_line, "sequential", classic_parts),
}


class TimeMachine(LanguageTask):
    """Predict the next character of *The Time Machine*: 26 letters and the space.

    - ``book``: the whole text; the first 80 % for training, the next 10 % for validation, the last 10 % for the test.
    - ``windows`` (Dive into Deep Learning 1.0): training on the windows that start at the characters 0..9,999,
      validation on those that start at 10,000..14,999. The first of these reach into the last training window. The
      book has no test; here it is the next 5,000 windows.
    - ``classic`` (Dive into Deep Learning 0.17): training on the first 10,000 characters. What is published is the
      perplexity on these themselves, so it measures memorisation, and validation measures it once more: it reads the
      training text. The test reads the 5,000 characters behind it, which the network has never seen.

    Args:
        protocol: Which text is for what.
        path: A copy of the book, or its folder; None for the one that ``RNN_TASKS_DATA`` names, or the fetched one.
        sampling: How sequences are cut (see :class:`LanguageTask`); None for the protocol's own.
        batch_size: Sequences in a training batch of one process, ``>= 1``.
        sequence_length: Characters in a sequence, ``>= 1``.
        random_offset: Whether each epoch leaves out a few characters at the beginning, so that the cuts differ.
        eval_batch_size: Rows in which validation and test texts are read, ``>= 1``.
        seed: Seed of the order, ``>= 0``; None follows ``seed_everything`` on the command line, and is 0 elsewhere.

    Raises:
        UsageError: A value outside its bounds, a book that is not there, or one that is too short.
    """

    def __init__(
        self,
        protocol: ProtocolName = "book",
        path: str | None = None,
        sampling: Sampling | None = None,
        batch_size: int = 32,
        sequence_length: int = 64,
        random_offset: bool = True,
        eval_batch_size: int = 32,
        seed: int | None = None,
    ) -> None:
        self.protocol = PROTOCOLS[protocol]
        sampling = sampling or self.protocol.sampling
        super().__init__(sampling, batch_size, sequence_length, random_offset, eval_batch_size, seed)
        require(
            protocol != "windows" or sampling == "windows",
            f"the protocol windows is a sampling too; sampling {sampling} is for the protocols book and classic",
        )
        self.path = path

    @cached_property
    def whole_text(self) -> str:
        """All characters, cleaned; read, and if need be fetched, when first asked for."""
        return self.protocol.clean(book(self.path))

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """The characters of the whole book."""
        return Vocabulary.of(self.whole_text, prefix="time traveller")

    def text(self, split: str) -> str:
        """The part of the book that the protocol gives to a split."""
        first, last = self.protocol.parts(len(self.whole_text), self.sequence_length)[split]
        require(len(self.whole_text) >= last, f"the book has only {len(self.whole_text):,} characters, not {last:,}")
        return self.whole_text[first:last]
