"""The report of a suite: layers by tasks with tuned settings, with chance, theory, differences and cost."""

import json
import statistics
from collections.abc import Mapping, Sequence
from functools import partial

import pandas as pd

from rnn_tasks.report.blocks import Block, Paragraph, Picture, Section, Table
from rnn_tasks.studies.comparison import differences, expected_by_chance, seeds_text, solved_share
from rnn_tasks.studies.plan import Plan
from rnn_tasks.studies.results import score_of
from rnn_tasks.studies.suite_pictures import (
    draw_differences,
    draw_difficulty,
    draw_matrix,
    draw_solved_by_step,
    numbered_tasks,
)

MATRIX = (
    "Each cell: the number of seeds that solve the task, and below it the median of the steps to solve; if fewer than "
    "half of the seeds solve the task, the median of the test score in brackets. The tables below have all seeds."
)
CELLS = (
    "Steps to solve: the first validation that solves the task; > marks a run that was not solved within the budget. "
    "Steps and test scores are those of all seeds in order, the median is that of the steps. Setting: the learning "
    "rates, chosen on the tuning seed."
)
SHARE = (
    "The share of solved runs over all tasks, with a 95 % bootstrap interval over the seeds within each task. With so "
    "few seeds the interval is a little too narrow. Minutes: of training, for all runs of a layer, tuning included."
)
STAIRCASE = (
    "The share of solved runs over the share of the budget of steps, over all tasks and seeds: one panel for each "
    "layer, with the other layers in grey."
)
PAIRS = "On how many tasks the layer of the row is faster than the layer of the column with every seed."
BEYOND = (
    "The test score at the largest lengths, most of which are longer than those of training: the median of the solved "
    "runs, and their range."
)
DIFFICULTY = (
    "Steps to solve over the number at the end of the name of the task. Each mark is a run, lines join the medians; an "
    "open mark is a run that was not solved within the budget."
)
SCORES = {
    "worst_accuracy": "accuracy",
    "exact_match": "exact match (share of strings with every step right)",
    "loss_share": "loss as a share of the baseline (lower is better)",
}

LENGTH = "length/"
"""How the name of the score at a length begins."""

MAX_LENGTHS = 6
"""The largest number of lengths in a table."""


def is_suite(plan: Plan) -> bool:
    """Return whether a study compares layers over tasks with a tuned setting."""
    return plan.tuning is not None and {*plan.axes} == {"task", "layer", plan.tuning.axis}


def names_of(plan: Plan, results: pd.DataFrame, axis: str) -> list[str]:
    """Return the tasks or layers of a suite that have results with chosen settings, in the order of the plan.

    Args:
        plan: The suite.
        results: Its results.
        axis: ``task`` or ``layer``.
    """
    done = set(results.loc[results["stage"] == "final", axis])
    return [variant.name for variant in plan.axes[axis] if variant.name in done]


def suite_sections(
    results: pd.DataFrame,
    layers: Sequence[str],
    tasks: Sequence[str],
    theory: Mapping[tuple[str, str], str] | None = None,
) -> list[Section]:
    """Return the sections of the report of a suite.

    Args:
        results: The results of :func:`rnn_tasks.studies.results.results_of`.
        layers: The layers, in order.
        tasks: The tasks, in order.
        theory: What is proved about a layer and a task, by their names; tasks without any have no such column.
    """
    results = results[results["layer"].isin(layers) & results["task"].isin(tasks)]
    results = results.assign(score=[row[score_of(row["task"])] for row in results.to_dict("records")])
    final = results[results["stage"] == "final"]
    if final.empty:
        return [Section("matrix", "Layers by tasks", [Paragraph("No run with a chosen setting is done yet.")])]
    matrix = Picture("matrix", partial(draw_matrix, final, layers, tasks, "score"), MATRIX)
    sections = [Section("matrix", "Layers by tasks", [matrix])]
    for task in tasks:
        of_task = final[final["task"] == task]
        proved = {layer: text for (layer, about), text in (theory or {}).items() if about == task}
        blocks = [Paragraph(task_text(task, of_task)), task_table(of_task, layers, proved), *by_length(of_task, layers)]
        sections.append(Section(f"task_{task}", task, blocks))
    if numbered_tasks(tasks):
        picture = Picture("difficulty", partial(draw_difficulty, final, layers, tasks), DIFFICULTY)
        sections.insert(1, Section("difficulty", "Harder sizes of the same task", [picture]))
    return [*sections, solved_section(results, layers), differences_section(final, layers)]


