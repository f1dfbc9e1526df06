"""The report of a study with tuned settings: layers by tasks, with chance, differences and the share of solved runs."""

from functools import partial

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from rnn_tasks.plots.style import LINES, legend_below, name_axes, panels
from rnn_tasks.report.blocks import Paragraph, Picture, Section, Table
from rnn_tasks.studies.comparison import (
    cell_text,
    censored_steps,
    differences,
    expected_by_chance,
    solved_share,
)
from rnn_tasks.studies.pictures import plain
from rnn_tasks.studies.plan import Plan
from rnn_tasks.studies.results import results_of

CELL = (
    "Each cell: solved seeds of all seeds, the median of the steps to solve, and all seeds in brackets; > marks a run "
    "that was not solved within the budget. If no seed is solved: the score of the test. Steps to solve end at the "
    "first validation that solves the task."
)
SHARE = (
    "The share of solved runs over all tasks, with a 95 % bootstrap interval over the seeds within each task. With so "
    "few seeds the interval is a little too narrow."
)
CHOSEN = (
    "The setting of each layer for each task, chosen on the tuning seed: the fewest steps to solve, or else the lowest "
    "validation loss."
)
STAIRCASE = (
    "The share of solved runs over the share of the budget of steps, over all tasks and seeds: one panel for each "
    "layer, with the other layers in grey."
)


def is_suite(plan: Plan) -> bool:
    """Return whether a study compares layers over tasks with a tuned setting."""
    return plan.tuning is not None and {*plan.axes} == {"task", "layer", plan.tuning.axis}


def score_of(task: str) -> str:
    """Return the column of the score of a task."""
    return {"counting": "exact_match", "adding": "loss_share"}.get(task, "worst_accuracy")


def suite_sections(plan: Plan, runs: pd.DataFrame) -> list[Section]:
    """Return the sections of the report of a suite.

    Args:
        plan: A study for which :func:`is_suite` is true.
        runs: Its runs.
    """
    results = results_of(plan, runs)
    final = results[results["stage"] == "final"]
    if final.empty:
        return [Section("matrix", "Layers by tasks", [Paragraph("No run with a chosen setting is done yet.")])]
    tasks, layers = ([variant.name for variant in plan.axes[axis]] for axis in ("task", "layer"))
    tasks = [task for task in tasks if task in set(final["task"])]
    layers = [layer for layer in layers if layer in set(final["layer"])]

    def cells(layer: str, task: str) -> pd.DataFrame:
        return final[(final["layer"] == layer) & (final["task"] == task)]

    body = [[layer, *(cell_text(cells(layer, task), score_of(task)) for task in tasks)] for layer in layers]
    rates = [
        [layer, *(", ".join(sorted(set(cells(layer, task)["rates"]))) or "-" for task in tasks)] for layer in layers
    ]
    shares = []
    for layer in layers:
        of_layer = final[final["layer"] == layer]
        share = solved_share(of_layer)
        numbers = f"{share.share:.2f} ({share.low:.2f} to {share.high:.2f})"
        size = of_layer[["parameters", "state_size"]].median()
        shares.append([layer, f"{len(of_layer)}", numbers, f"{size['parameters']:,.0f}", f"{size['state_size']:,.0f}"])
    named, by_chance = differences(final), expected_by_chance(final)
    pairs = [[d.task, d.faster, d.slower] for d in named]
    text = (
        f"{len(named)} differences between two layers on a task have the same sign with every seed. If no two layers "
        f"differed, there would be at most {by_chance:.0f} on average."
    )
    header = ["layer", *tasks]
    return [
        Section("matrix", "Layers by tasks", [Table(CELL, header, body), *reference_tables(runs, tasks)]),
        Section(
            "solved",
            "How many runs are solved?",
            [
                Table(SHARE, ["layer", "runs", "solved", "parameters (median)", "state (median)"], shares),
                Picture("solved_by_step", partial(draw_solved_by_step, final, layers), STAIRCASE),
            ],
        ),
        Section(
            "differences",
            "Which layers differ?",
            [
                Paragraph(text),
                *([Table("Consistent differences.", ["task", "faster", "slower"], pairs)] if pairs else []),
            ],
        ),
        Section("settings", "Which setting was chosen?", [Table(CHOSEN, header, rates)]),
    ]


def reference_tables(runs: pd.DataFrame, tasks: list[str]) -> list[Table]:
    """Return a table of the baseline and the scores of partial solutions of each task."""
    rows = []
    for task in tasks:
        baseline = next((b for b in runs.xs(task, level="task")["baseline"] if b), None)
        if baseline is not None:
            for scores in ({"name": "chance", **baseline}, *baseline.get("plateaus", [])):
                numbers = [f"{scores[name]:.4f}" if name in scores else "-" for name in ("accuracy", "loss")]
                rows.append([task, scores["name"], *numbers])
    caption = "The scores of a guess and of partial solutions, at which a layer can stay."
    return [Table(caption, ["task", "predictor", "accuracy", "loss"], rows)] if rows else []


def draw_solved_by_step(final: pd.DataFrame, layers: list[str], width: float) -> Figure:
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
