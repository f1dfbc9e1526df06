"""Words in the hidden state: which are near one another, and how well their letters are predicted."""

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
"""Characters of a word that are written."""

LEAST_COUNT = 30
"""Characters at a place in the word from which on its accuracy is shown."""


def draw_tree(tree: Dendrogram, width: float) -> "Figure":
    """Draw which words are nearest one another; words of a grammar with their categories.

    Args:
        tree: The lines.
        width: Inches.
    """
    figure, (field,) = panels(width, 1, height=0.9 + 0.155 * len(tree.words))
    for positions, heights in zip(tree.positions, tree.heights, strict=True):
        field.plot(heights, positions, color=LINES[0]["color"], linewidth=1.1)
    kinds = ELMAN.categories_of(tree.words) or [""] * len(tree.words)
    words = [short_word(word) for word in tree.words]
    names = [f"{kind.lower().replace('_', ' ')}  {word}".strip() for word, kind in zip(words, kinds, strict=True)]
    field.set_yticks([10 * index + 5 for index in range(len(names))], names, fontsize=7.5, parse_math=False)
    field.set_ylim(0, 10 * len(names))
    field.invert_xaxis()
    name_axes(field, "1 - cosine between mean states", "")
    field.spines["left"].set_visible(False)
    field.tick_params(left=False)
    return figure


def short_word(word: str) -> str:
    """Return a word as a label: each character as wide as one, and not too many of them.

    Example:
        >>> short_word("a<unk>b"), short_word("honorificabilitudinitatibus")
        ('a□b', 'honorificabilitudin…')
    """
    plain = fixed_width(word.replace(UNKNOWN, UNPRINTABLE))
    return plain if len(plain) <= LONGEST_WORD else plain[: LONGEST_WORD - 1] + "…"


def draw_positions(
    found: Sequence[tuple[str, WordAccuracy]], untrained: WordAccuracy, baselines: Sequence[float], width: float
) -> "Figure":
    """Draw the accuracy of the next character by its place in the word, and that of the space after the word.

    Args:
        found: Name and accuracy of each run.
        untrained: Accuracy of an untrained network.
        baselines: Accuracies of n-grams over all characters.
        width: Inches.
    """
    figure, (field,) = panels(width, 1, height=2.8)
    longest = 0
    for index, (name, accuracy) in enumerate(found):
        at, share = shown_letters(accuracy)
        label = name if len(found) > 1 else "trained"
        field.plot(at, share, **LINES[index], marker=MARKERS[index], markersize=4, label=label)
        longest = max(longest, int(at.max(initial=1)))
    field.plot(*shown_letters(untrained), **UNTRAINED, label="untrained")
    for index, (_, accuracy) in enumerate(found):
        style = {"color": LINES[index]["color"], "marker": MARKERS[index], "markersize": 6}
        field.plot([longest + 1], [accuracy.space], linestyle="none", **style)
    for index, value in enumerate(sorted(set(baselines))):
        level(field, value, "" if index else "n-gram, all characters")
    field.set_xticks(range(1, longest + 2), [*map(str, range(1, longest + 1)), SPACE])
    field.set_ylim(-0.03, 1.03)
    name_axes(field, f"place of the letter in its word ({SPACE}: space)", "share predicted rightly")
    legend_below(figure, field, width)
    return figure


def shown_letters(accuracy: WordAccuracy) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the places in a word, from 1, at which there are enough letters, and the share of right ones at each.

    Args:
        accuracy: Accuracy by place.
    """
    letters = accuracy.letters
    enough = letters.counts >= LEAST_COUNT
    return letters.groups[enough] + 1, letters.share[enough]
