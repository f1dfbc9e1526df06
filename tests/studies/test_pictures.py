import io
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from rnn_tasks.plots.style import NARROW, WIDE
from rnn_tasks.report.blocks import Picture
from rnn_tasks.studies.pictures import (
    band,
    draw_curves,
    draw_grid,
    draw_scores,
    draw_steps_to_solve,
    numeric_axis,
    plain,
    quantities_of,
)
from rnn_tasks.studies.plan import Plan, Variant
from rnn_tasks.studies.queue import RunState
from rnn_tasks.studies.report import loss_unit, pictures
from rnn_tasks.studies.rows import RESULT
from rnn_tasks.studies.table import runs_table

NETWORKS = tuple(Variant(name) for name in ("rnn", "qr", "gru", "lstm", "cayley"))
DELAYS = tuple(Variant(str(delay), value=delay) for delay in (1, 10, 100))
PLAN = Plan("made", "", (), {}, {"network": NETWORKS, "delay": DELAYS}, (0, 1, 2), None, None)


def made_results(solved: bool = True) -> dict[str, dict[str, Any]]:
    """Return results in which rnn is never solved, and the steps to solve of the others grow with the delay."""
    results = {}
    for run in PLAN.runs():
        steps = 10 * (1 + run.seed) * int(run.variants["delay"].value or 0)
        good = solved and run.variants["network"].name != "rnn"
        results[run.name] = {
            "verdict": "solved" if good else "at_baseline",
            "solved_at": steps if good else None,
            "steps": 400,
            "seconds": float(steps),
            "metrics": {"test/loss": 0.5, "test/accuracy": 0.9},
            "baseline": {"loss": 2.0, "accuracy": 0.125},
            "curves": {"val/loss": [[10, 20], [1.0, 1.0 / (1 + run.seed)]], "val/accuracy": [[10], [0.5]]},
        }
    return results


def table(results: dict[str, dict[str, Any]], plan: Plan = PLAN) -> pd.DataFrame:
    states = {run.name: RunState.DONE if results else RunState.PENDING for run in plan.runs()}
    return runs_table(plan, states, {name: {RESULT: of} for name, of in results.items()})


def test_band_keeps_the_last_value_of_an_ended_run() -> None:
    results = made_results()
    results["rnn-1-seed0"]["curves"]["val/loss"] = [[10], [4.0]]
    runs = table(results).iloc[:3]
    curve = band(runs, "val/loss")
    assert curve is not None
    assert curve.steps.tolist() == [10, 20]
    assert curve.high.tolist() == [4.0, 4.0]
    assert curve.low.tolist() == [1.0, pytest.approx(1 / 3)]
    assert curve.middle.tolist() == [1.0, 0.5]
    assert band(runs, "val/nothing") is None


@pytest.mark.parametrize("width", [NARROW, WIDE])
def test_steps_to_solve_have_medians_and_open_marks(width: float) -> None:
    assert numeric_axis(PLAN) == "delay"
    (field,) = draw_steps_to_solve(PLAN, table(made_results()), "delay", width).axes
    lines = {str(line.get_label()): line for line in field.lines if not str(line.get_label()).startswith("_")}
    assert list(lines) == ["rnn", "qr", "gru", "lstm", "cayley"]
    assert np.asarray(lines["qr"].get_ydata()).tolist() == [20, 200, 2000]
    assert np.asarray(lines["rnn"].get_ydata()).size == 0
    open_marks = [line for line in field.lines if line.get_markerfacecolor() == "none"]
    assert len(open_marks) == 9
    assert {float(np.asarray(line.get_ydata())[0]) for line in open_marks} == {400.0}


@pytest.mark.parametrize("width", [NARROW, WIDE])
def test_grid_has_the_median_of_each_combination(width: float) -> None:
    (field, _) = draw_grid(PLAN, table(made_results()), "seconds", width).axes
    image = np.asarray(field.images[0].get_array())
    assert image.shape == (5, 3)
    assert image[1].tolist() == [20, 200, 2000]
    assert [label.get_text() for label in field.get_xticklabels()] == ["1", "10", "100"]


@pytest.mark.parametrize("width", [NARROW, WIDE])
def test_curves_have_a_panel_for_each_combination(width: float) -> None:
    fields = draw_curves(PLAN, table(made_results()), "val/loss", "loss", True, width).axes
    assert len(fields) == 15
    assert fields[3].get_title(loc="left") == "qr, delay 1"
    levels = [line for line in fields[0].lines if line.get_label() == "baseline"]
    assert np.asarray(levels[0].get_ydata())[0] == 2.0


