import re
from pathlib import Path

import pytest

from rnn_tasks.errors import UsageError
from rnn_tasks.texts.cleaning import CLEANINGS, ascii_letters, ascii_letters_by_line, letters, read_text

# The start of the book, with digits, brackets, empty lines and trailing spaces.
HEADING = "The Time Machine, by H. G. Wells [1898]\n\n\n\n\nI\n\n\n  The Time Traveller (for so it will be) \n"


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", ""),
        ("Élan, naïve: ὁ χρόνος \U0001f570".encode(), "Élan, naïve: ὁ χρόνος \U0001f570"),
        (b"one\r\ntwo\r\n", "one\ntwo\n"),
        (b"one\rtwo\r", "one\ntwo\n"),
        (b"a\r\nb\rc\nd\r\r\n\n\re", "a\nb\nc\nd\n\n\n\ne"),
        (b"\xef\xbb\xbfone", "one"),
        ("o\ufeffne".encode(), "o\ufeffne"),  # a byte-order mark only at the start
        ("a\x0bb\x0cc\x85d\u2028e".encode(), "a\x0bb\x0cc\x85d\u2028e"),
    ],
)
def test_read_text_normalises_line_ends_and_drops_the_bom(data: bytes, text: str, tmp_path: Path) -> None:
    (tmp_path / "text").write_bytes(data)
    assert read_text(tmp_path / "text") == text


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"abc\xff\xfe", "is not UTF-8 text: byte 3 is 0xff"),
        (b"\x89PNG\r\n\x1a\n", "is not UTF-8 text: byte 0 is 0x89"),
        ("naïve".encode("latin-1"), "is not UTF-8 text: byte 2 is 0xef"),
        ("text".encode("utf-16"), "is not UTF-8 text: byte 0 is 0xff"),
        (b"\xed\xa0\x80", "is not UTF-8 text: byte 0 is 0xed"),  # half a surrogate pair
        (b"ab\0c", "is not text: character 2 is a zero byte"),
    ],
)
def test_read_text_raises_for_binary_files(data: bytes, reason: str, tmp_path: Path) -> None:
    file = tmp_path / "some.bin"
    file.write_bytes(data)
    with pytest.raises(UsageError, match=f"^{re.escape(f'{file} {reason}')}$"):
        read_text(file)


def test_read_text_raises_for_a_missing_file(tmp_path: Path) -> None:
    file = tmp_path / "none.txt"
    with pytest.raises(UsageError, match=f"^{re.escape(f'cannot read {file}: No such file or directory')}$"):
        read_text(file)


def test_read_text_raises_for_a_folder(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=f"^{re.escape(f'cannot read {tmp_path}: Is a directory')}$"):
        read_text(tmp_path)


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("Élan  vital,\n\n1907", "élan vital "),
        ("don't stop-START", "don t stop start"),
        ("snake_case 3rd x2y", "snake case rd x y"),
        ("Χρόνος, Ωκεανός", "χρόνος ωκεανός"),
        ("時間 — 1895", "時間 "),
        ("m², ½ pint, Ⅷ", "m pint "),  # numbers that are not digits
        ("Cafe\u0301 noir", "cafe\u0301 noir"),  # a combining accent is part of its letter
        ("हिन्दी, 1895", "हिन्दी "),  # as are vowel signs
        ("", ""),
        ("1895!", " "),
    ],
)
def test_letters_keeps_letters_of_any_alphabet(text: str, cleaned: str) -> None:
    assert letters(text) == cleaned


def test_ascii_letters_replaces_line_ends_by_spaces() -> None:
    assert ascii_letters(HEADING) == "the time machine by h g wells i the time traveller for so it will be "


def test_ascii_letters_by_line_joins_words_at_line_ends() -> None:
    assert ascii_letters_by_line(HEADING) == "the time machine by h g wellsithe time traveller for so it will be"


@pytest.mark.parametrize("text", ["a\x0bb", "a\x0cb", "a\x1cb", "a\x85b", "a\u2028b"])
def test_ascii_letters_by_line_splits_only_at_newlines(text: str) -> None:
    assert ascii_letters_by_line(text) == "a b"


@pytest.mark.parametrize(("text", "cleaned"), [("Éa naïve", " a na ve"), ("\u017fK\u212a", " k "), ("_9a_", " a ")])
def test_ascii_letters_keeps_only_a_to_z(text: str, cleaned: str) -> None:
    assert ascii_letters(text) == cleaned
    assert ascii_letters_by_line(text) == cleaned.strip()


def test_cleanings_are_letters_lower_and_none() -> None:
    text = "Élan 1907,\n"
    assert {name: clean(text) for name, clean in CLEANINGS.items()} == {
        "letters": "élan ",
        "lower": "élan 1907,\n",
        "none": text,
    }
