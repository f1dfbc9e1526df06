"""Draw the pictures of a study: learning curves, steps to solve over a numeric axis, and heat maps."""

import math
import statistics
from collections.abc import Sequence
from functools import reduce
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator
from numpy.typing import NDArray

from rnn_tasks.plots.groups import draw_references, set_axes, shade_training
from rnn_tasks.plots.style import (
    LINES,
    MARKERS,
    PLATEAUS,
    colour_bar,
    heat_map,
    legend_below,
    level,
    logarithmic,
    name_axes,
    panels,
)
from rnn_tasks.runs.group_scores import GroupScores, Kind, scores_of
from rnn_tasks.runs.summary_text import scores_by
from rnn_tasks.studies.plan import Plan
from rnn_tasks.studies.table import baseline_of, first_finite, groups_of, loss_share, steps_to_solve, with_variant

SEEDS = "range of the seeds"


class Band(NamedTuple):
    """The median and range of a quantity over several seeds, during training.

    Attributes:
        steps: Optimizer steps, ``(n,)``.
        low: The smallest value over the seeds, ``(n,)``.
        middle: The median over the seeds, ``(n,)``.
        high: The largest value over the seeds, ``(n,)``.
    """

    steps: NDArray[np.float64]
    low: NDArray[np.float64]
    middle: NDArray[np.float64]
    high: NDArray[np.float64]


def band(runs: pd.DataFrame, name: str) -> Band | None:
    """Return the median and range of a curve over runs; a run that ended earlier counts with its last value.

    Args:
        runs: The runs.
        name: The name of the curve, such as ``val/loss``.

    Returns:
        None if no run has the curve.
    """
    curves = [np.array(curves[name], dtype=float) for curves in runs["curves"] if name in curves]
    curves = [curve for curve in curves if curve.size]
    if not curves:
        return None
    steps = reduce(np.union1d, [curve[0] for curve in curves])
    values = np.array([np.interp(steps, *curve) for curve in curves])
    return Band(steps, values.min(0), np.median(values, 0), values.max(0))


def draw_curves(plan: Plan, runs: pd.DataFrame, name: str, label: str, on_log_axis: bool, width: float) -> Figure:
    """Draw a panel for each combination of variants, with the range of the seeds as a band and the baseline.

    Args:
        plan: The study.
        runs: Its runs.
        name: The name of the curve.
        label: The label of the vertical axis.
        on_log_axis: Whether the vertical axis is logarithmic.
        width: The width of the picture in inches.
    """
    groups = groups_of(runs)
    bands = {group: curve for group, members in groups.items() if (curve := band(members, name)) is not None}
    figure, fields = panels(width, len(bands), height=2.0, min_width=2.3, sharey=True, sharex=True)
    for field, (group, (steps, low, middle, high)) in zip(fields, bands.items(), strict=True):
        field.fill_between(steps, low, high, color="0.75", linewidth=0, label=SEEDS)
        field.plot(steps, middle, **LINES[0], linewidth=1.6, label="median of the seeds")
        score = name.rpartition("/")[2].removeprefix("worst_")
        baselines = baseline_of(groups[group], score).dropna()
        if not baselines.empty:
            level(field, float(baselines.iloc[0]), "baseline")
        for plateau, value, style in plateaus_of(groups[group], score):
            level(field, value, plain(plateau), style)
        if on_log_axis:
            logarithmic(field, [values for curve in bands.values() for values in curve[1:]])
        name_axes(field, "optimizer steps", label, title_of(plan, group))
    legend_below(figure, fields[0], width)
    return figure


def plateaus_of(runs: pd.DataFrame, score: str) -> list[tuple[str, float, dict[str, Any]]]:
    """Return the name, the score and the line style of each partial solution, from the first run that has any.

    Args:
        runs: The runs.
        score: ``loss`` or ``accuracy``.
    """
    stored: list[dict[str, Any]] = next((b["plateaus"] for b in runs["baseline"] if b.get("plateaus")), [])
    return [
        (plateau["name"], float(plateau[score]), PLATEAUS[index % len(PLATEAUS)])
        for index, plateau in enumerate(stored)
        if score in plateau
    ]