def test_pictures_depend_on_the_results() -> None:
    names = [block.name for block in pictures(PLAN, table(made_results())) if isinstance(block, Picture)]
    assert names == ["steps_to_solve", "grid_loss", "grid_seconds", "val_loss", "val_accuracy"]
    assert "steps_to_solve" not in [
        b.name for b in pictures(PLAN, table(made_results(solved=False))) if isinstance(b, Picture)
    ]
    alone = Plan("one", "", (), {}, {"network": NETWORKS}, (0,), None, None)
    assert pictures(alone, table({}, alone)) == []


def test_names_that_look_like_formulas_are_drawn() -> None:
    names = ("$\\frac$", "a$b$c")
    plan = replace(PLAN, axes={"net$": tuple(map(Variant, names)), "$d$": DELAYS})
    runs = table(dict(zip((run.name for run in plan.runs()), made_results().values(), strict=False)), plan)
    drawn = [draw_curves(plan, runs, "val/loss", "loss", True, WIDE), draw_grid(plan, runs, "seconds", WIDE)]
    for figure in (*drawn, draw_steps_to_solve(plan, runs, "$d$", WIDE)):
        figure.savefig(io.BytesIO(), format="svg")
    assert plain("a$b$c") == r"a\$b\$c"


def results_with_lengths() -> dict[str, dict[str, Any]]:
    """Return results whose accuracy at length 64 depends on the seed; 16 is a length of training."""
    results = made_results()
    chance = {"loss": 2.0, "accuracy": 0.25}
    plateaus = [{"name": "knows half", "loss": 1.5, "accuracy": 0.5}]
    for run in PLAN.runs():
        at_64 = 0.25 * (1 + run.seed)
        lengths = {
            "test/accuracy_by_length/16": 1.0,
            "test/accuracy_by_length/64": at_64,
            "test/loss_by_length/64": 1.0,
        }
        results[run.name]["metrics"] |= lengths
        results[run.name]["baseline"] = {
            "loss": 2.0,
            "accuracy": 0.125,
            "plateaus": plateaus,
            "by_length": {"64": chance},
        }
    return results


@pytest.mark.parametrize("width", [NARROW, WIDE])
def test_scores_by_length_have_median_range_and_chance(width: float) -> None:
    runs = table(results_with_lengths())
    assert quantities_of(runs) == ["length"]
    fields = draw_scores(PLAN, runs, "length", width).axes
    assert len(fields) == 15
    lines = {str(line.get_label()): np.asarray(line.get_ydata()).tolist() for line in fields[0].lines}
    assert lines["median of the seeds"] == [1.0, 0.5]
    assert lines["chance"] == [0.125, 0.25]
    assert lines["knows half"][0] == 0.5
    low, high = (extent(fields[0].collections[0].get_paths()[0].vertices) for extent in (np.min, np.max))
    assert (low, high) == (0.25, 64.0)  # of lengths and accuracies
    assert "test_by_length" in [block.name for block in pictures(PLAN, runs) if isinstance(block, Picture)]
    assert quantities_of(table(made_results())) == []


def test_curves_have_plateaus_and_the_unit_of_the_loss() -> None:
    runs = table(results_with_lengths())
    field = draw_curves(PLAN, runs, "val/loss", "loss", True, WIDE).axes[0]
    (plateau,) = [line for line in field.lines if line.get_label() == "knows half"]
    assert np.asarray(plateau.get_ydata())[0] == 1.5
    assert loss_unit(runs) == ", nats"
    results = results_with_lengths()
    for result in results.values():
        result["baseline"] = {"loss": 2.0, "unit": "mean squared error"}
    assert loss_unit(table(results)) == ", mean squared error"
    next(iter(results.values()))["baseline"] = {"loss": 2.0}
    assert loss_unit(table(results)) == ""


def test_scores_of_real_values_are_errors() -> None:
    results = made_results()
    for result in results.values():
        result["metrics"] |= {"test/loss_by_lag/1": 0.01, "test/loss_by_lag/2": 0.1}
        result["baseline"] = {"loss": 2.0, "unit": "mean squared error"}
    field = draw_scores(PLAN, table(results), "lag", WIDE).axes[0]
    assert (field.get_ylabel(), field.get_yscale()) == ("mean squared error", "log")
