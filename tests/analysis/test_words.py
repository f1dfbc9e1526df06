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


def network_of(**options: Any) -> LanguageNetwork:
    return LanguageNetwork(partial(GRU, hidden_size=12), SPEC, **options)


def normal(*shape: int, seed: int = 0) -> Floats:
    return np.random.default_rng(seed).standard_normal(shape)


HAND_MADE = "e cat eats a cat  a do"


def test_the_states_of_a_hand_made_text() -> None:
    """``e`` and ``do`` may be cut; there are two spaces behind the second cat."""
    states = np.stack([np.arange(22.0), -np.arange(22.0)], axis=1)
    vocabulary = Vocabulary.from_text(HAND_MADE)
    found = word_states(states, HAND_MADE, vocabulary)
    assert found.words == ("a", "cat", "eats")
    assert found.counts.tolist() == [2, 2, 1]
    assert found.states[:, 0].tolist() == [(11 + 18) / 2, (4 + 15) / 2, 9]
    assert (found.states[:, 1] == -found.states[:, 0]).all()
    behind = word_states(states, HAND_MADE, vocabulary, after_space=True)
    assert behind.states[:, 0].tolist() == [(12 + 19) / 2, (5 + 16) / 2, 10]


def test_word_states_do_not_join_words_of_two_sequences() -> None:
    vocabulary = Vocabulary(" abc")
    symbols = torch.stack([vocabulary.encode(" ab a"), vocabulary.encode("c ab?")])
    found = word_states(torch.arange(10.0).reshape(2, 5, 1), symbols, vocabulary)
    assert found.words == ("ab",)
    assert found.states.tolist() == [[2]]
    unknown = word_states(np.arange(4.0)[:, None], " a? ", vocabulary)
    assert unknown.words == ("a<unk>",)


def test_the_words_of_the_grammar() -> None:
    network = network_of()
    states, _ = network.core(network.encode_symbols(VOCABULARY.encode(TEXT)[None]))
    found = word_states(states[0], TEXT, VOCABULARY)
    words = TEXT.split()[1:-1]
    assert set(found.words) <= ELMAN.lexicon
    assert dict(zip(found.words, found.counts.tolist(), strict=True)) == {word: words.count(word) for word in words}
    assert found.states.shape == (len(set(words)), 12)


def test_words_that_there_are_not() -> None:
    vocabulary = Vocabulary(" ab")
    with pytest.raises(UsageError, match="no whole word"):
        word_states(np.zeros((5, 1)), "ab  b", vocabulary)
    with pytest.raises(UsageError, match=r"the text's symbols must have the shape \(5,\), got \(4,\)"):
        word_states(np.zeros((5, 1)), " ab ", vocabulary)
    with pytest.raises(UsageError, match="a symbol is not one of this vocabulary's"):
        word_states(np.zeros((3, 1)), np.array([1, 4, 1]), vocabulary)
    with pytest.raises(UsageError, match="states must have 2 dimensions"):
        word_states(np.zeros((1, 5, 1)), " ab a", vocabulary)


def average_linkage(distances: Floats, num_clusters: int) -> set[frozenset[int]]:
    """Joins the two groups with the least mean distance, again and again."""
    groups = [frozenset([member]) for member in range(len(distances))]
    while len(groups) > num_clusters:
        pairs = [(one, two) for place, one in enumerate(groups) for two in groups[:place]]
        one, two = min(pairs, key=lambda pair: np.mean([distances[a, b] for a in pair[0] for b in pair[1]]))
        groups = [group for group in groups if group not in (one, two)] + [one | two]
    return set(groups)


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_clusters_are_those_of_average_linkage_by_hand(metric: str) -> None:
    states = normal(12, 3)
    if metric == "euclidean":
        distances = np.linalg.norm(states[:, None] - states, axis=-1)
    else:
        unit = states / np.linalg.norm(states, axis=1, keepdims=True)
        distances = 1 - unit @ unit.T
    found = cluster_purity(states, [*"abcdabcdabcd"], 4, cast(Metric, metric), num_permutations=1).clusters
    assert {frozenset(np.flatnonzero(found == number)) for number in found} == average_linkage(distances, 4)


def test_a_dendrogram_has_the_lines_of_its_linkage() -> None:
    states = normal(7, 3)
    linkage = word_linkage(states)
    found = dendrogram(linkage, [*"abcdefg"])
    assert sorted(found.words) == [*"abcdefg"]
    assert sorted(found.heights.max(axis=1)) == pytest.approx(sorted(linkage[:, 2]))
    assert found.places.shape == found.heights.shape == (6, 4)
    order = hierarchy.leaves_list(linkage)
    assert found.words == tuple("abcdefg"[leaf] for leaf in order)


def test_clusters_that_are_categories_are_pure() -> None:
    centres = 10 * np.eye(4)
    categories = [name for name in "abcd" for _ in range(6)]
    states = np.repeat(centres, 6, axis=0) + 0.1 * normal(24, 4)
    found = cluster_purity(states, categories)
    assert found.purity == 1
    assert found.p_value == 1 / 1000
    assert found.band[0] <= found.permuted <= found.band[1] < 0.7
    assert found.random_states < 0.7
    assert len(set(zip(found.clusters, categories, strict=True))) == 4


