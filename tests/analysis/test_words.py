from functools import partial
from typing import Any, cast

import numpy as np
import pytest
import torch
from scipy.cluster import hierarchy

from rnn_tasks.analysis.arrays import Floats
from rnn_tasks.analysis.words import (
    Metric,
    accuracy_by_position,
    cluster_purity,
    dendrogram,
    purity,
    word_linkage,
    word_states,
)
from rnn_tasks.cores import GRU
from rnn_tasks.errors import UsageError
from rnn_tasks.networks import LanguageNetwork
from rnn_tasks.spec import TaskSpec
from rnn_tasks.spec.vocabulary import Vocabulary
from rnn_tasks.texts.grammar import ELMAN

TEXT = ELMAN.corpus(60, seed=0)


VOCABULARY = Vocabulary.from_text(TEXT)


SPEC = TaskSpec(len(VOCABULARY), len(VOCABULARY), vocabulary=VOCABULARY)


def make_network(**options: Any) -> LanguageNetwork:
    return LanguageNetwork(partial(GRU, hidden_size=12), SPEC, **options)


def normal(*shape: int, seed: int = 0) -> Floats:
    return np.random.default_rng(seed).standard_normal(shape)


SHORT_TEXT = "e cat eats a cat  a do"


def test_word_states_average_the_states_of_each_word() -> None:
    """``e`` and ``do`` may be cut off; two spaces follow the second ``cat``."""
    states = np.stack([np.arange(22.0), -np.arange(22.0)], axis=1)
    vocabulary = Vocabulary.from_text(SHORT_TEXT)
    result = word_states(states, SHORT_TEXT, vocabulary)
    assert result.words == ("a", "cat", "eats")
    assert result.counts.tolist() == [2, 2, 1]
    assert result.states[:, 0].tolist() == [(11 + 18) / 2, (4 + 15) / 2, 9]
    assert (result.states[:, 1] == -result.states[:, 0]).all()
    after_space = word_states(states, SHORT_TEXT, vocabulary, after_space=True)
    assert after_space.states[:, 0].tolist() == [(12 + 19) / 2, (5 + 16) / 2, 10]


def test_word_states_do_not_join_words_of_two_sequences() -> None:
    vocabulary = Vocabulary(" abc")
    symbols = torch.stack([vocabulary.encode(" ab a"), vocabulary.encode("c ab?")])
    result = word_states(torch.arange(10.0).reshape(2, 5, 1), symbols, vocabulary)
    assert result.words == ("ab",)
    assert result.states.tolist() == [[2]]
    unknown = word_states(np.arange(4.0)[:, None], " a? ", vocabulary)
    assert unknown.words == ("a<unk>",)


def test_word_states_count_the_words_of_the_grammar() -> None:
    network = make_network()
    states, _ = network.core(network.encode_inputs(VOCABULARY.encode(TEXT)[None]))
    result = word_states(states[0], TEXT, VOCABULARY)
    words = TEXT.split()[1:-1]
    assert set(result.words) <= ELMAN.lexicon
    assert dict(zip(result.words, result.counts.tolist(), strict=True)) == {word: words.count(word) for word in words}
    assert result.states.shape == (len(set(words)), 12)


def test_word_states_raise_for_unusable_arguments() -> None:
    vocabulary = Vocabulary(" ab")
    with pytest.raises(UsageError, match="no whole word"):
        word_states(np.zeros((5, 1)), "ab  b", vocabulary)
    with pytest.raises(UsageError, match=r"the text's symbols must have the shape \(5,\), got \(4,\)"):
        word_states(np.zeros((5, 1)), " ab ", vocabulary)
    with pytest.raises(UsageError, match=r"symbols must be in 0\.\.3, the vocabulary, got 4"):
        word_states(np.zeros((3, 1)), np.array([1, 4, 1]), vocabulary)
    with pytest.raises(UsageError, match="states must have 2 dimensions"):
        word_states(np.zeros((1, 5, 1)), " ab a", vocabulary)


