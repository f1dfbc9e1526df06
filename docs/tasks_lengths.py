"""Draw pictures/tasks_lengths.png from tasks_lengths.csv: ``python docs/tasks_lengths.py``."""

from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import offset_copy

from rnn_tasks.plots.style import BASELINE, LINES, MARKERS, PLATEAUS, name_axes, panels

DOCS = Path(__file__).parent

PANELS = {
    "parity": ("parity, answer at the end", "length of the string, bits", 20),
    "cycle_end": ("cycle, answer at the end", "length of the string, symbols", 20),
    "cycle_every_step": ("cycle, answers at every step", "length of the string, symbols", 20),
    "s3": ("word problem, S3", "length, elements of the group", 12),
    "flip_flop": ("flip-flop language", "length, symbols", 128),
    "dyck": ("Dyck, 4 types, depth 8", "length, brackets", 64),
    "counting": ("counting, a^n b^n c^n", "n of the string", 20),
}
"""Title, meaning of the length, and largest length of training of each task."""

LAYERS = {
    "rnn": "tanh, torch's start (rnn)",
    "ortho_init": "tanh, orthogonal start (ortho_init)",
    "gru": "GRU (gru)",
    "lstm": "LSTM (lstm)",
}

WIDTH = 9.0
"""Width of the picture in inches."""

COUNTED = 40
"""Largest n of the panel of counting: all strings from n = 28 on are wrong."""

SHIFT = (1.5, 1.3)
"""Shift of the lines of a layer from those of the layer before, in points: equal values stay visible."""


def draw(rows: pd.DataFrame) -> Figure:
    """Draw a panel for each task, with a line for each layer and seed.

    Args:
        rows: The columns of tasks_lengths.csv.
    """
    figure, axes = panels(WIDTH, len(PANELS), height=2.25, min_width=WIDTH / 3)
    for ax, task in zip(axes, PANELS, strict=True):
        draw_task(ax, task, rows[rows["task"] == task])
    handles, labels = axes[-1].get_legend_handles_labels()
    figure.legend(
        handles,
        labels,
        title="Each layer has one line for each of three seeds.\n"
        "Layers are shifted a little, so that equal values are visible.",
        title_fontsize=9,
        alignment="left",
        loc="lower left",
        bbox_to_anchor=(0.4, 0.03),
        fontsize=9,
        frameon=False,
    )
    return figure


def draw_task(ax: Axes, task: str, rows: pd.DataFrame) -> None:
    """Draw a panel.

    Args:
        ax: The panel.
        task: A key of PANELS.
        rows: The rows of the task.
    """
    title, unit, longest = PANELS[task]
    for index, (layer, style, marker) in enumerate(zip(LAYERS, LINES, MARKERS, strict=True)):
        right, up = ((index - 1.5) * step for step in SHIFT)
        shifted = offset_copy(ax.transData, ax.get_figure(root=True), right, up, units="points")
        for seed, run in rows[rows["layer"] == layer].groupby("seed"):
            ax.plot(
                run["length"],
                run["value"],
                color=style["color"],
                linewidth=0.9,
                marker=marker,
                markersize=2.5,
                markevery=(run["length"] > longest).to_numpy().nonzero()[0].tolist(),
                label=None if seed else LAYERS[layer],
                transform=shifted,
                zorder=3,
            )
    references = rows.drop_duplicates("length").sort_values("length")
    ax.plot(references["length"], references["chance"], **BASELINE, label="chance", zorder=2)
    if references["plateau"].notna().all():  # some partial solutions are only possible for short strings
        label = "best partial solution (plateau)"
        ax.plot(references["length"], references["plateau"], **PLATEAUS[0], label=label, zorder=2)
    ax.axvspan(
        min(references["length"].min(), longest / 2), longest, color="0.9", zorder=0, label="lengths of training"
    )
    if task == "counting":
        ax.set_xlim(2, COUNTED)
    else:
        ax.set_xscale("log", base=2)
        ax.xaxis.set_major_formatter("{x:g}")
    ax.set_ylim(-0.03, 1.04)
    name_axes(ax, unit, "exact match" if task == "counting" else "accuracy", title)


if __name__ == "__main__":
    draw(pd.read_csv(DOCS / "tasks_lengths.csv")).savefig(DOCS / "pictures" / "tasks_lengths.png", dpi=150)