def scores_of_runs(runs: pd.DataFrame, quantity: str) -> list[GroupScores]:
    """Return the test scores of runs by group, without runs that have none.

    Args:
        runs: The runs.
        quantity: What the groups are, such as ``length``.
    """
    kind: Kind = "accuracy" if quantity in scores_by(dict.fromkeys(runs.columns, 0.0), "accuracy") else "loss"
    metrics = runs[[name for name in runs.columns if name.startswith("test/")]].to_dict("records")
    found = [scores_of(of_run, baseline, kind) for of_run, baseline in zip(metrics, runs["baseline"], strict=True)]
    return [scores[quantity] for scores in found if quantity in scores]


def quantities_of(runs: pd.DataFrame) -> list[str]:
    """Return the quantities by which test scores of the runs are sorted, such as ``length``."""
    names = dict.fromkeys(runs.columns, 0.0)
    quantities = sorted({*scores_by(names, "accuracy"), *scores_by(names, "loss")})
    return [quantity for quantity in quantities if scores_of_runs(runs, quantity)]


def draw_scores(plan: Plan, runs: pd.DataFrame, quantity: str, width: float) -> Figure:
    """Draw test scores by group, in a panel for each combination of variants, with the range of the seeds as a band.

    Args:
        plan: The study.
        runs: Its runs.
        quantity: What the groups are, such as ``length``.
        width: The width of the picture in inches.
    """
    of_error = quantity not in scores_by(dict.fromkeys(runs.columns, 0.0), "accuracy")
    by_group = {group: scores_of_runs(members, quantity) for group, members in groups_of(runs).items()}
    by_group = {group: scores for group, scores in by_group.items() if scores}
    figure, fields = panels(width, len(by_group), height=2.2, min_width=2.3, sharey=True)
    for field, (group, scores) in zip(fields, by_group.items(), strict=True):
        groups = np.array(sorted({int(one) for found in scores for one in found.groups}))
        values = np.array([[dict(zip(s.groups, s.scores, strict=True)).get(g, np.nan) for g in groups] for s in scores])
        field.fill_between(groups, np.nanmin(values, 0), np.nanmax(values, 0), color="0.75", linewidth=0, label=SEEDS)
        median = np.nanmedian(values, 0)
        field.plot(groups, median, **LINES[0], marker="o", markersize=3, label="median of the seeds", zorder=3)
        draw_references(field, scores, "baseline" if of_error else "chance")
        shade_training(field, scores)
        set_axes(field, scores, quantity, of_error, title_of(plan, group))
    legend_below(figure, fields[0], width)
    return figure


def title_of(plan: Plan, names: Sequence[str]) -> str:
    """Return the title of a panel, such as ``qr, delay 4``: the names of its variants; a number follows its axis.

    Args:
        plan: The study.
        names: The names of the variants, one for each of the first axes.
    """
    axes = zip(plan.axes.items(), names, strict=False)
    return plain(", ".join(name if variants[0].value is None else f"{axis} {name}" for (axis, variants), name in axes))


def plain(text: str) -> str:
    r"""Return a text in which Matplotlib finds no formula.

    Example:
        >>> print(plain("$x$"))
        \$x\$
    """
    return text.replace("$", r"\$")


def numeric_axis(plan: Plan) -> str | None:
    """Return the first axis that has several variants, all numbers; None without such an axis."""
    numeric = (axis for axis, variants in plan.axes.items() if all(v.value is not None for v in variants))
    return next((axis for axis in numeric if len(plan.axes[axis]) > 1), None)


