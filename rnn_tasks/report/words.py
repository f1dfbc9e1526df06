"""Words in the hidden state of a network that reads characters, and words that it writes."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from rnn_tasks.analysis import hidden_states
from rnn_tasks.analysis.words import (
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
from rnn_tasks.errors import UsageError
from rnn_tasks.networks import LanguageNetwork, Network
from rnn_tasks.report.answers import answers
from rnn_tasks.report.blocks import Table
from rnn_tasks.report.run_data import TEXT_LENGTH, RunData
from rnn_tasks.spec import Batch
from rnn_tasks.tasks.language_task import LanguageTask, cut_rows
from rnn_tasks.texts.grammar import ELMAN, lexicon_share

MAX_CHARACTERS = 60_000
"""Characters of the test text that are read for the states of words."""

MAX_WORDS = 48
"""Words that are looked at, the commonest ones."""

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
    """What was measured of a run.

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


def first_rows(task: LanguageTask, max_characters: int) -> Batch:
    """Return the first part of the test text, in rows that are read from a state of zeros.

    Args:
        task: The task.
        max_characters: Characters at most.
    """
    symbols = task.symbols("test")[: max_characters + 1]
    return cut_rows(symbols, min(TEXT_LENGTH, len(symbols) - 1))


def words_of(run: RunData) -> Words | None:
    """Measure the words in a run's states; None if it does not read a text.

    Args:
        run: The run.

    Raises:
        UsageError: The text has no words, or the network has diverged.
    """
    if not isinstance(run.task, LanguageTask):
        return None
    text = first_rows(run.task, MAX_CHARACTERS)
    vocabulary = run.task.vocabulary

    def accuracy(network: Network) -> WordAccuracy:
        return accuracy_by_position(answers(network, text), text.inputs, vocabulary)

    return Words(
        read_by(run.network, text, run.task),
        read_by(run.untrained, text, run.task),
        accuracy(run.network),
        accuracy(run.untrained),
    )


def read_by(network: Network, text: Batch, task: LanguageTask) -> Read:
    """Measure the words in a network's states.

    Args:
        network: The network.
        text: What it reads.
        task: Knows the characters.

    Raises:
        UsageError: The text has no words, or the network has diverged.
    """
    states = hidden_states(network, text)
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


def commonest(words: WordStates, count: int = MAX_WORDS) -> WordStates:
    """Return the most frequent words, in alphabetical order.

    Args:
        words: The words.
        count: The number of words to return, at most.

    Example:
        >>> commonest(WordStates(("a", "b"), np.zeros((2, 1)), np.array([1, 5]))).words
        ('a', 'b')
    """
    kept = np.sort((-words.counts).argsort(kind="stable")[:count])
    return WordStates(tuple(words.words[index] for index in kept), words.states[kept], words.counts[kept])


def centred(words: WordStates) -> Any:
    """Return states less their mean, which would make all angles small."""
    return words.states - words.states.mean(axis=0)


def purity_table(found: Sequence[tuple[str, Words]]) -> Table | None:
    """Return a table of the purity of clusters; None if words have no categories.

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


def lexicon_of(task: LanguageTask) -> frozenset[str]:
    """Return the words of Elman's grammar if the task is made of them, else those of the training text.

    Args:
        task: The task.
    """
    train = frozenset(task.text("train").split())
    return ELMAN.lexicon if ELMAN.lexicon.issuperset(train) else train


def written_share(network: LanguageNetwork, prefix: str, temperature: float, lexicon: frozenset[str]) -> float:
    """Return the share of a lexicon's words among those that a network writes; NaN if it writes no whole word.

    Args:
        network: The network.
        prefix: What it reads first.
        temperature: Temperature of its samples.
        lexicon: The words.
    """
    try:
        return lexicon_share(network.generate(prefix, WRITTEN, temperature, seed=0), lexicon)
    except UsageError:
        return math.nan


def lexicon_table(runs: Sequence[RunData]) -> tuple[Table | None, dict[str, Any]]:
    """Return how many of the words that networks write are in the lexicon; no table if no network writes words.

    Args:
        runs: The runs.
    """
    rows, numbers = [], {}
    for run in runs:
        network, untrained = run.network, run.untrained
        writes = isinstance(run.task, LanguageTask) and isinstance(network, LanguageNetwork)
        if not writes or not isinstance(untrained, LanguageNetwork) or not isinstance(run.task, LanguageTask):
            continue
        assert isinstance(network, LanguageNetwork)
        lexicon = lexicon_of(run.task)
        prefix = run.task.vocabulary.prefix or run.task.vocabulary.characters[:1]
        shares = {t: written_share(network, prefix, t, lexicon) for t in TEMPERATURES}
        before = written_share(untrained, prefix, 1.0, lexicon)
        numbers[run.label] = {"temperature": {str(t): share for t, share in shares.items()}, "untrained": before}
        if not all(math.isnan(share) for share in shares.values()):
            who = run.label if len(runs) > 1 else "words in the lexicon"
            rows.append([who, *("-" if math.isnan(s) else f"{s:.1%}" for s in (*shares.values(), before))])
    caption = (
        f"Share of the words it writes that are words of the grammar, or of the training text: {WRITTEN:,} characters "
        "at each temperature T, seed 0; the untrained network at T 1."
    )
    columns = ["", *(f"T {t:g}" for t in TEMPERATURES), "untrained"]
    return (Table(caption, columns, rows) if rows else None), numbers
