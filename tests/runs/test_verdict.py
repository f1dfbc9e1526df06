import math

import pytest
from scipy.stats import binomtest

from rnn_tasks.runs.verdict import lowest_share, verdict
from rnn_tasks.spec import Baseline

CHANCE = Baseline(loss=2.0, accuracy=0.125)
TEXT = Baseline(loss=1.5, accuracy=0.5, name="5-gram", learning_loss=0.95 * 2.8)
"""An n-gram, on a text whose character frequencies have a loss of 2.8 nats."""


@pytest.mark.parametrize("successes", [0, 1, 20, 99, 100])
def test_lowest_share_is_the_wilson_bound(successes: int) -> None:
    expected = binomtest(successes, 100).proportion_ci(0.99, "wilson").low
    assert lowest_share(successes / 100, 100) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("loss", "baseline", "expected"),
    [
        (1.89, CHANCE, "learning"),
        (1.91, CHANCE, "at_baseline"),
        (2.09, CHANCE, "at_baseline"),
        (2.11, CHANCE, "worse_than_baseline"),
        (2.65, TEXT, "learning"),
        (2.67, TEXT, "at_baseline"),
        (2.93, TEXT, "at_baseline"),
        (2.95, TEXT, "worse_than_baseline"),
        (math.nan, CHANCE, "diverged"),
        (math.inf, TEXT, "diverged"),
        (None, CHANCE, None),
    ],
)
def test_verdict_compares_the_loss_with_the_baseline(loss: float | None, baseline: Baseline, expected: str) -> None:
    assert verdict(False, loss, baseline) == expected


@pytest.mark.parametrize("solved", [True, False])
@pytest.mark.parametrize("loss", [math.nan, -math.inf])
def test_verdict_is_diverged_before_anything_else(solved: bool, loss: float) -> None:
    assert verdict(solved, loss, CHANCE, accuracy=1.0, memory_steps=1000) == "diverged"


@pytest.mark.parametrize(
    ("accuracy", "memory_steps", "expected"),
    [
        (0.16, 1000, "learning"),
        (0.15, 1000, "worse_than_baseline"),  # the interval begins at 0.123
        (0.15, 10_000, "learning"),
        (1.0, 0, "worse_than_baseline"),
        (None, 1000, "worse_than_baseline"),
        (math.nan, 1000, "worse_than_baseline"),
        (0.0, 1000, "worse_than_baseline"),
    ],
)
def test_accuracy_above_chance_is_learning(accuracy: float | None, memory_steps: int, expected: str) -> None:
    assert verdict(False, 3.0, CHANCE, accuracy, memory_steps) == expected


def test_solved_is_the_verdict_of_a_finite_loss() -> None:
    assert verdict(True, 5.0, CHANCE) == "solved"
