import math
import re
from collections import Counter
from itertools import product

import numpy as np
import pytest

from rnn_tasks.errors import UsageError
from rnn_tasks.texts.grammar import ELMAN, Grammar, Template

WORDS = {"ANIMAL": ["cat", "catbird"], "VERB": ["sleep", "see", "eat"], "FOOD": ["ham"]}
SMALL = Grammar(
    WORDS,
    [
        Template("DET ANIMAL sleep", weight=3),
        Template("DET ANIMAL see|eat DET FOOD", weight=2),
        Template("the cat eat DET ham"),
    ],
)


def prefix_probabilities(grammar: Grammar) -> Counter[str]:
    """Return the probability of each prefix of a sentence with its space."""
    result: Counter[str] = Counter()
    for sentence, probability in zip(grammar.sentences, grammar.probabilities.tolist(), strict=True):
        for end in range(len(sentence) + 2):
            result[f"{sentence} "[:end]] += probability
    return result


def random_text(grammar: Grammar, seed: int, characters: int) -> str:
    row = grammar.stream(1, characters + 1, np.random.default_rng(seed))[0]
    return "".join(grammar.characters[symbol] for symbol in row[1:])


def test_probabilities_of_a_small_grammar_equal_a_hand_count() -> None:
    probabilities = dict(zip(SMALL.sentences, SMALL.probabilities.tolist(), strict=True))
    expected = {f"{det} {animal} sleep": 1 / 8 for det, animal in product(("the", "a"), ("cat", "catbird"))}
    expected |= {
        f"{one} {animal} {verb} {two} ham": 1 / 48
        for one, animal, verb, two in product(("the", "a"), ("cat", "catbird"), ("see", "eat"), ("the", "a"))
    }
    # Two templates produce these sentences.
    expected["the cat eat the ham"] += 1 / 12
    expected["the cat eat a ham"] += 1 / 12
    assert probabilities == pytest.approx(expected)
    assert list(probabilities) == sorted(probabilities)
    assert SMALL.characters == " abcdehilmprst"
    assert SMALL.lexicon == {"the", "a", "cat", "catbird", "sleep", "see", "eat", "ham"}


def test_word_categories_maps_words_to_categories() -> None:
    assert [ELMAN.word_categories[word] for word in ("the", "queen", "mouse", "eat")] == [
        "DET",
        "NOUN_HUMAN",
        "NOUN_ANIMAL",
        "VERB_TRAN",
    ]


def test_no_sentence_is_a_prefix_of_another() -> None:
    spaced = {f"{sentence} " for sentence in ELMAN.sentences}
    for sentence in spaced:
        assert not any(sentence[: space + 1] in spaced for space, c in enumerate(sentence[:-1]) if c == " ")


def test_probabilities_sum_to_one() -> None:
    assert ELMAN.probabilities.min() > 0
    assert math.fsum(ELMAN.probabilities) == pytest.approx(1)
    assert len(ELMAN.probabilities) == len(ELMAN.sentences) == len(set(ELMAN.sentences))


def test_elman_has_16_templates_with_weight_2_for_humans() -> None:
    assert len(ELMAN.templates) == 16
    assert {word for sentence in ELMAN.sentences for word in sentence.split()} == ELMAN.lexicon
    assert ELMAN.characters == "".join(sorted({" ", *"".join(ELMAN.lexicon)}))
    assert len(ELMAN.characters) == 24
    by_humans = [template for template in ELMAN.templates if "NOUN_HUMAN" in template.slots.split()[1]]
    others = [template for template in ELMAN.templates if template not in by_humans]
    assert {template.weight for template in by_humans} == {2 * others[0].weight}
    assert {template.weight for template in others} == {others[0].weight}
    share = sum(
        probability
        for sentence, probability in zip(ELMAN.sentences, ELMAN.probabilities, strict=True)
        if ELMAN.word_categories[sentence.split()[1]] == "NOUN_HUMAN"
    )
    assert share == pytest.approx(2 * len(by_humans) / (2 * len(by_humans) + len(others)))


def test_elman_sentences_are_subject_verb_optional_object() -> None:
    share_of_the = np.zeros(2)
    for sentence, probability in zip(ELMAN.sentences, ELMAN.probabilities, strict=True):
        categories = "".join(ELMAN.word_categories[word][0] for word in sentence.split())  # by their first letters
        assert re.fullmatch("DNV(DN)?", categories), sentence
        share_of_the += probability * np.array([sentence.startswith("the "), 1])
    assert share_of_the[0] == pytest.approx(0.5)
    verbs = {word for word, category in ELMAN.word_categories.items() if category == "VERB_PERCEPT"}
    perceived = {s.split()[-1] for s in ELMAN.sentences if s.split()[2] in verbs}
    assert {ELMAN.word_categories[word] for word in perceived} == {"NOUN_HUMAN", "NOUN_ANIMAL"}


