import math
from typing import Any

import pytest
import torch
from torch import Tensor

from rnn_tasks.errors import UsageError
from rnn_tasks.spec import Batch
from rnn_tasks.tasks import FlipFlop
from rnn_tasks.tasks.flip_flop import SYMBOLS, flip_flop
from tests.helpers.predictors import check_score, uniform


def texts_of(batch: Batch) -> list[str]:
    return ["".join(SYMBOLS[symbol] for symbol in row) for row in batch.inputs.tolist()]


def last_bit(batch: Batch, wrong: float) -> Tensor:
    """Return the probabilities of a predictor that answers with the input of the step before.

    Args:
        batch: The sequences.
        wrong: The probability of the other bit, unless the answer is due after the first pair.
    """
    previous = batch.inputs.roll(1, 1).clamp(max=1)
    probabilities = torch.full((*batch.targets.shape, 2), wrong).double()
    probabilities.scatter_(2, previous[..., None], 1 - wrong)
    after_first_pair = torch.nn.functional.one_hot(batch.inputs[:, 1], 2).double()
    probabilities[:, 2] = after_first_pair
    return probabilities


def test_flip_flop_equals_the_diagram() -> None:
    instructions = torch.tensor([[SYMBOLS.index(letter) for letter in "wirwr"]])
    inputs, targets, lags = flip_flop(instructions, torch.tensor([[1, 0, 0, 0, 1]]))
    lines = (
        "inputs    " + " ".join(SYMBOLS[symbol] for symbol in inputs[0]),
        "targets   " + " ".join(str(int(bit)) if bit >= 0 else "." for bit in targets[0]),
        "lag       "
        + " ".join(str(int(lag)) if bit >= 0 else " " for lag, bit in zip(lags[0], targets[0], strict=True)),
    )
    for line in lines:
        assert line.rstrip() in str(flip_flop.__doc__)


@pytest.mark.parametrize("ignore", [0.0, 0.5, 0.9])
def test_targets_and_lags_equal_a_plain_definition(ignore: float) -> None:
    batch = FlipFlop(30, ignore).train_batch(0)
    assert batch.group is not None
    for row, text in enumerate(texts_of(batch)):
        assert (text[0], text[-2]) == ("w", "r")
        assert set(text[::2]) <= set("wri")
        assert set(text[1::2]) <= set("01")
        written, shown_at = "", 0
        for step, letter in enumerate(text):
            target = int(batch.targets[row, step])
            if letter == "w":
                written = text[step + 1]
            if letter == "r":
                assert text[step + 1] == written == str(target)
                assert int(batch.group[row, step]) == step - shown_at
            else:
                assert target == -100
            if letter in "wr":
                shown_at = step


def test_instructions_have_their_probabilities() -> None:
    inner = FlipFlop(200, 0.8, batch_size=400).train_batch(0).inputs[:, 2:-2:2]
    shares = [(inner == SYMBOLS.index(letter)).double().mean().item() for letter in "wri"]
    assert shares == pytest.approx([0.1, 0.1, 0.8], abs=0.01)


def test_lags_above_the_largest_group_are_in_the_last_group() -> None:
    task = FlipFlop(400, 0.99, batch_size=50)
    batch = task.train_batch(0)
    assert batch.group is not None
    assert int(batch.group.max()) == 100 == task.grouping.size - 1
    assert int(batch.group.min()) == 0


@pytest.mark.parametrize(("length", "ignore"), [(4, 0.8), (6, 0.5), (20, 0.9), (20, 0.0)])
def test_scores_equal_those_of_simulated_predictors(length: int, ignore: float) -> None:
    task = FlipFlop(length, ignore)
    check_score(task, uniform(task), task.baseline.loss, task.baseline.accuracy)
    (plateau,) = task.plateaus
    check_score(task, lambda batch: last_bit(batch, ignore / 2), plateau.loss, plateau.accuracy)


@pytest.mark.parametrize(("ignore", "accuracy"), [(0.8, 0.6), (0.98, 0.51), (0.1, 0.95)])
def test_plateau_of_long_sequences_equals_its_limit(ignore: float, accuracy: float) -> None:
    (plateau,) = FlipFlop(200_000, ignore).plateaus
    assert plateau.accuracy == pytest.approx(accuracy, abs=1e-3)
    assert plateau.loss == pytest.approx(
        -accuracy * math.log(accuracy) - (1 - accuracy) * math.log(1 - accuracy), abs=1e-3
    )


def test_at_length_changes_the_length_and_the_plateau() -> None:
    task = FlipFlop(8, 0.9).at_length(32)
    assert task.train_batch(0).inputs.shape[1] == 32
    assert task.plateaus == FlipFlop(32, 0.9).plateaus
    with pytest.raises(UsageError, match="eval_lengths must be even and at least 4, got 9"):
        task.at_length(9)


def test_encoded_text_equals_the_training_sequence() -> None:
    task = FlipFlop(20, 0.5)
    batch, codec = task.train_batch(0), task.spec.codec
    assert codec is not None
    encoded = codec.encode(texts_of(batch))
    assert torch.equal(encoded.inputs, batch.inputs)
    assert torch.equal(encoded.scored, batch.scored)
    assert codec.encode([codec.sample]).scored.sum() == codec.sample.count("r") == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"length": 7}, "length must be even and at least 4, got 7"),
        ({"length": 2}, "length must be even and at least 4, got 2"),
        ({"ignore": 1.0}, r"ignore must be at least 0 and below 1, got 1\.0"),
        ({"ignore": -0.1}, r"ignore must be at least 0 and below 1, got -0\.1"),
    ],
)
def test_value_out_of_bounds_raises(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        FlipFlop(**arguments)
