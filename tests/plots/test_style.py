import numpy as np
import pytest
from matplotlib.colors import to_rgb

from rnn_tasks.plots.style import (
    LINES,
    MARKERS,
    SPACE,
    colour_bar,
    heat_map,
    legend,
    level,
    logarithmic,
    name_axes,
    panels,
    symbols_below,
    whole,
)
from rnn_tasks.report.page import NARROW, WIDE


def places(width: float, count: int) -> list[tuple[int, int]]:
    figure, fields = panels(width, count)
    assert len(figure.axes) == len(fields) == count
    assert figure.get_size_inches()[0] == width
    found = [field.get_subplotspec() for field in fields]
    return [(spec.rowspan.start, spec.colspan.start) for spec in found if spec is not None]


def test_panels_stand_beside_one_another_where_there_is_room() -> None:
    assert places(WIDE, 3) == [(0, 0), (0, 1), (1, 0)]
    assert places(NARROW, 3) == [(0, 0), (1, 0), (2, 0)]
    assert places(WIDE, 1) == [(0, 0)]


def test_lines_can_be_told_apart_in_black_and_white() -> None:
    assert len(LINES) == len(MARKERS) == len({str(style["linestyle"]) for style in LINES})
    grey = [float(np.dot(to_rgb(style["color"]), (0.299, 0.587, 0.114))) for style in LINES]
    assert len({round(value, 2) for value in grey}) == len(LINES)
    assert max(grey) < 0.6  # seen on white


def test_a_level_is_named() -> None:
    _, (field,) = panels(NARROW, 1)
    legend(field)
    assert field.get_legend() is None
    level(field, 0.5, "chance")
    name_axes(field, "step", "loss (nats)", "Loss")
    legend(field)
    said = field.get_legend()
    assert said is not None
    assert [text.get_text() for text in said.get_texts()] == ["chance"]
    assert (field.get_xlabel(), field.get_ylabel(), field.get_title(loc="left")) == ("step", "loss (nats)", "Loss")


def test_symbols_are_written_where_there_is_room() -> None:
    _, (field,) = panels(NARROW, 1)
    symbols_below(field, list("ab c"), 3)
    assert [label.get_text() for label in field.get_xticklabels()] == ["a", "b", SPACE, "c"]
    assert SPACE in field.get_xlabel()
    _, (field,) = panels(NARROW, 1)
    symbols_below(field, "a" * 100, 3)
    assert field.get_xlabel() == "time step"


def test_a_heat_map_has_its_unit_and_first_row_below() -> None:
    figure, fields = panels(NARROW, 1)
    image = heat_map(fields[0], np.array([[0.0, 1.0], [2.0, 3.0]]), low=-1)
    colour_bar(figure, image, fields, "nats")
    whole(fields[0], "y")
    assert image.get_clim() == (-1, 3)
    assert fields[0].get_ylim()[0] < fields[0].get_ylim()[1]
    assert figure.axes[-1].get_ylabel() == "nats"


@pytest.mark.parametrize("width", [NARROW, WIDE])
def test_a_title_stays_within_its_picture(width: float) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure, fields = panels(width, 2)
    for field in fields:
        name_axes(field, "step", "loss", "A title that is rather long for a field as narrow as this one is here")
    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # type: ignore[no-untyped-call]
    box = figure.get_tightbbox(canvas.get_renderer())  # type: ignore[no-untyped-call]
    assert box.x0 > -0.01
    assert box.x1 < width + 0.01


@pytest.mark.parametrize(("low", "high"), [(1.95, 2.4), (0.6, 2.0), (1.0, 30.0), (0.01, 40.0)])
def test_a_logarithmic_axis_has_at_least_two_plain_numbers(low: float, high: float) -> None:
    figure, (field,) = panels(NARROW, 1)
    field.plot([0, 1], [low, high])
    logarithmic(field, [np.array([low, high])])
    figure.draw_without_rendering()
    bottom, top = field.get_ylim()
    shown = [label.get_text() for label in field.get_yticklabels() if bottom <= label.get_position()[1] <= top]
    assert len(shown) >= 2
    assert all(float(text) > 0 for text in shown)
    assert not any(label.get_text() for label in field.get_yticklabels(minor=True))
