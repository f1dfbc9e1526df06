"""Words in the hidden state: a dendrogram of their states, and the accuracy by position in the word."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rnn_tasks.analysis.words import Dendrogram, WordAccuracy
from rnn_tasks.plots.style import LINES, MARKERS, UNTRAINED, legend_below, level, name_axes, panels
from rnn_tasks.spec.vocabulary import SPACE, UNKNOWN, UNPRINTABLE, fixed_width
from rnn_tasks.texts.grammar import ELMAN

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LONGEST_WORD = 20
"""Longer words are cut to this many characters."""

LEAST_COUNT = 30
"""Fewest letters at a position in the word for which its accuracy is shown."""

CATEGORY_NAMES = {
    "DET": "determiner",
    "NOUN_HUMAN": "human",
    "NOUN_ANIMAL": "animal",
    "NOUN_FOOD": "food",
    "NOUN_OBJECT": "object",
    "VERB_INTRAN": "intransitive verb",
    "VERB_TRAN": "transitive verb",
    "VERB_PERCEPT": "verb of perception",
}
"""Printed names of the categories of Elman's grammar."""


def draw_tree(tree: Dendrogram, width: float) -> "Figure":
    """Draw a dendrogram of words; words of Elman's grammar are labelled with their categories.

    Args:
        tree: The dendrogram.
        width: The width of the picture in inches.
    """
    figure, (ax,) = panels(width, 1, height=0.9 + 0.155 * len(tree.words))
    for positions, heights in zip(tree.positions, tree.heights, strict=True):
        ax.plot(heights, positions, color=LINES[0]["color"], linewidth=1.1)
    words = [short_word(word) for word in tree.words]
    categories = [CATEGORY_NAMES[category] for category in ELMAN.categories_of(tree.words)]
    names = [f"{word} ({category})" for word, category in zip(words, categories, strict=True)] if categories else words
    ax.set_yticks([10 * index + 5 for index in range(len(names))], names, fontsize=7.5, parse_math=False)
    ax.set_ylim(0, 10 * len(names))
    ax.invert_xaxis()
    name_axes(ax, "cosine distance between mean states", "")
    ax.spines["left"].set_visible(False)
    ax.tick_params(left=False)
    return figure


def short_word(word: str) -> str:
    """Return a word as a label of at most ``LONGEST_WORD`` characters.

    Example:
        >>> short_word("a<unk>b"), short_word("honorificabilitudinitatibus")
        ('a□b', 'honorificabilitudin…')
    """
    plain = fixed_width(word.replace(UNKNOWN, UNPRINTABLE))
    return plain if len(plain) <= LONGEST_WORD else plain[: LONGEST_WORD - 1] + "…"


def draw_positions(
    runs: Sequence[tuple[str, WordAccuracy]], untrained: WordAccuracy, baselines: Sequence[float], width: float
) -> "Figure":
    """Draw the accuracy of the next letter by its position in the word, and of the space after the word.

    Args:
        runs: The name and the accuracy of each run.
        untrained: The accuracy of an untrained network.
        baselines: The accuracies of n-grams over all characters.
        width: The width of the picture in inches.
    """
    figure, (ax,) = panels(width, 1, height=2.8)
    longest = 0
    for index, (name, accuracy) in enumerate(runs):
        positions, shares = shown_letters(accuracy)
        label = name if len(runs) > 1 else "trained"
        ax.plot(positions, shares, **LINES[index], marker=MARKERS[index], markersize=4, label=label)
        longest = max(longest, int(positions.max(initial=1)))
    ax.plot(*shown_letters(untrained), **UNTRAINED, label="untrained")
    for index, (_, accuracy) in enumerate(runs):
        style = {"color": LINES[index]["color"], "marker": MARKERS[index], "markersize": 6}
        ax.plot([longest + 1], [accuracy.space], linestyle="none", **style)
    for index, value in enumerate(sorted(set(baselines))):
        level(ax, value, "" if index else "n-gram, all characters")
    ax.set_xticks(range(1, longest + 2), [*map(str, range(1, longest + 1)), SPACE])
    ax.set_ylim(-0.03, 1.03)
    name_axes(ax, f"position of the letter in its word ({SPACE}: space after the word)", "accuracy")
    legend_below(figure, ax, width)
    return figure


def shown_letters(accuracy: WordAccuracy) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the positions in a word, from 1, with at least ``LEAST_COUNT`` letters, and the accuracy at each.

    Args:
        accuracy: The accuracy by position.
    """
    letters = accuracy.letters
    enough = letters.counts >= LEAST_COUNT
    return letters.groups[enough] + 1, letters.share[enough]
