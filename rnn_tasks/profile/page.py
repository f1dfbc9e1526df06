"""The page of a card, its picture and its numbers."""

from functools import partial
from pathlib import Path
from typing import Any

import yaml

from rnn_tasks.plots.gradients import ByLag, draw_gradient_by_lag
from rnn_tasks.plots.memory import Capacities, draw_capacities
from rnn_tasks.profile.card import Card, TaskCard
from rnn_tasks.profile.known import KNOWN
from rnn_tasks.profile.measures import LENGTH, MEASURED_BATCH, TASK
from rnn_tasks.profile.picture import draw_card
from rnn_tasks.profile.plan import SUITE
from rnn_tasks.profile.texts import (
    DEFINITIONS,
    facts_text,
    guesses_text,
    measure_values,
    scores_text,
    seeds_text,
    tried_text,
)
from rnn_tasks.report.blocks import Block, Lines, Paragraph, Picture, Section, Table
from rnn_tasks.report.page import write_page
from rnn_tasks.studies.comparison import cell_text
from rnn_tasks.studies.pictures import draw_scores, scores_of_runs
from rnn_tasks.studies.queue import RunState
from rnn_tasks.studies.results import score_of

NUMBERS = "profile.json"
FORMAT = 1
"""The version of the keys of ``NUMBERS``."""

CARD = "The card as a picture, for instance for a README: pictures/card.png beside this page."

MEMORY = (
    "One row for each kind of memory. Chance is the accuracy of a guess, followed by the accuracies of partial "
    "solutions at which a layer can stay. Each setting of the learning rates was tried once, on a seed of its own: the "
    "steps to solve of each, with a star at the chosen one. Solved: how many seeds with the chosen setting, and the "
    "steps to solve of each; > marks a run that was not solved within its budget of optimizer steps. The score is "
    "the accuracy in the test at the end, for the worst group if the task has groups."
)
KNOWN_CELLS = (
    "Each cell: solved seeds of all seeds, the median of the steps to solve, and all seeds in brackets. If no seed is "
    "solved: the score of the test. The known layers are committed results of the memory suite, with the same tasks, "
    "budgets and tuning, but five seeds."
)
BY_LENGTH = (
    "Accuracy by length: the median and the range of the seeds with the chosen setting. Lengths outside the shaded "
    "range are beyond those of training, and were tested once, at the end."
)


def write_card(card: Card, folder: Path) -> Path:
    """Write the page of a card, its pictures and its numbers.

    Args:
        card: The card.
        folder: The folder, created if it does not exist.

    Returns:
        The path of the page.

    Raises:
        OSError: The files cannot be written.
    """
    kind = "quick memory profile" if card.quick else "memory profile"
    lead = [Paragraph(text) for text in (card.layer.description, facts_text(card), card.warning) if text]
    picture = Picture("card", partial(draw_card, card), CARD)
    sections = [
        Section("card", "The card", [picture]),
        memory_section(card),
        known_section(card),
        lengths_section(card),
        dynamics_section(card),
        cost_section(card),
        layer_section(card),
    ]
    numbers: dict[str, Any] = {
        "format": FORMAT,
        "name": card.layer.name,
        "quick": card.quick,
        "suite": SUITE,
        "seeds": card.plan.seeds,
        "command": card.command,
        "versions": next((versions for versions in card.runs["versions"] if versions), {}),
        "machine": next((machine for machine in card.runs["machine"] if machine), None),
    }
    return write_page(folder, f"{card.layer.name}: {kind}", lead, sections, numbers, NUMBERS)


