from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits
from torch import Tensor

from rnn_tasks.errors import UsageError
from rnn_tasks.spec import NOT_SCORED, Batch, Grouping
from rnn_tasks.tasks import Digits
from rnn_tasks.tasks.digits import SOLVED_ACCURACY, LayoutName, digit_sequences, load_images
from tests.helpers.predictors import Predict, check_score, uniform

SHAPES: dict[LayoutName, tuple[int, int]] = {"pixels": (64, 1), "permuted": (64, 1), "rows": (8, 8)}


def images_of(batch: Batch) -> list[tuple[float, ...]]:
    return [tuple(row) for row in batch.inputs.flatten(1).tolist()]


def whole_split(split: str, task: Digits | None = None) -> Batch:
    (batch,) = (task or Digits(eval_batch_size=500))._evaluation_batches(split)
    return batch


def predictor(features: Callable[[NDArray[Any]], NDArray[Any]]) -> Predict:
    """Return a logistic regression on standardized features of the pixels, fitted to the training images."""
    train = load_images()["train"]
    fitted = features(train.pixels.numpy())
    mean, deviation = fitted.mean(0), np.maximum(fitted.std(0), 1e-9)  # some pixels are always 0
    with threadpool_limits(1):
        model = LogisticRegression(max_iter=1000).fit((fitted - mean) / deviation, train.digits.numpy())

    def predict(batch: Batch) -> Tensor:
        pixels = (batch.inputs.flatten(1) * 16).round().long().numpy()
        probabilities = model.predict_proba((features(pixels) - mean) / deviation)
        return torch.from_numpy(probabilities)[:, None].expand(-1, batch.targets.shape[1], -1)

    return predict


