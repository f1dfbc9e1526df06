"""The pictures of a suite: layers by tasks, the share of solved runs, consistent differences, and difficulty."""

import re
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from rnn_tasks.plots.style import LINES, MAP, MARKERS, colour_bar, legend_below, name_axes, panels
from rnn_tasks.studies.comparison import censored_steps, differences
from rnn_tasks.studies.pictures import plain

ROW = 0.31
"""Height of a row of a matrix in inches."""

NUMBERED = re.compile(r"(.+)_(\d+)")
"""The name of a task whose difficulty is the number at its end."""


def draw_matrix(final: pd.DataFrame, layers: Sequence[str], tasks: Sequence[str], score: str, width: float) -> Figure:
    """Draw the share of solved seeds of each layer on each task, with the median of the steps to solve.

    Args:
        final: The results with chosen settings.
        layers: The layers, in order.
        tasks: The tasks, in order.
        score: The column with the score of each run.
        width: The width of the picture in inches.
    """
    cells = dict(iter(final.groupby(["layer", "task"])))
    shares = np.full((len(layers), len(tasks)), np.nan)
    figure = Figure(figsize=(max(width, 1.2 + 0.72 * len(tasks)), 1.3 + ROW * len(layers)), layout="constrained")
    ax = figure.subplots()
    for row, layer in enumerate(layers):
        for column, task in enumerate(tasks):
            runs = cells.get((layer, task))
            if runs is not None:
                shares[row, column] = runs["solved_at"].notna().mean()
                colour = "black" if shares[row, column] > 0.55 else "white"
                text = f"{runs['solved_at'].notna().sum()} of {len(runs)}\n{middle(runs, score)}"
                ax.text(column, row, text, ha="center", va="center", fontsize=6.5, color=colour, linespacing=1.05)
    image = ax.imshow(np.ma.masked_invalid(shares), aspect="auto", cmap=MAP, vmin=0, vmax=1)
    name_rows_and_columns(ax, layers, tasks)
    colour_bar(figure, image, [ax], "share of solved seeds", location="bottom", aspect=60, shrink=0.6)
    return figure