def average_linkage(distances: Floats, num_clusters: int) -> set[frozenset[int]]:
    """Cluster by joining the two groups with the smallest mean distance until ``num_clusters`` are left."""
    groups = [frozenset([member]) for member in range(len(distances))]
    while len(groups) > num_clusters:
        pairs = [(one, two) for index, one in enumerate(groups) for two in groups[:index]]
        one, two = min(pairs, key=lambda pair: np.mean([distances[a, b] for a in pair[0] for b in pair[1]]))
        groups = [group for group in groups if group not in (one, two)] + [one | two]
    return set(groups)


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_clusters_equal_average_linkage_in_python(metric: str) -> None:
    states = normal(12, 3)
    if metric == "euclidean":
        distances = np.linalg.norm(states[:, None] - states, axis=-1)
    else:
        unit = states / np.linalg.norm(states, axis=1, keepdims=True)
        distances = 1 - unit @ unit.T
    result = cluster_purity(states, [*"abcdabcdabcd"], 4, cast(Metric, metric), num_permutations=1).clusters
    assert {frozenset(np.flatnonzero(result == number)) for number in result} == average_linkage(distances, 4)


def test_dendrogram_has_the_heights_and_order_of_the_linkage() -> None:
    states = normal(7, 3)
    linkage = word_linkage(states)
    result = dendrogram(linkage, [*"abcdefg"])
    assert sorted(result.words) == [*"abcdefg"]
    assert sorted(result.heights.max(axis=1)) == pytest.approx(sorted(linkage[:, 2]))
    assert result.positions.shape == result.heights.shape == (6, 4)
    order = hierarchy.leaves_list(linkage)
    assert result.words == tuple("abcdefg"[leaf] for leaf in order)


def test_clusters_equal_to_the_categories_have_purity_1() -> None:
    centres = 10 * np.eye(4)
    categories = [name for name in "abcd" for _ in range(6)]
    states = np.repeat(centres, 6, axis=0) + 0.1 * normal(24, 4)
    result = cluster_purity(states, categories)
    assert result.purity == 1
    assert result.p_value == 1 / 1000
    assert result.band[0] <= result.permuted <= result.band[1] < 0.7
    assert result.random_states < 0.7
    assert len(set(zip(result.clusters, categories, strict=True))) == 4


def test_clusters_of_random_states_lie_within_the_band() -> None:
    categories = [name for name in "abcd" for _ in range(6)]
    result = [
        cluster_purity(normal(24, 4, seed=seed), categories, num_permutations=199, num_random=1) for seed in range(20)
    ]
    inside = [result.band[0] <= result.purity <= result.band[1] for result in result]
    assert sum(inside) >= 17
    assert sum(result.p_value <= 0.05 for result in result) <= 4
    # cluster_purity draws its random states from the same distribution.
    mean = cluster_purity(normal(24, 4, seed=99), categories, num_permutations=1, num_random=100).random_states
    assert mean == pytest.approx(np.mean([result.purity for result in result]), abs=0.05)


def test_purity_equals_counts_by_hand() -> None:
    clusters, categories = np.array([3, 3, 3, 8, 8, 9]), np.array([0, 0, 1, 1, 2, 2])
    assert purity(clusters, categories) == (2 + 1 + 1) / 6
    states = normal(9, 2)
    assert cluster_purity(states, [*"aaabbbccc"], 9, num_permutations=9).purity == 1
    one_cluster = cluster_purity(states, [*"aaaaabbcc"], 1, num_permutations=9)
    assert one_cluster.purity == one_cluster.permuted == one_cluster.random_states == 5 / 9
    assert one_cluster.p_value == 1


