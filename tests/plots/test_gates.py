from typing import Any

import numpy as np
import pytest

from rnn_tasks.plots.gates import CarryingUnit, draw_gates
from rnn_tasks.plots.style import NARROW, WIDE


def some_gates(*names: str, time: int = 9) -> dict[str, Any]:
    """Return gate values of six units, ``(time, 6)`` each."""
    random = np.random.default_rng(0)
    return {name: random.uniform(size=(time, 6)) for name in names}


@pytest.mark.parametrize("width", [NARROW, WIDE])
@pytest.mark.parametrize(("time", "read"), [(9, "the boy  "), (9, ""), (200, "x" * 200)])
def test_draw_gates_sorts_units_and_shows_symbols_that_fit(width: float, time: int, read: str) -> None:
    gates = some_gates("layer0/reset", "layer0/other", time=time)
    figure = draw_gates(gates, list(read), width)
    figure.draw_without_rendering()
    above, below, bar = figure.axes
    image = np.asarray(above.images[0].get_array())
    assert image.shape == (6, time)
    assert (np.diff(image.mean(1)) >= 0).all()
    assert sorted(image[:, 0].tolist()) == sorted(gates["layer0/reset"][0].tolist())
    assert above.images[0].get_clim() == (0, 1)
    assert above.get_title(loc="left") == "Reset gate: 0 hides the old state"
    assert below.get_title(loc="left") == "Other gate"
    assert "closed" in bar.get_ylabel()
    labels = [label.get_text() for label in below.get_xticklabels()]
    if time == 9 and read:
        assert "".join(labels) == "the␣boy␣␣"
        assert "symbol" in below.get_xlabel()
    else:
        assert below.get_xlabel() == "time step"


def test_draw_gates_names_the_layer_when_layers_are_stacked() -> None:
    figure = draw_gates(some_gates("layer0/input", "layer1/input"), [], WIDE)
    assert figure.axes[1].get_title(loc="left") == "Layer1, input gate: 1 lets the input in"


@pytest.mark.parametrize(("keep", "lines"), [("update", 2), ("forget", 3)])
def test_draw_gates_shows_the_carrying_unit(keep: str, lines: int) -> None:
    gates = some_gates(f"layer0/{keep}", "layer0/input")
    unit = {name.partition("/")[2]: values[:, 3] for name, values in gates.items()}
    ax = draw_gates(gates, [], WIDE, CarryingUnit(3, keep, unit, start=2, lag=4, share=0.5)).axes[2]
    assert ax.get_title(loc="left") == "Unit that keeps an input best: 50% is left after 4 steps"
    assert len(ax.lines) == lines
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), unit[keep])
    np.testing.assert_array_equal(ax.lines[-1].get_xdata(), [2, 3, 4, 5, 6])
    np.testing.assert_array_equal(ax.lines[-1].get_ydata(), [0, 1, 1, 1, 1])
