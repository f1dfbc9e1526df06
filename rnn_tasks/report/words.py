"""Words in the hidden states of networks that read characters, and words that these networks generate."""

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
from rnn_tasks.report.run_data import TEXT_LENGTH, RunData, letter_of
from rnn_tasks.spec import Batch
from rnn_tasks.tasks.language_task import LanguageTask, cut_rows
from rnn_tasks.texts.grammar import ELMAN, lexicon_share

MAX_CHARACTERS = 60_000
"""Largest number of characters of the test text for the states of words."""

MAX_WORDS = 48
"""Largest number of words; the most frequent words are used."""

PLACES = {"after the last letter": False, "after the space behind": True}
METRICS: dict[str, Metric] = {"distance": "euclidean", "angle": "cosine"}
DRAWN = ("after the last letter", "angle")
"""Place and metric of the dendrogram; the table contains all places and metrics."""

PRINTED = {
    "after the space behind": "after the following space",
    "distance": "Euclidean distance",
    "angle": "cosine distance",
}
"""Names of places and metrics in the table, where they differ from the keys of ``analysis.json``."""

TEMPERATURES = (0.5, 0.7, 1.0)
GENERATED = 1500
"""Number of generated characters for the share of words in the lexicon."""


class WordsOfNetwork(NamedTuple):
    """Measurements of the words in the hidden states of a network.

    Attributes:
        words: The mean states of words, by the place in the text at which the states were read.
        tree: The dendrogram of the words.
        purity: The cluster purity by place and metric; None if the words have no known categories.
    """

    words: dict[str, WordStates]
    tree: Dendrogram
    purity: dict[tuple[str, str], ClusterPurity] | None


class Words(NamedTuple):
    """Measurements of the words in the hidden states of a run.

    Attributes:
        trained: The measurements of the trained network.
        untrained: The measurements of the network before training.
        accuracy: The accuracy of the trained network by position in the word.
        untrained_accuracy: The accuracy of the network before training by position in the word.
    """

    trained: WordsOfNetwork
    untrained: WordsOfNetwork
    accuracy: WordAccuracy
    untrained_accuracy: WordAccuracy


def first_rows(task: LanguageTask, max_characters: int) -> Batch:
    """Return the beginning of the test text, in rows that a network reads from a state of zeros.

    Args:
        task: The task.
        max_characters: The largest number of characters.
    """
    symbols = task.symbols("test")[: max_characters + 1]
    return cut_rows(symbols, min(TEXT_LENGTH, len(symbols) - 1))


