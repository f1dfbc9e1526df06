"""What a page is made of: sections of pictures, tables and text."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Picture:
    """A picture with what it shows.

    Args:
        name: Stem of its files, ``name.png`` and ``name.svg``; each once on a page.
        draw: Draws it at a width in inches.
        caption: What is to be seen, and how to read it.
    """

    kind: ClassVar[str] = "picture"
    name: str
    draw: Callable[[float], "Figure"]
    caption: str


@dataclass(frozen=True)
class Table:
    """Rows and columns; numbers are shown as they are written here.

    Args:
        caption: What is to be seen.
        columns: Their names.
        rows: As many cells as columns each; the first one names the row.
    """

    kind: ClassVar[str] = "table"
    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Paragraph:
    """One or several sentences."""

    kind: ClassVar[str] = "paragraph"
    text: str


@dataclass(frozen=True)
class Lines:
    """Text in letters of one width, in which some characters are marked as wrong.

    Args:
        caption: What is to be seen.
        lines: The lines.
        marked: For each line the places of the characters that are marked; missing lines have none.
    """

    kind: ClassVar[str] = "lines"
    caption: str
    lines: Sequence[str]
    marked: Mapping[int, Sequence[int]] = field(default_factory=dict)


Block: TypeAlias = Picture | Table | Paragraph | Lines


@dataclass(frozen=True)
class Section:
    """An answer to one question.

    Args:
        key: Its name in the file of numbers.
        title: The question.
        blocks: What is shown; an empty section is left out.
        numbers: Every number that is shown, and more: plain values, arrays and tensors, by name.
        missing: What could not be shown and why, a line each.
    """

    key: str
    title: str
    blocks: Sequence[Block]
    numbers: Mapping[str, Any] = field(default_factory=dict)
    missing: Sequence[str] = ()
