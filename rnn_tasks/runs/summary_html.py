"""The results of a run as HTML for a notebook: verdict, results, and the learning curve as inline SVG."""

import math
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

from rnn_tasks.printable import printable
from rnn_tasks.runs.curves import Curve, read_curves
from rnn_tasks.runs.summary_text import SQUARED_ERROR, headline, result_rows

WIDTH, HEIGHT = 480, 200
"""The size of the picture in pixels."""

LEFT, RIGHT, TOP, BOTTOM = 56, 8, 24, 36
"""The margins of the axes in pixels."""

MOST_POINTS = 400
"""The largest number of points of a line; a longer curve is thinned."""

LINES = {
    "train/loss": ("training", "#8a8a8a", "1"),
    "val/loss": ("validation", "#0072b2", "2"),
}
"""The label, the colour and the width of each curve."""


def summary_html(summary: Mapping[str, Any], folder: Path, task: str = "") -> str:
    """Return the results of a run as HTML, which loads nothing and executes nothing.

    Args:
        summary: The contents of summary.json; empty if the run has none yet.
        folder: The run folder.
        task: The task and its options, see :func:`rnn_tasks.runs.data_text.data_text`; empty if they are unknown.
    """
    if not summary:
        return f"<p>{text_html(f'{folder}: no results yet')}</p>"
    rows = {**result_rows(summary, task), "run": str(folder)}
    cells = "".join(
        f'<tr><th style="text-align: left; vertical-align: top">{text_html(name)}</th>'
        f'<td style="text-align: left">{"<br>".join(map(text_html, lines_of(lines)))}</td></tr>'
        for name, lines in rows.items()
    )
    baseline = summary.get("baseline", {})
    unit = "mean squared error" if baseline.get("unit") == SQUARED_ERROR else "nats"
    picture = loss_svg(read_curves(folder), baseline.get("loss"), unit)
    return f"<div><p><b>{text_html(headline(summary))}</b></p><table>{cells}</table>{picture}</div>"


def lines_of(lines: Any) -> list[str]:
    """Return the lines of a row, which is a text or several texts."""
    return [lines] if isinstance(lines, str) else list(lines)


def text_html(text: str) -> str:
    r"""Return a text for HTML: markup and characters that hide or reorder others are escaped.

    Example:
        >>> text_html("<b>" + chr(0x202E))
        '&lt;b&gt;\\u202e'
    """
    return escape(printable(text))


def loss_svg(curves: Mapping[str, Curve], baseline: float | None, unit: str) -> str:
    """Return the losses by optimizer step as SVG; an empty text if nothing was logged.

    Args:
        curves: The logged values by name.
        baseline: The loss of the baseline, or None.
        unit: The unit of the loss.
    """
    drawn = {name: points_of(curves[name]) for name in LINES if name in curves}
    drawn = {name: points for name, points in drawn.items() if points}
    if not drawn:
        return ""
    last = max(step for points in drawn.values() for step, _ in points)
    levels = [loss for points in drawn.values() for _, loss in points]
    bottom, top = min(0.0, *levels), max(levels)
    reference = baseline if baseline is not None and 0 < baseline < math.inf else None
    if reference is not None:
        # Losses far above the baseline, such as those of the first steps, would flatten the rest of the curve.
        top = max(reference, min(top, 2 * reference))
    if top <= bottom:
        top = bottom + 1.0

    def x(step: float) -> str:
        return f"{LEFT + (WIDTH - LEFT - RIGHT) * step / max(last, 1):.1f}"

    def y(loss: float) -> str:
        share = (min(loss, top) - bottom) / (top - bottom)
        return f"{HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * share:.1f}"

    parts = [
        f'<path d="M{LEFT} {TOP}V{HEIGHT - BOTTOM}H{WIDTH - RIGHT}" fill="none" stroke="currentColor"/>',
        label(LEFT - 4, float(y(top)) + 4, f"{top:.3g}", "end"),
        label(LEFT - 4, float(y(bottom)) + 4, f"{bottom:.3g}", "end"),
        label(LEFT, HEIGHT - BOTTOM + 14, "0"),
        label(WIDTH - RIGHT, HEIGHT - BOTTOM + 14, f"{last:,}", "end"),
        label((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 6, "optimizer step", "middle"),
    ]
    if reference is not None:
        parts.append(
            f'<path d="M{LEFT} {y(reference)}H{WIDTH - RIGHT}" fill="none" stroke="currentColor" '
            'stroke-dasharray="5 4"/>'
        )
    place = float(LEFT)
    for name, points in drawn.items():
        title, colour, width = LINES[name]
        line = " ".join(f"{x(step)},{y(loss)}" for step, loss in points)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="{width}"/>')
        parts.append(label(place, 14, f"— {title}", colour=colour))
        place += 90
    parts.append(label(place, 14, f"loss in {unit}" if reference is None else f"- - baseline; loss in {unit}"))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="Loss by optimizer step" width="{WIDTH}" '
        f'height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}" style="max-width: 100%; height: auto">{"".join(parts)}</svg>'
    )


def points_of(curve: Curve) -> list[tuple[int, float]]:
    """Return at most ``MOST_POINTS`` finite points of a curve, with the number of steps that are done at each.

    Args:
        curve: The logged values.
    """
    # Steps are logged from 0.
    points = [
        (step + 1, value)
        for step, value in zip(curve.steps.tolist(), curve.values.tolist(), strict=True)
        if math.isfinite(value)
    ]
    every = -(-len(points) // MOST_POINTS)
    return points if every < 2 else points[::-every][::-1]  # keeps the last point


def label(x: float, y: float, text: str, anchor: str = "start", colour: str = "currentColor") -> str:
    """Return a text of a picture.

    Args:
        x: Pixels from the left.
        y: Pixels from the top, of the base line.
        text: The text.
        anchor: The part of the text that is at x: ``start``, ``middle`` or ``end``.
        colour: The colour.
    """
    return (
        f'<text x="{x:g}" y="{y:g}" font-size="11" font-family="sans-serif" text-anchor="{anchor}" fill="{colour}">'
        f"{escape(text)}</text>"
    )
