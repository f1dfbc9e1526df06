"""The results of a run as HTML for a notebook."""

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from rnn_tasks.runs.curves import Curve
from rnn_tasks.runs.summary_html import MOST_POINTS, loss_svg, points_of, summary_html
from tests.helpers.summaries import make_summary

EVIL = "<script>alert(1)</script>\x1b\u202e&\"'"


def curve(values: list[float]) -> Curve:
    return Curve(np.arange(len(values)), np.array(values))


def test_html_holds_verdict_results_and_curve(tmp_path: Path) -> None:
    rows = [{"step": step, "val/loss": 3.0 - step} for step in range(3)]
    (tmp_path / "curves.jsonl").write_text("\n".join(map(json.dumps, rows)))
    summary = make_summary(
        {"test/loss": 1.0, "test/accuracy": 0.5, "test/worst_accuracy": 0.5, "test/exact_match": 0.25}
    )
    summary |= {"verdict": "learning", "baseline": {"loss": 2.0, "accuracy": 0.1, "unit": "nats per step"}}
    html = summary_html(summary, tmp_path, "Echo(delay=4)")
    for text in ("echo: learning", "Echo(delay=4)", "0.5000", "50.0% of the baseline", "<svg", str(tmp_path)):
        assert text in html
    ElementTree.fromstring(html)


def test_html_escapes_everything(tmp_path: Path) -> None:
    summary = make_summary({}) | {"task": EVIL, "core": EVIL}
    folder = tmp_path / EVIL.replace("/", "")
    folder.mkdir()
    html = summary_html(summary, folder, EVIL)
    assert "<script" not in html
    assert not re.search("[\x1b\u202e]", html)
    ElementTree.fromstring(html)
    assert "<script" not in summary_html({}, folder)


@pytest.mark.parametrize("values", [[0.0], [1e300, -1e300], [float("nan"), 1.0, float("inf")], [1.0] * 5000])
@pytest.mark.parametrize("baseline", [None, 0.0, 1.5, float("inf"), float("nan")])
def test_picture_stays_within_its_frame(values: list[float], baseline: float | None) -> None:
    svg = ElementTree.fromstring(loss_svg({"val/loss": curve(values)}, baseline, "nats"))
    line = svg.find("{*}polyline")
    assert line is not None
    points = [tuple(map(float, point.split(","))) for point in line.attrib["points"].split()]
    assert 1 <= len(points) <= MOST_POINTS
    assert all(0 <= x <= 480 and 0 <= y <= 200 for x, y in points)


def test_picture_shows_the_baseline_as_a_dashed_line() -> None:
    curves = {"val/loss": curve([2.0, 1.0])}
    assert "stroke-dasharray" in loss_svg(curves, 1.5, "nats")
    assert "stroke-dasharray" not in loss_svg(curves, None, "nats")
    assert loss_svg({}, 1.5, "nats") == ""


def test_thinned_curve_keeps_its_last_point() -> None:
    points = points_of(curve(list(map(float, range(1001)))))
    assert points[-1] == (1001, 1000.0)
    assert len(points) <= MOST_POINTS
    assert points == sorted(points)
