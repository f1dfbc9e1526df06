from functools import partial

import pytest
import torch
from torch import Tensor

from rnn_tasks.errors import UsageError
from rnn_tasks.spec import Batch
from rnn_tasks.tasks import TemporalOrder
from rnn_tasks.tasks.temporal_order import CLASSES, SYMBOLS, LayoutName, temporal_order
from tests.helpers.predictors import check_score

ORDERS = {
    2: {"XX": "Q", "XY": "R", "YX": "S", "YY": "U"},
    3: {"XXX": "Q", "XXY": "R", "XYX": "S", "XYY": "U", "YXX": "V", "YXY": "A", "YYX": "B", "YYY": "C"},
}
SETTINGS: list[tuple[int, LayoutName]] = [
    (2, "martens"),
    (3, "martens"),
    (2, "hochreiter"),
    (3, "hochreiter"),
]


def texts_of(batch: Batch) -> list[str]:
    """Return the inputs of each row up to the last symbol, B, and check that it is the only scored step."""
    texts = []
    for inputs, targets in zip(batch.inputs.tolist(), batch.targets.tolist(), strict=True):
        text = "".join(SYMBOLS[symbol] for symbol in inputs)
        end = text.index("B")
        assert [step for step, target in enumerate(targets) if target >= 0] == [end]
        assert set(text[end + 1 :]) <= {"a"}
        texts.append(text[: end + 1])
    return texts


def knowing_latest(batch: Batch, num_marks: int, known: int) -> Tensor:
    """Return the probabilities of a predictor that has seen only the latest ``known`` marks."""
    is_mark = (batch.inputs == SYMBOLS.index("X")) | (batch.inputs == SYMBOLS.index("Y"))
    seen = batch.inputs[is_mark].reshape(-1, num_marks)[:, num_marks - known :]
    orders = torch.tensor([[SYMBOLS.index(mark) for mark in order] for order in ORDERS[num_marks]])
    fits = (orders[None, :, num_marks - known :] == seen[:, None]).all(-1).double()
    probabilities = torch.zeros(len(seen), 2**num_marks).double()
    probabilities[:, [CLASSES.index(answer) for answer in ORDERS[num_marks].values()]] = fits / fits.sum(1, True)
    return probabilities[:, None].expand(-1, batch.targets.shape[1], -1)


def test_temporal_order_equals_the_diagram() -> None:
    noise = torch.tensor([["abcd".index(letter) for letter in "aaadbacaaa"]])
    inputs, targets = temporal_order(noise, torch.tensor([[0, 1]]), torch.tensor([[2, 5]]), torch.tensor([10]))
    lines = (
        "inputs    " + " ".join(SYMBOLS[symbol] for symbol in inputs[0]),
        "targets   " + " ".join(CLASSES[symbol] if symbol >= 0 else "." for symbol in targets[0]),
    )
    for line in lines:
        assert line in str(temporal_order.__doc__)


@pytest.mark.parametrize(("marks", "layout"), SETTINGS)
def test_targets_are_the_orders_of_the_marks(marks: int, layout: LayoutName) -> None:
    batch = TemporalOrder(30, marks, layout).train_batch(0)
    for row, text in enumerate(texts_of(batch)):
        assert text[0] == "E"
        assert set(text[1:-1]) <= set("abcdXY")
        order = "".join(letter for letter in text if letter in "XY")
        assert CLASSES[int(batch.targets[row, len(text) - 1])] == ORDERS[marks][order]


def test_positions_and_lengths_equal_those_of_the_publication() -> None:
    for marks, windows in ((2, [(10, 20), (50, 60)]), (3, [(10, 20), (33, 43), (66, 76)])):
        texts = texts_of(TemporalOrder(100, marks, "hochreiter", batch_size=2000).train_batch(0))
        assert {len(text) for text in texts} == set(range(100, 111))
        steps = [[step for step, letter in enumerate(text) if letter in "XY"] for text in texts]
        for mark, (first, last) in enumerate(windows):
            assert {row[mark] for row in steps} == set(range(first, last + 1))


