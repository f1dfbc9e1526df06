"""Predicted next characters along a text."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rnn_tasks.plots.style import colour_bar, heat_map, name_axes, panels
from rnn_tasks.spec.vocabulary import fixed_width, visible

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LIKELY, FEWEST, MOST = 0.03, 6, 24
"""Characters with a probability above ``LIKELY`` at some step are shown, at least ``FEWEST`` and at most ``MOST``."""


class NextCharacters(NamedTuple):
    """Probabilities of the next character along a text.

    Attributes:
        text: The text.
        characters: The vocabulary, in the order of the columns.
        probabilities: The probabilities after each character of the text, ``(characters of the text, vocabulary)``.
    """

    text: str
    characters: tuple[str, ...]
    probabilities: NDArray[np.float64]


def draw_next_characters(
    predictions: Sequence[tuple[str, NextCharacters]], width: float, fewest: int = FEWEST, most: int = MOST
) -> "Figure":
    """Draw a heat map of characters by time steps for each prediction, with dots at the actual next characters.

    Args:
        predictions: Titles and probabilities, all along the same text.
        width: The width of the picture in inches.
        fewest: The smallest number of characters to show.
        most: The largest number of characters to show.
    """
    highest = np.max([next_ones.probabilities.max(axis=0) for _, next_ones in predictions], axis=0)
    count = min(most, max(fewest, int((highest > LIKELY).sum())))
    shown = np.sort((-highest).argsort(kind="stable")[:count])[::-1]
    names = visible(fixed_width(predictions[0][1].characters[index] for index in shown))
    figure, axes = panels(width, len(predictions), height=0.9 + 0.125 * len(names), min_width=width)
    for ax, (title, (text, characters, probabilities)) in zip(axes, predictions, strict=True):
        image = heat_map(ax, probabilities[:, shown].T, 0, 1)
        rows = {characters[index]: row for row, index in enumerate(shown.tolist())}
        actual = [(step, rows[c]) for step, c in enumerate(text[1:]) if c in rows]
        if actual:
            ax.plot(*zip(*actual, strict=True), "o", color="white", markeredgecolor="black", markersize=3.2)
        ax.set_yticks(range(len(names)), names, fontsize=6.5, parse_math=False)
        ax.set_xticks(range(len(text)), visible(fixed_width(text)), fontsize=7, parse_math=False)
        name_axes(ax, "input character", "next character", title)
    colour_bar(figure, image, axes, "probability")
    return figure
