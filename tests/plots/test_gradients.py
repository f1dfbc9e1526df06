import math

import numpy as np
import pytest

from rnn_tasks.plots.gradients import (
    DECADES,
    VANISHED,
    ByLag,
    Clipping,
    GradientMap,
    draw_clipping,
    draw_gradient_by_lag,
    draw_gradient_maps,
)
from rnn_tasks.plots.style import NARROW, WIDE
from rnn_tasks.runs.curves import Curve


@pytest.mark.parametrize("width", [NARROW, WIDE])
@pytest.mark.parametrize(
    ("steps", "norms"),
    [([0], [[-math.inf] * 3]), ([5], [[0.0]]), ([0, 10, 1000], [[0.0, -1.0], [-3.0, -math.inf], [-40.0, -44.0]])],
)
def test_draw_gradient_maps_draws_vanished_gradients(steps: list[int], norms: list[list[float]], width: float) -> None:
    figure = draw_gradient_maps([("", GradientMap(np.array(steps), np.array(norms)))], "lag k: time steps", width)
    figure.draw_without_rendering()
    ax, bar = figure.axes
    assert ax.get_xlabel() == "optimizer steps"
    assert ax.get_ylabel() == "lag k: time steps"
    assert "nats per unit of h" in bar.get_ylabel()
    low, high = ax.images[0].get_clim()
    assert 1 <= high - low <= DECADES


def test_draw_gradient_maps_shows_the_nearest_snapshot() -> None:
    found = GradientMap(np.array([0, 10, 100]), np.array([[0.0], [-1.0], [-30.0]]))
    (image,) = draw_gradient_maps([("", found)], "lag", WIDE).axes[0].images
    values = np.asarray(image.get_array())[0]
    where = np.linspace(0, 100, len(values))
    assert (values[where < 4.9] == 0).all()
    assert (values[(where > 5.1) & (where < 54.9)] == -1).all()
    assert (values[where > 55.1] == -DECADES).all()
    assert list(image.get_extent())[:2] == [0, 100]


def test_draw_gradient_by_lag_marks_the_recall_lag() -> None:
    pair = ByLag(np.array([1.0, 0.5, 0.25]), np.array([1.0, 0.1, 0.01]))
    (ax,) = draw_gradient_by_lag([("one", pair, 2)], WIDE).axes
    assert np.asarray(ax.lines[-1].get_xdata()).tolist() == [2, 2]
    (ax,) = draw_gradient_by_lag([("one", pair, None)], WIDE).axes
    assert len(ax.lines) == 2


def test_draw_gradient_by_lag_begins_at_the_first_lag() -> None:
    pair = ByLag(np.array([9.0, 0.5, 0.25]), np.array([9.0, 0.1, 0.01]), first=1)
    (ax,) = draw_gradient_by_lag([("one", pair, None)], WIDE).axes
    assert np.asarray(ax.lines[0].get_xdata()).tolist() == [1, 2]
    assert np.asarray(ax.lines[1].get_ydata()).tolist() == [0.1, 0.01]


def test_draw_gradient_by_lag_limits_vanished_norms() -> None:
    gone = ByLag(np.array([1.0, 0.0]), np.array([1.0, 1e-30]))
    (ax,) = draw_gradient_by_lag([("one", gone, None)], WIDE).axes
    assert np.asarray(ax.lines[0].get_ydata())[1] == VANISHED


@pytest.mark.parametrize("width", [NARROW, WIDE])
def test_pictures_of_two_runs_have_a_panel_for_each(width: float) -> None:
    names, curve = ("A: one", "B: two"), Curve(np.array([10, 20]), np.array([4.0, 1.0]))
    pair, clipping = ByLag(np.ones(3), np.ones(3)), Clipping(curve, curve, 2.0, 0.5)
    one = GradientMap(np.array([0, 9]), np.zeros((2, 3)))
    for figure in (
        draw_gradient_by_lag([(name, pair, None) for name in names], width),
        draw_gradient_maps([(name, one) for name in names], "time step", width),
        draw_clipping([(name, clipping) for name in names], width),
    ):
        assert [ax.get_title(loc="left") for ax in figure.axes[:2]] == list(names)
        assert all(ax.get_xlabel() and ax.get_ylabel() for ax in figure.axes[:2])
