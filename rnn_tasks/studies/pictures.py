"""Pictures of a study: curves with seeds as a band, steps to solve over an axis of numbers, and heat maps."""

from collections.abc import Sequence
from functools import reduce
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator
from numpy.typing import NDArray

from rnn_tasks.plots.style import (
    LINES,
    MARKERS,
    colour_bar,
    heat_map,
    legend_below,
    level,
    logarithmic,
    name_axes,
    panels,
)
from rnn_tasks.studies.plan import Plan
from rnn_tasks.studies.table import Row, groups_of, number, share_of_baseline


class Band(NamedTuple):
    """A quantity over training, of several seeds.

    Attributes:
        steps: Optimizer steps, ``(n,)``.
        low: Least value over the seeds that are still trained, ``(n,)``.
        middle: Their median.
        high: Greatest value.
    """

    steps: NDArray[np.float64]
    low: NDArray[np.float64]
    middle: NDArray[np.float64]
    high: NDArray[np.float64]


def band(rows: Sequence[Row], name: str) -> Band | None:
    """A curve of some runs; one that has ended counts with its last value. None if none has it.

    Args:
        rows: The runs.
        name: Of the curve, such as ``val/loss``.
    """
    curves = [np.array(row.result["curves"][name], dtype=float) for row in rows if name in row.result.get("curves", {})]
    curves = [curve for curve in curves if curve.size]
    if not curves:
        return None
    steps = reduce(np.union1d, [curve[0] for curve in curves])
    values = np.array([np.interp(steps, *curve) for curve in curves])
    return Band(steps, values.min(0), np.median(values, 0), values.max(0))


def draw_curves(plan: Plan, rows: Sequence[Row], name: str, label: str, on_log_axis: bool, width: float) -> Figure:
    """A field for each combination of variants, with the seeds as a band and the baseline.

    Args:
        plan: The study.
        rows: Its runs.
        name: Of the curve.
        label: Of the vertical axis.
        on_log_axis: Whether that axis is logarithmic.
        width: Inches.
    """
    groups = {group: found for group, of in groups_of(rows).items() if (found := band(of, name)) is not None}
    figure, fields = panels(width, len(groups), height=2.0, least=2.3, sharey=True, sharex=True)
    for field, (group, (steps, low, middle, high)) in zip(fields, groups.items(), strict=True):
        field.fill_between(steps, low, high, color="0.75", linewidth=0, label="range of the seeds")
        field.plot(steps, middle, **LINES[0], linewidth=1.6, label="median of the seeds")
        known = [r.result.get("baseline") or {} for r in rows if r.cell.group == group]
        key = name.rpartition("/")[2].removeprefix("worst_")
        values = [b[key] for b in known if key in b]
        if values:
            level(field, float(values[0]), "baseline")
        if on_log_axis:
            logarithmic(field, [values for found in groups.values() for values in found[1:]])
        name_axes(field, "optimizer steps", label, title_of(plan, group))
    legend_below(figure, fields[0], width)
    return figure


def title_of(plan: Plan, names: Sequence[str]) -> str:
    """What a field shows: the names of its variants, with that of their axis where they are numbers.

    Args:
        plan: The study.
        names: A variant of each of the first axes.
    """
    axes = zip(plan.axes.items(), names, strict=False)
    return ", ".join(name if of[0].value is None else f"{axis} {name}" for (axis, of), name in axes)


def numeric_axis(plan: Plan) -> str | None:
    """The first axis whose variants are numbers; None if none is."""
    numeric = (axis for axis, variants in plan.axes.items() if all(v.value is not None for v in variants))
    return next((axis for axis in numeric if len(plan.axes[axis]) > 1), None)


