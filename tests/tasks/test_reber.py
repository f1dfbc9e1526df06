import itertools
import math
import re
from collections import Counter

import pytest
import torch
from torch import Tensor

from rnn_tasks.errors import UsageError
from rnn_tasks.spec import Batch
from rnn_tasks.tasks import Reber
from rnn_tasks.tasks.reber import SYMBOLS, prediction
from tests.helpers.predictors import check_score

AFTER_STATE_2 = "T*V(?:PXT*V)*(?:V|PS)"
STRING = re.compile(f"B([TP])B(?:TS*X(?:S|X{AFTER_STATE_2})|P{AFTER_STATE_2})E\\1E")


def strings_of(batch: Batch) -> list[str]:
    """Return the whole string of each row, and check that the targets are the next letters."""
    strings = []
    for inputs, targets in zip(batch.inputs.tolist(), batch.targets.tolist(), strict=True):
        predicted = "".join(SYMBOLS[symbol] for symbol in targets if symbol >= 0)
        assert targets[len(predicted) :] == [-100] * (len(targets) - len(predicted))
        assert "".join(SYMBOLS[symbol] for symbol in inputs[: len(predicted)]) == "B" + predicted[:-1]
        strings.append("B" + predicted)
    return strings


def all_strings(longest: int) -> dict[str, float]:
    """Return all strings with at most this many letters, and the probability of each without a limit of the length."""
    pattern = re.compile(f"TS*X(?:S|X{AFTER_STATE_2})|P{AFTER_STATE_2}")
    found = {}
    for size in range(3, longest - 5):
        for letters in itertools.product("TPSXV", repeat=size):
            text = "".join(letters)
            if pattern.fullmatch(text):
                for outer in "TP":
                    found[f"B{outer}B{text}E{outer}E"] = 0.5 ** (size + 1)
    return found


def counting_predictor(strings: dict[str, float], knows_outer: bool) -> dict[str, Tensor]:
    """Return the probabilities of the next letter after each prefix, from the probabilities of all strings.

    Without the outer letter, the second letter of a prefix is replaced by '?'.
    """
    counts: dict[str, Tensor] = {}
    for text, probability in strings.items():
        for end in range(1, len(text)):
            prefix = text[:end] if knows_outer or end < 2 else "B?" + text[2:end]
            counts.setdefault(prefix, torch.zeros(7).double())[SYMBOLS.index(text[end])] += probability
    return {prefix: count / count.sum() for prefix, count in counts.items()}


def test_prediction_equals_the_diagram() -> None:
    strings = torch.tensor([[SYMBOLS.index(letter) for letter in "BPBTXSEPE"]])
    inputs, targets, memory = prediction(strings, torch.tensor([9]))
    lines = (
        "inputs    " + " ".join(SYMBOLS[symbol] for symbol in inputs[0]),
        "targets   " + " ".join(SYMBOLS[symbol] for symbol in targets[0]),
        "memory    " + " ".join(" ^"[int(needed)] for needed in memory[0]).rstrip(),
    )
    for line in lines:
        assert line in str(prediction.__doc__)


def test_strings_belong_to_the_grammar() -> None:
    task = Reber(batch_size=500)
    batch = task.train_batch(0)
    assert batch.memory is not None
    assert batch.group is not None
    for row, text in enumerate(strings_of(batch)):
        assert STRING.fullmatch(text)
        assert 9 <= len(text) <= 40
        assert int(batch.group[row, 0]) == len(text)
        (step,) = [step for step, needed in enumerate(batch.memory[row].tolist()) if needed]
        assert SYMBOLS[int(batch.targets[row, step])] == text[-2] == text[1]
        assert step + 1 == len(text) - 2


def test_strings_have_the_probabilities_of_the_grammar() -> None:
    exact = all_strings(11)
    total = sum(exact.values())
    found = Counter(strings_of(Reber(max_length=11).sample(20_000, "train", torch.Generator().manual_seed(0))))
    assert set(found) == set(exact)
    for text, probability in exact.items():
        share = probability / total
        assert abs(found[text] / 20_000 - share) < 4 * math.sqrt(share / 20_000)


@pytest.mark.parametrize("length", [9, 13, 30])
def test_at_length_draws_strings_of_one_length(length: int) -> None:
    task = Reber().at_length(length)
    texts = strings_of(task.train_batch(0))
    assert all(STRING.fullmatch(text) for text in texts)
    assert {len(text) for text in texts} == {length}


@pytest.mark.parametrize(("one_length", "knows_outer"), [(False, False), (False, True), (True, False)])
def test_scores_equal_those_of_simulated_predictors(one_length: bool, knows_outer: bool) -> None:
    task = Reber(max_length=11)
    strings = all_strings(11)
    if one_length:
        task = task.at_length(11)
        strings = {text: probability for text, probability in strings.items() if len(text) == 11}
    predictions = counting_predictor(strings, knows_outer)

    def predict(batch: Batch) -> Tensor:
        probabilities = torch.zeros(*batch.targets.shape, 7).double()
        for row, text in enumerate(strings_of(batch)):
            for end in range(1, len(text)):
                prefix = text[:end] if knows_outer or end < 2 else "B?" + text[2:end]
                probabilities[row, end - 1] = predictions[prefix]
        return probabilities

    baseline = task.baseline
    assert baseline.floor is not None
    scores = (baseline.floor, 1.0) if knows_outer else (baseline.loss, baseline.accuracy)
    check_score(task, predict, *scores)


def test_scores_without_a_limit_equal_their_closed_forms() -> None:
    baseline = Reber(max_length=1000).baseline
    assert baseline.floor == pytest.approx(7 * math.log(2) / 11)
    assert baseline.loss == pytest.approx(8 * math.log(2) / 11)


def test_strings_have_twelve_letters_on_average() -> None:
    lengths = [len(text) for text in strings_of(Reber(max_length=300, batch_size=5000).train_batch(0))]
    assert sum(lengths) / len(lengths) == pytest.approx(12, abs=0.2)


def test_encoded_text_equals_the_training_sequence() -> None:
    task = Reber(max_length=15)
    batch, codec = task.train_batch(0), task.spec.codec
    assert codec is not None
    for row, text in enumerate(strings_of(batch)):
        encoded = codec.encode([text[:-1]])
        width = len(text) - 1
        assert torch.equal(encoded.inputs[0], batch.inputs[row, :width])
        assert torch.equal(encoded.scored[0], batch.scored[row, :width])
    assert STRING.fullmatch(codec.sample + "PE")


@pytest.mark.parametrize("length", [8, 1001])
def test_value_out_of_bounds_raises(length: int) -> None:
    with pytest.raises(UsageError, match=rf"max_length must be in 9\.\.1000, got {length}"):
        Reber(length)
    with pytest.raises(UsageError, match=rf"eval_lengths must be in 9\.\.1000, got {length}"):
        Reber().at_length(length)
