import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb

from rnn_tasks.plots.style import (
    LINES,
    MARKERS,
    NARROW,
    WIDE,
    colour_bar,
    heat_map,
    integer_ticks,
    legend,
    level,
    logarithmic,
    name_axes,
    panels,
    symbols_below,
)
from rnn_tasks.spec.vocabulary import SPACE


def places(width: float, count: int) -> list[tuple[int, int]]:
    figure, axes = panels(width, count)
    assert len(figure.axes) == len(axes) == count
    assert figure.get_size_inches()[0] == width
    found = [ax.get_subplotspec() for ax in axes]
    return [(spec.rowspan.start, spec.colspan.start) for spec in found if spec is not None]


def test_panels_fill_rows_when_the_width_allows() -> None:
    assert places(WIDE, 3) == [(0, 0), (0, 1), (1, 0)]
    assert places(NARROW, 3) == [(0, 0), (1, 0), (2, 0)]
    assert places(WIDE, 1) == [(0, 0)]


def test_line_styles_differ_in_black_and_white() -> None:
    assert len(LINES) == len(MARKERS) == len({str(style["linestyle"]) for style in LINES})
    grey = [float(np.dot(to_rgb(style["color"]), (0.299, 0.587, 0.114))) for style in LINES]
    assert len({round(value, 2) for value in grey}) == len(LINES)
    assert max(grey) < 0.6  # visible on white


def test_level_appears_in_the_legend() -> None:
    _, (ax,) = panels(NARROW, 1)
    legend(ax)
    assert ax.get_legend() is None
    level(ax, 0.5, "chance")
    name_axes(ax, "step", "loss (nats)", "Loss")
    legend(ax)
    shown = ax.get_legend()
    assert shown is not None
    assert [text.get_text() for text in shown.get_texts()] == ["chance"]
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_title(loc="left")) == ("step", "loss (nats)", "Loss")


def test_symbols_below_shows_symbols_that_fit() -> None:
    _, (ax,) = panels(NARROW, 1)
    symbols_below(ax, list("ab c"), 3)
    assert [label.get_text() for label in ax.get_xticklabels()] == ["a", "b", SPACE, "c"]
    assert SPACE in ax.get_xlabel()
    _, (ax,) = panels(NARROW, 1)
    symbols_below(ax, "a" * 100, 3)
    assert ax.get_xlabel() == "time step"


def test_heat_map_has_a_unit_and_its_first_row_at_the_bottom() -> None:
    figure, axes = panels(NARROW, 1)
    image = heat_map(axes[0], np.array([[0.0, 1.0], [2.0, 3.0]]), low=-1)
    colour_bar(figure, image, axes, "nats")
    integer_ticks(axes[0], "y")
    assert image.get_clim() == (-1, 3)
    assert axes[0].get_ylim()[0] < axes[0].get_ylim()[1]
    assert figure.axes[-1].get_ylabel() == "nats"


@pytest.mark.parametrize("width", [NARROW, WIDE])
def test_long_titles_stay_within_the_picture(width: float) -> None:
    figure, axes = panels(width, 2)
    for ax in axes:
        name_axes(ax, "step", "loss", "A title that is too long for one line in a panel as narrow as this one")
    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # type: ignore[no-untyped-call]
    box = figure.get_tightbbox(canvas.get_renderer())  # type: ignore[no-untyped-call]
    assert box.x0 > -0.01
    assert box.x1 < width + 0.01


@pytest.mark.parametrize(("low", "high"), [(1.95, 2.4), (0.6, 2.0), (1.0, 30.0), (0.01, 40.0)])
def test_logarithmic_axis_has_at_least_two_plain_numbers(low: float, high: float) -> None:
    figure, (ax,) = panels(NARROW, 1)
    ax.plot([0, 1], [low, high])
    logarithmic(ax, [np.array([low, high])])
    figure.draw_without_rendering()
    bottom, top = ax.get_ylim()
    shown = [label.get_text() for label in ax.get_yticklabels() if bottom <= label.get_position()[1] <= top]
    assert len(shown) >= 2
    assert all(float(text) > 0 for text in shown)
    assert not any(label.get_text() for label in ax.get_yticklabels(minor=True))