def middle(runs: pd.DataFrame, score: str) -> str:
    """Return the median of the steps to solve if at least half of the runs are solved, else of the score.

    Args:
        runs: The runs of a layer on a task.
        score: The column of the score.
    """
    steps = runs["solved_at"].astype(float).fillna(np.inf).sort_values().to_numpy()
    median = steps[len(steps) // 2]
    return f"{median:,.0f}" if np.isfinite(median) else f"({runs[score].median():.2f})"


def name_rows_and_columns(ax: Axes, rows: Sequence[str], columns: Sequence[str]) -> None:
    """Write the names of the rows at the left and those of the columns above a matrix.

    Args:
        ax: The panel.
        rows: The names of the rows.
        columns: The names of the columns.
    """
    ax.set_yticks(range(len(rows)), list(rows), fontsize=8)
    ax.set_xticks(range(len(columns)), list(columns), fontsize=8, rotation=35, ha="left", rotation_mode="anchor")
    ax.tick_params(length=0, top=False, labeltop=True, labelbottom=False)
    ax.spines[:].set_visible(False)


def draw_solved_by_step(final: pd.DataFrame, layers: Sequence[str], width: float) -> Figure:
    """Draw the share of solved runs over the share of the budget, in a panel for each layer.

    Args:
        final: The results with chosen settings.
        layers: The layers, in order.
        width: The width of the picture in inches.
    """
    figure, fields = panels(width, len(layers), height=1.6, min_width=1.9, sharex=True, sharey=True)
    shares = {layer: solved_by_share_of_budget(final[final["layer"] == layer]) for layer in layers}
    for field, layer in zip(fields, layers, strict=True):
        others = [curve for other, curve in shares.items() if other != layer]
        for index, (x, y) in enumerate(others):
            label = "other layers" if index == 0 else None
            field.step(x, y, where="post", color="0.8", linewidth=0.6, label=label)
        field.step(*shares[layer], where="post", **LINES[0], linewidth=1.6, label="this layer")
        field.set_ylim(-0.02, 1.02)
        name_axes(field, "share of the budget", "share solved", plain(layer))
    legend_below(figure, fields[0], width)
    return figure


def solved_by_share_of_budget(results: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Return the shares of the budget at which runs are solved, and the share of runs solved by then."""
    shares = (censored_steps(results) / results["budget"].astype(float)).where(results["solved_at"].notna())
    solved_at = np.sort(shares.dropna().to_numpy(float))
    x = np.concatenate([[0.0], solved_at, [1.0]])
    counts = np.concatenate([np.arange(len(solved_at) + 1), [len(solved_at)]])
    return x, counts / len(results)


def draw_differences(final: pd.DataFrame, layers: Sequence[str], width: float) -> Figure:
    """Draw on how many tasks one layer is faster than another one with every seed.

    Args:
        final: The results with chosen settings.
        layers: The layers, in order.
        width: The width of the picture in inches.
    """
    place = {layer: index for index, layer in enumerate(layers)}
    counts = np.zeros((len(layers), len(layers)))
    for difference in differences(final):
        counts[place[difference.faster], place[difference.slower]] += 1
    side = max(width, 2.0 + 0.24 * len(layers))
    figure = Figure(figsize=(side, 1.4 + 0.26 * len(layers)), layout="constrained")
    ax = figure.subplots()
    image = ax.imshow(counts, aspect="auto", cmap=MAP, vmin=0)
    for row, column in np.argwhere(counts > 0):
        colour = "black" if counts[row, column] > 0.55 * counts.max() else "white"
        ax.text(column, row, f"{counts[row, column]:.0f}", ha="center", va="center", fontsize=6.5, color=colour)
    name_rows_and_columns(ax, layers, layers)
    colour_bar(figure, image, [ax], "number of tasks on which the row is faster with every seed", format="%d")
    return figure


def numbered_tasks(tasks: Sequence[str]) -> dict[str, dict[int, str]]:
    """Return the tasks that differ in the number at the end of their names, by what stands before the number.

    Args:
        tasks: The names of the tasks.

    Example:
        >>> numbered_tasks(["s3", "copy_delay_10", "copy_delay_50"])
        {'copy_delay': {10: 'copy_delay_10', 50: 'copy_delay_50'}}
    """
    found: dict[str, dict[int, str]] = {}
    for task in tasks:
        if match := NUMBERED.fullmatch(task):
            found.setdefault(match[1], {})[int(match[2])] = task
    return {name: numbers for name, numbers in found.items() if len(numbers) > 1}


def draw_difficulty(final: pd.DataFrame, layers: Sequence[str], tasks: Sequence[str], width: float) -> Figure:
    """Draw the steps to solve over the difficulty, in a panel for each family of :func:`numbered_tasks`.

    Args:
        final: The results with chosen settings.
        layers: The layers, at most four, in order.
        tasks: The tasks.
        width: The width of the picture in inches.
    """
    families = numbered_tasks(tasks)
    figure, axes = panels(width, len(families), height=2.6)
    for ax, (family, numbers) in zip(axes, families.items(), strict=True):
        places = {task: index for index, (_, task) in enumerate(sorted(numbers.items()))}
        for index, layer in enumerate(layers):
            runs = final[(final["layer"] == layer) & final["task"].isin(places)]
            draw_layer(ax, runs, places, layer, index)
        ax.set_xticks(range(len(places)), [f"{number:,}" for number in sorted(numbers)])
        ax.set_yscale("log")
        ax.yaxis.set_major_formatter("{x:,.0f}")
        ax.yaxis.set_minor_locator(NullLocator())
        name_axes(ax, plain(family.replace("_", " ")), "optimizer steps")
    legend_below(figure, axes[0], width)
    return figure


def draw_layer(ax: Axes, runs: pd.DataFrame, places: dict[str, int], layer: str, index: int) -> None:
    """Draw the runs of a layer as marks, open ones if they are not solved, and join the medians by a line.

    Args:
        ax: The panel.
        runs: The runs of the layer.
        places: The horizontal position of each task.
        layer: The name of the layer.
        index: The number of the layer, for its style.
    """
    style, shift = LINES[index % len(LINES)], 0.07 * (index - 1.5)
    steps = censored_steps(runs)
    x = runs["task"].map(places).astype(float) + shift
    for solved, face in ((True, style["color"]), (False, "white")):
        chosen = runs["solved_at"].notna() == solved
        ax.plot(x[chosen], steps[chosen], MARKERS[index % len(MARKERS)], color=style["color"], mfc=face, markersize=4)
    medians = steps.groupby(x).median()
    ax.plot(medians.index, medians, **style, linewidth=1.3, label=layer)
