"""Next-character prediction on *The Time Machine* by H. G. Wells."""

from collections.abc import Callable
from functools import cached_property
from typing import Literal, NamedTuple

from rnn_tasks.errors import require
from rnn_tasks.spec.vocabulary import Vocabulary
from rnn_tasks.tasks.language_task import LanguageTask, Sampling
from rnn_tasks.texts.book import read_book
from rnn_tasks.texts.cleaning import ascii_letters, ascii_letters_by_line

ProtocolName = Literal["book", "windows", "classic"]


class Protocol(NamedTuple):
    """The cleaning, sampling and splits of a published experiment.

    Attributes:
        clean: Maps the text of the file to the characters of the task.
        sampling: Default method of cutting sequences from the text.
        parts: Maps the number of characters and the sequence length to the start and the end (exclusive) of ``train``,
            ``val`` and ``test``.
    """

    clean: Callable[[str], str]
    sampling: Sampling
    parts: Callable[[int, int], dict[str, tuple[int, int]]]


def book_parts(characters: int, length: int) -> dict[str, tuple[int, int]]:
    """Return the splits of ``book``: the first 80 %, the next 10 % and the last 10 % of the text."""
    first, second = characters * 8 // 10, characters * 9 // 10
    return {"train": (0, first), "val": (first, second), "test": (second, characters)}


def windows_parts(characters: int, length: int) -> dict[str, tuple[int, int]]:
    """Return the splits of ``windows``: 10,000, 5,000 and 5,000 windows, each to the end of its last window."""
    starts = {"train": (0, 10_000), "val": (10_000, 15_000), "test": (15_000, 20_000)}
    return {split: (first, last + length) for split, (first, last) in starts.items()}


def classic_parts(characters: int, length: int) -> dict[str, tuple[int, int]]:
    """Return the splits of ``classic``: the first 10,000 characters, the same again, and the next 5,000."""
    return {"train": (0, 10_000), "val": (0, 10_000), "test": (10_000, 15_000)}


PROTOCOLS: dict[ProtocolName, Protocol] = {
    "book": Protocol(ascii_letters, "sequential", book_parts),
    "windows": Protocol(ascii_letters, "windows", windows_parts),
    "classic": Protocol(ascii_letters_by_line, "sequential", classic_parts),
}


class TimeMachine(LanguageTask):
    """Predict the next character of *The Time Machine*: 26 letters and the space.

    - ``book``: the whole text; the first 80 % for training, the next 10 % for validation, the last 10 % for the test.
    - ``windows`` (*Dive into Deep Learning* 1.0): training on the windows that start at the characters 0..9,999,
      validation on the windows that start at 10,000..14,999, the first of which overlap with the last training windows.
      The published experiment has no test; here it reads the next 5,000 windows.
    - ``classic`` (*Dive into Deep Learning* 0.17): training on the first 10,000 characters. The published perplexity is
      that of the training text, so it measures memorisation; validation reads the training text again. The test reads
      the next 5,000 characters, which are new to the network.

    Args:
        protocol: The cleaning, sampling and splits of the text: ``book``, ``windows`` or ``classic``.
        path: A copy of the book, or its folder. None for the path in the environment variable ``RNN_TASKS_DATA``, or
            else for a downloaded copy.
        sampling: Method of cutting sequences from the text (see :class:`LanguageTask`); None for the default of the
            protocol.
        batch_size: Training sequences per batch, in each process, ``>= 1``.
        sequence_length: Characters per sequence, ``>= 1``.
        random_offset: Whether each epoch skips a random number of characters at the start, so that the cuts differ.
        eval_batch_size: Number of rows into which the validation and test texts are divided, ``>= 1``.
        seed: Seed of the order, ``>= 0``; None means ``seed_everything`` on the command line, and 0 in Python.

    Raises:
        UsageError: A value is out of bounds. Later, when the text is read: the book is missing or too short.

    References:
        H. G. Wells, *The Time Machine*, 1895. A. Zhang, Z. C. Lipton, M. Li and A. J. Smola, *Dive into Deep Learning*,
        2023 (https://d2l.ai): chapters 9 and 10 of version 1.0, sections 8.5 to 9.2 of version 0.17.
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
        require(protocol in PROTOCOLS, f"protocol must be one of {', '.join(PROTOCOLS)}, got {protocol}")
        self.protocol = PROTOCOLS[protocol]
        sampling = sampling or self.protocol.sampling
        super().__init__(
            sampling=sampling,
            batch_size=batch_size,
            sequence_length=sequence_length,
            random_offset=random_offset,
            eval_batch_size=eval_batch_size,
            seed=seed,
        )
        require(
            protocol != "windows" or sampling == "windows",
            f"protocol windows needs sampling windows, got {sampling}: leave out sampling, or use another protocol",
        )
        self.path = path

    @cached_property
    def whole_text(self) -> str:
        """The cleaned text of the book; downloaded and read at the first use."""
        return self.protocol.clean(read_book(self.path))

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """The characters of the whole book."""
        return Vocabulary.from_text(self.whole_text, prefix="time traveller")

    def text(self, split: str) -> str:
        """Return the text of a split, as the protocol defines it."""
        first, last = self.protocol.parts(len(self.whole_text), self.sequence_length)[split]
        require(
            len(self.whole_text) >= last,
            f"the book has {len(self.whole_text):,} characters, the {split} text needs {last:,}: use a complete copy",
        )
        return self.whole_text[first:last]
