"""Digits: read an image of a written digit pixel by pixel, and name the digit at the end."""

import math
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import torch
from threadpoolctl import threadpool_limits
from torch import Tensor
from torch.nn import functional

from rnn_tasks.errors import require
from rnn_tasks.spec import NOT_SCORED, Baseline, Batch, Grouping, Plateau, TaskSpec
from rnn_tasks.tasks.generated import GeneratedTask

LayoutName = Literal["pixels", "permuted", "rows"]
WIDTH, LARGEST, NUM_DIGITS = 8, 16, 10  # pixels per side; pixels are 0..16
SIZES = {"train": 1000, "val": 297, "test": 500}
SOLVED_ACCURACY = 0.94


class Images(NamedTuple):
    """Images and their digits.

    Attributes:
        pixels: Pixels in 0..16, row by row, ``(images, 64)`` int64.
        digits: The digit of each image, ``(images,)`` int64.
    """

    pixels: Tensor
    digits: Tensor


@cache
def load_images() -> dict[str, Images]:
    """Return the images of each split: 1,000 for training, 297 for validation and 500 for the test.

    The splits are the same in all runs, and each has about the same number of images of each digit.
    """
    from sklearn.datasets import load_digits  # takes two seconds to import
    from sklearn.model_selection import train_test_split

    pixels, digits = load_digits(return_X_y=True)
    remaining, test = train_test_split(np.arange(len(digits)), test_size=SIZES["test"], stratify=digits, random_state=0)
    train, val = train_test_split(remaining, test_size=SIZES["val"], stratify=digits[remaining], random_state=0)
    indices = {"train": train, "val": val, "test": test}
    return {
        split: Images(torch.from_numpy(pixels[index]).long(), torch.from_numpy(digits[index]).long())
        for split, index in indices.items()
    }


def digit_sequences(pixels: Tensor, digits: Tensor, order: Tensor, features: int = 1) -> tuple[Tensor, Tensor]:
    """Return inputs and targets of sequences that read an image.

    ::

        image  1 2     pixels  time    0 1 2 3     permuted  time    0 1 2 3     rows  time     0    1
               3 4             input   1 2 3 4               input   3 1 4 2           inputs   1 2  3 4
                               target  . . . 7               target  . . . 7           target   .    7

    '.' is a step that is not scored; 7 is the digit.

    Args:
        pixels: Pixels of each image, row by row, ``(images, size)``.
        digits: The digit of each image, ``(images,)``.
        order: The order in which the pixels are read, ``(size,)``.
        features: Number of pixels per step, a divisor of ``size``.

    Returns:
        Inputs ``(images, size / features, features)``, and targets ``(images, size / features)``.
    """
    inputs = pixels[:, order].reshape(len(pixels), -1, features)
    targets = torch.full(inputs.shape[:2], NOT_SCORED)
    targets[:, -1] = digits
    return inputs, targets


def histogram(pixels: Tensor) -> Tensor:
    """Return how many pixels of each image have each value, ``(images, 17)``."""
    return functional.one_hot(pixels, LARGEST + 1).sum(1)


def unchanged(pixels: Tensor) -> Tensor:
    """Return the pixels."""
    return pixels


@cache
def logistic_regression(features: Callable[[Tensor], Tensor]) -> tuple[float, float]:
    """Return loss and accuracy in the test of a logistic regression that is fitted to the training images.

    Args:
        features: Returns the features of pixels, ``(images, features)``; they are then standardized.
    """
    from sklearn.linear_model import LogisticRegression  # takes two seconds to import
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    train, test = (load_images()[split] for split in ("train", "test"))
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    with threadpool_limits(1):  # for small matrices, several threads spend most of the time waiting for each other
        model.fit(features(train.pixels).numpy(), train.digits.numpy())
        log_probabilities = model.predict_log_proba(features(test.pixels).numpy())
    digits = test.digits.numpy()
    loss = -log_probabilities[np.arange(len(digits)), digits].mean()
    return float(loss), float((log_probabilities.argmax(1) == digits).mean())


