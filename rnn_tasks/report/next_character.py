"""What a network expects next, character by character along the beginning of a text."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from rnn_tasks.analysis.structure import Distributions, next_character_distributions
from rnn_tasks.errors import UsageError
from rnn_tasks.models import LanguageModel
from rnn_tasks.plots.style import colour_bar, heat_map, name_axes, panels, visible
from rnn_tasks.report.answers import written
from rnn_tasks.report.run_data import Subject
from rnn_tasks.tasks import ElmanGrammar
from rnn_tasks.tasks.language_task import LanguageTask
from rnn_tasks.texts.grammar import ELMAN

PREFIX = 32
"""Characters of the text."""

SEEN, FEWEST, MOST = 0.03, 6, 24
"""A character is shown if it is expected with such a probability anywhere, at least and at most so many of them."""


class Expected(NamedTuple):
    """Probabilities of the next character along a text.

    Attributes:
        text: The text; behind its last character nothing is known.
        characters: What the columns are the probabilities of.
        probabilities: After each character of the text, ``(characters of the text, vocabulary)``.
    """

    text: str
    characters: tuple[str, ...]
    probabilities: NDArray[np.float64]


def expected(subject: Subject) -> Expected | None:
    """What a run expects along the beginning of its test text; None if it does not read one.

    Args:
        subject: The run.

    Raises:
        UsageError: The network has diverged.
    """
    if not isinstance(subject.task, LanguageTask) or not isinstance(subject.model, LanguageModel):
        return None
    text = subject.task.text("test")[:PREFIX]
    found: Distributions = next_character_distributions(subject.model, text)
    return Expected(text, found.characters, found.probabilities)


def exact(subject: Subject, along: Expected) -> Expected | None:
    """The exact odds along the same text, where a grammar has made it; else None.

    Args:
        subject: The run.
        along: What the run expects.
    """
    if not isinstance(subject.task, ElmanGrammar):
        return None
    rows = np.zeros_like(along.probabilities)
    try:
        for index in range(len(along.text)):
            for character, odds in ELMAN.next_character(along.text[: index + 1]).items():
                rows[index, along.characters.index(character)] = odds
    except UsageError:  # the text begins in the middle of a sentence
        return None
    return along._replace(probabilities=rows)


def draw_expected(found: Sequence[tuple[str, Expected]], width: float) -> Figure:
    """A map of characters by steps for each run, and for the exact odds.

    Args:
        found: Names and probabilities, all along the same text.
        width: Inches.
    """
    likely = np.max([e.probabilities.max(axis=0) for _, e in found], axis=0)
    count = min(MOST, max(FEWEST, int((likely > SEEN).sum())))
    shown = np.sort((-likely).argsort(kind="stable")[:count])[::-1]
    names = [written([found[0][1].characters[index]]) for index in shown]
    figure, fields = panels(width, len(found), height=0.9 + 0.125 * len(names), least=width)
    for field, (title, (text, characters, probabilities)) in zip(fields, found, strict=True):
        image = heat_map(field, probabilities[:, shown].T, 0, 1)
        rows = {characters[index]: row for row, index in enumerate(shown.tolist())}
        behind = [(step, rows[c]) for step, c in enumerate(text[1:]) if c in rows]
        if behind:
            field.plot(*zip(*behind, strict=True), "o", color="white", markeredgecolor="black", markersize=3.2)
        field.set_yticks(range(len(names)), visible(names), fontsize=6.5, parse_math=False)
        field.set_xticks(range(len(text)), visible(written(text)), fontsize=7, parse_math=False)
        name_axes(field, "character that is read", "next character", title)
    colour_bar(figure, image, fields, "probability")
    return figure


CAPTION = (
    "What is expected next after each character of the beginning of the test text; the dots are the characters that do "
    "come next."
)
CAPTION_OF_GRAMMAR = " Below, the exact odds, which the grammar gives: no predictor can know more."