def test_positions_scale_with_the_length() -> None:
    texts = texts_of(TemporalOrder(40, batch_size=500).train_batch(0))
    assert {len(text) for text in texts} == {40}
    steps = [[step for step, letter in enumerate(text) if letter in "XY"] for text in texts]
    assert {row[0] for row in steps} == set(range(4, 9))
    assert {row[1] for row in steps} == set(range(20, 25))


def test_one_length_per_batch_pads_no_training_sequence() -> None:
    task = TemporalOrder(100, layout="hochreiter", one_length_per_batch=True)
    widths = set()
    for index in range(8):
        batch = task.train_batch(index)
        assert {len(text) for text in texts_of(batch)} == {batch.inputs.shape[1]}
        widths.add(batch.inputs.shape[1])
    assert len(widths) > 1


@pytest.mark.parametrize(("marks", "layout"), SETTINGS)
def test_group_is_the_lag_of_the_first_mark(marks: int, layout: LayoutName) -> None:
    task = TemporalOrder(30, marks, layout)
    batch = task.train_batch(0)
    lags = [
        len(text) - 1 - next(step for step, letter in enumerate(text) if letter in "XY") for text in texts_of(batch)
    ]
    assert batch.group is not None
    assert batch.group[:, 0].tolist() == lags
    assert max(lags) < task.grouping.size


@pytest.mark.parametrize(("marks", "layout"), [(2, "martens"), (3, "hochreiter")])
def test_scores_equal_those_of_simulated_predictors(marks: int, layout: LayoutName) -> None:
    task = TemporalOrder(12, marks, layout)
    scores = [(task.baseline.loss, task.baseline.accuracy)]
    scores += [(plateau.loss or 0.0, plateau.accuracy or 0.0) for plateau in task.plateaus]
    assert len(scores) == marks
    for known, (loss, accuracy) in enumerate(scores):
        check_score(task, partial(knowing_latest, num_marks=marks, known=known), loss, accuracy)


def test_latest_mark_alone_gives_half_of_the_answers() -> None:
    assert [plateau.accuracy for plateau in TemporalOrder().plateaus] == [0.5]
    assert [plateau.accuracy for plateau in TemporalOrder(marks=3).plateaus] == [0.25, 0.5]


@pytest.mark.parametrize(("marks", "layout"), SETTINGS)
def test_at_length_changes_all_lengths(marks: int, layout: LayoutName) -> None:
    task = TemporalOrder(20, marks, layout).at_length(50)
    assert {len(text) for text in texts_of(task.train_batch(0))} == {50}
    assert task.baseline == TemporalOrder(20, marks, layout).baseline
    assert task.grouping.size == 50


@pytest.mark.parametrize(("marks", "layout"), SETTINGS)
def test_encoded_text_equals_a_training_sequence(marks: int, layout: LayoutName) -> None:
    task = TemporalOrder(30, marks, layout)
    batch, codec = task.train_batch(0), task.spec.codec
    assert codec is not None
    for row, text in enumerate(texts_of(batch)):
        encoded = codec.encode([text])
        assert encoded.inputs[0].tolist() == batch.inputs[row, : len(text)].tolist()
        assert encoded.scored.tolist() == [[False] * (len(text) - 1) + [True]]
    (sample,) = codec.encode([codec.sample]).inputs
    assert [letter for letter in codec.sample if letter in "XY"] == list("XYX"[:marks])
    assert len(sample) == 30


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"length": 9}, "length must be at least 10, got 9"),
        ({"marks": 4}, "marks must be 2 or 3, got 4"),
        ({"layout": "other"}, "layout must be one of martens, hochreiter, got other"),
    ],
)
def test_value_out_of_bounds_raises(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        TemporalOrder(**arguments)  # type: ignore[arg-type]


def test_eval_length_below_10_raises() -> None:
    with pytest.raises(UsageError, match="eval_lengths must be at least 10, got 9"):
        TemporalOrder().at_length(9)
