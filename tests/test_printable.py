import unicodedata

import pytest

from rnn_tasks.printable import encodable, printable


def test_printable_escapes_exactly_what_a_terminal_obeys() -> None:
    for code in [*range(0x3000), 0x3164, 0xD800, 0xDFFF, 0xE000, 0xFEFF, 0xFFFE, 0x1F600, 0xE0001, 0x10FFFF]:
        category = unicodedata.category(chr(code))
        is_escaped = category in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
        assert (printable(chr(code)) != chr(code)) == is_escaped, hex(code)
        assert printable(printable(chr(code))) == printable(chr(code))
        assert printable(chr(code)).isprintable() or category == "Zs"


def test_printable_escapes_can_be_read_back() -> None:
    text = "a\x1b]52;c;x\x07\u202e\u200b\ud800\nb"
    assert printable(text).encode("ascii").decode("unicode_escape") == text
    assert printable(text, keep="\n").count("\n") == 1


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8", None])
def test_encodable_text_fits_its_encoding(encoding: str | None) -> None:
    shown = encodable("naïve Ж 漢 \udc80", encoding)
    assert shown.encode(encoding or "utf-8")
    assert shown.startswith("na")
