import json
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

import rnn_tasks
from tests.helpers.node import run_node

pytestmark = pytest.mark.slow  # Node is another process

FILE = Path(rnn_tasks.__file__).parent / "explorer" / "charts.js"

MINUS, DASH, TIMES = "\N{MINUS SIGN}", "\N{EN DASH}", "\N{MULTIPLICATION SIGN}"

STYLE = (FILE.parent / "style.css").read_text(encoding="utf-8")


def theme_of(variables: str) -> dict[str, Any]:
    """Return the colours of some CSS variables, as far as these tests need them."""
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", variables))
    scale = {name: rgb(colours[name]) for name in ("negative", "zero", "positive")}
    return {"line": colours["line"], "scale": scale}


def evaluate(expression: str, **data: object) -> Any:
    """Return the value of a JavaScript expression that uses ``Charts`` and ``data``."""
    script = f"const Charts = require({json.dumps(str(FILE))}); console.log(JSON.stringify({expression}));"
    return run_node(script, data)


def luminance(rgb: list[int]) -> float:
    """Return the relative luminance of the Web Content Accessibility Guidelines."""
    linear = [
        value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in (c / 255 for c in rgb)
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: list[int], other: list[int]) -> float:
    low, high = sorted([luminance(one), luminance(other)])
    return (high + 0.05) / (low + 0.05)


def rgb(colour: str) -> list[int]:
    if colour.startswith("#"):
        return list(bytes.fromhex(colour[1:]))
    return [int(value) for value in colour.removeprefix("rgb(").removesuffix(")").split(",")]


def test_numbers_are_written_with_three_digits() -> None:
    texts = {
        0.05: "0.05",
        -4.561: f"{MINUS}4.56",
        12.34: "12.3",
        99999: "99999",
        0: "0",
        0.00012: f"1.2{TIMES}10⁻⁴",
        -123456: f"{MINUS}1.23{TIMES}10⁵",
    }
    assert evaluate("data.numbers.map(Charts.formatNumber)", numbers=list(texts)) == list(texts.values())
    values = evaluate("[null, NaN, Infinity, -Infinity].map(Charts.formatNumber)")
    assert values == [DASH, DASH, "∞", f"{MINUS}∞"]


def test_cell_at_a_position_is_found() -> None:
    geometry = {"left": 40, "top": 10, "cellWidth": 14.5, "cellHeight": 2, "rows": 3, "columns": 5}
    positions = [[40, 10], [54.4, 15.9], [54.5, 12], [39, 11], [41, 16], [112.4, 11], [112.5, 11]]
    cells = evaluate(
        "data.positions.map((at) => Charts.cellAt(data.geometry, ...at))", geometry=geometry, positions=positions
    )
    expected = [(0, 0), (2, 0), (1, 1), None, None, (0, 4), None]
    assert [cell and (cell["row"], cell["column"]) for cell in cells] == expected


LIGHT, DARK = (theme_of(variables) for variables in re.findall(r":root {(.*?)}", STYLE, re.DOTALL))


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_colours_go_from_negative_over_paper_to_positive(theme: dict[str, Any]) -> None:
    values = [-9, -2, -1.5, -1, -0.5, 0, 0.5, 1, 1.5, 2, 9]
    colours = evaluate(
        "data.values.map((value) => Charts.colourScale(value, 2, data.theme))", values=values, theme=theme
    )
    scale = theme["scale"]
    assert [rgb(colours[index]) for index in (0, 1, 5, 9, 10)] == [
        scale["negative"],
        scale["negative"],
        scale["zero"],
        scale["positive"],
        scale["positive"],
    ]
    distances = [contrast(rgb(colour), scale["zero"]) for colour in colours]
    assert all(inner < outer for inner, outer in pairwise(distances[5:10]))
    assert all(inner < outer for inner, outer in pairwise(distances[5:0:-1]))
    assert evaluate("Charts.colourScale(NaN, 2, data.theme)", theme=theme) == theme["line"]


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_ink_can_be_read_on_each_colour(theme: dict[str, Any]) -> None:
    values = [number / 50 for number in range(-50, 51)]
    pairs = evaluate(
        "data.values.map((value) => [Charts.colourScale, Charts.inkOn].map((colour) => colour(value, 1, data.theme)))",
        values=values,
        theme=theme,
    )
    for background, ink in pairs:
        assert contrast(rgb(background), rgb(ink)) >= 4.5