def memory_section(card: Card) -> Section:
    """Return the section of the results by task."""
    columns = ["kind of memory", "task", "chance and partial solutions", "settings tried", "solved: steps", "score"]
    rows = [
        [
            task.tests,
            f"{task.task} ({', '.join(f'{name} {value}' for name, value in task.sizes.items())})",
            guesses_text(task),
            tried_text(task),
            seeds_text(task),
            scores_text(task.runs),
        ]
        for task in card.tasks
    ]
    failed = card.runs[card.runs["state"] == RunState.FAILED.value].reset_index()
    missing = [f"{run}: {reason}" for run, reason in zip(failed["run"], failed["reason"], strict=True)]
    numbers = {"tasks": [task_numbers(task) for task in card.tasks]}
    return Section("memory", "What can it remember?", [Table(MEMORY, columns, rows)], numbers, missing)


def task_numbers(task: TaskCard) -> dict[str, Any]:
    """Return the numbers of a task."""
    return {
        "task": task.task,
        "tests": task.tests,
        "sizes": task.sizes,
        "budget": task.budget,
        "chance": task.chance,
        "plateaus": [{"name": name, "accuracy": accuracy} for name, accuracy in task.plateaus],
        "trials": task.trials,
        "chosen": task.chosen or None,
        "runs": task.runs,
        "solved": task.solved,
    }


def known_section(card: Card) -> Section:
    """Return the section that compares the layer with known layers."""
    if not any(task.known for task in card.tasks):
        line = "the committed results of known layers are not in this installation, or have none of these tasks"
        return Section("known", "Beside known layers", (), missing=[line])
    tasks = [task.task for task in card.tasks]
    own = [[card.layer.name, *(seeds_text(task) for task in card.tasks), f"{card.most_parameters:,}"]]
    parameters = card.known_parameters
    known = [
        [
            name,
            *(
                cell_text(task.known[name].results, score_of(task.task)) if name in task.known else "-"
                for task in card.tasks
            ),
            f"{parameters[name]:,}",
        ]
        for name in KNOWN
        if name in parameters
    ]
    table = Table(KNOWN_CELLS, ["layer", *tasks, "parameters (largest)"], own + known)
    blocks: list[Block] = [Paragraph(card.warning)] if card.warning else []
    numbers: dict[str, Any] = {
        name: {
            "parameters": parameters[name],
            "tasks": {
                task.task: {
                    key: task.known[name].results[column].tolist()
                    for key, column in (("seeds", "seed"), ("solved_at", "solved_at"), ("scores", score_of(task.task)))
                }
                for task in card.tasks
                if name in task.known
            },
        }
        for name in parameters
    }
    return Section("known", "Beside known layers", [*blocks, table], numbers, card.gaps)


def lengths_section(card: Card) -> Section:
    """Return the section of the accuracy by length."""
    final = card.runs[
        (card.runs["state"] == RunState.DONE.value) & card.runs.index.get_level_values("seed").isin(card.plan.seeds)
    ]
    numbers = {}
    for task, of_task in final.groupby("task", sort=False):
        scores = scores_of_runs(of_task, "length") if len(of_task.columns) else []
        if scores:
            seeds = of_task.index.get_level_values("seed")
            numbers[str(task)] = [
                {"seed": int(seed), "lengths": one.groups, "accuracy": one.scores, "beyond_training": one.is_longer}
                for seed, one in zip(seeds, scores, strict=False)
            ]
    picture = Picture("accuracy_by_length", partial(draw_scores, card.plan, final, "length"), BY_LENGTH)
    return Section("lengths", "Does it hold at other lengths?", [picture] if numbers else [], numbers)


