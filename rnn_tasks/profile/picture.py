"""The picture of a card: tasks by layers, as for the README of a layer."""

import math
import textwrap
from typing import TYPE_CHECKING

from rnn_tasks.plots.style import MAP, NARROW
from rnn_tasks.profile.card import Card, TaskCard
from rnn_tasks.profile.known import KNOWN
from rnn_tasks.profile.texts import (
    DEFINITIONS,
    facts_text,
    known_cell_lines,
    measure_values,
    middle_steps,
    own_cell,
    score_text,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ROW = 0.46
"""Height of a row in inches."""

LABELS = {False: 2.35, True: 1.42}
"""Width of the labels of the rows in inches, on a wide and on a narrow picture."""

FASTEST = 0.02
"""Share of the budget from which a solved task has the darkest colour."""

HOW_TO_READ = (
    "Each cell: how many seeds are solved, and the median number of optimizer steps to solve; if none is solved, the "
    "score of the test in grey. The darker, the fewer steps; white: not solved within the budget."
)


def draw_card(card: Card, width: float) -> "Figure":
    """Draw the card: a row for each task, a column for the layer and for each known layer.

    Args:
        card: The card.
        width: The width of the picture in inches.
    """
    from matplotlib.figure import Figure

    narrow = width <= NARROW
    points = 7.0 if narrow else 9.5
    letters = int(width * (132 if narrow else 130) / points)
    about = textwrap.wrap(card.layer.description, letters)[:2]
    head = [*about, *textwrap.wrap(facts_text(card), letters), *textwrap.wrap(card.warning, letters)]
    foot = [*measure_lines(card, letters), "", *textwrap.wrap(HOW_TO_READ, letters)]
    foot += ["", *textwrap.wrap(made_text(card), letters)]
    line = 1.45 * points / 72
    top, body, bottom = 0.45 + line * len(head), 0.35 + ROW * len(card.tasks), 0.25 + line * len(foot)
    height = top + body + bottom
    figure = Figure(figsize=(width, height))
    left = LABELS[narrow] / width
    ax = figure.add_axes((left, bottom / height, 0.985 - left, ROW * len(card.tasks) / height))
    figure.text(0.015, 1 - 0.1 / height, card.layer.name, fontsize=points + 6, weight="bold", va="top")
    write_lines(figure, head, 1 - 0.42 / height, points, line / height)
    write_lines(figure, foot, (bottom - 0.15) / height, points - 1 if narrow else points - 0.8, line / height)
    draw_cells(ax, card, points)
    return figure


def write_lines(figure: "Figure", lines: list[str], top: float, points: float, step: float) -> None:
    """Write lines below one another.

    Args:
        figure: The picture.
        lines: The lines.
        top: The upper end of the first line, as a share of the height.
        points: The size of the letters.
        step: The distance of two lines, as a share of the height.
    """
    for index, text in enumerate(lines):
        figure.text(0.015, top - index * step, text, fontsize=points, va="top")


def measure_lines(card: Card, letters: int) -> list[str]:
    """Return the measurements of the untrained and the trained layer as lines of at most ``letters`` letters."""
    values = zip(DEFINITIONS, measure_values(card.untrained), measure_values(card.trained), strict=True)
    lines = [f"{name}: untrained {before}, trained {after}" for name, before, after in values]
    return [part for line in lines for part in textwrap.wrap(line, letters)]


def made_text(card: Card) -> str:
    """Return how the card was made."""
    versions: dict[str, str] = next((one for one in card.runs["versions"] if one), {})
    used = ", ".join(f"{name} {version}" for name, version in versions.items())
    return " · ".join(filter(None, [card.command, used]))


def draw_cells(ax: "Axes", card: Card, points: float) -> None:
    """Draw the cells, with the names of the layers above and those of the tasks on the left.

    Args:
        ax: The panel.
        card: The card.
        points: The size of the letters.
    """
    known = [name for name in KNOWN if name in card.known_parameters]
    names = [card.layer.name, *known]
    for row, task in enumerate(card.tasks):
        cells = [(own_cell(task), own_share(task))]
        for name in known:
            cell = task.known.get(name)
            share = math.inf if cell is None or not cell.solved else min(cell.steps / task.budget, 1.0)
            cells.append((known_cell_lines(cell, task.budget), share))
        for column, (lines, share) in enumerate(cells):
            draw_cell(ax, column, row, lines, share, points)
        label = f"{task.tests}\n{task.task}, chance {score_text(task.chance)}"
        ax.text(-0.06, row, label, ha="right", va="center", fontsize=points - 1)
    for column, name in enumerate(names):
        weight = "bold" if column == 0 else "normal"
        shown = name if len(name) <= 11 else f"{name[:10]}…"
        ax.text(column + 0.46, -0.58, shown, ha="center", va="bottom", fontsize=points - 0.5, weight=weight)
    if known:
        ax.axvline(0.96, color="black", linewidth=1.2)
    else:
        ax.text(1.2, 0, "no committed results\nof known layers", va="center", fontsize=points - 1, color="0.35")
    ax.set_xlim(0, len(KNOWN) + 0.96)
    ax.set_ylim(len(card.tasks) - 0.5, -0.5)
    ax.axis("off")


def own_share(task: TaskCard) -> float:
    """Return the share of the budget after which the own runs are solved; infinite if none is."""
    return min(middle_steps(task) / task.budget, 1.0) if task.solved else math.inf


def draw_cell(ax: "Axes", column: int, row: int, lines: tuple[str, str], share: float, points: float) -> None:
    """Draw a cell.

    Args:
        ax: The panel.
        column: The number of the column, from 0.
        row: The number of the row, from 0.
        lines: The two lines of the cell.
        share: The share of the budget after which the task is solved; infinite if it is not.
        points: The size of the letters.
    """
    from matplotlib import colormaps
    from matplotlib.patches import Rectangle

    solved = math.isfinite(share)
    # On a logarithmic scale: 1 at the whole budget, 0 at FASTEST of it.
    level = 1 - math.log(max(share, FASTEST)) / math.log(FASTEST) if solved else 1.0
    face = colormaps[MAP](0.15 + 0.75 * level) if solved else "white"
    ax.add_patch(Rectangle((column, row - 0.47), 0.92, 0.94, facecolor=face, edgecolor="0.6", linewidth=0.6))
    ink = "0.35" if not solved else "white" if level < 0.55 else "black"
    text = "\n".join(filter(None, lines))
    ax.text(column + 0.46, row, text, ha="center", va="center", fontsize=points - 1, color=ink)
