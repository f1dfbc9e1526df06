import base64
import json
import math
import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from rnn_tasks.plots.style import NARROW, WIDE
from rnn_tasks.report.blocks import Lines, Paragraph, Picture, Section, Table
from rnn_tasks.report.page import NUMBERS, PICTURES, write_page

UNSAFE = "<script>alert('a & b')</script>"


class Reader(HTMLParser):
    """An HTML parser that collects the tags and the text of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "link", "img", "source"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def line(width: float) -> Figure:
    figure = Figure(figsize=(width, 1))
    figure.subplots().plot([0, 1])
    return figure


def read(page: Path) -> Reader:
    reader = Reader()
    reader.feed(page.read_text(encoding="utf-8"))
    assert not reader.open
    return reader


@pytest.fixture
def page(tmp_path: Path) -> Path:
    shown = Section(
        "one",
        "What is it?",
        [
            Paragraph(UNSAFE),
            Table("A table.", ["", "value"], [[UNSAFE, "3"]]),
            Lines("Some text.", ["abc", "<d>"], {1: [0]}),
            Picture("rising", line, 'A line that "rises".'),
        ],
        {"slope": torch.tensor([1.0, math.inf])},
        [UNSAFE],
    )
    empty = Section("two", "Not asked", ())
    return write_page(tmp_path / "report", UNSAFE, [Paragraph("lead")], [shown, empty], {"of": np.int64(3)})


def test_page_contains_its_pictures_and_no_scripts(page: Path) -> None:
    reader = read(page)
    assert UNSAFE in reader.text
    assert not reader.all("script")
    addresses = [a.get("src") or a.get("srcset") or "" for tag in ("img", "source") for a in reader.all(tag)]
    assert addresses
    assert all(address.startswith("data:image/svg+xml;base64,") for address in addresses)
    assert len(set(addresses)) == 2  # a wide and a narrow one
    assert all(str(a["href"]).startswith(("#", "data:")) for tag in ("a", "link") for a in reader.all(tag))
    assert [a["alt"] for a in reader.all("img")] == ['A line that "rises".']


def test_page_omits_an_empty_section(page: Path) -> None:
    reader = read(page)
    assert [a["id"] for a in reader.all("section")] == ["one"]
    assert "Not asked" not in reader.text


def test_page_marks_wrong_characters(page: Path) -> None:
    assert "abc\n<mark>&lt;</mark>d&gt;" in page.read_text()


def test_numbers_file_is_strict_json(page: Path) -> None:
    def fail(constant: str) -> float:
        raise ValueError(constant)

    numbers = json.loads((page.parent / NUMBERS).read_text(), parse_constant=fail)
    assert numbers == {"of": 3, "one": {"slope": [1.0, None]}}


def test_write_page_writes_png_and_svg_files(page: Path) -> None:
    folder = page.parent / PICTURES
    assert {path.name for path in folder.iterdir()} == {"rising.png", "rising.svg"}
    assert (folder / "rising.png").read_bytes().startswith(b"\x89PNG")
    assert (folder / "rising.svg").read_text().startswith("<?xml")


def test_write_page_is_deterministic(page: Path, tmp_path: Path) -> None:
    before = {path.name: path.read_bytes() for path in page.parent.rglob("*.*")}
    section = Section("one", "t", [Picture("rising", line, "c")])
    one, two = (write_page(tmp_path / name, "t", [], [section], {}) for name in "ab")
    for path in one.parent.rglob("*.*"):
        assert path.read_bytes() == (two.parent / path.relative_to(one.parent)).read_bytes()
    assert {path.name: path.read_bytes() for path in page.parent.rglob("*.*")} == before  # other folders are unchanged


def test_write_page_draws_both_widths(tmp_path: Path) -> None:
    widths: list[float] = []

    def draw(width: float) -> Figure:
        widths.append(width)
        return line(width)

    write_page(tmp_path, "t", [], [Section("one", "t", [Picture("p", draw, "c")])], {})
    assert set(widths) == {WIDE, NARROW}


def test_page_and_pictures_have_no_control_characters(tmp_path: Path) -> None:
    strange = "\x1b[31m\x00\x08\u202e\ud800\ufffe $x^2"

    def draw(width: float) -> Figure:
        figure = line(width)
        figure.axes[0].set_title(strange)
        return figure

    section = Section("one", strange, [Paragraph(strange), Picture("strange", draw, strange)], {}, [strange])
    page = write_page(tmp_path, strange, [], [section], {"text": strange})
    text = page.read_text(encoding="utf-8")
    assert not {character for character in text if not character.isprintable()} - {"\n"}
    assert "\\x1b[31m" in read(page).text
    svg = (tmp_path / PICTURES / "strange.svg").read_bytes()
    embedded = re.findall('data:image/svg[^,]*,([^"]*)', text)
    assert len(embedded) == 3
    for picture in (svg, *map(base64.b64decode, embedded)):
        ElementTree.fromstring(picture)
