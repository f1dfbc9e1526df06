"""Words in the hidden state of a network that reads characters, and words that it writes."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from matplotlib.figure import Figure

from rnn_tasks.analysis import hidden_states
from rnn_tasks.analysis.structure import (
    ClusterPurity,
    Dendrogram,
    Metric,
    WordAccuracy,
    WordStates,
    accuracy_by_position,
    cluster_purity,
    dendrogram,
    word_linkage,
    word_states,
)
from rnn_tasks.models import LanguageModel, RecurrentModel
from rnn_tasks.plots.style import LINES, MARKERS, SPACE, UNTRAINED, legend_below, level, name_axes, panels
from rnn_tasks.report.answers import STRANGE, answers, written
from rnn_tasks.report.page import Table
from rnn_tasks.report.run_data import TEXT_LENGTH, Subject
from rnn_tasks.spec import Batch
from rnn_tasks.spec.vocabulary import UNKNOWN
from rnn_tasks.tasks.language_task import LanguageTask, cut
from rnn_tasks.texts.grammar import ELMAN

MAX_CHARACTERS = 60_000
"""Characters of the test text that are read for the states of words."""

MAX_WORDS = 48
"""Words that are looked at, the commonest ones."""

LONGEST_WORD = 20
"""Characters of a word that are written."""

LEAST_COUNT = 30
"""Characters at a place in the word from which on its accuracy is shown."""

PLACES = {"after the last letter": False, "after the space behind": True}
METRICS: dict[str, Metric] = {"distance": "euclidean", "angle": "cosine"}
DRAWN = ("after the last letter", "angle")
"""What the tree shows; the table has all."""

TEMPERATURES = (0.5, 0.7, 1.0)
WRITTEN = 1500
"""Characters that are written for the share of the lexicon."""


class Read(NamedTuple):
    """What a network's states say about words.

    Attributes:
        words: Mean states by the place at which they were read.
        tree: Which words are near one another.
        purity: By place and measure; None where words have no categories that are known.
    """

    words: dict[str, WordStates]
    tree: Dendrogram
    purity: dict[tuple[str, str], ClusterPurity] | None


class Words(NamedTuple):
    """What is known of a run.

    Attributes:
        trained: Of the network.
        untrained: Of one as training began.
        accuracy: By the place in the word.
        untrained_accuracy: The same of the untrained one.
    """

    trained: Read
    untrained: Read
    accuracy: WordAccuracy
    untrained_accuracy: WordAccuracy


def long_text(task: LanguageTask) -> Batch:
    """The first part of the test text, in rows that are read from a state of zeros.

    Args:
        task: The task.
    """
    symbols = task.symbols("test")[: MAX_CHARACTERS + 1]
    length = min(TEXT_LENGTH, len(symbols) - 1)
    return cut(symbols, torch.arange((len(symbols) - 1) // length) * length, length)


def words_of(subject: Subject) -> Words | None:
    """The words in a run's states; None if it does not read a text.

    Args:
        subject: The run.

    Raises:
        UsageError: The text has no words, or the network has diverged.
    """
    if not isinstance(subject.task, LanguageTask):
        return None
    text = long_text(subject.task)
    vocabulary = subject.task.vocabulary

    def accuracy(model: RecurrentModel) -> WordAccuracy:
        return accuracy_by_position(answers(model, text), text.inputs, vocabulary)

    return Words(
        read_by(subject.model, text, subject.task),
        read_by(subject.untrained, text, subject.task),
        accuracy(subject.model),
        accuracy(subject.untrained),
    )


def read_by(model: RecurrentModel, text: Batch, task: LanguageTask) -> Read:
    """The words in a network's states.

    Args:
        model: The network.
        text: What it reads.
        task: Knows the characters.

    Raises:
        UsageError: The text has no words, or the network has diverged.
    """
    states = hidden_states(model, text)
    found = {place: commonest(word_states(states, text.inputs, task.vocabulary, p)) for place, p in PLACES.items()}
    drawn = found[DRAWN[0]]
    tree = dendrogram(word_linkage(centred(drawn), METRICS[DRAWN[1]]), drawn.words)
    kinds = {place: ELMAN.kinds(words.words) for place, words in found.items()}
    if not all(kinds.values()):
        return Read(found, tree, None)
    purity = {
        (place, measure): cluster_purity(centred(words), kinds[place], metric=metric)
        for place, words in found.items()
        for measure, metric in METRICS.items()
    }
    return Read(found, tree, purity)


def commonest(words: WordStates) -> WordStates:
    """The commonest words, in their alphabetical order.

    Example:
        >>> commonest(WordStates(("a", "b"), np.zeros((2, 1)), np.array([1, 5]))).words
        ('a', 'b')
    """
    kept = np.sort((-words.counts).argsort(kind="stable")[:MAX_WORDS])
    return WordStates(tuple(words.words[index] for index in kept), words.states[kept], words.counts[kept])


def centred(words: WordStates) -> Any:
    """States without what all words share, which would make all angles small."""
    return words.states - words.states.mean(axis=0)


def short_word(word: str) -> str:
    """A word as a label: each character as wide as one, and not too many of them.

    Example:
        >>> short_word("a<unk>b"), short_word("honorificabilitudinitatibus")
        ('a□b', 'honorificabilitudin…')
    """
    plain = written(word.replace(UNKNOWN, STRANGE))
    return plain if len(plain) <= LONGEST_WORD else plain[: LONGEST_WORD - 1] + "…"


def draw_tree(tree: Dendrogram, width: float) -> Figure:
    """Which words are nearest one another; words of a grammar with their categories.

    Args:
        tree: The lines.
        width: Inches.
    """
    figure, (field,) = panels(width, 1, height=0.9 + 0.155 * len(tree.words))
    for places, heights in zip(tree.places, tree.heights, strict=True):
        field.plot(heights, places, color=LINES[0]["color"], linewidth=1.1)
    kinds = ELMAN.kinds(tree.words) or [""] * len(tree.words)
    words = [short_word(word) for word in tree.words]
    names = [f"{kind.lower().replace('_', ' ')}  {word}".strip() for word, kind in zip(words, kinds, strict=True)]
    field.set_yticks([10 * index + 5 for index in range(len(names))], names, fontsize=7.5, parse_math=False)
    field.set_ylim(0, 10 * len(names))
    field.invert_xaxis()
    name_axes(field, "1 - cosine between mean states", "")
    field.spines["left"].set_visible(False)
    field.tick_params(left=False)
    return figure


def purity_table(found: Sequence[tuple[str, Words]]) -> Table | None:
    """Purity of clusters, beside that of permuted labels and of an untrained network; None without categories.

    Args:
        found: Name and words of each run.
    """
    rows = []
    for name, words in found:
        for (place, measure), purity in (words.trained.purity or {}).items():
            untrained = (words.untrained.purity or {})[place, measure]
            who = [name.partition(":")[0]] if len(found) > 1 else []
            values = purity.purity, purity.p_value, untrained.purity, untrained.p_value, purity.permuted
            rows.append([", ".join([*who, place, measure]), *(f"{value:.3f}" for value in values)])
    caption = (
        "Do words of a category have states near one another? The words are put into as many clusters as there are "
        "categories. Purity: the share of them that are in the commonest category of their cluster, by where the state "
        "was read and by how nearness was measured. Chance: its mean with permuted labels; p: the share of those that "
        "are as pure."
    )
    return Table(caption, ["", "trained", "p", "untrained", "p", "chance"], rows) if rows else None


def draw_positions(found: Sequence[tuple[Subject, Words]], width: float) -> Figure:
    """Accuracy of the next character by its place in the word, and of the space behind it.

    Args:
        found: The runs with their words.
        width: Inches.
    """
    figure, (field,) = panels(width, 1, height=2.8)
    longest = 0
    for index, (subject, words) in enumerate(found):
        label = subject.label if len(found) > 1 else "trained"
        longest = max(longest, draw_line(field, words.accuracy, index, label))
        if index == len(found) - 1:
            letters = words.untrained_accuracy.letters
            shown = letters.counts >= LEAST_COUNT
            field.plot(letters.at[shown] + 1, letters.share[shown], **UNTRAINED, label="untrained")
    for index, (_, words) in enumerate(found):
        style = {"color": LINES[index]["color"], "marker": MARKERS[index], "markersize": 6}
        field.plot([longest + 1], [words.accuracy.space], linestyle="none", **style)
    known = {subject.task.baseline_on("test").accuracy for subject, _ in found if subject.task is not None}
    for index, value in enumerate(sorted(known)):
        level(field, value, "" if index else "n-gram, all characters")
    field.set_xticks(range(1, longest + 2), [*map(str, range(1, longest + 1)), SPACE])
    field.set_ylim(-0.03, 1.03)
    name_axes(field, f"place of the letter in its word ({SPACE}: space)", "share predicted rightly")
    legend_below(figure, field, width)
    return figure


def draw_line(field: Any, accuracy: WordAccuracy, index: int, label: str) -> int:
    """Draw the letters of a run, and return the last place that is shown."""
    shown = accuracy.letters.counts >= LEAST_COUNT
    at = accuracy.letters.at[shown] + 1
    field.plot(at, accuracy.letters.share[shown], **LINES[index], marker=MARKERS[index], markersize=4, label=label)
    return int(at.max(initial=1))


def lexicon_share(text: str, lexicon: frozenset[str]) -> float:
    """Share of a text's words that are in a lexicon, without its first and last, which may be cut; NaN without others.

    Example:
        >>> lexicon_share("oy the cat tha ca", frozenset({"the", "cat"}))
        0.6666666666666666
    """
    words = text.split()[1:-1]
    return sum(word in lexicon for word in words) / len(words) if words else float("nan")


def lexicon_of(task: LanguageTask) -> frozenset[str]:
    """The words of Elman's grammar, or else those of the training text.

    Args:
        task: The task.
    """
    train = frozenset(task.text("train").split())
    return ELMAN.lexicon if ELMAN.lexicon.issuperset(train) else train


def lexicon_table(subjects: Sequence[Subject]) -> tuple[Table | None, dict[str, Any]]:
    """How many of the words that networks write are words, and the numbers; None where none writes any.

    Args:
        subjects: The runs.
    """
    rows, numbers = [], {}
    for subject in subjects:
        model, untrained = subject.model, subject.untrained
        writes = isinstance(subject.task, LanguageTask) and isinstance(model, LanguageModel)
        if not writes or not isinstance(untrained, LanguageModel) or not isinstance(subject.task, LanguageTask):
            continue
        assert isinstance(model, LanguageModel)
        lexicon = lexicon_of(subject.task)
        prefix = subject.task.vocabulary.prefix or subject.task.vocabulary.characters[:1]
        shares = {t: lexicon_share(model.generate(prefix, WRITTEN, t, seed=0), lexicon) for t in TEMPERATURES}
        before = lexicon_share(untrained.generate(prefix, WRITTEN, 1.0, seed=0), lexicon)
        numbers[subject.label] = {"temperature": {str(t): share for t, share in shares.items()}, "untrained": before}
        if not all(math.isnan(share) for share in shares.values()):
            who = subject.label if len(subjects) > 1 else "words in the lexicon"
            rows.append([who, *("-" if math.isnan(s) else f"{s:.1%}" for s in (*shares.values(), before))])
    caption = (
        f"Share of the words it writes that are words of the grammar, or of the training text: {WRITTEN:,} characters "
        "at each temperature T, seed 0; the untrained network at T 1."
    )
    columns = ["", *(f"T {t:g}" for t in TEMPERATURES), "untrained"]
    return (Table(caption, columns, rows) if rows else None), numbers
