import math
from typing import Any, get_args

import pytest
import torch
from torch import Tensor

from rnn_tasks.errors import UsageError
from rnn_tasks.spec import Batch, Grouping
from rnn_tasks.tasks import Adding
from rnn_tasks.tasks.adding import LayoutName, adding
from tests.helpers.predictors import check_score

LAYOUTS: tuple[LayoutName, ...] = get_args(LayoutName)


def plain_sequence(values: list[float], marks: list[float], layout: LayoutName) -> tuple[float, int]:
    """Return the target and the lag of one sequence without padding."""
    steps = [step for step, mark in enumerate(marks) if mark == 1]
    total = sum(values[step] for step in steps)
    return 0.5 + total / 4 if layout == "hochreiter" else total, len(values) - 1 - steps[0]


def lengths_of(batch: Batch) -> list[int]:
    """Return the length of each sequence, which ends with its only scored step."""
    assert set(batch.scored.sum(1).tolist()) == {1}
    return (batch.scored.long().argmax(1) + 1).tolist()


def latest_number(batch: Batch) -> Tensor:
    """Return the number at the latest mark of each sequence, ``(sequences,)``."""
    latest = (torch.arange(batch.inputs.shape[1]) * (batch.inputs[..., 1] == 1)).amax(1)
    return batch.inputs[torch.arange(batch.num_sequences), latest, 0]


def at_all_steps(answers: Tensor, batch: Batch) -> Tensor:
    return answers[:, None, None].expand(batch.targets.shape)


@pytest.mark.parametrize(
    ("values", "marks", "target", "marks_ends"),
    [
        ("0.2  0.9  0.5  0.7  0.1  0.4", "0    1    0    0    1    0", 1.0, False),
        ("0.2  -0.6 0.5  0.8  0.1  0.4", "-1   1    0    1    0    -1", 0.55, True),
    ],
)
def test_adding_equals_the_diagrams(values: str, marks: str, target: float, marks_ends: bool) -> None:
    numbers = torch.tensor([[float(number) for number in values.split()]])
    expected = torch.tensor([float(mark) for mark in marks.split()])
    marked = (expected == 1).nonzero().T
    inputs, targets = adding(numbers, marked, torch.tensor([6]), marks_ends)
    assert torch.equal(inputs, torch.stack([numbers, expected[None]], -1))
    assert targets[0, :5].isnan().all()
    assert targets[0, 5, 0] == pytest.approx(target)
    for line in (f"value     {values}", f"mark      {marks}", f"target    {'.    ' * 5}{target}"):
        assert line in str(adding.__doc__)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("split", ["train", "test"])
def test_sequences_equal_a_plain_definition(layout: LayoutName, split: str) -> None:
    length = 24
    batch = Adding(length, layout).sample(400, split, torch.Generator().manual_seed(0))
    assert batch.group is not None
    places = set()
    for row, size in enumerate(lengths_of(batch)):
        values, marks = batch.inputs[row, :size, 0].tolist(), batch.inputs[row, :size, 1].tolist()
        target, lag = plain_sequence(values, marks, layout)
        assert batch.targets[row, size - 1, 0].item() == pytest.approx(target, abs=1e-6)
        assert batch.group[row].item() == lag
        assert not batch.inputs[row, size:].any()
        places.add(tuple(step for step, mark in enumerate(marks) if mark == 1))
        assert set(marks[1:-1]) <= {0.0, 1.0}
        if layout == "hochreiter":
            assert (marks[0], marks[-1]) == (-1, -1)
    first, second = zip(*(place for place in places if len(place) == 2), strict=True)
    if layout == "arjovsky":
        assert (set(first), set(second)) == (set(range(12)), set(range(12, 24)))
    elif layout == "tcn":
        assert set(first) | set(second) == set(range(24))
    else:
        # One mark is among the first ten steps, the other among the first 24 // 2 - 1 steps without the first mark.
        assert set(first) | set(second) == set(range(1, 12))
        assert set(lengths_of(batch)) == {24, 25, 26}
        assert {place[0] for place in places if len(place) == 1} == set(range(1, 12))


