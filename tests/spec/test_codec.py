import shlex
from dataclasses import replace
from typing import Any

import pytest
import torch

from rnn_tasks.errors import UsageError
from rnn_tasks.spec import NOT_SCORED, Codec, Repeat, TaskSpec
from rnn_tasks.tasks import Copy

ECHO = Codec(" abc", "abc", min_delay=2, max_delay=2)
SEVERAL_DELAYS = Codec(" abc", "abc", min_delay=1, max_delay=3, conditional=True)


def test_repeat_length_depends_on_delay_and_letters() -> None:
    assert Repeat(0, per_delay=2, per_letter=3, constant=-1).length(delay=5, letters=7) == 2 * 5 + 3 * 7 - 1


def test_encode_appends_the_cue_and_marks_the_answer() -> None:
    codec = Codec("ab_:", "ab", cue=(Repeat(2, per_delay=1), Repeat(3, per_letter=1)), answer_per_letter=1, max_delay=2)
    batch = codec.encode(["aba", "b"], delay=1)
    assert codec.decode(batch.inputs) == ["aba_:::", "b_:aaaa"]  # padded with symbol 0
    assert batch.scored.tolist() == [[False] * 4 + [True] * 3, [False, False, True] + [False] * 4]
    assert codec.lengths(["aba", "b"], delay=1) == [7, 3]


def test_cue_of_negative_length_is_empty() -> None:
    codec = Codec("ab_", "ab", cue=(Repeat(2, per_letter=1, constant=-2),))
    assert codec.decode(codec.encode(["a"]).inputs) == ["a"]
    assert codec.decode(codec.encode(["aba"]).inputs) == ["aba_"]
    assert codec.lengths(["a", "aba"]) == [1, 4]


def test_decode_shows_steps_that_are_not_scored_as_spaces() -> None:
    assert ECHO.decode(torch.tensor([[1, NOT_SCORED, 3], [0, 2, 2]])) == ["a c", " bb"]


def test_decode_inverts_encode(codec: Codec) -> None:
    text = codec.letters[::-1]
    encoded = codec.encode([text], codec.max_delay)
    assert codec.decode(encoded.inputs)[0].startswith(text)
    assert [codec.symbols[codec.index(letter)] for letter in text] == list(text)


def test_encode_pads_texts_of_different_lengths(spec: TaskSpec, codec: Codec) -> None:
    texts = [codec.letters[:3] * 7, codec.letters[0], codec.letters[2:0:-1] * 5]
    padded = codec.encode(texts, codec.max_delay)
    for row, text in enumerate(texts):
        alone = codec.encode([text], codec.max_delay)
        length = alone.inputs.shape[1]
        assert codec.lengths(texts, codec.max_delay)[row] == length
        assert torch.equal(padded.inputs[row, :length], alone.inputs[0])
        assert torch.equal(padded.scored[row, :length], alone.scored[0])
        assert not padded.scored[row, length:].any()
    assert int(padded.inputs.max()) < spec.input_size
    assert (padded.condition is None) == (spec.num_conditions == 0)


def test_example_is_valid_and_has_an_answer(codec: Codec) -> None:
    text, *option = shlex.split(codec.example())
    assert option[:1] == ([] if codec.min_delay == codec.max_delay else ["--delay"])
    encoded = codec.encode([text], int(option[1]) if option else None)
    assert encoded.scored.any()


def test_end_symbol_in_a_text_raises() -> None:
    codec = Codec("01=", "01", cue=(Repeat(2, constant=1),))
    with pytest.raises(UsageError, match=r"'=' .*alphabet \(it is added after the text\): use only 01"):
        codec.encode(["1011="])


def test_letter_outside_the_alphabet_raises(codec: Codec) -> None:
    with pytest.raises(UsageError, match=r"'!' is not in this network's alphabet"):
        codec.encode([codec.letters[0] + "!"], codec.max_delay)


@pytest.mark.parametrize("text", [" ", ":", "c"])
def test_index_raises_for_symbols_that_are_not_letters(text: str) -> None:
    copy = Copy(alphabet_size=12).spec.codec
    assert copy is not None
    with pytest.raises(UsageError, match=f"'{text}' is not in"):
        copy.index(text)


