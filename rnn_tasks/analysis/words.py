"""What the hidden states of a network that reads a text say about words and their categories."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rnn_tasks.analysis.accuracy import Shares, shares
from rnn_tasks.analysis.arrays import Floats, Integers, Values, floats, integers
from rnn_tasks.errors import require
from rnn_tasks.spec.vocabulary import Vocabulary

Metric = Literal["euclidean", "cosine"]


class WordStates(NamedTuple):
    """Mean hidden states of words.

    Attributes:
        words: Each word once, sorted.
        states: Mean over its occurrences, ``(words, hidden)``.
        counts: Its occurrences, ``(words,)``.
    """

    words: tuple[str, ...]
    states: Floats
    counts: Integers


def _spaces(symbols: Integers, vocabulary: Vocabulary) -> NDArray[np.bool_]:
    """Whether each symbol is white space; the unknown one is not."""
    require(
        bool((symbols >= 0).all() and (symbols < len(vocabulary)).all()), "a symbol is not one of this vocabulary's"
    )
    return np.array([False, *map(str.isspace, vocabulary.characters)])[symbols]


def word_states(states: Values, text: str | Values, vocabulary: Vocabulary, after_space: bool = False) -> WordStates:
    """The mean hidden state of each word of a text, where the network has read it.

    A word is what stands between white space. The first and the last word of a sequence may be cut and do not count,
    unless there is white space before and behind them.

    Source: J. L. Elman, "Finding structure in time", Cognitive Science 14 (1990), takes the mean of a word's hidden
    vectors over all its contexts.

    Args:
        states: Hidden states after each character, ``(time, hidden)`` or ``(sequences, time, hidden)``.
        text: What was read: a text of ``time`` characters, or symbols, ``(time,)`` or ``(sequences, time)``.
        vocabulary: The characters of the symbols.
        after_space: Whether the state is that after the space behind the word, instead of that after its last
            character. After the space the network knows that the word has ended: ``the`` is not yet ``them``.

    Raises:
        UsageError: Shapes that do not fit, symbols that the vocabulary does not have, or no whole word.

    Example:
        >>> text = " ab b ab "
        >>> found = word_states(np.arange(9.0)[:, None], text, Vocabulary.from_text(text))
        >>> found.words, found.states.ravel().tolist(), found.counts.tolist()
        (('ab', 'b'), [4.5, 4.0], [2, 1])
    """
    symbols = vocabulary.encode(text) if isinstance(text, str) else text
    hidden = floats(states, "states", symbols.ndim + 1)
    read = integers(symbols, "the text's symbols", hidden.shape[:-1])
    hidden, read = hidden.reshape(-1, *hidden.shape[-2:]), read.reshape(-1, read.shape[-1])
    sums: dict[str, Floats] = {}
    counts: dict[str, int] = {}
    for row, spaces, of_row in zip(read, _spaces(read, vocabulary), hidden, strict=True):
        places = np.flatnonzero(spaces)
        for before, behind in zip(places[:-1].tolist(), places[1:].tolist(), strict=True):
            if behind - before > 1:
                word = vocabulary.decode(row[before + 1 : behind].tolist())
                sums[word] = sums.get(word, 0.0) + of_row[behind if after_space else behind - 1]
                counts[word] = counts.get(word, 0) + 1
    require(bool(counts), "the text has no whole word, with white space before and behind it")
    words = tuple(sorted(counts))
    occurrences = np.array([counts[word] for word in words])
    return WordStates(words, np.array([sums[word] for word in words]) / occurrences[:, None], occurrences)


def word_linkage(states: Values, metric: Metric = "euclidean") -> Floats:
    """Which words are nearest one another, then which groups of them: average linkage, as SciPy has it.

    Source: Elman (1990) clusters the mean hidden vectors of words by their Euclidean distance. Hidden states often
    share a large mean; subtract it before the angle between them (``cosine``) is asked for.

    Args:
        states: ``(words, hidden)``, at least two words.
        metric: ``euclidean`` or ``cosine``.

    Returns:
        Row i joins the groups of columns 0 and 1 into group ``words + i``, at the mean distance of column 2; column 3
        is its size. ``(words - 1, 4)``.

    Raises:
        UsageError: Fewer than two words, or a state of zeros, which has no angle.

    Example:
        >>> word_linkage(np.array([[0.0], [1.0], [5.0]])).tolist()
        [[0.0, 1.0, 1.0, 2.0], [2.0, 3.0, 4.5, 3.0]]
    """
    from scipy.cluster import hierarchy  # takes a while to load

    hidden = floats(states, "states", 2)
    require(len(hidden) >= 2, f"there must be at least two words, got {len(hidden)}")
    require(
        metric != "cosine" or bool(hidden.any(axis=1).all()), "a state of zeros has no angle: use the metric euclidean"
    )
    linkage: Floats = hierarchy.linkage(hidden, method="average", metric=metric)
    return linkage


class Dendrogram(NamedTuple):
    """The lines of a dendrogram; leaf i stands at ``10 * i + 5``.

    Attributes:
        words: In the order in which they stand.
        places: Where the four corners of each join stand, ``(words - 1, 4)``.
        heights: Their distances, ``(words - 1, 4)``.
    """

    words: tuple[str, ...]
    places: Floats
    heights: Floats


def dendrogram(linkage: Floats, words: Sequence[str]) -> Dendrogram:
    """What a dendrogram of words draws.

    Args:
        linkage: As :func:`word_linkage` returns it.
        words: The words, in the order of the states.

    Raises:
        UsageError: Another number of words.

    Example:
        >>> dendrogram(word_linkage(np.array([[0.0], [5.0], [1.0]])), ["cat", "eat", "dog"]).words
        ('eat', 'cat', 'dog')
    """
    from scipy.cluster import hierarchy  # takes a while to load

    require(len(words) == len(linkage) + 1, f"the linkage joins {len(linkage) + 1} words, got {len(words)}")
    drawn = hierarchy.dendrogram(linkage, labels=list(words), no_plot=True)
    return Dendrogram(tuple(drawn["ivl"]), np.array(drawn["icoord"]), np.array(drawn["dcoord"]))


class ClusterPurity(NamedTuple):
    """How well clusters of words are categories.

    Attributes:
        purity: Share of the words that are in the commonest category of their cluster.
        p_value: Share of permutations that are at least as pure, the true labels counted as one of them.
        permuted: Mean purity of the same clusters with permuted labels.
        band: Where 95 % of these purities lie.
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
    """Share of the members that are in the commonest category of their cluster.

    Args:
        clusters: Of each member, ``(members,)``.
        categories: Of each member, ``(members,)``.

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
    """Whether words of a category have hidden states near one another.

    Purity alone says little: it is high where there are many clusters, or where one category is common. So it stands
    beside that of the same clusters with permuted labels, and beside that of clusters of normal random states.

    Source: the p value counts the true labels among the permutations, so that it is never 0 (Phipson and Smyth,
    "Permutation p-values should never be zero", Statistical Applications in Genetics and Molecular Biology 9, 2010).

    Args:
        states: A state for each word, ``(words, hidden)``.
        categories: The category of each word.
        num_clusters: Clusters, ``1..words``; None for the number of categories. Words at equal distances can make
            them fewer.
        metric: ``euclidean`` or ``cosine``, see :func:`word_linkage`.
        num_permutations: Permutations, ``>= 1``.
        num_random: Random states, ``>= 1``.
        seed: Seed of both, ``>= 0``.

    Raises:
        UsageError: A value outside its bounds, or another number of categories than of words.

    Example:
        >>> states = np.array([[0.0], [0.1], [0.2], [5.0], [5.1], [5.2]])
        >>> cluster_purity(states, ["NOUN"] * 3 + ["VERB"] * 3).purity
        1.0
    """
    from scipy.cluster import hierarchy  # takes a while to load

    hidden = floats(states, "states", 2)
    require(len(categories) == len(hidden), f"there are {len(hidden)} states and {len(categories)} categories")
    _, labels = np.unique(np.array(categories), return_inverse=True)
    wanted = len(set(categories)) if num_clusters is None else num_clusters
    require(1 <= wanted <= len(hidden), f"num_clusters must be in 1..{len(hidden)}, the words, got {wanted}")
    for name, value in {"num_permutations": num_permutations, "num_random": num_random}.items():
        require(value >= 1, f"{name} must be at least 1, got {value}")
    require(seed >= 0, f"seed must be at least 0, got {seed}")
    rng = np.random.default_rng(seed)

    def clusters_of(given: Floats) -> Integers:
        return np.asarray(hierarchy.fcluster(word_linkage(given, metric), wanted, "maxclust"), dtype=np.int64)

    clusters = clusters_of(hidden)
    found = purity(clusters, labels)
    permuted = np.array([purity(clusters, rng.permutation(labels)) for _ in range(num_permutations)])
    random = [purity(clusters_of(rng.standard_normal(hidden.shape)), labels) for _ in range(num_random)]
    low, high = np.quantile(permuted, [0.025, 0.975]).tolist()
    as_pure = int((permuted >= found).sum())  # whole numbers over the same number: ties are exact
    p_value = (1 + as_pure) / (1 + num_permutations)
    return ClusterPurity(found, p_value, float(permuted.mean()), (low, high), float(np.mean(random)), clusters)


class WordAccuracy(NamedTuple):
    """How well the characters of words are predicted.

    Attributes:
        letters: By the place in the word, 0 for its first character.
        space: Share of the spaces behind words that were predicted; NaN where there is none.
        num_spaces: These spaces.
    """

    letters: Shares
    space: float
    num_spaces: int


def accuracy_by_position(predicted: Values, symbols: Values, vocabulary: Vocabulary) -> WordAccuracy:
    """The accuracy of next-character prediction, by the place in the word of the character to be predicted.

    Where words can be told apart the first character is hard, and the later ones are easier (Elman 1990). The space
    behind a word is apart from its letters: it says whether the network knows where words end. What stands before the
    first white space of a sequence has no known place and does not count.

    Args:
        predicted: For each character that was read, the symbol that the network expects next, ``(sequences, time)``, or
            its logits, ``(sequences, time, vocabulary)``.
        symbols: What was read, ``(sequences, time)``; behind the last one nothing is known, so it is not scored.
        vocabulary: The characters of the symbols.

    Raises:
        UsageError: Shapes that do not fit, symbols that the vocabulary does not have, or no character of a word with
            white space before it.

    Example:
        >>> vocabulary = Vocabulary("ab ")
        >>> text = vocabulary.encode(" ab a ")[None]
        >>> found = accuracy_by_position(vocabulary.encode("a  ab ")[None], text, vocabulary)
        >>> found.letters.share.tolist(), found.space
        ([1.0, 0.0], 0.5)
    """
    require(symbols.ndim == 2, f"symbols must be (sequences, time), got the shape {tuple(symbols.shape)}")
    read = integers(symbols, "symbols", tuple(symbols.shape))
    answers = floats(predicted, "logits", 3).argmax(axis=-1) if predicted.ndim == 3 else predicted
    right = integers(answers, "predicted", read.shape)[:, :-1] == read[:, 1:]
    spaces = _spaces(read, vocabulary)
    time = np.arange(read.shape[1])
    last_space = np.maximum.accumulate(np.where(spaces, time, -1), axis=1)
    place = (time - last_space - 1)[:, 1:]
    in_word = ~spaces[:, 1:] & (last_space[:, 1:] >= 0)
    require(bool(in_word.any()), "no character of a word has white space before it")
    # A space behind a letter whose own place is known: its word is whole.
    behind = spaces[:, 1:] & ~spaces[:, :-1] & (last_space[:, :-1] >= 0)
    num_spaces = int(behind.sum())
    space = float(right[behind].mean()) if num_spaces else float("nan")
    return WordAccuracy(shares(right[in_word], place[in_word]), space, num_spaces)