def test_docstring_example_is_a_text_of_the_grammar() -> None:
    text = re.search(r"::\n\n +(.+?) \.\.\.\n", str(Grammar.__doc__))
    assert text is not None
    assert np.isfinite(ELMAN.log_probabilities(text[1])).all()


@pytest.mark.parametrize("grammar", [SMALL, ELMAN])
def test_entropy_rate_equals_mean_next_character_entropy(grammar: Grammar) -> None:
    probabilities = prefix_probabilities(grammar)
    entropy, length = 0.0, 0.0
    for prefix, probability in probabilities.items():
        if prefix:
            entropy -= probability * math.log(probability / probabilities[prefix[:-1]])  # chain rule
            length += probability  # a sentence has one prefix per character
    assert grammar.mean_length == pytest.approx(length)
    assert grammar.entropy_rate == pytest.approx(entropy / length)


def test_entropy_rate_equals_mean_loss_on_a_long_text() -> None:
    losses = -ELMAN.log_probabilities(ELMAN.corpus(20_000, seed=5))
    assert losses.mean() == pytest.approx(ELMAN.entropy_rate, rel=0.01)
    assert len(losses) / 20_000 == pytest.approx(ELMAN.mean_length, rel=0.01)


@pytest.mark.parametrize("grammar", [SMALL, ELMAN])
def test_next_character_equals_a_sum_over_sentences(grammar: Grammar) -> None:
    sums = prefix_probabilities(grammar)
    prefixes = [prefix for prefix in sums if not prefix.endswith(" ") or prefix[:-1] not in grammar.sentences]
    random = np.random.default_rng(0)
    for prefix in ["", *random.choice(prefixes, 40).tolist()]:
        expected = {c: sums[prefix + c] / sums[prefix] for c in grammar.characters if prefix + c in sums}
        probabilities = grammar.next_character(prefix)
        assert probabilities == pytest.approx(expected)
        assert list(probabilities) == sorted(probabilities)
        assert math.fsum(probabilities.values()) == pytest.approx(1)
        # Complete sentences or a space before the prefix change nothing.
        assert grammar.next_character(f"{grammar.corpus(3, seed=1)} {prefix}") == probabilities
        assert grammar.next_character(f" {prefix}") == probabilities


@pytest.mark.parametrize("grammar", [SMALL, ELMAN])
@pytest.mark.parametrize("characters", [1, 14, 150])
def test_log_probabilities_equal_those_of_next_character(grammar: Grammar, characters: int) -> None:
    text = random_text(grammar, seed=characters, characters=characters)
    expected = [math.log(grammar.next_character(text[:end])[text[end]]) for end in range(len(text))]
    assert len(text) == characters
    np.testing.assert_allclose(grammar.log_probabilities(text), expected, atol=1e-12)
    np.testing.assert_allclose(grammar.log_probabilities(f" {text}"), [0, *expected], atol=1e-12)


def test_empty_text_is_valid() -> None:
    assert ELMAN.log_probabilities("").shape == (0,)
    assert ELMAN.log_probabilities(" ").tolist() == [0]
    assert ELMAN.next_character("") == {"a": 0.5, "t": 0.5}


def test_certain_character_has_log_probability_0() -> None:
    losses = ELMAN.log_probabilities("the queen think ")
    assert losses[5:9].tolist() == [0, 0, 0, 0]  # after q, since "queen" is the only word with a q
    assert losses[-5:].tolist() == [0, 0, 0, 0, 0]


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ("the boys", 7),
        ("the boy  ", 8),
        ("the boy sleep a cat sleep x", 26),
        (" a table", 3),
        ("the fish think", 9),
        ("X", 0),
    ],
)
def test_invalid_text_raises_with_the_position(text: str, position: int) -> None:
    for method in (ELMAN.next_character, ELMAN.log_probabilities):
        with pytest.raises(UsageError, match=rf"cannot produce this text: .* \(position {position}\)$"):
            method(text)


def test_stream_rows_are_different_valid_texts() -> None:
    rows = ELMAN.stream(50, 333, np.random.default_rng(1))
    assert rows.shape == (50, 333)
    texts = ["".join(ELMAN.characters[symbol] for symbol in row) for row in rows]
    assert len(set(texts)) == 50
    for text in texts:
        assert text[0] == " "
        assert len(ELMAN.log_probabilities(text)) == 333  # valid from its first character
        assert ELMAN.lexicon_share(text) == 1


