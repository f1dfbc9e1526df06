from typing import Any

import numpy as np
import pytest

from rnn_tasks.report.page import NARROW, WIDE, Picture
from rnn_tasks.studies.pictures import band, draw_curves, draw_grid, draw_steps_to_solve, numeric_axis
from rnn_tasks.studies.plan import Plan, Variant
from rnn_tasks.studies.queue import State
from rnn_tasks.studies.report import pictures
from rnn_tasks.studies.table import Row

NETWORKS = tuple(Variant(name) for name in ("rnn", "qr", "gru", "lstm", "cayley"))
DELAYS = tuple(Variant(str(delay), value=delay) for delay in (1, 10, 100))
PLAN = Plan("made", "", (), {}, {"network": NETWORKS, "delay": DELAYS}, (0, 1, 2), None, None)


def made(solved: bool = True) -> list[Row]:
    """Runs of which rnn is never solved, and the others after more steps for longer delays."""
    rows = []
    for cell in PLAN.cells():
        steps = 10 * (1 + cell.seed) * int(cell.variants["delay"].value or 0)
        good = solved and cell.variants["network"].name != "rnn"
        result: dict[str, Any] = {
            "verdict": "solved" if good else "at_baseline",
            "solved_at": steps if good else None,
            "steps": 400,
            "seconds": float(steps),
            "metrics": {"test/loss": 0.5, "test/accuracy": 0.9},
            "baseline": {"loss": 2.0, "accuracy": 0.125},
            "curves": {"val/loss": [[10, 20], [1.0, 1.0 / (1 + cell.seed)]], "val/accuracy": [[10], [0.5]]},
        }
        rows.append(Row(cell, State.DONE, result))
    return rows


def test_a_band_is_the_range_of_the_seeds_and_a_run_that_has_ended_keeps_its_last_value() -> None:
    rows = made()[:3]
    rows[0].result["curves"]["val/loss"] = [[10], [4.0]]
    found = band(rows, "val/loss")
    assert found is not None
    assert found.steps.tolist() == [10, 20]
    assert found.high.tolist() == [4.0, 4.0]
    assert found.low.tolist() == [1.0, pytest.approx(1 / 3)]
    assert found.middle.tolist() == [1.0, 0.5]
    assert band(rows, "val/nothing") is None


@pytest.mark.parametrize("width", [NARROW, WIDE])
def test_steps_to_solve_have_a_line_through_medians_and_open_marks_for_what_was_not_solved(width: float) -> None:
    assert numeric_axis(PLAN) == "delay"
    (field,) = draw_steps_to_solve(PLAN, made(), "delay", width).axes
    lines = {str(line.get_label()): line for line in field.lines if not str(line.get_label()).startswith("_")}
    assert list(lines) == ["rnn", "qr", "gru", "lstm", "cayley"]
    assert np.asarray(lines["qr"].get_ydata()).tolist() == [20, 200, 2000]
    assert np.asarray(lines["rnn"].get_ydata()).size == 0
    open_marks = [line for line in field.lines if line.get_markerfacecolor() == "none"]
    assert len(open_marks) == 9
    assert {float(np.asarray(line.get_ydata())[0]) for line in open_marks} == {400.0}


@pytest.mark.parametrize("width", [NARROW, WIDE])
def test_a_grid_has_the_median_in_each_place(width: float) -> None:
    (field, _) = draw_grid(PLAN, made(), "seconds", width).axes
    image = np.asarray(field.images[0].get_array())
    assert image.shape == (5, 3)
    assert image[1].tolist() == [20, 200, 2000]
    assert [label.get_text() for label in field.get_xticklabels()] == ["1", "10", "100"]


@pytest.mark.parametrize("width", [NARROW, WIDE])
def test_curves_have_a_field_for_each_combination_with_the_baseline(width: float) -> None:
    fields = draw_curves(PLAN, made(), "val/loss", "loss", True, width).axes
    assert len(fields) == 15
    assert fields[3].get_title(loc="left") == "qr, delay 1"
    levels = [line for line in fields[0].lines if line.get_label() == "baseline"]
    assert np.asarray(levels[0].get_ydata())[0] == 2.0


def test_what_is_drawn_depends_on_what_there_is() -> None:
    names = [block.name for block in pictures(PLAN, made()) if isinstance(block, Picture)]
    assert names == ["steps_to_solve", "grid_loss", "grid_seconds", "val_loss", "val_accuracy"]
    assert "steps_to_solve" not in [b.name for b in pictures(PLAN, made(solved=False)) if isinstance(b, Picture)]
    alone = Plan("one", "", (), {}, {"network": NETWORKS}, (0,), None, None)
    empty = [Row(cell, State.TO_COME, {}) for cell in alone.cells()]
    assert pictures(alone, empty) == []
