"""Reading and cleaning of text files."""

import re
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

from rnn_tasks.errors import UsageError

Cleaning = Literal["letters", "lower", "none"]
WHITE_SPACE = re.compile(r"\s")


def read_text(path: Path) -> str:
    r"""Return the text of a file, with ``\n`` as line ends and without a byte-order mark.

    Raises:
        UsageError: The file is missing, cannot be read, or is not UTF-8 text.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8 text: byte {error.start} is {error.object[error.start]:#04x}") from error
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    if "\0" in text:
        raise UsageError(f"{path} is not text: character {text.index(chr(0))} is a zero byte")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def letters(text: str) -> str:
    r"""Return a text in lower case, with one space in place of any characters between letters.

    Example:
        >>> letters("Élan vital,\n1907")
        'élan vital '
    """
    # Combining marks (accents in some files, vowels in some scripts) are part of their letter.
    others = (char for char in set(text) if not char.isalpha() and unicodedata.category(char) not in ("Mn", "Mc"))
    spaces = {ord(char): " " for char in others}
    text = "".join(piece.translate(spaces).lower() for piece in pieces(text))
    while "  " in text:  # a regular expression needs 100 bytes for each run of spaces
        text = text.replace("  ", " ")
    return text


def lower(text: str) -> str:
    """Return a text in lower case; the same as ``str.lower``, which needs 12 bytes per character at once.

    Example:
        >>> lower("ΟΔΟΣ ΣΟΦΙΑΣ")
        'οδος σοφιας'
    """
    return "".join(piece.lower() for piece in pieces(text))


def pieces(text: str, size: int = 1_000_000) -> Iterator[str]:
    """Yield a text in pieces, each of at least ``size`` characters and up to the next white space.

    Args:
        text: The text.
        size: Number of characters, ``>= 1``.

    Example:
        >>> list(pieces("the time traveller", size=2))
        ['the ', 'time ', 'traveller']
    """
    start = 0
    while start < len(text):
        space = WHITE_SPACE.search(text, start + size - 1)
        end = space.end() if space else len(text)
        yield text[start:end]
        start = end


def ascii_letters(text: str) -> str:
    r"""Do the same as :func:`letters` with only a to z as letters, as *Dive into Deep Learning* 1.0 does.

    Example:
        >>> ascii_letters("I\n\nThe Time-Traveller (for so it")
        'i the time traveller for so it'
    """
    return re.sub("[^A-Za-z]+", " ", text).lower()


def ascii_letters_by_line(text: str) -> str:
    r"""Clean and strip each line, and join the lines without spaces, as *Dive into Deep Learning* 0.17 does.

    The last word of a line and the first word of the next line become one word, as in the published experiment.

    Example:
        >>> ascii_letters_by_line("The Time Machine,\nby H. G. Wells")
        'the time machineby h g wells'
    """
    # Not str.splitlines, which splits at further characters.
    return "".join(ascii_letters(line).strip() for line in text.split("\n"))


CLEANINGS: dict[Cleaning, Callable[[str], str]] = {"letters": letters, "lower": lower, "none": str}