def test_stream_depends_only_on_its_generator() -> None:
    one, same, other = (ELMAN.stream(3, 100, np.random.default_rng(seed)) for seed in (7, 7, 8))
    np.testing.assert_array_equal(one, same)
    assert (one != other).any(axis=1).all()


def test_stream_of_one_character_is_a_space() -> None:
    assert ELMAN.stream(2, 1, np.random.default_rng(0)).tolist() == [[0], [0]]
    assert SMALL.stream(4, 2, np.random.default_rng(0)).shape == (4, 2)


def test_stream_draws_sentences_with_their_probabilities() -> None:
    text = random_text(SMALL, seed=3, characters=400_000)
    counted = Counter(re.findall("(?:the|a) cat(?:bird)? (?:sleep|(?:see|eat) (?:the|a) ham)(?= )", text))
    total = sum(counted.values())
    for sentence, probability in zip(SMALL.sentences, SMALL.probabilities, strict=True):
        deviation = math.sqrt(probability * (1 - probability) / total)
        assert abs(counted[sentence] / total - probability) < 5 * deviation


def test_corpus_depends_only_on_its_seed() -> None:
    text = ELMAN.corpus(600, seed=42)
    assert text == ELMAN.corpus(600, seed=42) != ELMAN.corpus(600, seed=43)
    assert set(text) == set(ELMAN.characters)
    assert text == " ".join(text.split())
    # Each sentence has one verb.
    assert sum(ELMAN.word_categories[word].startswith("VERB") for word in text.split()) == 600
    assert ELMAN.corpus(1, seed=0) in ELMAN.sentences


@pytest.mark.parametrize(
    ("text", "share"),
    [("the boy sleep", 1.0), ("oy boy zzz the th", 2 / 3), ("x\nthe  cats sleep cat", 2 / 3), ("the bo the", 0.0)],
)
def test_lexicon_share_ignores_the_first_and_last_word(text: str, share: float) -> None:
    assert ELMAN.lexicon_share(text) == pytest.approx(share)


@pytest.mark.parametrize("text", ["", "boy", "the boy "])
def test_lexicon_share_raises_without_complete_words(text: str) -> None:
    with pytest.raises(UsageError, match="at least three words"):
        ELMAN.lexicon_share(text)


@pytest.mark.parametrize(
    ("categories", "templates", "message"),
    [
        (WORDS, [], "at least one template"),
        (WORDS, [Template(" ")], "at least one slot"),
        (
            WORDS,
            [Template("DET PLANT")],
            "'PLANT' in slot 'PLANT' is neither a word nor one of the categories DET, ANIMAL",
        ),
        (WORDS, [Template("DET cat|cow")], r"'cow' in slot 'cat\|cow' is neither"),
        (WORDS, [Template("cat", weight=0)], "weight of 'cat' must be a positive number, got 0"),
        (WORDS, [Template("cat", weight=math.nan)], "positive number, got nan"),
        (WORDS, [Template("cat", weight=math.inf)], "positive number, got inf"),
        (WORDS | {"PLANT": []}, [Template("cat")], "category PLANT has no words"),
        (WORDS | {"PLANT": ["oak tree"]}, [Template("cat")], "'oak tree' in PLANT"),
        (WORDS | {"PLANT": [""]}, [Template("cat")], "'' in PLANT"),
        (WORDS | {"PET": ["cat"]}, [Template("cat")], "'cat' is in ANIMAL and PET"),
        (WORDS, [Template("DET cat sleep"), Template("a cat")], "prefix of another: 'a cat' and 'a cat sleep'"),
    ],
)
def test_invalid_grammar_raises(categories: dict[str, list[str]], templates: list[Template], message: str) -> None:
    with pytest.raises(UsageError, match=message) as error:
        Grammar(categories, templates)
    assert "\n" not in str(error.value)


def test_word_may_be_a_prefix_of_another_word() -> None:
    assert Grammar(WORDS, [Template("ANIMAL")]).sentences == ("cat", "catbird")


def test_word_that_fits_a_slot_twice_counts_once() -> None:
    grammar = Grammar(WORDS, [Template("VERB|see")])
    np.testing.assert_allclose(grammar.probabilities, 1 / 3)


def test_sizes_below_1_raise() -> None:
    random = np.random.default_rng(0)
    with pytest.raises(UsageError, match="num_rows must be at least 1, got 0"):
        ELMAN.stream(0, 5, random)
    with pytest.raises(UsageError, match="num_characters must be at least 1, got 0"):
        ELMAN.stream(5, 0, random)
    with pytest.raises(UsageError, match="num_sentences must be at least 1, got 0"):
        ELMAN.corpus(0, seed=0)
    with pytest.raises(UsageError, match="seed must be at least 0, got -1"):
        ELMAN.corpus(1, seed=-1)