def test_clusters_of_random_states_are_within_the_band() -> None:
    categories = [name for name in "abcd" for _ in range(6)]
    found = [
        cluster_purity(normal(24, 4, seed=seed), categories, num_permutations=199, num_random=1) for seed in range(20)
    ]
    inside = [result.band[0] <= result.purity <= result.band[1] for result in found]
    assert sum(inside) >= 17
    assert sum(result.p_value <= 0.05 for result in found) <= 4
    # The random states that it draws itself are such states too.
    own = cluster_purity(normal(24, 4, seed=99), categories, num_permutations=1, num_random=100).random_states
    assert own == pytest.approx(np.mean([result.purity for result in found]), abs=0.05)


def test_purity_counts_by_hand_and_bounds() -> None:
    clusters, categories = np.array([3, 3, 3, 8, 8, 9]), np.array([0, 0, 1, 1, 2, 2])
    assert purity(clusters, categories) == (2 + 1 + 1) / 6
    states = normal(9, 2)
    assert cluster_purity(states, [*"aaabbbccc"], 9, num_permutations=9).purity == 1
    alone = cluster_purity(states, [*"aaaaabbcc"], 1, num_permutations=9)
    assert alone.purity == alone.permuted == alone.random_states == 5 / 9
    assert alone.p_value == 1


def test_the_same_seed_is_the_same_baseline() -> None:
    states = normal(12, 2)
    one, two, three = (cluster_purity(states, [*"aabbccaabbcc"], seed=seed, num_permutations=50) for seed in (1, 1, 2))
    assert one[:5] == two[:5]
    assert one[2:5] != three[2:5]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"categories": ["a"]}, "there are 6 states and 1 categories"),
        ({"num_clusters": 7}, "num_clusters must be in 1..6, the words, got 7"),
        ({"num_clusters": 0}, "num_clusters must be in 1..6, the words, got 0"),
        ({"num_permutations": 0}, "num_permutations must be at least 1, got 0"),
        ({"num_random": 0}, "num_random must be at least 1, got 0"),
        ({"seed": -1}, "seed must be at least 0, got -1"),
        ({"states": np.zeros((6, 2)), "metric": "cosine"}, "a state of zeros has no angle"),
        ({"states": np.ones((1, 2)), "categories": ["a"]}, "there must be at least two words, got 1"),
        ({"states": np.zeros(6)}, "states must have 2 dimensions"),
    ],
)
def test_purity_that_there_is_not(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as error:
        cluster_purity(**{"states": normal(6, 2), "categories": [*"aaabbb"], **options})
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


def test_a_dendrogram_of_other_words() -> None:
    with pytest.raises(UsageError, match="the linkage joins 3 words, got 2"):
        dendrogram(word_linkage(normal(3, 2)), ["a", "b"])


def test_accuracy_by_position_is_that_of_a_loop_over_characters() -> None:
    text = TEXT[:400]
    symbols = VOCABULARY.encode(text).reshape(8, 50)
    logits = torch.randn(8, 50, len(VOCABULARY), generator=torch.Generator().manual_seed(0))
    expected = symbols.roll(-1, 1)
    told = torch.rand(8, 50, generator=torch.Generator().manual_seed(1)) < 0.5
    logits[told, expected[told]] += 20  # half of them are right
    rights: dict[int | str, list[bool]] = {}
    for row, answers in zip(symbols.tolist(), logits.argmax(-1).tolist(), strict=True):
        place = None
        for step, symbol in enumerate(row):
            right = step > 0 and answers[step - 1] == symbol
            if VOCABULARY.decode([symbol]) == " ":
                if place is not None:
                    rights.setdefault("space", []).append(right)
                place = 0
            elif place is not None:
                rights.setdefault(place, []).append(right)
                place += 1
    found = accuracy_by_position(logits, symbols, VOCABULARY)
    assert found.letters.at.tolist() == sorted(place for place in rights if isinstance(place, int))
    for place, share, count in zip(*found.letters, strict=True):
        assert count == len(rights[place])
        assert share == pytest.approx(np.mean(rights[place]))
    assert found.num_spaces == len(rights["space"])
    assert found.space == pytest.approx(np.mean(rights["space"]))
    assert 0.4 < found.space < 0.7
    same = accuracy_by_position(logits.argmax(-1), symbols, VOCABULARY)
    assert same.letters.share.tolist() == found.letters.share.tolist()


def test_the_space_behind_a_word_and_what_is_not_scored() -> None:
    """Of ``b ab  a`` the first letter has no known place, nor has the second of two spaces; nothing follows the end."""
    vocabulary = Vocabulary(" ab")
    symbols = vocabulary.encode("b ab  a")[None]
    found = accuracy_by_position(symbols.roll(-1, 1), symbols, vocabulary)
    assert found.letters.counts.tolist() == [2, 1]
    assert (found.space, found.num_spaces) == (1, 1)
    none = accuracy_by_position(vocabulary.encode("aaa")[None], vocabulary.encode(" ab")[None], vocabulary)
    assert np.isnan(none.space)
    assert none.letters.share.tolist() == [1, 0]
    with pytest.raises(UsageError, match="no character of a word has white space before it"):
        accuracy_by_position(vocabulary.encode("aaa")[None], vocabulary.encode("ab ")[None], vocabulary)
    with pytest.raises(UsageError, match=r"predicted must have the shape \(1, 7\), got \(1, 6\)"):
        accuracy_by_position(symbols[:, 1:], symbols, vocabulary)
    with pytest.raises(UsageError, match=r"symbols must be \(sequences, time\), got the shape \(7,\)"):
        accuracy_by_position(symbols[0], symbols[0], vocabulary)