class Digits(GeneratedTask):
    """Name the digit of an image of 8 x 8 pixels that is read as a sequence.

    A stand-in for sequential MNIST, which must be downloaded: the results of the two cannot be compared. The 1,797
    images are those that scikit-learn includes, in splits that are always the same: 1,000 for training, 297 for
    validation and 500 for the test. Training batches are drawn at random, with replacement, from the training images;
    no image is changed. The target is the digit, at the last step; no other step is scored. Results are sorted by
    digit.

    Two logistic regressions stand beside the network. One knows all pixels, and has an accuracy of about 0.97. The
    other knows only how many pixels have which value, as a network without any sense of order would: about 0.29. The
    task counts as solved at an accuracy of 0.94: GRUs and tanh networks with an orthogonal start reach 0.95 to 0.97
    when they read single pixels, and the standard error of an accuracy on 500 images is 0.01.

    Args:
        layout: ``pixels`` (64 steps of one pixel, row by row), ``permuted`` (64 steps, in a random order that is always
            the same) or ``rows`` (8 steps of 8 pixels).
        val_sequences: Validation images, ``1..297``.
        test_sequences: Test images, ``1..500``.
        options: Other options of :class:`GeneratedTask`. ``eval_lengths`` must be empty.

    Raises:
        UsageError: A value is out of bounds.

    References:
        E. Alpaydin and C. Kaynak, "Optical recognition of handwritten digits", UCI machine learning repository, 1998
        (https://doi.org/10.24432/C50P49). Reading images pixel by pixel, in order or permuted: Q. V. Le, N. Jaitly and
        G. E. Hinton, "A simple way to initialize recurrent networks of rectified linear units", 2015
        (https://arxiv.org/abs/1504.00941).
    """

    def __init__(
        self, layout: LayoutName = "pixels", val_sequences: int = 297, test_sequences: int = 500, **options: Any
    ) -> None:
        super().__init__(val_sequences=val_sequences, test_sequences=test_sequences, **options)
        require(layout in get_args(LayoutName), f"layout must be one of pixels, permuted, rows, got {layout}")
        for split, number in self.sizes.items():
            require(number <= SIZES[split], f"{split}_sequences must be at most {SIZES[split]}, got {number}")
        require(not self.eval_lengths, f"images have one length: leave out eval_lengths, got {self.eval_lengths}")
        self.features = WIDTH if layout == "rows" else 1
        size = WIDTH * WIDTH
        order = np.random.RandomState(0).permutation(size) if layout == "permuted" else np.arange(size)
        self.order = torch.from_numpy(order)

    @property
    def spec(self) -> TaskSpec:
        """The inputs are pixels in 0..1, one or eight per step; the output symbols are the ten digits."""
        return TaskSpec(self.features, NUM_DIGITS, real_inputs=True)

    @property
    def baseline(self) -> Baseline:
        """A predictor that guesses one of the ten digits."""
        return Baseline(math.log(NUM_DIGITS), 1 / NUM_DIGITS)

    @property
    def plateaus(self) -> tuple[Plateau, ...]:
        """Logistic regressions, fitted to the training images and scored on all test images."""
        return (
            Plateau("logistic regression on the histogram", *logistic_regression(histogram)),
            Plateau("logistic regression on the pixels", *logistic_regression(unchanged), kind="reference"),
        )

    @property
    def grouping(self) -> Grouping:
        """Results are sorted by the digit."""
        return Grouping("digit", NUM_DIGITS)

    def solved(self, metrics: Mapping[str, float], stage: str = "val", threshold: float = SOLVED_ACCURACY) -> bool:
        """Return whether the accuracy is high enough, by default at least 0.94.

        Args:
            metrics: Metrics by name, including ``<stage>/worst_accuracy``.
            stage: ``val`` or ``test``.
            threshold: Accuracy that must be reached.
        """
        return super().solved(metrics, stage, threshold)

    def images(self, inputs: Tensor) -> Tensor:
        """Return the images of which inputs ``(images, steps, features)`` are the pixels, ``(images, 8, 8)``."""
        return inputs.flatten(1)[:, self.order.argsort()].reshape(-1, WIDTH, WIDTH)

    def sample(self, num_sequences: int, split: str, generator: torch.Generator) -> Batch:
        """Draw training images, or return the first images of the validation or test split."""
        pixels, digits = load_images()[split]
        if split == "train":
            chosen = torch.randint(0, len(digits), (num_sequences,), generator=generator)
        else:
            chosen = torch.arange(num_sequences)
        digits = digits[chosen]
        inputs, targets = digit_sequences(pixels[chosen] / LARGEST, digits, self.order, self.features)
        return Batch(inputs, targets, group=digits[:, None])
