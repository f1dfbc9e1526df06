from pathlib import Path

import pytest
import torch
import yaml

from rnn_tasks.spec import TaskSpec
from rnn_tasks.spec.vocabulary import UNKNOWN, Vocabulary, code_points

# Letters with accents, accents of their own, other alphabets, signs outside the 16 bits of the first code points.
TEXTS = [
    "the time machine",
    "Élan, naïve\n",
    "e\u0301lan e\u0302",
    "ὁ χρόνος",
    "\U0001d4af\U0001d4be\u2128 \U0001f570",
    "\t\r\n\x7f",
]


def test_symbols_count_the_characters_from_1_and_0_is_any_other() -> None:
    vocabulary = Vocabulary(" abc")
    assert vocabulary.encode("cab!a?").tolist() == [4, 2, 3, 0, 2, 0]
    assert vocabulary.decode([4, 2, 3, 0, 1]) == f"cab{UNKNOWN} "
    assert len(vocabulary) == 5


def test_the_characters_of_a_text_are_in_the_order_of_their_code_points() -> None:
    assert Vocabulary.of("a banana, split\U0001f570é!").characters == " !,abilnpsté\U0001f570"


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_comes_back_from_its_symbols(text: str) -> None:
    vocabulary = Vocabulary.of(text)
    symbols = vocabulary.encode(text)
    assert (symbols.dtype, symbols.shape) == (torch.long, (len(text),))
    assert set(symbols.tolist()) == set(range(1, len(vocabulary)))
    assert vocabulary.decode(symbols.tolist()) == text
    assert vocabulary.unknown(text) == ""


@pytest.mark.parametrize("characters", ["zaß\U0001f570e\u0301 b", "cba", "\U0001f570a", "a"])
def test_characters_may_come_in_any_order(characters: str) -> None:
    text = "a zebra\u0301 aß\U0001f570 \U0001f571 \x00\uffff" + characters
    assert Vocabulary(characters).encode(text).tolist() == [1 + characters.find(character) for character in text]


def test_an_accent_of_its_own_is_a_character() -> None:
    vocabulary = Vocabulary.of("e\u0301")
    assert vocabulary.encode("e\u0301e").tolist() == [1, 2, 1]
    assert vocabulary.encode("é").tolist() == [0]
    assert vocabulary.unknown("é") == "é"


def test_a_character_outside_the_first_16_bits_is_one_symbol() -> None:
    assert code_points("a\U0001f570").tolist() == [0x61, 0x1F570]
    assert Vocabulary("a\U0001f570").encode("\U0001f570a").tolist() == [2, 1]


@pytest.mark.parametrize(("min_count", "characters"), [(1, "abcd"), (2, "abc"), (3, "ab"), (4, "a"), (5, "")])
def test_rarer_characters_than_min_count_are_unknown(min_count: int, characters: str) -> None:
    text = "abcdabcaba"
    vocabulary = Vocabulary.of(text, min_count=min_count)
    assert vocabulary.characters == characters
    assert vocabulary.unknown("dcba") == "".join(c for c in "dcba" if c not in characters)


def test_each_unknown_character_is_named_once_in_the_order_of_the_text() -> None:
    assert Vocabulary("abc").unknown("xay\U0001f570bxz") == "xy\U0001f570z"


@pytest.mark.parametrize("vocabulary", [Vocabulary(""), Vocabulary.of(""), Vocabulary.of("abc", min_count=2)])
def test_without_characters_everything_is_unknown(vocabulary: Vocabulary) -> None:
    assert len(vocabulary) == 1
    assert vocabulary.encode("ab").tolist() == [0, 0]
    assert vocabulary.decode([0]) == UNKNOWN
    assert vocabulary.unknown("aba") == "ab"


@pytest.mark.parametrize("vocabulary", [Vocabulary(""), Vocabulary("abc")])
def test_an_empty_text_has_no_symbols(vocabulary: Vocabulary) -> None:
    symbols = vocabulary.encode("")
    assert (symbols.dtype, symbols.shape) == (torch.long, (0,))
    assert vocabulary.decode(symbols.tolist()) == ""


def test_equal_are_those_of_the_same_characters_and_prefix_whether_used_or_not() -> None:
    used = Vocabulary.of("cab", prefix="a")
    used.encode("abc")
    assert used == Vocabulary("abc", "a")
    assert hash(used) == hash(Vocabulary("abc", "a"))
    assert used != Vocabulary("abc", "b")
    assert used != Vocabulary("bac", "a")


@pytest.mark.parametrize("text", ["", *TEXTS])
def test_a_spec_with_a_vocabulary_survives_yaml_and_a_safe_checkpoint(text: str, tmp_path: Path) -> None:
    vocabulary = Vocabulary.of(text, prefix=text[:3])
    vocabulary.encode(text)
    spec = TaskSpec(len(vocabulary), len(vocabulary), vocabulary=vocabulary)
    torch.save(spec.to_dict(), tmp_path / "spec.ckpt")
    restored = TaskSpec.from_dict(torch.load(tmp_path / "spec.ckpt", weights_only=True))
    assert restored == spec
    assert restored.vocabulary is not None
    assert restored.vocabulary.encode(text).tolist() == vocabulary.encode(text).tolist()
    assert TaskSpec.from_dict(yaml.safe_load(yaml.safe_dump(spec.to_dict()))) == spec


def test_a_spec_without_a_vocabulary_survives_too_even_from_before_there_were_any() -> None:
    values = TaskSpec(3, 2).to_dict()
    assert TaskSpec.from_dict(values) == TaskSpec(3, 2)
    del values["vocabulary"]
    assert TaskSpec.from_dict(values) == TaskSpec(3, 2)