@pytest.mark.parametrize("texts", [[""], ["abc", ""], []])
def test_empty_text_raises(texts: list[str]) -> None:
    with pytest.raises(UsageError, match="at least one of the letters abc"):
        ECHO.encode(texts)


def test_delay_is_optional_when_the_task_has_one() -> None:
    assert torch.equal(ECHO.encode(["abc"]).scored, ECHO.encode(["abc"], 2).scored)


def test_missing_delay_raises_when_the_task_has_several() -> None:
    with pytest.raises(UsageError, match=r"set --delay to one of 1\.\.3"):
        SEVERAL_DELAYS.encode(["abc"])


@pytest.mark.parametrize(
    ("codec", "delay", "choice"),
    [
        (ECHO, 3, "2, or"),
        (ECHO, 0, "2, or"),
        (SEVERAL_DELAYS, 0, r"one of 1\.\.3$"),
        (SEVERAL_DELAYS, 4, r"one of 1\.\.3$"),
    ],
)
def test_delay_out_of_bounds_raises(codec: Codec, delay: int, choice: str) -> None:
    with pytest.raises(UsageError, match=rf"not trained on delay {delay}: set --delay to {choice}"):
        codec.encode(["abc"], delay)


@pytest.mark.parametrize(
    ("change", "fits"),
    [
        ({}, True),
        ({"symbols": " abcd"}, True),  # a character more than the network needs
        ({"symbols": " a"}, False),
        ({"symbols": None}, False),
        ({"letters": "abx"}, False),
        ({"letters": ""}, False),
        ({"letters": 3}, False),
        ({"cue": (Repeat(99, 1),)}, False),
        ({"cue": (Repeat(-1, 1),)}, False),
        ({"cue": (Repeat(0, "x"),)}, False),  # type: ignore[arg-type]
        ({"cue": ((0, 1),)}, False),
        ({"cue": None}, False),
        ({"answer_per_letter": 0.5}, False),
        ({"min_delay": 3}, False),
        ({"min_delay": -1}, False),
        ({"max_delay": 3}, False),  # the network knows the conditions 0..2
        ({"max_delay": 3, "conditional": False}, True),
        ({"conditional": None}, False),
        ({"num_letters": True}, False),
    ],
)
def test_fits_checks_each_field(change: dict[str, Any], fits: bool) -> None:
    fields: dict[str, Any] = {"symbols": " abc", "letters": "abc", "cue": (Repeat(0, 1),), "max_delay": 2}
    codec = Codec(**{**fields, "conditional": True, **change})
    assert codec.fits(input_size=4, output_size=4, num_conditions=3) == fits


RECALL = Codec(
    "abc012? ",
    "abc012?",
    output_symbols="012",
    answer_at="abc",
    not_before="012",
    sample="a1b2??a",
)


@pytest.mark.parametrize(
    ("text", "answered"),
    [("a1b2??a", "......x"), ("a1b2ab", "....xx"), ("cab", "xxx"), ("a1", ".."), ("0a??a0", ".x....")],
)
def test_answers_are_due_at_letters_that_are_not_followed(text: str, answered: str) -> None:
    batch = RECALL.encode([text])
    assert batch.scored.tolist() == [[mark == "x" for mark in answered]]


def test_outputs_have_their_own_characters() -> None:
    assert RECALL.decode_outputs(torch.tensor([[NOT_SCORED, 0, 2]])) == [" 02"]
    assert ECHO.decode_outputs(torch.tensor([[NOT_SCORED, 0, 2]])) == ECHO.decode(torch.tensor([[NOT_SCORED, 0, 2]]))
    assert RECALL.fits(input_size=8, output_size=3, num_conditions=0)
    assert not RECALL.fits(input_size=8, output_size=4, num_conditions=0)


def test_example_is_the_sample_quoted_for_a_shell() -> None:
    assert shlex.split(RECALL.example()) == ["a1b2??a"]


@pytest.mark.parametrize("field", ["answer_at", "not_before", "sample"])
def test_unknown_letters_of_a_codec_do_not_fit(field: str) -> None:
    wrong: list[Any] = ["x", 3]
    for value in wrong:
        assert not replace(RECALL, **{field: value}).fits(input_size=8, output_size=3, num_conditions=0)