def test_number_at_the_first_step_counts_as_0_in_hochreiter() -> None:
    batch = Adding(20, "hochreiter").sample(500, "train", torch.Generator().manual_seed(0))
    lost = (batch.inputs[..., 1] == 1).sum(1) == 1
    assert lost.any()
    assert (batch.inputs[lost, 0, 0] == 0).all()
    assert (batch.inputs[~lost, 0, 0] != 0).all()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_numbers_are_uniform_in_the_range_of_the_layout(layout: LayoutName) -> None:
    batch = Adding(40, layout).sample(2000, "train", torch.Generator().manual_seed(0))
    numbers = batch.inputs[:, 1:40, 0].flatten()
    low = -1.0 if layout == "hochreiter" else 0.0
    shares = torch.histc(numbers, 4, low, 1.0) / len(numbers)
    torch.testing.assert_close(shares, torch.full((4,), 0.25), atol=0.01, rtol=0)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("length", [20, 41])
def test_baseline_and_plateau_equal_simulated_scores(layout: LayoutName, length: int) -> None:
    task = Adding(length, layout)
    mean = 0.5 if layout == "hochreiter" else 1.0

    def latest_only(batch: Batch) -> Tensor:
        number = latest_number(batch)
        return at_all_steps(0.5 + number / 4 if layout == "hochreiter" else number + 0.5, batch)

    check_score(task, lambda batch: torch.full_like(batch.targets, mean), task.baseline.loss, None)
    (plateau,) = task.plateaus
    check_score(task, latest_only, plateau.loss, None)


def test_scores_of_numbers_in_0_to_1_are_one_sixth_and_one_twelfth() -> None:
    for layout in LAYOUTS[:2]:
        task = Adding(7, layout)
        assert task.baseline.loss == pytest.approx(1 / 6)
        assert math.isnan(task.baseline.accuracy)
        assert task.plateaus[0].loss == pytest.approx(1 / 12)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_eval_lengths_change_the_length(layout: LayoutName) -> None:
    task = Adding(20, layout, eval_lengths=[30], length_sequences=9)
    longer = task.longer_tests[30]
    (batch,) = longer.predict_dataloader()
    assert batch.inputs.shape == (9, 30, 2)
    assert longer.grouping == Grouping("lag", 30)
    assert task.grouping == Grouping("lag", 22 if layout == "hochreiter" else 20)
    assert longer.baseline.loss == Adding(30, layout).baseline.loss


@pytest.mark.parametrize("layout", LAYOUTS)
def test_lags_are_below_the_size_of_the_grouping(layout: LayoutName) -> None:
    task = Adding(21, layout)
    group = task.sample(2000, "test", torch.Generator().manual_seed(0)).group
    assert group is not None
    assert 0 <= int(group.min()) <= int(group.max()) < task.grouping.size


def test_one_length_per_batch_leaves_no_padding() -> None:
    task = Adding(40, "hochreiter", one_length_per_batch=True, batch_size=9)
    batches = [task.train_batch(index) for index in range(12)]
    assert all(set(lengths_of(batch)) == {batch.inputs.shape[1]} for batch in batches)
    assert len({batch.inputs.shape[1] for batch in batches}) > 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"layout": "other"}, "layout must be one of arjovsky, tcn, hochreiter, got other"),
        ({"length": 1}, "length must be at least 2 in the layout arjovsky, got 1"),
        ({"length": 19, "layout": "hochreiter"}, "length must be at least 20 in the layout hochreiter, got 19"),
    ],
)
def test_value_out_of_bounds_raises(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Adding(**arguments)


def test_eval_length_out_of_bounds_raises() -> None:
    with pytest.raises(UsageError, match="eval_lengths must be at least 20 in the layout hochreiter, got 9"):
        Adding(30, "hochreiter").at_length(9)