def task_text(task: str, runs: pd.DataFrame) -> str:
    """Return the budget, the score, and the scores of a guess and of partial solutions.

    Args:
        task: The name of the task.
        runs: Its results with chosen settings.
    """
    references = json.loads(runs["references"].iloc[0])
    others = "; ".join(f"{name} {value:g}" for name, value in references.items())
    return f"Budget: {runs['budget'].iloc[0]:,} steps. Score: {SCORES[score_of(task)]}. References: {others or 'none'}."


def task_table(runs: pd.DataFrame, layers: Sequence[str], theory: Mapping[str, str]) -> Table:
    """Return the table of a task, with all seeds of each layer.

    Args:
        runs: The results of the task with chosen settings.
        layers: The layers, in order.
        theory: What is proved about a layer and the task, by the name of the layer; no column if empty.
    """
    columns = ["layer", "solved", "median", "steps to solve", "test score", "setting"]
    rows = []
    for layer in layers:
        of_layer = runs[runs["layer"] == layer].sort_values("seed")
        if len(of_layer):
            solved, median, steps = seeds_text(of_layer)
            scores = ", ".join(f"{value:.3f}" for value in of_layer["score"])
            setting = ", ".join(sorted(set(of_layer["rates"])))
            proved = [theory.get(layer, "-")] if theory else []
            rows.append([layer, solved, median, steps, scores, setting, *proved])
    return Table(CELLS, [*columns, *(["theory"] if theory else [])], rows)


def by_length(runs: pd.DataFrame, layers: Sequence[str]) -> list[Block]:
    """Return a table of the score at the largest lengths; nothing if the task has no scores by length.

    Args:
        runs: The results of the task with chosen settings.
        layers: The layers, in order.
    """
    scores = runs.assign(groups=runs["groups"].map(json.loads))
    found = {name for groups in scores["groups"] for name in groups if name.startswith(LENGTH)}
    lengths = sorted(found, key=lambda name: int(name.removeprefix(LENGTH)))[-MAX_LENGTHS:]
    rows = []
    for layer in layers:
        solved = scores[(scores["layer"] == layer) & scores["solved_at"].notna()]["groups"]
        if lengths and len(solved):
            rows.append([layer, *(spread_text([groups[name] for groups in solved]) for name in lengths)])
    return [Table(BEYOND, ["layer", *(name.replace("/", " ") for name in lengths)], rows)] if rows else []


def spread_text(values: Sequence[float]) -> str:
    """Return the median and range of values.

    Example:
        >>> spread_text([0.5, 0.75, 1.0]), spread_text([0.5, 0.5])
        ('0.750 (0.500 to 1.000)', '0.500')
    """
    low, middle, high = (f"{of(values):.3f}" for of in (min, statistics.median, max))
    return middle if low == high else f"{middle} ({low} to {high})"


def solved_section(results: pd.DataFrame, layers: Sequence[str]) -> Section:
    """Return how many runs each layer solves, with its size.

    Args:
        results: All results.
        layers: The layers, in order.
    """
    final = results[results["stage"] == "final"]
    rows = []
    for layer in layers:
        runs, all_runs = (table[table["layer"] == layer] for table in (final, results))
        share = solved_share(runs)
        numbers = f"{share.share:.2f} ({share.low:.2f} to {share.high:.2f})"
        sizes = [f"{runs[name].median():,.0f}" for name in ("parameters", "state_size")]
        rows.append([layer, f"{len(runs)}", numbers, *sizes, f"{all_runs['seconds'].sum() / 60:,.0f}"])
    columns = ["layer", "runs", "solved", "parameters (median)", "state (median)", "minutes"]
    picture = Picture("solved_by_step", partial(draw_solved_by_step, final, layers), STAIRCASE)
    return Section("solved", "How many runs are solved?", [Table(SHARE, columns, rows), picture])


def differences_section(final: pd.DataFrame, layers: Sequence[str]) -> Section:
    """Return which layers differ consistently, and how many such differences chance would give.

    Args:
        final: The results with chosen settings.
        layers: The layers, in order.
    """
    named, by_chance = differences(final), expected_by_chance(final)
    text = (
        f"Differences between two layers on a task that have the same sign with every seed: {len(named):,}. If no two "
        f"layers differed, there would be at most {by_chance:,.0f} on average."
    )
    picture = Picture("differences", partial(draw_differences, final, layers), PAIRS)
    return Section("differences", "Which layers differ?", [Paragraph(text), picture])
