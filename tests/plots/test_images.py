from xml.etree import ElementTree

import pytest

from rnn_tasks.plots.images import as_png, as_svg, make_texts_safe
from rnn_tasks.plots.style import WIDE, legend, legend_below, level, name_axes, panels, symbols_below

CONTROL = "".join(map(chr, [*range(0x20), 0x7F, 0x85, 0x200B, 0x202E, 0xD800, 0xFFFE, 0xFFFF]))
STRANGE = [CONTROL[:13], CONTROL[13:26], CONTROL[26:34], CONTROL[34:], "--> <b> مرحبا 漢字 हिन्दी 🎉", r"$\frac{$"]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("text", STRANGE)
def test_svg_is_valid_for_any_text(text: str) -> None:
    figure, (first, second) = panels(WIDE, 2)
    first.plot([1, 10], [1, 10], label=text)
    name_axes(first, text[-6:], text[-6:], text[-6:])
    legend(first)
    legend_below(figure, first, WIDE)
    level(second, 0.5, text)
    symbols_below(second, list(text), 7)
    second.set_yticks([0, 1], [text[-6:], text[:6]])
    second.annotate(text, (0, 0))
    svg = as_svg(figure)
    ElementTree.fromstring(svg)
    assert as_svg(figure) == as_svg(figure)
    assert as_png(figure).startswith(b"\x89PNG")


def test_texts_are_no_formulas_and_numbers_are() -> None:
    figure, (ax,) = panels(WIDE, 1)
    ax.plot([1, 1e6], [1e-9, 1])
    ax.set_yscale("log")
    ax.set_xticks([1, 1e6], ["$a$", "b"])
    make_texts_safe(figure)
    figure.draw_without_rendering()
    assert [label.get_parse_math() for label in ax.get_xticklabels()] == [False, False]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["$a$", "b"]
    assert all(label.get_parse_math() for label in ax.get_yticklabels())