def dynamics_section(card: Card) -> Section:
    """Return the section of the measurements of the untrained and of a trained network."""
    values = zip(DEFINITIONS.items(), measure_values(card.untrained), measure_values(card.trained), strict=True)
    rows = [[name, before, after, definition] for (name, definition), before, after in values]
    trained = f"the network of the run {card.trained_on}" if card.trained_on else "no run has a network to measure"
    caption = (
        f"Measured on the task {TASK}, in sequences of {LENGTH} steps. Untrained: the network as it starts. Trained: "
        f"{trained}."
    )
    blocks: list[Block] = [Table(caption, ["", "untrained", "trained", "what it says"], rows)]
    if card.trained is not None:
        before, after = card.untrained, card.trained
        if before.gradient is not None and after.gradient is not None:
            by_lag = ByLag(after.gradient.norms, before.gradient.norms, after.gradient.first)
            draw = partial(draw_gradient_by_lag, [(card.layer.name, by_lag, None)])
            blocks.append(Picture("gradient_by_lag", draw, "The norm of the gradient by lag, of the table above."))
        if before.capacity is not None and after.capacity is not None:
            pair = Capacities(after.capacity, before.capacity, card.layer.network.core.hidden_size)
            caption = "The squared correlation by lag, whose sum is the memory capacity in the table above."
            blocks.append(Picture("memory_capacity", partial(draw_capacities, [(card.layer.name, pair)]), caption))
    numbers = {
        key: None
        if measures is None
        else {
            "gradient_left": None if measures.gradient is None else measures.gradient.left,
            "gradient_norms": None if measures.gradient is None else measures.gradient.norms,
            "memory_capacity": None if measures.capacity is None else measures.capacity.total,
            "largest_lyapunov_exponent": measures.exponent,
        }
        for key, measures in (("untrained", card.untrained), ("trained", card.trained))
    }
    title = "How far back do gradient and memory reach?"
    return Section("dynamics", title, blocks, {**numbers, "run": card.trained_on or None}, card.missing)


def cost_section(card: Card) -> Section:
    """Return the section of the cost."""
    if card.cost is None:
        return Section("cost", "What does it cost?", ())
    named = {
        "forward_us": "forward, µs per time step",
        "training_us": "training, µs per time step",
        "training_bytes": "memory, MB per 1,000 time steps",
    }
    own, gru = card.cost["layer"], card.cost["gru"]
    rows = []
    for key, name in named.items():
        scale = 1e-6 if key == "training_bytes" else 1.0
        mine, other = getattr(own, key) * scale, getattr(gru, key) * scale
        rows.append([name, f"{mine:,.1f}", f"{other:,.1f}", f"{mine / other:.2f}"])
    caption = (
        f"For a batch of {MEASURED_BATCH} sequences: the time of one time step, forward alone and forward with "
        "backward, on one CPU thread (medians, interleaved with torch's GRU of the same sizes), and what autograd "
        "holds for 1,000 time steps. The times depend on the machine; the ratios hardly do."
    )
    columns = ["", card.layer.name, "torch's GRU", "ratio"]
    return Section("cost", "What does it cost?", [Table(caption, columns, rows)], card.cost)


def layer_section(card: Card) -> Section:
    """Return the section of the layer itself and of how the card was made."""
    layer = card.layer
    options = yaml.safe_dump(dict(layer.options), sort_keys=False, width=100).splitlines()
    constraint = [] if layer.constraint is None else yaml.safe_dump({"constraint": layer.constraint}).splitlines()
    text = f"The class {layer.class_name}, with all its options. A profile sets hidden_size as the suite does."
    blocks: list[Block] = [Lines(text, [*options, *constraint])]
    if layer.other_settings:
        others = ", ".join(f"{name} {value}" for name, value in layer.other_settings.items())
        blocks.append(Paragraph(f"The config also sets, unlike the suite: {others}."))
    blocks.append(
        Paragraph(
            f"Made by: {card.command}. Tasks, budgets and settings are those of the study {SUITE}; seeds "
            f"{', '.join(map(str, card.plan.seeds))}."
        )
    )
    numbers = {
        "class": layer.class_name,
        "description": layer.description,
        "options": layer.options,
        "constraint": layer.constraint,
        "other_settings": layer.other_settings,
        "units": layer.network.core.hidden_size,
        "parameters": card.parameters,
        "state_size": layer.network.core.state_size,
        "warning": card.warning or None,
    }
    return Section("layer", "The layer", blocks, numbers)
