"""The parts of a page: sections of pictures, tables and text."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Picture:
    """A picture with a caption.

    Args:
        name: The name of the files ``name.png`` and ``name.svg``, unique on a page.
        draw: A function that draws the picture at a width in inches.
        caption: What the picture shows, and how to read it.
    """

    kind: ClassVar[str] = "picture"
    name: str
    draw: Callable[[float], "Figure"]
    caption: str


@dataclass(frozen=True)
class Table:
    """A table of text cells.

    Args:
        caption: What the table shows.
        columns: The names of the columns.
        rows: The rows, with one cell per column; the first cell is the name of the row.
    """

    kind: ClassVar[str] = "table"
    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Paragraph:
    """A paragraph of text."""

    kind: ClassVar[str] = "paragraph"
    text: str


@dataclass(frozen=True)
class Lines:
    """Lines of monospaced text, in which some characters are marked as wrong.

    Args:
        caption: What the lines show.
        lines: The lines.
        marked: The positions of the marked characters by the index of the line; lines without marks may be absent.
    """

    kind: ClassVar[str] = "lines"
    caption: str
    lines: Sequence[str]
    marked: Mapping[int, Sequence[int]] = field(default_factory=dict)


Block: TypeAlias = Picture | Table | Paragraph | Lines


@dataclass(frozen=True)
class Section:
    """A section of a page, which answers one question.

    Args:
        key: The key of the section in the file of numbers.
        title: The question.
        blocks: The contents; a section without blocks and without ``missing`` lines is not shown.
        numbers: The shown numbers and further ones, by name: plain values, arrays and tensors.
        missing: One line for each part that could not be shown, with the reason.
    """

    key: str
    title: str
    blocks: Sequence[Block]
    numbers: Mapping[str, Any] = field(default_factory=dict)
    missing: Sequence[str] = ()
