"""Hidden states of words in a text: means, clusters, and prediction accuracy by position in the word."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rnn_tasks.analysis.accuracy import Shares, share_by_group
from rnn_tasks.analysis.arrays import Floats, Integers, Values, floats, integers
from rnn_tasks.errors import UsageError, require
from rnn_tasks.spec.vocabulary import Vocabulary

Metric = Literal["euclidean", "cosine"]


class WordStates(NamedTuple):
    """Mean hidden states of words.

    Attributes:
        words: The different words, sorted.
        states: Mean state over the occurrences of each word, ``(words, hidden)``.
        counts: The number of occurrences of each word, ``(words,)``.
    """

    words: tuple[str, ...]
    states: Floats
    counts: Integers


def _is_space(symbols: Integers, vocabulary: Vocabulary) -> NDArray[np.bool_]:
    """Return whether each symbol is white space; the unknown character is not."""
    unknown = symbols[(symbols < 0) | (symbols >= len(vocabulary))]
    if unknown.size:
        raise UsageError(f"symbols must be in 0..{len(vocabulary) - 1}, the vocabulary, got {unknown.flat[0]}")
    return np.array([False, *map(str.isspace, vocabulary.characters)])[symbols]


def word_states(states: Values, text: str | Values, vocabulary: Vocabulary, after_space: bool = False) -> WordStates:
    """Return the mean hidden state of each word of a text, over all occurrences of the word.

    A word is a run of characters between white space. The first and the last word of a sequence may be cut off, so they
    only count if there is white space before and after them.

    Source: J. L. Elman, "Finding structure in time", Cognitive Science 14 (1990), averages the hidden vectors of each
    word over all its contexts.

    Args:
        states: Hidden states after each character, ``(time, hidden)`` or ``(sequences, time, hidden)``.
        text: The text, ``time`` characters, or its symbols, ``(time,)`` or ``(sequences, time)``.
        vocabulary: The characters of the symbols.
        after_space: Whether to use the state after the space that follows the word, instead of the state after the last
            character. Only after the space the network knows that the word has ended: ``the`` could become ``them``.

    Raises:
        UsageError: Shapes that do not fit, symbols outside the vocabulary, or a text without a whole word.

    Example:
        >>> text = " ab b ab "
        >>> means = word_states(np.arange(9.0)[:, None], text, Vocabulary.from_text(text))
        >>> means.words, means.states.ravel().tolist(), means.counts.tolist()
        (('ab', 'b'), [4.5, 4.0], [2, 1])
    """
    symbols = vocabulary.encode(text) if isinstance(text, str) else text
    hidden = floats(states, "states", symbols.ndim + 1)
    read = integers(symbols, "the text's symbols", hidden.shape[:-1])
    hidden, read = hidden.reshape(-1, *hidden.shape[-2:]), read.reshape(-1, read.shape[-1])
    sums: dict[str, Floats] = {}
    counts: dict[str, int] = {}
    for row_symbols, is_space, row_states in zip(read, _is_space(read, vocabulary), hidden, strict=True):
        spaces = np.flatnonzero(is_space).tolist()
        for before, after in pairwise(spaces):
            if after - before > 1:
                word = vocabulary.decode(row_symbols[before + 1 : after].tolist())
                sums[word] = sums.get(word, 0.0) + row_states[after if after_space else after - 1]
                counts[word] = counts.get(word, 0) + 1
    require(bool(counts), "the text has no whole word with white space before and after it")
    words = tuple(sorted(counts))
    occurrences = np.array([counts[word] for word in words])
    return WordStates(words, np.array([sums[word] for word in words]) / occurrences[:, None], occurrences)


def word_linkage(states: Values, metric: Metric = "euclidean") -> Floats:
    """Cluster words hierarchically by average linkage.

    Source: Elman (1990) clusters the mean hidden vectors of words by their Euclidean distance. Hidden states often have
    a large common mean; subtract it before you use ``cosine``.

    Args:
        states: The state of each word, ``(words, hidden)``, at least two words.
        metric: ``euclidean`` or ``cosine``.

    Returns:
        SciPy's linkage matrix, ``(words - 1, 4)``: row i joins the clusters in columns 0 and 1 into cluster
        ``words + i``; column 2 is the mean distance, column 3 the size of the new cluster.

    Raises:
        UsageError: Fewer than two words, or ``cosine`` with a state of zeros.

    Example:
        >>> word_linkage(np.array([[0.0], [1.0], [5.0]])).tolist()
        [[0.0, 1.0, 1.0, 2.0], [2.0, 3.0, 4.5, 3.0]]
    """
    from scipy.cluster import hierarchy  # slow to import

    hidden = floats(states, "states", 2)
    require(len(hidden) >= 2, f"there must be at least two words, got {len(hidden)}")
    require(
        metric != "cosine" or bool(hidden.any(axis=1).all()), "a state of zeros has no angle: use metric='euclidean'"
    )
    linkage: Floats = hierarchy.linkage(hidden, method="average", metric=metric)
    return linkage


class Dendrogram(NamedTuple):
    """The lines of a dendrogram; leaf i is at the position ``10 * i + 5``.

    Attributes:
        words: The words in the order of the leaves.
        positions: Positions of the four corners of each join, ``(words - 1, 4)``.
        heights: Heights of the four corners of each join, as distances, ``(words - 1, 4)``.
    """

    words: tuple[str, ...]
    positions: Floats
    heights: Floats


def dendrogram(linkage: Floats, words: Sequence[str]) -> Dendrogram:
    """Return the lines of the dendrogram of words.

    Args:
        linkage: The result of :func:`word_linkage`.
        words: The words, in the order of the states.

    Raises:
        UsageError: The number of words does not fit the linkage.

    Example:
        >>> dendrogram(word_linkage(np.array([[0.0], [5.0], [1.0]])), ["cat", "eat", "dog"]).words
        ('eat', 'cat', 'dog')
    """
    from scipy.cluster import hierarchy  # slow to import

    require(len(words) == len(linkage) + 1, f"the linkage joins {len(linkage) + 1} words, got {len(words)}")
    lines = hierarchy.dendrogram(linkage, labels=list(words), no_plot=True)
    return Dendrogram(tuple(lines["ivl"]), np.array(lines["icoord"]), np.array(lines["dcoord"]))


class ClusterPurity(NamedTuple):
    """The agreement of clusters of words with categories.

    Attributes:
        purity: Share of the words that belong to the most common category of their cluster.
        p_value: Share of permutations with at least this purity; the true labels count as one permutation.
        permuted: Mean purity of the same clusters with permuted labels.
        band: Central 95 % interval of the purity with permuted labels.
        random_states: Mean purity of clusters of random states.
        clusters: The cluster of each word, in 1..number of clusters, ``(words,)``.
    """

    purity: float
    p_value: float
    permuted: float
    band: tuple[float, float]
    random_states: float
    clusters: Integers


def purity(clusters: Integers, categories: Integers) -> float:
    """Return the share of members that belong to the most common category of their cluster.

    Args:
        clusters: The cluster of each member, ``(members,)``.
        categories: The category of each member, ``(members,)``.

    Example:
        >>> purity(np.array([1, 1, 1, 2]), np.array([0, 0, 5, 5]))
        0.75
    """
    _, row = np.unique(clusters, return_inverse=True)
    _, column = np.unique(categories, return_inverse=True)
    table = np.zeros((row.max() + 1, column.max() + 1), dtype=np.int64)
    np.add.at(table, (row, column), 1)
    return float(table.max(axis=1).sum() / len(row))


def cluster_purity(
    states: Values,
    categories: Sequence[str],
    num_clusters: int | None = None,
    metric: Metric = "euclidean",
    num_permutations: int = 999,
    num_random: int = 20,
    seed: int = 0,
) -> ClusterPurity:
    """Cluster the states of words, and measure how well the clusters agree with the categories of the words.

    Purity is also high if there are many clusters, or if one category is common. So compare it with the purity of the
    same clusters with permuted labels, and with the purity of clusters of normal random states.

    Source: the p-value counts the true labels as one permutation, so it is never 0 (Phipson and Smyth, "Permutation
    p-values should never be zero", Statistical Applications in Genetics and Molecular Biology 9, 2010).

    Args:
        states: The state of each word, ``(words, hidden)``.
        categories: The category of each word.
        num_clusters: The number of clusters, ``1..words``; None for the number of categories. If distances are equal,
            there can be fewer clusters.
        metric: ``euclidean`` or ``cosine``, see :func:`word_linkage`.
        num_permutations: The number of permutations of the labels, ``>= 1``.
        num_random: The number of random sets of states, ``>= 1``.
        seed: Random seed of the permutations and of the random states, ``>= 0``.

    Raises:
        UsageError: A value outside its bounds, or different numbers of categories and words.

    Example:
        >>> states = np.array([[0.0], [0.1], [0.2], [5.0], [5.1], [5.2]])
        >>> cluster_purity(states, ["NOUN"] * 3 + ["VERB"] * 3).purity
        1.0
    """
    from scipy.cluster import hierarchy  # slow to import

    hidden = floats(states, "states", 2)
    require(len(categories) == len(hidden), f"there are {len(hidden)} states and {len(categories)} categories")
    _, labels = np.unique(np.array(categories), return_inverse=True)
    num_clusters = len(set(categories)) if num_clusters is None else num_clusters
    require(1 <= num_clusters <= len(hidden), f"num_clusters must be in 1..words ({len(hidden)}), got {num_clusters}")
    for name, value in {"num_permutations": num_permutations, "num_random": num_random}.items():
        require(value >= 1, f"{name} must be at least 1, got {value}")
    require(seed >= 0, f"seed must be at least 0, got {seed}")
    rng = np.random.default_rng(seed)

    def find_clusters(hidden: Floats) -> Integers:
        return np.asarray(hierarchy.fcluster(word_linkage(hidden, metric), num_clusters, "maxclust"), dtype=np.int64)

    clusters = find_clusters(hidden)
    true = purity(clusters, labels)
    permuted = np.array([purity(clusters, rng.permutation(labels)) for _ in range(num_permutations)])
    random = [purity(find_clusters(rng.standard_normal(hidden.shape)), labels) for _ in range(num_random)]
    low, high = np.quantile(permuted, [0.025, 0.975]).tolist()
    as_pure = int((permuted >= true).sum())  # ties are exact: all purities are integers divided by the same number
    p_value = (1 + as_pure) / (1 + num_permutations)
    return ClusterPurity(true, p_value, float(permuted.mean()), (low, high), float(np.mean(random)), clusters)


class WordAccuracy(NamedTuple):
    """The accuracy of next-character prediction in words.

    Attributes:
        letters: The accuracy by position in the word, 0 for the first character.
        space: Share of correctly predicted spaces after words; NaN if there are none.
        num_spaces: The number of these spaces.
    """

    letters: Shares
    space: float
    num_spaces: int


def accuracy_by_position(predicted: Values, symbols: Values, vocabulary: Vocabulary) -> WordAccuracy:
    """Return the accuracy of next-character prediction, by the position in the word of the predicted character.

    The first character of a word is hard to predict, and later characters are easier (Elman 1990). The space after a
    word is counted separately: it shows whether the network knows where words end. Characters before the first white
    space of a sequence do not count, since their position is unknown.

    Args:
        predicted: The predicted next symbol after each symbol, ``(sequences, time)``, or logits,
            ``(sequences, time, vocabulary)``. The prediction after the last symbol is not scored.
        symbols: The symbols that the network read, ``(sequences, time)``.
        vocabulary: The characters of the symbols.

    Raises:
        UsageError: Shapes that do not fit, symbols outside the vocabulary, or no character of a word with white space
            before it.

    Example:
        >>> vocabulary = Vocabulary("ab ")
        >>> text = vocabulary.encode(" ab a ")[None]
        >>> accuracy = accuracy_by_position(vocabulary.encode("a  ab ")[None], text, vocabulary)
        >>> accuracy.letters.share.tolist(), accuracy.space
        ([1.0, 0.0], 0.5)
    """
    require(symbols.ndim == 2, f"symbols must be (sequences, time), got the shape {tuple(symbols.shape)}")
    read = integers(symbols, "symbols", tuple(symbols.shape))
    answers = floats(predicted, "logits", 3).argmax(axis=-1) if predicted.ndim == 3 else predicted
    correct = integers(answers, "predicted", read.shape)[:, :-1] == read[:, 1:]
    is_space = _is_space(read, vocabulary)
    time = np.arange(read.shape[1])
    last_space = np.maximum.accumulate(np.where(is_space, time, -1), axis=1)
    position = (time - last_space - 1)[:, 1:]
    in_word = ~is_space[:, 1:] & (last_space[:, 1:] >= 0)
    require(bool(in_word.any()), "the text has no whole word: no white space is followed by another character")
    # Spaces that follow a letter of a whole word.
    after_word = is_space[:, 1:] & ~is_space[:, :-1] & (last_space[:, :-1] >= 0)
    num_spaces = int(after_word.sum())
    space = float(correct[after_word].mean()) if num_spaces else float("nan")
    return WordAccuracy(share_by_group(correct[in_word], position[in_word]), space, num_spaces)