def draw_steps_to_solve(plan: Plan, runs: pd.DataFrame, axis: str, width: float) -> Figure:
    """Draw steps to solve over a numeric axis, with a line for each combination of the other axes.

    Each run is a mark at its steps to solve. The mark of an unsolved run is open and stands at the steps that the run
    did. Lines join the medians.

    Args:
        plan: The study.
        runs: Its runs.
        axis: The name of the numeric axis.
        width: The width of the picture in inches.
    """
    figure, (field,) = panels(width, 1, height=4.0)
    groups = groups_of(runs, without=axis)
    for index, (group, members) in enumerate(groups.items()):
        marker = [*MARKERS, "v", "P", "X", "*"][index % 8]
        style = {
            **LINES[index % len(LINES)],
            "linestyle": LINES[(index + index // len(LINES)) % len(LINES)]["linestyle"],
        }
        shift = 1.05 ** (index - (len(groups) - 1) / 2)  # separates the marks of several lines at one value
        points = []
        for variant in plan.axes[axis]:
            x, at_value = (variant.value or 0) * shift, with_variant(members, axis, variant.name)
            ended = at_value[at_value["steps"].notna()]
            steps = steps_to_solve(ended)
            for solved_at, budget in zip(steps, ended["steps"], strict=True):
                is_open = math.isnan(solved_at)
                face, y = ("none", float(budget)) if is_open else (style["color"], solved_at)
                field.plot([x], [y], marker, color=style["color"], markerfacecolor=face, markersize=4)
            if steps.notna().sum() * 2 > len(ended):
                points.append((x, statistics.median_high(steps.fillna(math.inf))))
        medians = np.array(points, dtype=float).reshape(-1, 2)
        field.plot(medians[:, 0], medians[:, 1], marker=marker, markersize=4, label=plain(", ".join(group)), **style)
    field.set_xscale("log")
    field.set_yscale("log")
    values = [variant.value or 0 for variant in plan.axes[axis]]
    field.set_xticks(values, [f"{value:,g}" for value in values])
    field.xaxis.set_minor_locator(NullLocator())
    field.yaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 4, 5, 7)))
    field.yaxis.set_major_formatter(lambda value, _: f"{value:,g}")
    field.yaxis.set_minor_locator(NullLocator())
    name_axes(field, plain(axis), "optimizer steps to solve")
    legend_below(figure, field, width)
    return figure


def draw_grid(plan: Plan, runs: pd.DataFrame, quantity: str, width: float) -> Figure:
    """Draw a heat map of the median of a quantity over the last two axes, a panel for each combination of the others.

    Args:
        plan: The study.
        runs: Its runs.
        quantity: ``loss``, ``perplexity`` or ``seconds``.
        width: The width of the picture in inches.
    """
    *first, down, across = plan.axes
    down_names, across_names = ([v.name for v in plan.axes[axis]] for axis in (down, across))
    if any(variant.value is None for variant in plan.axes[down]):
        down_names.reverse()  # names are listed from top to bottom, numbers increase upwards
    grids: dict[tuple[str, ...], NDArray[np.float64]] = {}
    for group, members in groups_of(runs).items():
        grid = grids.setdefault(group[: len(first)], np.full((len(down_names), len(across_names)), np.nan))
        grid[down_names.index(group[-2]), across_names.index(group[-1])] = quantity_of(members, quantity).median()
    figure, fields = panels(width, len(grids), height=0.9 + 0.35 * len(down_names), min_width=2.6)
    values = np.concatenate([grid.ravel() for grid in grids.values()])
    low, high = (float(f(values)) for f in (np.nanmin, np.nanmax)) if np.isfinite(values).any() else (0.0, 1.0)
    # The value of a run that blew up would take the whole range of colours.
    high = min(high, 3 * float(np.nanmedian(values))) if np.isfinite(values).any() else high
    for field, (group, grid) in zip(fields, grids.items(), strict=True):
        image = heat_map(field, grid, low, high)
        for (y, x), value in np.ndenumerate(grid):
            dark = np.isfinite(value) and value < (low + high) / 2
            text = f"{value:.3g}" if np.isfinite(value) else "-"
            field.text(x, y, text, ha="center", va="center", fontsize=7, color="white" if dark else "black")
        field.set_xticks(range(len(across_names)), map(plain, across_names), fontsize=7)
        field.set_yticks(range(len(down_names)), map(plain, down_names), fontsize=7)
        name_axes(field, plain(across), plain(down), title_of(plan, group))
    colour_bar(figure, image, fields, "loss / baseline" if quantity == "loss" else quantity)
    return figure


def quantity_of(runs: pd.DataFrame, quantity: str) -> pd.Series:
    """Return a quantity of each run: ``loss`` (as a share of the baseline loss), ``perplexity`` or ``seconds``."""
    if quantity == "seconds":
        return runs["seconds"]
    return first_finite(runs, "test/perplexity", "val/perplexity") if quantity == "perplexity" else loss_share(runs)
