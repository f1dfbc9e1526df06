from pathlib import Path

import pytest
import torch
import yaml

from rnn_tasks.spec import TaskSpec
from rnn_tasks.spec.vocabulary import SPACE, UNKNOWN, Vocabulary, code_points, fixed_width, visible

# Accented letters, combining accents, another alphabet, code points above 16 bits, control characters.
TEXTS = [
    "the time machine",
    "Élan, naïve\n",
    "e\u0301lan e\u0302",
    "ὁ χρόνος",
    "\U0001d4af\U0001d4be\u2128 \U0001f570",
    "\t\r\n\x7f",
]


def test_symbols_start_at_1_and_0_is_unknown() -> None:
    vocabulary = Vocabulary(" abc")
    assert vocabulary.encode("cab!a?").tolist() == [4, 2, 3, 0, 2, 0]
    assert vocabulary.decode([4, 2, 3, 0, 1]) == f"cab{UNKNOWN} "
    assert len(vocabulary) == 5


def test_characters_are_sorted_by_code_point() -> None:
    assert Vocabulary.from_text("a banana, split\U0001f570é!").characters == " !,abilnpsté\U0001f570"


@pytest.mark.parametrize("text", TEXTS)
def test_decode_inverts_encode(text: str) -> None:
    vocabulary = Vocabulary.from_text(text)
    symbols = vocabulary.encode(text)
    assert (symbols.dtype, symbols.shape) == (torch.long, (len(text),))
    assert set(symbols.tolist()) == set(range(1, len(vocabulary)))
    assert vocabulary.decode(symbols.tolist()) == text
    assert vocabulary.unknown(text) == ""


@pytest.mark.parametrize("characters", ["zaß\U0001f570e\u0301 b", "cba", "\U0001f570a", "a"])
def test_characters_may_be_unsorted(characters: str) -> None:
    text = "a zebra\u0301 aß\U0001f570 \U0001f571 \x00\uffff" + characters
    assert Vocabulary(characters).encode(text).tolist() == [1 + characters.find(character) for character in text]


def test_combining_accent_is_a_character() -> None:
    vocabulary = Vocabulary.from_text("e\u0301")
    assert vocabulary.encode("e\u0301e").tolist() == [1, 2, 1]
    assert vocabulary.encode("é").tolist() == [0]
    assert vocabulary.unknown("é") == "é"


def test_character_above_16_bits_is_one_symbol() -> None:
    assert code_points("a\U0001f570").tolist() == [0x61, 0x1F570]
    assert Vocabulary("a\U0001f570").encode("\U0001f570a").tolist() == [2, 1]


@pytest.mark.parametrize(("min_count", "characters"), [(1, "abcd"), (2, "abc"), (3, "ab"), (4, "a"), (5, "")])
def test_characters_rarer_than_min_count_are_unknown(min_count: int, characters: str) -> None:
    text = "abcdabcaba"
    vocabulary = Vocabulary.from_text(text, min_count=min_count)
    assert vocabulary.characters == characters
    assert vocabulary.unknown("dcba") == "".join(c for c in "dcba" if c not in characters)


def test_unknown_returns_each_character_once() -> None:
    assert Vocabulary("abc").unknown("xay\U0001f570bxz") == "xy\U0001f570z"


@pytest.mark.parametrize(
    "vocabulary", [Vocabulary(""), Vocabulary.from_text(""), Vocabulary.from_text("abc", min_count=2)]
)
def test_empty_vocabulary_makes_all_characters_unknown(vocabulary: Vocabulary) -> None:
    assert len(vocabulary) == 1
    assert vocabulary.encode("ab").tolist() == [0, 0]
    assert vocabulary.decode([0]) == UNKNOWN
    assert vocabulary.unknown("aba") == "ab"


@pytest.mark.parametrize("vocabulary", [Vocabulary(""), Vocabulary("abc")])
def test_empty_text_has_no_symbols(vocabulary: Vocabulary) -> None:
    symbols = vocabulary.encode("")
    assert (symbols.dtype, symbols.shape) == (torch.long, (0,))
    assert vocabulary.decode(symbols.tolist()) == ""


def test_vocabularies_with_same_characters_and_prefix_are_equal() -> None:
    used = Vocabulary.from_text("cab", prefix="a")
    used.encode("abc")
    assert used == Vocabulary("abc", "a")
    assert hash(used) == hash(Vocabulary("abc", "a"))
    assert used != Vocabulary("abc", "b")
    assert used != Vocabulary("bac", "a")


@pytest.mark.parametrize("text", ["", *TEXTS])
def test_spec_with_vocabulary_is_restored(text: str, tmp_path: Path) -> None:
    vocabulary = Vocabulary.from_text(text, prefix=text[:3])
    vocabulary.encode(text)
    spec = TaskSpec(len(vocabulary), len(vocabulary), vocabulary=vocabulary)
    torch.save(spec.to_dict(), tmp_path / "spec.ckpt")
    restored = TaskSpec.from_dict(torch.load(tmp_path / "spec.ckpt", weights_only=True))
    assert restored == spec
    assert restored.vocabulary is not None
    assert restored.vocabulary.encode(text).tolist() == vocabulary.encode(text).tolist()
    assert TaskSpec.from_dict(yaml.safe_load(yaml.safe_dump(spec.to_dict()))) == spec


def test_spec_without_vocabulary_is_restored() -> None:
    values = TaskSpec(3, 2).to_dict()
    assert TaskSpec.from_dict(values) == TaskSpec(3, 2)
    del values["vocabulary"]
    assert TaskSpec.from_dict(values) == TaskSpec(3, 2)


@pytest.mark.parametrize("symbol", ["\n", "\t", " ", "\x00", "\u2028"])
def test_visible_shows_white_space_as_one_character(symbol: str) -> None:
    shown = visible(symbol)
    assert len(shown) == 1
    assert shown.isprintable()
    assert not shown.isspace()


def test_visible_keeps_printable_characters() -> None:
    assert visible("élan <unk>") == f"élan{SPACE}<unk>"


def test_fixed_width_has_one_character_per_symbol() -> None:
    assert fixed_width("a\nb\t\0") == "a↵b⇥□"
    assert fixed_width([" ", "ab", UNKNOWN]) == " □□"
