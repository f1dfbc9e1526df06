"""A page for a browser: one file with everything in it, its pictures and its numbers beside it."""

import base64
import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from rnn_tasks.plots.images import as_png, as_svg
from rnn_tasks.plots.style import NARROW, WIDE
from rnn_tasks.report.blocks import Block, Paragraph, Picture, Section, Table
from rnn_tasks.report.json_values import plain
from rnn_tasks.runs.files import write_all

PAGE, NUMBERS, PICTURES = "index.html", "analysis.json", "pictures"


def write_page(
    folder: Path, title: str, lead: Sequence[Paragraph | Table], sections: Sequence[Section], numbers: Mapping[str, Any]
) -> Path:
    """Write a page, its pictures and its numbers into a folder. Other files in the folder stay.

    Everything is made before anything is written. A picture that cannot be drawn is listed as missing.

    Args:
        folder: Created if it does not exist.
        title: Title of the page.
        lead: Blocks above the sections.
        sections: In their order; sections without blocks and without a line of what is missing are left out.
        numbers: Numbers of the whole page.

    Returns:
        Path of the page.

    Raises:
        OSError: The files cannot be written; no new file is left.
    """
    shown = [section for section in sections if section.blocks or section.missing]
    everything = {**numbers, **{section.key: section.numbers for section in shown}}
    files: dict[str, bytes] = {}
    images: dict[str, tuple[str, str]] = {}
    shown = [draw_pictures(section, files, images) for section in shown]
    files[NUMBERS] = (json.dumps(plain(everything), indent=1, allow_nan=False) + "\n").encode()
    template = ENVIRONMENT.get_template("report.html.j2")
    files[PAGE] = template.render(title=title, lead=lead, sections=shown, images=images).encode()
    write_all(folder, files)
    return folder / PAGE


ENVIRONMENT = Environment(
    loader=PackageLoader("rnn_tasks.report"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)


def draw_pictures(section: Section, files: dict[str, bytes], images: dict[str, tuple[str, str]]) -> Section:
    """Draw the pictures of a section. A picture that cannot be drawn becomes a line of what is missing.

    Args:
        section: The section.
        files: Contents by name; the files of the pictures are added.
        images: Addresses of the wide and the narrow form of each picture by its name; those of the section are added.

    Returns:
        The section without the pictures that cannot be drawn.
    """
    blocks: list[Block] = []
    missing = list(section.missing)
    for block in section.blocks:
        if isinstance(block, Picture):
            try:
                of_picture, narrow = drawn(block)
            except Exception as error:  # matplotlib refuses numbers in many ways
                reason = " ".join(str(error).split())
                missing.append(f"{block.name.replace('_', ' ')}: it cannot be drawn ({reason})")
                continue
            files |= of_picture
            images[block.name] = data_url(of_picture[f"{PICTURES}/{block.name}.svg"]), data_url(narrow)
        blocks.append(block)
    return replace(section, blocks=blocks, missing=missing)


def drawn(picture: Picture) -> tuple[dict[str, bytes], bytes]:
    """Return the files of a picture, PNG and SVG, by name, and the SVG of its narrow form.

    Args:
        picture: The picture.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)  # it is drawn as a box
        figure = picture.draw(WIDE)
        svg = as_svg(figure)
        stem = f"{PICTURES}/{picture.name}"
        return {f"{stem}.svg": svg, f"{stem}.png": as_png(figure)}, as_svg(picture.draw(NARROW))


def data_url(svg: bytes) -> str:
    """Return an address that holds all of a picture.

    Args:
        svg: The picture.
    """
    return "data:image/svg+xml;base64," + base64.b64encode(svg).decode()