def test_cluster_purity_is_reproducible() -> None:
    states = normal(12, 2)
    one, two, three = (cluster_purity(states, [*"aabbccaabbcc"], seed=seed, num_permutations=50) for seed in (1, 1, 2))
    assert one[:5] == two[:5]
    assert one[2:5] != three[2:5]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"categories": ["a"]}, "there are 6 states and 1 categories"),
        ({"num_clusters": 7}, "num_clusters must be in 1..words (6), got 7"),
        ({"num_clusters": 0}, "num_clusters must be in 1..words (6), got 0"),
        ({"num_permutations": 0}, "num_permutations must be at least 1, got 0"),
        ({"num_random": 0}, "num_random must be at least 1, got 0"),
        ({"seed": -1}, "seed must be at least 0, got -1"),
        ({"states": np.zeros((6, 2)), "metric": "cosine"}, "a state of zeros has no angle"),
        ({"states": np.ones((1, 2)), "categories": ["a"]}, "there must be at least two words, got 1"),
        ({"states": np.zeros(6)}, "states must have 2 dimensions"),
    ],
)
def test_cluster_purity_raises_for_unusable_arguments(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as error:
        cluster_purity(**{"states": normal(6, 2), "categories": [*"aaabbb"], **options})
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


def test_dendrogram_raises_for_a_wrong_number_of_words() -> None:
    with pytest.raises(UsageError, match="the linkage joins 3 words, got 2"):
        dendrogram(word_linkage(normal(3, 2)), ["a", "b"])


def test_accuracy_by_position_equals_a_loop_over_characters() -> None:
    text = TEXT[:400]
    symbols = VOCABULARY.encode(text).reshape(8, 50)
    logits = torch.randn(8, 50, len(VOCABULARY), generator=torch.Generator().manual_seed(0))
    expected = symbols.roll(-1, 1)
    is_right = torch.rand(8, 50, generator=torch.Generator().manual_seed(1)) < 0.5
    logits[is_right, expected[is_right]] += 20  # half of the predictions are right
    correct: dict[int | str, list[bool]] = {}
    for row, answers in zip(symbols.tolist(), logits.argmax(-1).tolist(), strict=True):
        position = None
        for step, symbol in enumerate(row):
            is_correct = step > 0 and answers[step - 1] == symbol
            if VOCABULARY.decode([symbol]) == " ":
                if position is not None:
                    correct.setdefault("space", []).append(is_correct)
                position = 0
            elif position is not None:
                correct.setdefault(position, []).append(is_correct)
                position += 1
    result = accuracy_by_position(logits, symbols, VOCABULARY)
    assert result.letters.groups.tolist() == sorted(key for key in correct if isinstance(key, int))
    for group, share, count in zip(*result.letters, strict=True):
        assert count == len(correct[group])
        assert share == pytest.approx(np.mean(correct[group]))
    assert result.num_spaces == len(correct["space"])
    assert result.space == pytest.approx(np.mean(correct["space"]))
    assert 0.4 < result.space < 0.7
    same = accuracy_by_position(logits.argmax(-1), symbols, VOCABULARY)
    assert same.letters.share.tolist() == result.letters.share.tolist()


def test_accuracy_by_position_counts_spaces_after_words() -> None:
    """In ``b ab  a``, neither the first letter counts, nor the second of two spaces, nor the prediction at the end."""
    vocabulary = Vocabulary(" ab")
    symbols = vocabulary.encode("b ab  a")[None]
    result = accuracy_by_position(symbols.roll(-1, 1), symbols, vocabulary)
    assert result.letters.counts.tolist() == [2, 1]
    assert (result.space, result.num_spaces) == (1, 1)
    without_spaces = accuracy_by_position(vocabulary.encode("aaa")[None], vocabulary.encode(" ab")[None], vocabulary)
    assert np.isnan(without_spaces.space)
    assert without_spaces.letters.share.tolist() == [1, 0]
    with pytest.raises(UsageError, match="no whole word"):
        accuracy_by_position(vocabulary.encode("aaa")[None], vocabulary.encode("ab ")[None], vocabulary)
    with pytest.raises(UsageError, match=r"predicted must have the shape \(1, 7\), got \(1, 6\)"):
        accuracy_by_position(symbols[:, 1:], symbols, vocabulary)
    with pytest.raises(UsageError, match=r"symbols must be \(sequences, time\), got the shape \(7,\)"):
        accuracy_by_position(symbols[0], symbols[0], vocabulary)
