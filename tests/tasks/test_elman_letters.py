import math
import re
from typing import Any

import pytest
import torch
from torch import Tensor

from rnn_tasks.errors import UsageError
from rnn_tasks.spec import Batch
from rnn_tasks.tasks import ElmanLetters
from rnn_tasks.tasks.elman_letters import SYMBOLS, WORDS, elman_letters
from tests.helpers.predictors import certain, check_score


def texts_of(batch: Batch) -> list[str]:
    """Return the stream of each row, with the last target."""
    symbols = torch.cat([batch.inputs, batch.targets[:, -1:]], 1)
    return ["".join(SYMBOLS[symbol] for symbol in row) for row in symbols.tolist()]


def knowing_the_words(batch: Batch) -> Tensor:
    """Return the probabilities of a predictor that knows the next letter, and guesses if it is a consonant."""
    guess = torch.tensor([1 / 3, 1 / 3, 1 / 3, 0, 0, 0]).double()
    return torch.where(batch.targets[..., None] < 3, guess, certain(batch.targets, 6))


def pair_frequencies(task: ElmanLetters) -> Tensor:
    """Return how often each letter follows each other one, counted on streams of their own."""
    batch = task.sample(200_000 // task.length, "test", torch.Generator().manual_seed(2))
    counts = torch.zeros(6, 6).double()
    counts.index_put_((batch.inputs, batch.targets), torch.ones(()).double(), accumulate=True)
    return counts / counts.sum(1, keepdim=True).clamp(min=1)


def test_elman_letters_equals_the_diagram() -> None:
    inputs, targets, positions = elman_letters(torch.tensor([[1, 0, 2, 1]]), 9)
    lines = (
        "inputs     " + " ".join(SYMBOLS[symbol] for symbol in inputs[0]),
        "targets    " + " ".join(SYMBOLS[symbol] for symbol in targets[0]),
        "position   " + " ".join(str(int(position)) for position in positions[0]),
    )
    for line in lines:
        assert line in str(elman_letters.__doc__)


@pytest.mark.parametrize("length", [1, 2, 3, 4, 50])
def test_streams_consist_of_the_words(length: int) -> None:
    batch = ElmanLetters(length, batch_size=100).train_batch(0)
    assert batch.group is not None
    assert torch.equal(batch.inputs[:, 1:], batch.targets[:, :-1])
    for text, positions in zip(texts_of(batch), batch.group.tolist(), strict=True):
        assert len(text) == length + 1
        *words, rest = re.findall(r"[bdg][aiu]*", text)
        assert set(words) <= set(WORDS)
        assert any(word.startswith(rest) for word in WORDS)
        expected = [position for word in [*words, rest] for position in range(len(word))]
        assert positions == expected[1:]


def test_words_are_equally_likely() -> None:
    text = "".join(texts_of(ElmanLetters(300, batch_size=100).train_batch(0)))
    counts = [text.count(letter) for letter in "bdg"]
    assert all(abs(count / sum(counts) - 1 / 3) < 0.02 for count in counts)


def test_features_are_those_of_the_letters() -> None:
    features = ElmanLetters(40, inputs="features").train_batch(0)
    symbols = ElmanLetters(40).train_batch(0)
    assert torch.equal(features.targets, symbols.targets)
    consonant, vowel, interrupted, high, back, voiced = features.inputs.unbind(-1)
    is_in = {
        letters: torch.isin(symbols.inputs, torch.tensor([SYMBOLS.index(letter) for letter in letters])).float()
        for letters in ("bdg", "aiu", "iud", "ug")
    }
    assert torch.equal(consonant, is_in["bdg"])
    assert torch.equal(interrupted, is_in["bdg"])
    assert torch.equal(vowel, is_in["aiu"])
    assert torch.equal(high, is_in["iud"])
    assert torch.equal(voiced, torch.ones_like(voiced))
    rows = {tuple(row) for row in features.inputs.flatten(0, 1).tolist()}
    assert len(rows) == 6
    assert torch.all(back[symbols.inputs == SYMBOLS.index("u")] == 1)


@pytest.mark.parametrize("length", [1, 4, 7, 60])
def test_scores_equal_those_of_simulated_predictors(length: int) -> None:
    task = ElmanLetters(length)
    frequencies = pair_frequencies(task)
    check_score(task, lambda batch: frequencies[batch.inputs], task.baseline.loss, task.baseline.accuracy)
    (best,) = task.plateaus
    check_score(task, knowing_the_words, best.loss, best.accuracy)
    assert task.baseline.floor == best.loss


def test_scores_of_long_streams_equal_their_limits() -> None:
    task = ElmanLetters(5000)
    assert task.baseline.floor == pytest.approx(math.log(3) / 3, abs=1e-3)
    assert task.baseline.accuracy == pytest.approx(19 / 27, abs=1e-3)
    assert task.plateaus[0].accuracy == pytest.approx(7 / 9, abs=1e-3)


def test_previous_letter_alone_predicts_all_vowels() -> None:
    task = ElmanLetters(60)
    batch = task.train_batch(0)
    answers = pair_frequencies(task)[batch.inputs].argmax(-1)
    is_vowel = batch.targets >= 3
    assert torch.equal(answers[is_vowel], batch.targets[is_vowel])


def test_solved_needs_99_percent_of_the_gap_to_the_floor() -> None:
    task = ElmanLetters(60)
    floor, loss = task.baseline.floor, task.baseline.loss
    assert floor is not None
    assert task.solved({"val/loss": floor + 0.009 * (loss - floor)})
    assert not task.solved({"val/loss": floor + 0.011 * (loss - floor)})
    assert not task.solved({"val/loss": floor + 0.009 * (loss - floor)}, threshold=0.995)
    assert task.solved({"test/loss": floor}, "test")
    assert not task.solved({})


@pytest.mark.parametrize("inputs", ["symbols", "features"])
def test_at_length_changes_the_length(inputs: Any) -> None:
    task = ElmanLetters(5, inputs).at_length(9)
    assert task.train_batch(0).inputs.shape[1] == 9
    assert task.baseline == ElmanLetters(9).baseline


def test_encoded_text_equals_the_training_sequence() -> None:
    task = ElmanLetters(20)
    batch, codec = task.train_batch(0), task.spec.codec
    assert codec is not None
    encoded = codec.encode(codec.decode(batch.inputs))
    assert torch.equal(encoded.inputs, batch.inputs)
    assert torch.equal(encoded.scored, batch.scored)
    assert codec.encode([codec.sample]).scored.all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"length": 0}, "length must be at least 1, got 0"),
        ({"inputs": "other"}, "inputs must be one of symbols, features, got other"),
    ],
)
def test_value_out_of_bounds_raises(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        ElmanLetters(**arguments)
