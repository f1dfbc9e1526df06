import math

import pytest
import torch
from torch import Tensor

from rnn_tasks.errors import UsageError
from rnn_tasks.spec import Batch
from rnn_tasks.tasks import ElmanXor
from rnn_tasks.tasks.elman_xor import elman_xor
from tests.helpers.predictors import certain, check_score, uniform


def knowing_the_rule(batch: Batch) -> Tensor:
    """Return the probabilities of a predictor that knows every third bit of a stream."""
    probabilities = torch.full((*batch.inputs.shape, 2), 0.5)
    answers = (batch.inputs + batch.inputs.roll(1, 1)) % 2
    probabilities[:, 1::3] = certain(answers, 2)[:, 1::3].float()
    return probabilities


def test_elman_xor_equals_the_diagram() -> None:
    inputs, targets, memory = elman_xor(torch.tensor([[0, 1, 0]]), torch.tensor([[1, 1, 0]]))
    lines = (
        "inputs    " + " ".join(str(int(bit)) for bit in inputs[0]),
        "targets   " + " ".join(str(int(bit)) for bit in targets[0]),
        "memory    " + " ".join(" ^"[int(needed)] for needed in memory[0]),
    )
    for line in lines:
        assert line in str(elman_xor.__doc__)


def test_every_third_bit_is_the_exclusive_or() -> None:
    batch = ElmanXor(triples=7).train_batch(0)
    assert batch.memory is not None
    rows = (batch.inputs.tolist(), batch.targets.tolist(), batch.memory.tolist())
    for inputs, targets, memory in zip(*rows, strict=True):
        stream = [*inputs, targets[-1]]
        assert len(stream) == 21
        assert targets == stream[1:]
        assert memory == [step % 3 == 1 for step in range(20)]
        assert all(stream[step + 2] == (stream[step] + stream[step + 1]) % 2 for step in range(0, 21, 3))


@pytest.mark.parametrize("triples", [1, 2, 20])
def test_scores_equal_those_of_simulated_predictors(triples: int) -> None:
    task = ElmanXor(triples)
    check_score(task, uniform(task), task.baseline.loss, task.baseline.accuracy)
    check_score(task, knowing_the_rule, task.baseline.floor, 1.0)


def test_floor_of_a_long_stream_equals_two_thirds_of_a_bit() -> None:
    assert ElmanXor(100_000).baseline.floor == pytest.approx(2 / 3 * math.log(2), abs=1e-5)


def test_at_length_changes_the_number_of_triples() -> None:
    task = ElmanXor(5).at_length(9)
    assert task.train_batch(0).inputs.shape[1] == 26
    assert task.baseline == ElmanXor(9).baseline


def test_encoded_text_equals_the_training_sequence() -> None:
    task = ElmanXor(6)
    batch, codec = task.train_batch(0), task.spec.codec
    assert codec is not None
    encoded = codec.encode(codec.decode(batch.inputs))
    assert torch.equal(encoded.inputs, batch.inputs)
    assert torch.equal(encoded.scored, batch.scored)
    sample = [int(bit) for bit in codec.sample]
    assert all(sum(sample[step : step + 3]) % 2 == 0 for step in range(0, len(sample) - 2, 3))


def test_value_out_of_bounds_raises() -> None:
    with pytest.raises(UsageError, match="triples must be at least 1, got 0"):
        ElmanXor(0)
