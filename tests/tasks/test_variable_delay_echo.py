from typing import Any

import pytest
import torch

from rnn_tasks.errors import UsageError
from rnn_tasks.spec import NOT_SCORED
from rnn_tasks.tasks import VariableDelayEcho
from rnn_tasks.tasks.echo import echo


def test_sequence_equals_the_diagram() -> None:
    codec = VariableDelayEcho().spec.codec
    assert codec is not None
    encoded = codec.encode(["abcdef"], delay=3)
    assert encoded.condition is not None
    assert encoded.condition.tolist() == [3]
    inputs, targets = echo(encoded.inputs, encoded.condition, torch.tensor([6]))
    assert codec.decode(inputs) == ["abcdef"]
    assert "".join("." if symbol < 0 else codec.symbols[symbol] for symbol in targets[0]) == "...abc"
    for line in ("inputs    a b c d e f      condition = 3", "targets   . . . a b c"):
        assert line in str(VariableDelayEcho.__doc__)


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_each_row_is_an_echo_with_the_delay_in_its_condition(split: str) -> None:
    task = VariableDelayEcho(max_delay=3, sequence_length=7, batch_size=50, val_sequences=50, test_sequences=50)
    batch = {"train": task.train_dataloader, "val": task.val_dataloader, "test": task.predict_dataloader}[
        split
    ]().batch(0)
    assert batch.condition is not None
    assert set(batch.condition.tolist()) == {0, 1, 2, 3}
    for row, delay in enumerate(batch.condition.tolist()):
        letters = batch.inputs[row].tolist()
        assert batch.targets[row].tolist() == [NOT_SCORED] * delay + letters[: 7 - delay]


def test_delays_are_random_in_training_and_rotate_in_evaluation() -> None:
    task = VariableDelayEcho(max_delay=2, sequence_length=4, batch_size=3000, val_sequences=9)
    random_delays = task.train_batch(0).condition
    assert random_delays is not None
    shares = torch.bincount(random_delays) / 3000
    torch.testing.assert_close(shares, torch.full((3,), 1 / 3), atol=0.03, rtol=0)
    (batch,) = task.val_dataloader()
    assert batch.condition is not None
    assert batch.condition.tolist() == [0, 1, 2, 0, 1, 2, 0, 1, 2]
    assert random_delays[:9].tolist() != batch.condition.tolist()


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_every_delay_repeats_each_string_at_all_delays(split: str) -> None:
    sizes: dict[str, Any] = {"batch_size": 12, "val_sequences": 12, "test_sequences": 12}
    task = VariableDelayEcho(max_delay=2, sequence_length=5, every_delay=True, **sizes)
    batch = {"train": task.train_dataloader, "val": task.val_dataloader, "test": task.predict_dataloader}[
        split
    ]().batch(0)
    assert batch.conditions_per_input == 3
    assert batch.inputs.shape == (4, 5)
    assert len({tuple(letters) for letters in batch.inputs.tolist()}) == 4
    assert batch.condition is not None
    assert batch.condition.tolist() == [0, 1, 2] * 4
    repeated = batch.inputs.repeat_interleave(3, 0).tolist()
    for letters, targets, delay in zip(repeated, batch.targets.tolist(), [0, 1, 2] * 4, strict=True):
        assert targets == [NOT_SCORED] * delay + letters[: 5 - delay]
    if split == "train":
        assert not torch.equal(batch.inputs, task.train_batch(1).inputs)


@pytest.mark.parametrize("size", [3, 8])
def test_evaluation_batches_are_cut_from_one_set(size: int) -> None:
    task = VariableDelayEcho(2, 5, every_delay=True, val_sequences=12, eval_batch_size=size)
    whole = VariableDelayEcho(2, 5, every_delay=True, val_sequences=12).val_dataloader().batch(0).expanded()
    batches = list(task.val_dataloader())
    assert [batch.num_sequences for batch in batches] == ([3, 3, 3, 3] if size == 3 else [8, 4])
    assert [batch.conditions_per_input for batch in batches] == ([3, 3, 3, 3] if size == 3 else [3, 1])
    assert torch.equal(torch.cat([batch.expanded().inputs for batch in batches]), whole.inputs)
    assert torch.equal(torch.cat([batch.targets for batch in batches]), whole.targets)


def test_every_delay_allows_an_incomplete_last_string() -> None:
    task = VariableDelayEcho(max_delay=2, sequence_length=5, every_delay=True, batch_size=8)
    batch, whole = task.train_batch(0), VariableDelayEcho(2, 5, every_delay=True, batch_size=9).train_batch(0)
    assert batch.condition is not None
    assert batch.conditions_per_input == whole.conditions_per_input == 3
    assert batch.condition.tolist() == [0, 1, 2, 0, 1, 2, 0, 1]
    assert torch.equal(batch.inputs, whole.inputs)
    assert torch.equal(batch.expanded().inputs, whole.expanded().inputs[:8])
    assert torch.equal(batch.targets, whole.targets[:8])


def test_baseline_equals_score_of_predicting_letter_frequencies() -> None:
    task = VariableDelayEcho(max_delay=2, sequence_length=6, alphabet_size=5, batch_size=9000)
    batch = task.train_batch(0)
    assert batch.condition is not None
    for delay in range(3):
        chosen = batch.scored & (batch.condition == delay)[:, None]
        shares = torch.bincount(batch.targets[chosen])[1:].double() / chosen.sum()
        assert task.baseline.loss == pytest.approx(-(shares * shares.log()).sum().item(), rel=0.01)
        assert task.baseline.accuracy == pytest.approx(shares.max().item(), abs=0.01)


def test_encoded_text_equals_the_task_sequence() -> None:
    task = VariableDelayEcho(max_delay=4, sequence_length=9, batch_size=30)
    batch, codec = task.train_batch(0), task.spec.codec
    assert codec is not None
    assert batch.condition is not None
    for row, delay in enumerate(batch.condition.tolist()):
        encoded = codec.encode(codec.decode(batch.inputs[row : row + 1]), delay)
        assert torch.equal(encoded.inputs, batch.inputs[row : row + 1])
        assert torch.equal(encoded.scored, batch.scored[row : row + 1])
        assert encoded.condition is not None
        assert encoded.condition.tolist() == [delay]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"max_delay": -1}, r"max_delay must be at least 0 and below sequence_length \(20\), got -1"),
        ({"max_delay": 20}, r"max_delay must be at least 0 and below sequence_length \(20\), got 20"),
        ({"alphabet_size": 1}, r"alphabet_size must be in 2\.\.62, got 1"),
        ({"alphabet_size": 63}, r"alphabet_size must be in 2\.\.62, got 63"),
    ],
)
def test_value_out_of_bounds_raises(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        VariableDelayEcho(**arguments)
