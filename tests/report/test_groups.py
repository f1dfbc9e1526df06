from typing import Any

import numpy as np
import pytest

from rnn_tasks.plots.groups import draw_groups
from rnn_tasks.plots.style import NARROW, WIDE
from rnn_tasks.report.blocks import Picture
from rnn_tasks.report.groups import group_blocks, group_scores
from rnn_tasks.report.run_data import RunData
from rnn_tasks.runs.group_scores import GroupScores
from rnn_tasks.tasks import Copy
from tests.helpers.real_task import RecallValue
from tests.helpers.report_runs import make_run

CHANCE = {"loss": 1.4, "accuracy": 0.25, "plateaus": [{"name": "knows half", "loss": 0.7, "accuracy": 0.5}]}
METRICS = {
    "test/loss": 0.4,
    "test/accuracy": 0.9,
    "test/accuracy_by_length/8": 0.9,
    "test/accuracy_by_length/4": 1.0,
    "test/accuracy_by_length/16": 0.7,
    "test/accuracy_by_length/64": 0.5,
    "test/exact_match_by_length/64": 0.0,
    "test/accuracy_by_depth/1": 1.0,
    "test/accuracy_by_depth/3": 0.25,
    "test/accuracy_by_lag/3": 1.0,
    "test/accuracy_by_pairs/1": 1.0,
    "test/accuracy_by_pairs/2": float("nan"),
}
BY_LENGTH = {"16": CHANCE, "64": {"loss": 1.4, "accuracy": 0.125, "plateaus": [{"name": "knows half", "loss": 0.7}]}}


def run_of(label: str = "run/version_0", metrics: dict[str, Any] = METRICS) -> RunData:
    summary = {"metrics": metrics, "baseline": {**CHANCE, "by_length": BY_LENGTH}}
    return make_run(Copy(test_sequences=20), label, summary=summary)


def test_group_scores_join_groups_and_longer_lengths() -> None:
    found = group_scores(run_of())
    assert list(found) == ["depth", "length"]  # one group alone, or with NaN, is no curve
    length = found["length"]
    assert length.groups.tolist() == [4, 8, 16, 64]
    assert length.scores.tolist() == [1.0, 0.9, 0.7, 0.5]
    assert length.is_longer.tolist() == [False, False, True, True]
    assert length.baseline.tolist() == [0.25, 0.25, 0.25, 0.125]
    np.testing.assert_array_equal(length.plateaus["knows half"], [0.5, 0.5, 0.5, np.nan])
    assert not found["depth"].is_longer.any()
    assert group_scores(make_run(Copy(test_sequences=20))) == {}


def test_group_scores_of_real_values_are_errors() -> None:
    metrics = {f"test/loss_by_lag/{lag}": 0.01 * lag for lag in range(3)}
    summary = {"metrics": metrics, "baseline": {"loss": 0.1, "unit": "mean squared error"}}
    run = make_run(RecallValue(), summary=summary)
    assert group_scores(run)["lag"].scores.tolist() == [0.0, 0.01, 0.02]
    blocks, numbers = group_blocks([run])
    assert list(numbers) == ["error_by_lag"]
    (picture,) = blocks
    assert isinstance(picture, Picture)
    assert "Worst error 0.02 at lag 2." in picture.caption


@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_draw_groups_draws_baseline_plateau_and_training(width: float) -> None:
    runs = [(name, group_scores(run_of(name))["length"]) for name in ("A: one", "B: two")]
    figure = draw_groups(runs, "length", False, width)
    (ax,) = figure.axes
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        "A: one",
        "B: two",
        "baseline",
        "knows half",
        "lengths of training",
    ]
    heights = [np.asarray(line.get_ydata()).tolist() for line in ax.lines]
    assert heights.count([1.0, 0.9, 0.7, 0.5]) == 2
    assert heights.count([0.25, 0.25, 0.25, 0.125]) == 1  # equal chance is drawn once
    assert ax.get_xlabel() == "length"
    assert (ax.get_xscale(), ax.get_ylabel()) == ("linear", "accuracy")


def test_draw_groups_has_logarithmic_axes_for_wide_ranges() -> None:
    groups = np.array([2, 4, 512])
    found = GroupScores(groups, np.array([1e-5, 1e-3, 0.1]), groups > 4, np.full(3, 0.1), {})
    (ax,) = draw_groups([("run", found)], "length", True, WIDE).axes
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    assert ax.get_ylabel() == "mean squared error"


def test_draw_groups_joins_no_categories() -> None:
    found = GroupScores(np.arange(10), np.full(10, 0.9), np.zeros(10, bool), np.full(10, 0.1), {})
    (ax,) = draw_groups([("run", found)], "digit", False, WIDE).axes
    assert ax.lines[0].get_linestyle() == "None"
    assert ax.get_xticks().tolist() == list(range(10))


def test_group_blocks_compare_runs_with_the_same_quantity() -> None:
    other = {name: value for name, value in METRICS.items() if "depth" not in name}
    blocks, numbers = group_blocks([run_of("A: one"), run_of("B: two", other)])
    assert [block.name for block in blocks if isinstance(block, Picture)] == [
        "accuracy_by_depth",
        "accuracy_by_length",
    ]
    assert list(numbers["accuracy_by_depth"]) == ["A: one"]
    (_, lengths) = blocks
    assert isinstance(lengths, Picture)
    assert "A: worst accuracy 50.0% at length 64. B: worst" in lengths.caption