@pytest.mark.parametrize(
    ("order", "features", "inputs", "target"),
    [
        ([0, 1, 2, 3], 1, "1 2 3 4", ". . . 7"),
        ([2, 0, 3, 1], 1, "3 1 4 2", ". . . 7"),
        ([0, 1, 2, 3], 2, "1 2  3 4", ".    7"),
    ],
)
def test_digit_sequences_equal_the_diagrams(order: list[int], features: int, inputs: str, target: str) -> None:
    pixels = torch.tensor([[1, 2, 3, 4]])
    given, expected = digit_sequences(pixels, torch.tensor([7]), torch.tensor(order), features)
    assert given.shape == (1, 4 // features, features)
    assert given.flatten().tolist() == [int(pixel) for pixel in inputs.split()]
    assert [symbol if symbol >= 0 else "." for symbol in expected[0].tolist()] == [
        7 if symbol == "7" else "." for symbol in target.split()
    ]
    for line in (inputs, target):
        assert line in str(digit_sequences.__doc__)


def test_splits_are_all_images_of_scikit_learn() -> None:
    pixels, digits = load_digits(return_X_y=True)
    images = load_images()
    assert [len(images[split].digits) for split in ("train", "val", "test")] == [1000, 297, 500]
    known = Counter((int(digit), *row) for row, digit in zip(pixels.astype(int).tolist(), digits, strict=True))
    found = Counter(
        (int(digit), *row)
        for split in images.values()
        for row, digit in zip(split.pixels.tolist(), split.digits, strict=True)
    )
    assert known == found
    for split in images.values():
        shares = torch.bincount(split.digits) / len(split.digits)
        torch.testing.assert_close(shares, torch.full((10,), 0.1), atol=0.005, rtol=0)


@pytest.mark.parametrize("layout", SHAPES)
def test_sequences_are_images_in_the_order_of_the_layout(layout: LayoutName) -> None:
    task, plain = Digits(layout, batch_size=20), Digits("pixels", batch_size=20)
    batch, ordered = task.train_batch(3), plain.train_batch(3)
    assert batch.inputs.shape == (20, *SHAPES[layout])
    assert 0 <= batch.inputs.min() < batch.inputs.max() <= 1
    assert torch.equal(batch.targets[:, -1], ordered.targets[:, -1])
    assert (batch.targets[:, :-1] == NOT_SCORED).all()
    assert batch.group is not None
    assert torch.equal(batch.group[:, 0], batch.targets[:, -1])
    flat, expected = batch.inputs.flatten(1), ordered.inputs.flatten(1)
    assert torch.equal(flat, expected) is (layout != "permuted")
    assert torch.equal(flat.sort(1).values, expected.sort(1).values)


def test_permutation_is_the_same_for_all_sequences_and_seeds() -> None:
    permuted = Digits("permuted", seed=3).train_batch(0).inputs[..., 0]
    plain = Digits("pixels", seed=3).train_batch(0).inputs[..., 0]
    order = Digits("permuted", seed=4).order
    assert torch.equal(permuted, plain[:, order])
    assert order.sort().values.tolist() == list(range(64))


def test_training_batch_depends_only_on_seed_epoch_and_index() -> None:
    def batch(seed: int, epoch_sequences: int | None, index: int) -> list[tuple[float, ...]]:
        return images_of(Digits(seed=seed, batch_size=50, epoch_sequences=epoch_sequences).train_batch(index))

    assert batch(0, 100, 5) == batch(0, 100, 5)
    others = [batch(0, 100, 5), batch(0, 100, 3), batch(0, 100, 4), batch(0, None, 5), batch(1, 100, 5)]
    assert all(left != right for number, left in enumerate(others) for right in others[:number])


def test_training_batches_hold_training_images_only() -> None:
    task = Digits(batch_size=500)
    drawn = {image for index in range(20) for image in images_of(task.train_batch(index))}
    train = load_images()["train"].pixels / 16
    assert drawn <= {tuple(row) for row in train.tolist()}
    assert len(drawn) > 990  # 1 - exp(-10) of 1,000 images
    assert not drawn & {image for split in ("val", "test") for image in images_of(whole_split(split))}


@pytest.mark.parametrize("split", ["val", "test"])
def test_evaluation_sets_are_fixed_for_all_seeds(split: str) -> None:
    batch = whole_split(split)
    assert torch.equal(batch.inputs[..., 0], load_images()[split].pixels / 16)
    other = whole_split(split, Digits(seed=7, eval_batch_size=500, val_sequences=40, test_sequences=50))
    assert torch.equal(other.inputs, batch.inputs[: other.num_sequences])
    assert other.num_sequences == {"val": 40, "test": 50}[split]


def test_baseline_and_plateaus_equal_simulated_scores() -> None:
    task = Digits("rows")
    check_score(task, uniform(task), task.baseline.loss, task.baseline.accuracy)
    by_histogram, by_pixels = task.plateaus
    histogram = predictor(lambda pixels: (pixels[:, :, None] == np.arange(17)).sum(1))
    check_score(task, histogram, by_histogram.loss, by_histogram.accuracy)
    check_score(task, predictor(lambda pixels: pixels), by_pixels.loss, by_pixels.accuracy)
    assert 0.2 < (by_histogram.accuracy or 0) < 0.4
    assert 0.95 < (by_pixels.accuracy or 0) < 0.99


def test_spec_and_grouping_describe_the_batches() -> None:
    for layout, (_, features) in SHAPES.items():
        task = Digits(layout)
        assert (task.spec.input_size, task.spec.output_size) == (features, 10)
        assert task.spec.real_inputs
        assert not task.spec.real_targets
        assert task.grouping == Grouping("digit", 10)


def test_solved_needs_its_own_accuracy() -> None:
    assert Digits().solved({"val/worst_accuracy": SOLVED_ACCURACY})
    assert not Digits().solved({"val/worst_accuracy": SOLVED_ACCURACY - 0.001})
    assert not Digits().solved({"test/worst_accuracy": 0.95}, "test", threshold=0.96)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"layout": "other"}, "layout must be one of pixels, permuted, rows, got other"),
        ({"val_sequences": 298}, "val_sequences must be at most 297, got 298"),
        ({"test_sequences": 501}, "test_sequences must be at most 500, got 501"),
        ({"eval_lengths": [80]}, r"images have one length: leave out eval_lengths, got \(80,\)"),
    ],
)
def test_value_out_of_bounds_raises(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Digits(**arguments)
