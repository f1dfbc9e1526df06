"""A page for a browser: one file with everything in it, its pictures and its numbers beside it."""

import base64
import io
import json
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from rnn_tasks.runs.files import write_atomically

PAGE, NUMBERS, PICTURES = "index.html", "analysis.json", "pictures"

WIDE, NARROW = 7.6, 3.7
"""Widths that a picture is drawn at, inches: for a page of a book or a desktop, and for a telephone."""

NARROW_SCREEN = 620
"""Pixels of the window below which the narrow picture is shown."""


@dataclass(frozen=True)
class Picture:
    """A picture with what it shows.

    Args:
        name: Stem of its files, ``name.png`` and ``name.svg``; each once on a page.
        draw: Draws it at a width in inches.
        caption: What is to be seen, and how to read it.
    """

    name: str
    draw: Callable[[float], Figure]
    caption: str


@dataclass(frozen=True)
class Table:
    """Rows and columns; numbers are shown as they are written here.

    Args:
        caption: What is to be seen.
        columns: Their names.
        rows: As many cells as columns each; the first one names the row.
    """

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Paragraph:
    """A sentence or some."""

    text: str


@dataclass(frozen=True)
class Lines:
    """Text in letters of one width, in which some characters are marked as wrong.

    Args:
        caption: What is to be seen.
        lines: The lines.
        marked: For each line the places of the characters that are marked; missing lines have none.
    """

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


def write_page(
    folder: Path, title: str, lead: Sequence[Block], sections: Sequence[Section], numbers: Mapping[str, Any]
) -> Path:
    """Write a page, its pictures and its numbers into a folder; what else is in there stays.

    All is made before any of it is written. A picture that cannot be drawn is named among what is missing.

    Args:
        folder: Where; it is made if it is not there.
        title: Of the page.
        lead: What stands above the sections.
        sections: In their order; those without blocks and without a line of what is missing are left out.
        numbers: What belongs to the whole page.

    Returns:
        The page.

    Raises:
        OSError: It cannot be written; no new file is left.
    """
    shown = [section for section in sections if section.blocks or section.missing]
    files: dict[str, bytes] = {}
    body = [f"<h1>{escape(title)}</h1>", *(html(block, files) for block in lead)]
    links = "".join(f'<li><a href="#{section.key}">{escape(section.title)}</a></li>' for section in shown)
    body.append(f"<nav><ol>{links}</ol></nav>")
    for section in shown:
        body.append(f'<section id="{section.key}"><h2>{escape(section.title)}</h2>')
        missing = list(section.missing)
        for block in section.blocks:
            try:
                body.append(html(block, files))
            except Exception as error:  # matplotlib refuses numbers in many ways
                name = block.name if isinstance(block, Picture) else type(block).__name__
                missing.append(f"{name.replace('_', ' ')}: it cannot be drawn ({' '.join(str(error).split())})")
        if missing:
            lines = "".join(f"<li>{escape(line)}</li>" for line in missing)
            body.append(f'<div class="missing"><p>Not shown:</p><ul>{lines}</ul></div>')
        body.append("</section>")
    everything = {**numbers, **{section.key: section.numbers for section in shown}}
    files[NUMBERS] = (json.dumps(plain(everything), indent=1, allow_nan=False) + "\n").encode()
    page = TEMPLATE.format(title=escape(title), style=STYLE.strip(), body="\n".join(body)).strip() + "\n"
    files[PAGE] = page.encode()
    write_all(folder, files)
    return folder / PAGE


def write_all(folder: Path, files: Mapping[str, bytes], keep: bool = True) -> None:
    """Write files, or none of those that were not there before.

    Args:
        folder: Where; made if it is not there.
        files: Contents by names, which may be in a folder below.
        keep: Whether new files stay; else it is only tried.

    Raises:
        OSError: They cannot be written.
    """
    made: list[Path] = []
    done = False
    try:
        for name, content in files.items():
            path = folder / name
            for parent in reversed(path.parents):
                if not parent.exists():
                    parent.mkdir()
                    made.append(parent)
            new = not path.exists()
            write_atomically(path, content)
            if new:
                made.append(path)
        done = keep
    finally:
        for path in reversed([] if done else made):
            if path.is_dir():
                path.rmdir()
            else:
                path.unlink()


def html(block: Block, files: dict[str, bytes]) -> str:
    """What a browser reads.

    Args:
        block: A part of the page.
        files: Files beside the page, to which those of a picture are added.
    """
    if isinstance(block, Paragraph):
        return f"<p>{escape(block.text)}</p>"
    caption = f"<figcaption>{escape(block.caption)}</figcaption>"
    if isinstance(block, Table):
        head = "".join(f'<th scope="col">{escape(name)}</th>' for name in block.columns)
        rows = "".join(
            f'<tr><th scope="row">{escape(row[0])}</th>'
            + "".join(f"<td>{escape(cell)}</td>" for cell in row[1:])
            + "</tr>"
            for row in block.rows
        )
        content = f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'
    elif isinstance(block, Lines):
        lines = "\n".join(marked(line, block.marked.get(index, ())) for index, line in enumerate(block.lines))
        content = f'<pre class="wide">{lines}</pre>'
    else:
        wide, narrow = drawn(block)
        files |= wide
        addresses = [data_address(svg) for svg in (wide[f"{PICTURES}/{block.name}.svg"], narrow)]
        content = (
            f'<picture><source media="print" srcset="{addresses[0]}">'
            f'<source media="(max-width: {NARROW_SCREEN}px)" srcset="{addresses[1]}">'
            f'<img src="{addresses[0]}" alt="{escape(block.caption)}"></picture>'
        )
    return f"<figure>{content}{caption}</figure>"


