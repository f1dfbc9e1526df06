import math
from typing import Any

import pytest
import torch

from rnn_tasks.errors import UsageError
from rnn_tasks.spec import NOT_SCORED, Batch
from rnn_tasks.tasks import Echo
from rnn_tasks.tasks.echo import echo


def plain_echo(letters: list[int], delay: int, length: int) -> tuple[list[int], list[int]]:
    """Return inputs and targets of one sequence: the target at t is the input at t - delay."""
    inputs, targets = [], []
    for step, letter in enumerate(letters):
        inputs.append(letter if step < length else 0)
        targets.append(letters[step - delay] if delay <= step < length else NOT_SCORED)
    return inputs, targets


def test_echo_equals_the_diagram() -> None:
    inputs, targets = echo(torch.tensor([[1, 2, 3, 4, 5, 6]]), torch.tensor([2]), torch.tensor([6]))
    assert "".join(" abcdef"[symbol] for symbol in inputs[0]) == "abcdef"
    assert "".join(" abcdef"[symbol] if symbol >= 0 else "." for symbol in targets[0]) == "..abcd"
    for line in ("inputs    a b c d e f", "targets   . . a b c d"):
        assert line in str(echo.__doc__)


@pytest.mark.parametrize("has_lengths", [False, True])
def test_each_row_has_its_own_delay_and_length(has_lengths: bool) -> None:
    letters = torch.randint(1, 9, (63, 7))
    delays = torch.arange(63) % 9  # up to more than the number of letters
    lengths = 1 + torch.arange(63) // 9 if has_lengths else torch.full((63,), 7)
    inputs, targets = echo(letters, delays, lengths if has_lengths else None)
    for row in range(63):
        expected = plain_echo(letters[row].tolist(), int(delays[row]), int(lengths[row]))
        assert (inputs[row].tolist(), targets[row].tolist()) == expected


def test_training_sequences_are_echoes_of_one_length() -> None:
    batch = Echo(delay=3, sequence_length=9, alphabet_size=4, batch_size=30).train_batch(0)
    assert batch.memory is None
    assert batch.condition is None
    for row in range(30):
        letters = batch.inputs[row].tolist()
        assert len(letters) == 9
        assert set(letters) <= {1, 2, 3, 4}
        assert (letters, batch.targets[row].tolist()) == plain_echo(letters, 3, 9)


@pytest.mark.parametrize("split", ["val", "test"])
def test_evaluation_lengths_cover_their_range(split: str) -> None:
    task = Echo(delay=2, sequence_length=5, min_eval_length=6, max_eval_length=9, val_sequences=80, test_sequences=90)
    loader = task.val_dataloader() if split == "val" else task.predict_dataloader()
    lengths = set()
    for batch in loader:
        for inputs, targets in zip(batch.inputs.tolist(), batch.targets.tolist(), strict=True):
            length = sum(symbol > 0 for symbol in inputs)
            lengths.add(length)
            assert (inputs, targets) == plain_echo(inputs, 2, length)
    assert lengths == {6, 7, 8, 9}


def test_baseline_equals_score_of_predicting_letter_frequencies() -> None:
    task = Echo(delay=2, sequence_length=10, alphabet_size=6, batch_size=4000)
    batch = task.train_batch(0)
    shares = torch.bincount(batch.targets[batch.scored]).double() / batch.scored.sum()
    entropy = -(shares[1:] * shares[1:].log()).sum().item()
    assert task.baseline.loss == pytest.approx(entropy, rel=0.01)
    assert task.baseline.accuracy == pytest.approx(shares.max().item(), abs=0.01)
    assert shares[0] == 0


def test_defaults_equal_those_of_the_nyu_homework() -> None:
    task = Echo()
    batch = task.train_batch(0)
    assert batch.inputs.shape[1] == 15
    assert set(batch.scored.sum(1).tolist()) == {15 - 4}
    assert task.baseline.accuracy == pytest.approx(1 / 26)
    assert math.exp(task.baseline.loss) == pytest.approx(26)


def test_encoded_text_equals_the_training_sequence() -> None:
    task = Echo(delay=3, sequence_length=8, batch_size=20)
    batch, codec = task.train_batch(0), task.spec.codec
    assert codec is not None
    encoded = codec.encode(codec.decode(batch.inputs))
    assert torch.equal(encoded.inputs, batch.inputs)
    assert torch.equal(encoded.scored, batch.scored)


def test_encoded_text_equals_the_validation_sequence() -> None:
    task = Echo(delay=3, sequence_length=8, min_eval_length=5, max_eval_length=9, val_sequences=30)
    codec = task.spec.codec
    assert codec is not None
    (batch,) = task.val_dataloader()
    encoded: Batch = codec.encode([text.rstrip() for text in codec.decode(batch.inputs)])
    assert torch.equal(encoded.inputs, batch.inputs)
    assert torch.equal(encoded.scored, batch.scored)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"delay": -1}, r"delay must be at least 0 and below sequence_length \(15\), got -1"),
        ({"delay": 15}, r"delay must be at least 0 and below sequence_length \(15\), got 15"),
        ({"min_eval_length": 4}, r"min_eval_length must be above delay \(4\), got 4"),
        ({"max_eval_length": 14}, r"max_eval_length must be at least min_eval_length \(15\), got 14"),
        ({"alphabet_size": 1}, r"alphabet_size must be in 2\.\.62, got 1"),
        ({"alphabet_size": 63}, r"alphabet_size must be in 2\.\.62, got 63"),
    ],
)
def test_value_out_of_bounds_raises(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Echo(**arguments)
