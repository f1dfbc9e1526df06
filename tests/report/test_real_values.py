"""Reports of runs with real inputs or real targets."""

import dataclasses
import re
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch

from rnn_tasks.cores import GRU, LSTM, Elman
from rnn_tasks.networks import Network, RegressorNetwork, TaggerNetwork
from rnn_tasks.plots.learning_curves import draw_learning_curves
from rnn_tasks.plots.style import NARROW, WIDE
from rnn_tasks.plots.value_examples import draw_examples
from rnn_tasks.report.answers import answers
from rnn_tasks.report.blocks import Picture, Table
from rnn_tasks.report.learning import baseline, results, table, verdict
from rnn_tasks.report.learning_curves import curve_caption, learning_run
from rnn_tasks.report.page import NUMBERS, write_page
from rnn_tasks.report.probes import capacities
from rnn_tasks.report.run_data import RunData
from rnn_tasks.report.value_examples import examples_of, value_examples
from rnn_tasks.report.write import SECTIONS
from rnn_tasks.spec import Plateau
from rnn_tasks.tasks import Digits, FlipFlopBits
from rnn_tasks.tasks.digits import load_images
from tests.helpers.real_task import RecallValue
from tests.helpers.report_runs import curve, make_run

CORES: dict[str, Any] = {
    "Elman": partial(Elman, hidden_size=5),
    "GRU": partial(GRU, hidden_size=5),
    "LSTM": partial(LSTM, hidden_size=5),
}
SUMMARY: dict[str, Any] = {
    "verdict": "learning",
    "solved_at": None,
    "metrics": {"test/loss": 0.025, "test/loss_share": 0.3, "test/loss_by_lag/0": 0.01, "test/loss_by_lag/4": 0.05},
    "baseline": {
        "loss": 1 / 12,
        "floor": 0.001,
        "unit": "mean squared error",
        "plateaus": [{"name": "knows which half", "loss": 1 / 48}],
    },
}


def run_of(core: str = "Elman", label: str = "run/version_0", is_symbol: bool = False, **parts: Any) -> RunData:
    task = RecallValue(length=12, is_symbol=is_symbol)
    torch.manual_seed(0)
    kind = TaggerNetwork if is_symbol else RegressorNetwork

    def network() -> Network:
        return kind(CORES[core], task.spec).eval()

    return make_run(task, label, **{"network": network(), "untrained": network(), **parts})


def run_with_results(label: str = "run/version_0") -> RunData:
    curves = {"val/loss": curve(0.1, 0.03), "train/loss": curve(0.2, 0.04)}
    return run_of(label=label, summary=SUMMARY, curves=curves)


def test_verdict_and_table_of_real_values_have_errors() -> None:
    run = run_with_results()
    found = results(run)
    assert "The mean squared error in the test is 0.025, which is 30.0% of the baseline (0.08333)." in verdict(
        run, found
    )
    rows = {row[0]: list(row[1:]) for row in table([run], [found]).rows}
    assert rows["mean squared error"] == ["0.025"]
    assert rows["error / baseline error"] == ["30.0%"]
    assert rows["lowest possible mean squared error"] == ["0.001"]
    assert rows["plateau: knows which half"] == ["mean squared error 0.0208"]
    assert not [name for name in rows if "accuracy" in name]


def test_baseline_of_real_values_is_read_from_every_source() -> None:
    logged = dataclasses.replace(run_of(curves={"val/baseline_loss": curve(1 / 12)}), task=None)
    for run in (run_with_results(), run_of(), logged):
        found = baseline(run, "val")
        assert found is not None
        assert found.loss == pytest.approx(1 / 12)
        assert np.isnan(found.accuracy)


@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_learning_curves_of_real_values_are_one_panel(width: float) -> None:
    run = run_with_results()
    figure = draw_learning_curves([learning_run(run, baseline(run, "val"))], "mean squared error", width)
    (ax,) = figure.axes
    assert ax.get_ylabel() == "loss, mean squared error"
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["training", "validation", "baseline", "lowest possible loss", "knows which half"]
    levels = [np.asarray(line.get_ydata()) for line in ax.lines]
    for value in (1 / 12, 0.001, 1 / 48):
        assert sum(len(height) == 2 and bool(np.allclose(height, value, atol=1e-6)) for height in levels) == 1


def test_plateaus_are_drawn_in_both_panels_and_the_legend() -> None:
    curves = {"val/loss": curve(1.0, 0.5), "val/accuracy": curve(0.5, 0.6)}
    run = learning_run(run_of(is_symbol=True, curves=curves), None)
    plateaus = [Plateau("knows half", 0.75, 0.625), Plateau("knows only the accuracy", accuracy=0.875)]
    pair = [run._replace(plateaus=plateaus), run._replace(plateaus=plateaus)]
    figure = draw_learning_curves(pair, "nats per step", WIDE)
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels[-2:] == ["knows half", "knows only the accuracy"]
    losses, accuracies = ([np.asarray(line.get_ydata()).tolist() for line in ax.lines] for ax in figure.axes)
    assert losses.count([0.75, 0.75]) == 1
    assert [accuracies.count([value, value]) for value in (0.625, 0.875)] == [1, 1]


