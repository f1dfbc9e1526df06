"""What is expected next along a text."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rnn_tasks.plots.style import colour_bar, heat_map, name_axes, panels
from rnn_tasks.spec.vocabulary import fixed_width, visible

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SEEN, FEWEST, MOST = 0.03, 6, 24
"""A character is shown if it is expected with such a probability anywhere, at least and at most so many of them."""


class NextCharacters(NamedTuple):
    """Probabilities of the next character along a text.

    Attributes:
        text: The text; what comes after its last character is not known.
        characters: What the columns are the probabilities of.
        probabilities: After each character of the text, ``(characters of the text, vocabulary)``.
    """

    text: str
    characters: tuple[str, ...]
    probabilities: NDArray[np.float64]


def draw_next_characters(
    found: Sequence[tuple[str, NextCharacters]], width: float, fewest: int = FEWEST, most: int = MOST
) -> "Figure":
    """Draw a map of characters by steps for each run, and for the exact odds.

    Args:
        found: Names and probabilities, all along the same text.
        width: Inches.
        fewest: The least number of characters to show.
        most: The largest number of characters to show.
    """
    likely = np.max([e.probabilities.max(axis=0) for _, e in found], axis=0)
    count = min(most, max(fewest, int((likely > SEEN).sum())))
    shown = np.sort((-likely).argsort(kind="stable")[:count])[::-1]
    names = visible(fixed_width(found[0][1].characters[index] for index in shown))
    figure, fields = panels(width, len(found), height=0.9 + 0.125 * len(names), least=width)
    for field, (title, (text, characters, probabilities)) in zip(fields, found, strict=True):
        image = heat_map(field, probabilities[:, shown].T, 0, 1)
        rows = {characters[index]: row for row, index in enumerate(shown.tolist())}
        coming = [(step, rows[c]) for step, c in enumerate(text[1:]) if c in rows]
        if coming:
            field.plot(*zip(*coming, strict=True), "o", color="white", markeredgecolor="black", markersize=3.2)
        field.set_yticks(range(len(names)), names, fontsize=6.5, parse_math=False)
        field.set_xticks(range(len(text)), visible(fixed_width(text)), fontsize=7, parse_math=False)
        name_axes(field, "character that is read", "next character", title)
    colour_bar(figure, image, fields, "probability")
    return figure
