import math
from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor

from rnn_tasks.errors import UsageError
from rnn_tasks.spec import NOT_SCORED, Batch
from rnn_tasks.tasks import Induction
from rnn_tasks.tasks.induction import induction
from tests.helpers.predictors import check_score, uniform


def plain_induction(inputs: list[int], trigger: int, scores_all: bool) -> tuple[list[int], int]:
    """Return the targets of one sequence, and the number of steps between its triggers."""
    first = inputs.index(trigger)
    last = len(inputs) - 1
    assert [step for step, symbol in enumerate(inputs) if symbol == trigger] == [first, last]
    waiting = inputs[1:] if scores_all else [NOT_SCORED] * last
    return [*waiting, inputs[first + 1]], last - first


def known_frequencies(task: Induction, batch: Batch) -> Tensor:
    """Return the share of each symbol among those before the last trigger, at all steps."""
    symbols = torch.arange(task.spec.output_size)
    counts = ((batch.inputs[:, :-1, None] == symbols) & (symbols < task.vocabulary)).sum(1, keepdim=True)
    return (counts / counts.sum(-1, keepdim=True)).expand(-1, batch.inputs.shape[1], -1)


def best_prediction(task: Induction, batch: Batch, knows_inputs: bool) -> Tensor:
    """Return the probabilities of the next symbol, given the inputs so far or the time only, for ``score=all``."""
    size, places = task.vocabulary, task.length - 2
    predicted = torch.zeros(*batch.inputs.shape, size + 1, dtype=torch.double)
    for step in range(task.length - 1):
        left = places - 1 - step  # steps at which the first trigger may still come
        seen = (batch.inputs[:, : step + 1] == size).any(1)
        if knows_inputs:
            chance = (~seen).double() / max(left, 1) * (left > 0)
        else:
            chance = torch.full(seen.shape, 1 / places if left > 0 else 0.0, dtype=torch.double)
        predicted[:, step, size] = chance
        predicted[:, step, :size] = ((1 - chance) / size)[:, None]
    predicted[:, -2, size] = 1
    predicted[:, -1, :size] = 1 / size
    if knows_inputs:
        first = (batch.inputs == size).long().argmax(1, keepdim=True)
        predicted[:, -1] = torch.nn.functional.one_hot(batch.inputs.gather(1, first + 1)[:, 0], size + 1).double()
    return predicted


@pytest.mark.parametrize("score", ["answer", "all"])
def test_induction_equals_the_diagram(score: str) -> None:
    inputs = "d a : b d a :"
    targets = "- - - - - - b" if score == "answer" else "a : b d a : b"
    symbols = torch.tensor([["abcd:".index(letter) for letter in inputs.split()]])
    made = induction(symbols[:, :-1].masked_fill(symbols[:, :-1] == 4, 0), torch.tensor([2]), 4)
    assert torch.equal(made[0], symbols)
    letters = ["abcd:"[target] for target in made[1][0]]
    assert " ".join(letters if score == "all" else ["-"] * 6 + letters[-1:]) == targets
    for line in (f"score={score:12} inputs    {inputs}", f"{'':18} targets   {targets}"):
        assert line in str(induction.__doc__)


@pytest.mark.parametrize("score", ["answer", "all"])
@pytest.mark.parametrize("length", [3, 4, 9])
def test_sequences_equal_a_plain_definition(score: Any, length: int) -> None:
    task = Induction(5, length, score, batch_size=60)
    batch = task.train_batch(0)
    assert batch.group is not None
    assert batch.needs_memory.tolist() == [[False] * length + [True]] * 60
    for row in range(60):
        targets, lag = plain_induction(batch.inputs[row].tolist(), 5, score == "all")
        assert batch.targets[row].tolist() == targets
        assert batch.group[row].tolist() == [lag]
        assert 3 <= lag <= length


def test_trigger_comes_at_all_steps_equally_often() -> None:
    task = Induction(4, 7, batch_size=5000)
    group = task.train_batch(0).group
    assert group is not None
    shares = torch.bincount(group[:, 0], minlength=task.grouping.size).double() / 5000
    assert shares[:3].sum() == 0
    assert ((shares[3:] - 0.2).abs() < 4 * math.sqrt(0.16 / 5000)).all()


def test_baseline_equals_a_predictor_that_guesses() -> None:
    task = Induction(5, 4)
    check_score(task, uniform(task), task.baseline.loss, task.baseline.accuracy)


@pytest.mark.parametrize("length", [3, 4, 9])
def test_baseline_of_all_steps_equals_a_predictor(length: int) -> None:
    task = Induction(3, length, "all")
    baseline = task.baseline
    check_score(task, lambda batch: best_prediction(task, batch, False), baseline.loss, baseline.accuracy)
    check_score(task, lambda batch: best_prediction(task, batch, True), baseline.floor, 1.0)


def test_floor_equals_the_mean_over_all_sequences() -> None:
    task = Induction(2, 5, "all")
    batches = [induction(torch.tensor([s]), torch.tensor([t]), 2) for s in product((0, 1), repeat=5) for t in range(3)]
    inputs, targets = (torch.cat(part) for part in zip(*batches, strict=True))
    predicted = best_prediction(task, Batch(inputs, targets), True)
    loss = -predicted.gather(2, targets[..., None]).log().mean()
    assert task.baseline.floor == pytest.approx(loss.item(), rel=1e-12)


@pytest.mark.parametrize("score", ["answer", "all"])
def test_plateau_equals_a_predictor_of_frequencies(score: Any) -> None:
    task = Induction(4, 5, score)
    (plateau,) = task.plateaus
    check_score(task, lambda batch: known_frequencies(task, batch), plateau.loss, plateau.accuracy)
    assert (plateau.loss is None) == (score == "all")


@pytest.mark.parametrize("score", ["answer", "all"])
def test_encoded_text_equals_the_task_sequence(score: Any) -> None:
    task = Induction(18, 30, score, batch_size=8)
    batch, codec = task.train_batch(0), task.spec.codec
    assert codec is not None
    encoded = codec.encode(codec.decode(batch.inputs[:, :-1]))
    assert torch.equal(encoded.inputs, batch.inputs)
    assert torch.equal(encoded.scored, batch.needs_memory)


def test_sample_text_is_a_sequence_of_the_task() -> None:
    codec = Induction().spec.codec
    assert codec is not None
    assert len(codec.sample) == 30
    assert codec.sample.count(":") == 1
    assert codec.encode([codec.sample]).scored[0].tolist() == [False] * 30 + [True]
    assert Induction(63).spec.codec is None


def test_longer_test_has_more_steps_before_the_last_trigger() -> None:
    task = Induction(eval_lengths=[50])
    assert task.longer_tests[50].train_batch(0).inputs.shape[1] == 51
    with pytest.raises(UsageError, match="eval_lengths must be at least 3, got 2"):
        task.at_length(2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"vocabulary": 1}, "vocabulary must be at least 2, got 1"),
        ({"length": 2}, "length must be at least 3, got 2"),
        ({"score": "last"}, "score must be answer or all, got last"),
    ],
)
def test_value_out_of_bounds_raises(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Induction(**options)