def test_caption_of_the_curves_says_what_is_drawn() -> None:
    run = run_with_results()
    text = curve_caption([run], [baseline(run, "val")])
    assert text.startswith("Mean squared error by optimizer step.")
    for piece in ("the scores of other predictors", "the lowest possible loss of any predictor"):
        assert piece in text


def test_examples_hold_inputs_targets_and_answers() -> None:
    run = run_of()
    examples = examples_of([("network", run)])
    assert len(examples) == 3
    assert run.batch is not None
    expected = answers(run.network, run.batch)
    for row, example in enumerate(examples):
        assert example.inputs is not None
        assert np.array_equal(example.inputs, run.batch.inputs[row].numpy())
        assert example.scored.tolist() == [False] * 11 + [True]
        assert np.allclose(example.answers[0][1], expected[row].numpy(), atol=1e-6)


@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_draw_examples_draws_targets_at_scored_steps(width: float) -> None:
    run = run_of()
    examples = examples_of([("network", run)])
    figure = draw_examples(examples, width)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["input 0", "input 1", "target", "network"]
    for ax, example in zip(figure.axes, examples, strict=True):
        targets = [line for line in ax.lines if line.get_label() == "target"]
        assert [np.asarray(line.get_xydata()).tolist() for line in targets] == [[[11.0, float(example.targets[-1, 0])]]]


def test_examples_of_symbols_name_target_and_answer() -> None:
    run = run_of(is_symbol=True)
    (picture,) = value_examples([run])
    figure = picture.draw(WIDE)
    assert run.batch is not None
    answer = answers(run.network, run.batch)[0, -1]
    assert figure.axes[0].get_title("left") == f"target: {int(run.batch.targets[0, -1])}; network: {int(answer)}"


def test_examples_of_digits_are_images_with_their_answers() -> None:
    task = Digits("permuted", test_sequences=20)
    (picture,) = value_examples([make_run(task)])
    axes = picture.draw(WIDE).axes
    assert len(axes) == 3
    for number, ax in enumerate(axes):
        shown = ax.images[0].get_array()
        assert shown is not None
        assert shown.tolist() == (load_images()["test"].pixels[number].reshape(8, 8) / 16).tolist()
        digit = int(load_images()["test"].digits[number])
        assert re.fullmatch(rf"target: {digit}\nnetwork: \d", ax.get_title())


def test_runs_with_equal_sequences_share_the_examples() -> None:
    pictures = value_examples([run_of(label="A: one"), run_of("GRU", label="B: two")])
    (picture,) = pictures
    assert [text.get_text() for text in picture.draw(WIDE).legends[0].get_texts()][-2:] == ["A", "B"]
    other = make_run(RecallValue(length=7), "C: three")
    assert [one.name for one in value_examples([run_of(label="A: one"), other])] == ["examples_1", "examples_2"]


@pytest.mark.parametrize("core", CORES)
def test_capacity_with_real_inputs_is_that_of_their_directions(core: str) -> None:
    run = run_of(core)
    found = capacities(run.network, run.untrained, run.batch)
    assert 0 < found.trained.total <= found.units + found.trained.chance
    assert capacities(run.network, run.untrained, run.batch).trained.total == found.trained.total


@pytest.mark.parametrize(("core", "is_symbol"), [("Elman", False), ("LSTM", False), ("GRU", True)])
def test_all_sections_show_real_values(core: str, is_symbol: bool, tmp_path: Any) -> None:
    summary = {} if is_symbol else SUMMARY
    run = run_of(core, is_symbol=is_symbol, summary=summary)
    sections = [section([run]) for section in SECTIONS]
    page = write_page(tmp_path, "title", [], sections, {})
    text = page.read_text()
    assert "cannot be drawn" not in text
    assert (tmp_path / NUMBERS).is_file()
    missing = [line for section in sections for line in section.missing]
    assert sorted(line.partition(":")[0] for line in missing) == ["gradient norm", "learning curves", "linear probes"]
    names = {block.name for section in sections for block in section.blocks if isinstance(block, Picture)}
    assert {"examples", "gradient_by_lag", "memory_capacity", "jacobian_products", "trajectory", "units"} <= names
    assert ("error_by_lag" in names) == (not is_symbol)
    assert ("gates" in names) == (core != "Elman")
    assert any(isinstance(block, Table) for block in sections[0].blocks) == (not is_symbol)


def test_several_outputs_have_a_panel_each_with_their_input() -> None:
    run = make_run(FlipFlopBits(length=9, test_sequences=20))
    (picture,) = value_examples([run])
    assert "a panel for each of 3 outputs" in picture.caption
    assert run.batch is not None
    figure = picture.draw(WIDE)
    assert len(figure.axes) == 3
    for output, ax in enumerate(figure.axes):
        drawn = {str(line.get_label()): np.asarray(line.get_ydata()) for line in ax.lines}
        assert drawn.keys() == {"input", "target", "network"}
        assert np.array_equal(drawn["input"], run.batch.inputs[0, :, output].numpy())
        assert np.array_equal(drawn["target"], run.batch.targets[0, :, output].numpy())