def words_of(run: RunData) -> Words | None:
    """Measure the words in the hidden states of a run; return None if the run is not on a text.

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
        words_of_network(run.network, text, run.task),
        words_of_network(run.untrained, text, run.task),
        accuracy(run.network),
        accuracy(run.untrained),
    )


def words_of_network(network: Network, text: Batch, task: LanguageTask) -> WordsOfNetwork:
    """Measure the words in the hidden states of a network.

    Args:
        network: The network.
        text: The text that the network reads.
        task: The task of the text.

    Raises:
        UsageError: The text has no words, or the network has diverged.
    """
    states = hidden_states(network, text)
    by_place = {
        place: most_frequent(word_states(states, text.inputs, task.vocabulary, after_space))
        for place, after_space in PLACES.items()
    }
    drawn = by_place[DRAWN[0]]
    tree = dendrogram(word_linkage(centred(drawn), METRICS[DRAWN[1]]), drawn.words)
    categories = {place: ELMAN.categories_of(words.words) for place, words in by_place.items()}
    if not all(categories.values()):
        return WordsOfNetwork(by_place, tree, None)
    purity = {
        (place, name): cluster_purity(centred(words), categories[place], metric=metric)
        for place, words in by_place.items()
        for name, metric in METRICS.items()
    }
    return WordsOfNetwork(by_place, tree, purity)


def most_frequent(words: WordStates, count: int = MAX_WORDS) -> WordStates:
    """Return the most frequent words, in alphabetical order.

    Args:
        words: The words.
        count: The number of words to return, at most.

    Example:
        >>> most_frequent(WordStates(("a", "b"), np.zeros((2, 1)), np.array([1, 5]))).words
        ('a', 'b')
    """
    kept = np.sort((-words.counts).argsort(kind="stable")[:count])
    return WordStates(tuple(words.words[index] for index in kept), words.states[kept], words.counts[kept])


def centred(words: WordStates) -> Any:
    """Return states minus their mean, since a large common mean would make all angles small."""
    return words.states - words.states.mean(axis=0)


def purity_table(runs: Sequence[tuple[str, Words]]) -> Table | None:
    """Return a table of the purity of clusters; None if the words have no categories.

    Args:
        runs: The name and the words of each run.
    """
    rows = []
    for label, words in runs:
        for (place, metric), purity in (words.trained.purity or {}).items():
            untrained = (words.untrained.purity or {})[place, metric]
            parts = [PRINTED.get(place, place), PRINTED.get(metric, metric)]
            name = ", ".join([letter_of(label), *parts] if len(runs) > 1 else parts)
            values = purity.purity, purity.p_value, untrained.purity, untrained.p_value, purity.permuted
            rows.append([name, *(f"{value:.3f}" for value in values)])
    caption = (
        "Do words of the same category have similar hidden states? The states, read at the named place, are clustered "
        "by the named distance, with as many clusters as categories. Purity is the share of words that belong to the "
        "most frequent category of their cluster. Chance is the mean purity with permuted categories; p is the share "
        "of permutations with at least the same purity."
    )
    columns = ["", "purity, trained", "p", "purity, untrained", "p", "chance"]
    return Table(caption, columns, rows) if rows else None


def lexicon_of(task: LanguageTask) -> frozenset[str]:
    """Return the words of Elman's grammar if the task uses no others, else the words of the training text.

    Args:
        task: The task.
    """
    train = frozenset(task.text("train").split())
    return ELMAN.lexicon if ELMAN.lexicon.issuperset(train) else train


def generated_share(network: LanguageNetwork, prefix: str, temperature: float, lexicon: frozenset[str]) -> float:
    """Return the share of generated words that are in a lexicon; NaN if the network generates no whole word.

    Args:
        network: The network.
        prefix: The beginning of the text.
        temperature: The sampling temperature.
        lexicon: The words of the lexicon.
    """
    try:
        return lexicon_share(network.generate(prefix, GENERATED, temperature, seed=0), lexicon)
    except UsageError:
        return math.nan


def lexicon_table(runs: Sequence[RunData]) -> tuple[Table | None, dict[str, Any]]:
    """Return a table of the shares of generated words that are in the lexicon, and the shares by run.

    Args:
        runs: The runs.

    Returns:
        The table, or None if no network generates words; and the numbers.
    """
    rows, numbers = [], {}
    for run in runs:
        network, untrained = run.network, run.untrained
        if not isinstance(network, LanguageNetwork) or not isinstance(untrained, LanguageNetwork):
            continue
        if not isinstance(run.task, LanguageTask):
            continue
        lexicon = lexicon_of(run.task)
        prefix = run.task.vocabulary.prefix or run.task.vocabulary.characters[:1]
        shares = {t: generated_share(network, prefix, t, lexicon) for t in TEMPERATURES}
        before = generated_share(untrained, prefix, 1.0, lexicon)
        numbers[run.label] = {"temperature": {str(t): share for t, share in shares.items()}, "untrained": before}
        if not all(math.isnan(share) for share in shares.values()):
            name = run.label if len(runs) > 1 else "words in the lexicon"
            rows.append([name, *("-" if math.isnan(s) else f"{s:.1%}" for s in (*shares.values(), before))])
    caption = (
        f"The share of generated words that are words of the grammar or of the training text, in {GENERATED:,} "
        "characters generated at each sampling temperature T with seed 0."
    )
    columns = ["", *(f"T = {t:g}" for t in TEMPERATURES), "untrained, T = 1"]
    return (Table(caption, columns, rows) if rows else None), numbers
