"""Write an HTML page that contains its pictures, and separate files of the pictures and the numbers."""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from rnn_tasks.plots.images import as_png, as_svg
from rnn_tasks.plots.style import NARROW, WIDE
from rnn_tasks.printable import printable
from rnn_tasks.report.blocks import Block, Paragraph, Picture, Section, Table
from rnn_tasks.report.json_values import plain
from rnn_tasks.runs.files import write_all

PAGE, NUMBERS, PICTURES = "index.html", "analysis.json", "pictures"


def write_page(
    folder: Path,
    title: str,
    lead: Sequence[Paragraph | Table],
    sections: Sequence[Section],
    numbers: Mapping[str, Any],
    numbers_name: str = NUMBERS,
) -> Path:
    """Write a page, its pictures and its numbers into a folder. Other files in the folder are kept.

    All contents are created before the first file is written. A picture that cannot be drawn is listed as missing.

    Args:
        folder: The folder, created if it does not exist.
        title: The title of the page.
        lead: The blocks above the sections.
        sections: The sections in order; sections without blocks and without ``missing`` lines are not shown.
        numbers: The numbers of the whole page.
        numbers_name: The name of the file of the numbers.

    Returns:
        The path of the page.

    Raises:
        OSError: The files cannot be written; no new file remains.
    """
    shown = [section for section in sections if section.blocks or section.missing]
    all_numbers = {**numbers, **{section.key: section.numbers for section in shown}}
    files: dict[str, bytes] = {}
    images: dict[str, tuple[str, str]] = {}
    shown = [draw_pictures(section, files, images) for section in shown]
    files[numbers_name] = (json.dumps(plain(all_numbers), indent=1, allow_nan=False) + "\n").encode()
    template = ENVIRONMENT.get_template("report.html.j2")
    files[PAGE] = template.render(title=title, lead=lead, sections=shown, images=images).encode()
    write_all(folder, files)
    return folder / PAGE


def safe_text(value: object) -> object:
    """Return a value as a page shows it: a text without control characters, any other value unchanged."""
    return printable(value, keep="\n\t") if type(value) is str else value  # safe HTML is of a class below str


ENVIRONMENT = Environment(
    loader=PackageLoader("rnn_tasks.report"),
    autoescape=True,
    finalize=safe_text,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)


def draw_pictures(section: Section, files: dict[str, bytes], images: dict[str, tuple[str, str]]) -> Section:
    """Draw the pictures of a section. A picture that cannot be drawn becomes a ``missing`` line.

    Args:
        section: The section.
        files: The contents of files by name; this function adds the files of the pictures.
        images: The URLs of the wide and the narrow form of each picture by its name; this function adds URLs.

    Returns:
        The section without the pictures that cannot be drawn.
    """
    blocks: list[Block] = []
    missing = list(section.missing)
    for block in section.blocks:
        if isinstance(block, Picture):
            try:
                picture_files, narrow = drawn(block)
            except Exception as error:  # matplotlib raises many kinds of exceptions
                reason = " ".join(str(error).split())
                missing.append(f"{block.name.replace('_', ' ')}: the picture cannot be drawn ({reason})")
                continue
            files |= picture_files
            images[block.name] = data_url(picture_files[f"{PICTURES}/{block.name}.svg"]), data_url(narrow)
        blocks.append(block)
    return replace(section, blocks=blocks, missing=missing)


def drawn(picture: Picture) -> tuple[dict[str, bytes], bytes]:
    """Return the PNG and SVG files of a picture by name, and the SVG of its narrow form.

    Args:
        picture: The picture.
    """
    figure = picture.draw(WIDE)
    svg = as_svg(figure)
    stem = f"{PICTURES}/{picture.name}"
    return {f"{stem}.svg": svg, f"{stem}.png": as_png(figure)}, as_svg(picture.draw(NARROW))


def data_url(svg: bytes) -> str:
    """Return a data URL of a picture.

    Args:
        svg: The contents of the SVG file.
    """
    return "data:image/svg+xml;base64," + base64.b64encode(svg).decode()