def draw_steps_to_solve(plan: Plan, rows: Sequence[Row], axis: str, width: float) -> Figure:
    """Steps to solve over an axis of numbers, a line for each combination of the others; censored ones are open.

    Args:
        plan: The study.
        rows: Its runs.
        axis: The axis.
        width: Inches.
    """
    figure, (field,) = panels(width, 1, height=4.0)
    others: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        others.setdefault(tuple(v.name for a, v in row.cell.variants.items() if a != axis), []).append(row)
    for index, (group, of) in enumerate(others.items()):
        marker = [*MARKERS, "v", "P", "X", "*"][index % 8]
        style = {
            **LINES[index % len(LINES)],
            "linestyle": LINES[(index + index // len(LINES)) % len(LINES)]["linestyle"],
        }
        beside = 1.05 ** (
            index - (len(others) - 1) / 2
        )  # marks of several methods at one value stand beside one another
        points = []
        for variant in plan.axes[axis]:
            here = [row for row in of if row.cell.variants[axis] == variant and row.result]
            for row in here:
                steps = number(row, "steps") if row.solved_at is None else row.solved_at
                face = "none" if row.solved_at is None else style["color"]
                place = np.array([(variant.value or 0) * beside, steps], dtype=float)[:, None]
                field.plot(*place, marker, color=style["color"], markerfacecolor=face, markersize=4)
            if here and sum(row.solved_at is not None for row in here) * 2 > len(here):
                known = sorted(float("inf") if row.solved_at is None else row.solved_at for row in here)
                points.append(((variant.value or 0) * beside, known[len(known) // 2]))
        shown = np.array(points, dtype=float).reshape(-1, 2)
        field.plot(shown[:, 0], shown[:, 1], marker=marker, markersize=4, label=", ".join(group), **style)
    field.set_xscale("log")
    field.set_yscale("log")
    values = [variant.value or 0 for variant in plan.axes[axis]]
    field.set_xticks(values, [f"{value:,g}" for value in values])
    field.xaxis.set_minor_locator(NullLocator())
    field.yaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 4, 5, 7)))
    field.yaxis.set_major_formatter(lambda value, _: f"{value:,g}")
    field.yaxis.set_minor_locator(NullLocator())
    name_axes(field, axis, "optimizer steps to solve")
    legend_below(figure, field, width)
    return figure


def draw_grid(plan: Plan, rows: Sequence[Row], of: str, width: float) -> Figure:
    """A heat map of a figure over the last two axes, a field for each combination of the others.

    Args:
        plan: The study.
        rows: Its runs.
        of: ``loss``, ``perplexity`` or ``seconds``.
        width: Inches.
    """
    *first, down, across = plan.axes
    down_names, across_names = ([v.name for v in plan.axes[axis]] for axis in (down, across))
    if any(variant.value is None for variant in plan.axes[down]):
        down_names.reverse()  # names are read from above, numbers grow upwards
    fields_of: dict[tuple[str, ...], NDArray[np.float64]] = {}
    for group, group_rows in groups_of(rows).items():
        values = [value for row in group_rows if (value := figure_of(row, of)) is not None]
        grid = fields_of.setdefault(group[: len(first)], np.full((len(down_names), len(across_names)), np.nan))
        grid[down_names.index(group[-2]), across_names.index(group[-1])] = np.median(values) if values else np.nan
    figure, fields = panels(width, len(fields_of), height=0.9 + 0.35 * len(down_names), least=2.6)
    every = np.concatenate([grid.ravel() for grid in fields_of.values()])
    low, high = (float(f(every)) for f in (np.nanmin, np.nanmax)) if np.isfinite(every).any() else (0.0, 1.0)
    # One that is far above the others, as one that blew up, would leave no colours for them.
    high = min(high, 3 * float(np.nanmedian(every))) if np.isfinite(every).any() else high
    for field, (group, grid) in zip(fields, fields_of.items(), strict=True):
        image = heat_map(field, grid, low, high)
        for (y, x), value in np.ndenumerate(grid):
            dark = np.isfinite(value) and value < (low + high) / 2
            text = f"{value:.3g}" if np.isfinite(value) else "-"
            field.text(x, y, text, ha="center", va="center", fontsize=7, color="white" if dark else "black")
        field.set_xticks(range(len(across_names)), across_names, fontsize=7)
        field.set_yticks(range(len(down_names)), down_names, fontsize=7)
        name_axes(field, across, down, title_of(plan, group))
    colour_bar(figure, image, fields, "loss / baseline" if of == "loss" else of)
    return figure


def figure_of(row: Row, of: str) -> float | None:
    """A figure of a run by the name that a heat map has."""
    if of == "seconds":
        return number(row, "seconds")
    return row.metric("test/perplexity", "val/perplexity") if of == "perplexity" else share_of_baseline(row)
