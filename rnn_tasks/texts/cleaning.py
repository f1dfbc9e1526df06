"""From the bytes of a file to the characters that a network reads."""

import re
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from rnn_tasks.errors import UsageError

Cleaning = Literal["letters", "lower", "none"]


def read_text(path: Path) -> str:
    r"""A text file, with line ends as ``\n`` and without a byte-order mark.

    Raises:
        UsageError: It is missing, cannot be read, or is not UTF-8 text.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8 text: byte {error.start} is {error.object[error.start]:#04x}") from error
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    if "\0" in text:
        raise UsageError(f"{path} is not text: it holds a zero byte at character {text.index(chr(0))}")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def letters(text: str) -> str:
    r"""Lower case, with one space for each run of anything but letters.

    Example:
        >>> letters("Élan vital,\n1907")
        'élan vital '
    """
    # Marks belong to their letter: the accents of some files, the vowels of some scripts.
    others = (sign for sign in set(text) if not sign.isalpha() and unicodedata.category(sign) not in ("Mn", "Mc"))
    return re.sub(" +", " ", text.translate({ord(sign): " " for sign in others})).lower()


def ascii_letters(text: str) -> str:
    r"""The same with the letters a to z only: the cleaning of D2L 1.0.

    Example:
        >>> ascii_letters("I\n\nThe Time-Traveller (for so it")
        'i the time traveller for so it'
    """
    return re.sub("[^A-Za-z]+", " ", text).lower()


def ascii_letters_by_line(text: str) -> str:
    r"""The same for each line alone, stripped, with nothing between the lines: the cleaning of D2L 0.17.

    Words at a line's end and at the beginning of the next run into one another, as in the published figures.

    Example:
        >>> ascii_letters_by_line("The Time Machine,\nby H. G. Wells")
        'the time machineby h g wells'
    """
    # Only this line end: str.splitlines knows others.
    return "".join(ascii_letters(line).strip() for line in text.split("\n"))


CLEANINGS: dict[Cleaning, Callable[[str], str]] = {"letters": letters, "lower": str.lower, "none": str}