def marked(line: str, places: Sequence[int]) -> str:
    """A line of HTML with some characters marked.

    Example:
        >>> marked("a<b", [1])
        'a<mark>&lt;</mark>b'
    """
    wrong = set(places)
    return "".join(f"<mark>{escape(c)}</mark>" if i in wrong else escape(c) for i, c in enumerate(line))


def drawn(picture: Picture) -> tuple[dict[str, bytes], bytes]:
    """The files of a picture, PNG and SVG, by name, and the SVG of its narrow form.

    Args:
        picture: The picture.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)  # it is drawn as a box
        figure = picture.draw(WIDE)
        lines = vector(figure)
        stem = f"{PICTURES}/{picture.name}"
        return {f"{stem}.svg": lines, f"{stem}.png": raster(figure)}, vector(picture.draw(NARROW))


# Not by ``savefig``, which draws all of it twice: the first time only to find the layout, which drawing does as well.


def vector(figure: Figure) -> bytes:
    """A picture as SVG, the same bytes for the same picture; its layout is found, and stays."""
    buffer = io.BytesIO()
    with rc_context({"svg.hashsalt": "rnn_tasks", "svg.fonttype": "path"}):
        FigureCanvasSVG(figure).print_svg(buffer, metadata={"Date": None, "Creator": None})  # type: ignore[no-untyped-call]
    figure.set_layout_engine("none")
    return buffer.getvalue()


def raster(figure: Figure) -> bytes:
    """A picture as PNG, 160 dots an inch."""
    buffer = io.BytesIO()
    figure.set_dpi(160)
    FigureCanvasAgg(figure).print_png(buffer, metadata={"Software": None})  # type: ignore[no-untyped-call]
    return buffer.getvalue()


def data_address(svg: bytes) -> str:
    """A picture as an address that holds all of it."""
    return "data:image/svg+xml;base64," + base64.b64encode(svg).decode()


def plain(value: Any) -> Any:
    """A value as JSON knows it: lists for arrays, objects for named tuples, pairs for complex numbers.

    What is no finite number becomes null.

    Example:
        >>> plain({"a": torch.tensor([1.0, float("nan")]), "b": np.array([1 + 2j]), 3: Path("c")})
        {'a': [1.0, None], 'b': [[1.0, 2.0]], '3': 'c'}
    """
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, torch.Tensor):
        return plain(value.detach().cpu().tolist())
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, tuple) and type(value) is not tuple:
        named: Any = value
        return plain(named._asdict())
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, complex):
        return [plain(value.real), plain(value.imag)]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if isinstance(value, str | int | bool | None) else str(value)


TEMPLATE = """
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>{title}</title>
<style>
{style}
</style>
</head>
<body>
<main>
{body}
</main>
</body>
</html>
"""

STYLE = """
:root { color-scheme: light; }
body { margin: 0; background: #fff; color: #1a1a1a; font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 52rem; margin: 0 auto; padding: 1.5rem 1rem 3rem; overflow-wrap: break-word; }
h1 { font-size: 1.7rem; line-height: 1.25; margin: 0 0 1rem; }
h2 { font-size: 1.3rem; line-height: 1.3; margin: 2.5rem 0 .75rem; border-bottom: 2px solid #1a1a1a; }
nav ol { padding-left: 1.4rem; }
a { color: #0b4f7d; }
figure { margin: 1.25rem 0; }
figcaption { font-size: .9rem; color: #333; margin-top: .4rem; max-width: 46rem; }
img { display: block; width: 100%; height: auto; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .25rem .9rem .25rem 0; vertical-align: top; border-bottom: 1px solid #ccc; }
thead th { border-bottom: 1.5px solid #1a1a1a; }
pre { margin: 0; padding: .6rem .8rem; background: #f4f4f4; font: .82rem/1.45 ui-monospace, monospace; }
mark { background: #1a1a1a; color: #fff; }
.missing { font-size: .9rem; border-left: 3px solid #999; padding: .1rem .8rem; }
.missing p, .missing ul { margin: .2rem 0; }
@media (max-width: 620px) {
  th, td { padding-right: .5rem; }
  table { font-size: .8rem; }
  pre { font-size: .72rem; }
}
@media print {
  body { font-size: 10.5pt; }
  main { max-width: none; padding: 0; }
  nav { display: none; }
  figure, tr { break-inside: avoid; }
  img { width: auto; max-width: 100%; max-height: 21cm; }
  h2 { break-after: avoid; }
  .wide { overflow: visible; }
  pre { white-space: pre-wrap; }
  mark { border: 1px solid #000; background: none; color: #000; font-weight: bold; }
}
"""
