"""Texts that a terminal shows and does not obey."""

from unicodedata import category


def printable(text: str, keep: str = "") -> str:
    r"""Return a text with an escape, such as ``\x1b``, in place of each character that cannot be printed.

    These are control characters, which a terminal obeys; characters that hide or reorder others, such as zero-width
    spaces and marks of the writing direction; and parts of broken characters. Spaces of any width are kept.

    Args:
        text: The text.
        keep: Characters that are kept, such as the newline.

    Example:
        >>> print(printable("a b" + chr(27) + "[31m" + chr(10) + chr(0x202E)))
        a b\x1b[31m\n\u202e
    """
    return "".join(c if is_harmless(c) or c in keep else c.encode("unicode_escape").decode() for c in text)


def is_harmless(character: str) -> bool:
    """Return whether a terminal only shows a character."""
    return character.isprintable() or category(character) == "Zs"  # Zs: a space of some width


def encodable(text: str, encoding: str | None) -> str:
    r"""Return a text with an escape, such as ``\u0436``, in place of each character that an encoding does not have.

    Args:
        text: The text.
        encoding: The name of the encoding; None for UTF-8.

    Example:
        >>> print(encodable("fünf", "ascii"))
        f\xfcnf
    """
    name = encoding or "utf-8"
    return text.encode(name, "backslashreplace").decode(name)
