"""Test scores by group and by length, from the summary of a run."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from rnn_tasks.plots.groups import draw_groups
from rnn_tasks.report.answers import has_values
from rnn_tasks.report.blocks import Block, Picture
from rnn_tasks.report.run_data import RunData
from rnn_tasks.runs.group_scores import GroupScores, Kind, scores_of


def group_scores(run: RunData) -> dict[str, GroupScores]:
    """Return the test scores of a run by the quantity that the groups are; empty if the run was not tested.

    Args:
        run: The run.
    """
    kind: Kind = "loss" if has_values(run) else "accuracy"
    return scores_of(run.summary.get("metrics", {}), run.summary.get("baseline") or {}, kind)


def group_blocks(runs: Sequence[RunData]) -> tuple[list[Block], dict[str, Any]]:
    """Return a picture for each quantity by which test scores are sorted, and the numbers by quantity and run.

    Args:
        runs: The runs.
    """
    by_run = [(run.label, group_scores(run)) for run in runs]
    of_error = has_values(runs[0])
    blocks: list[Block] = []
    numbers: dict[str, Any] = {}
    for quantity in sorted({quantity for _, found in by_run for quantity in found}):
        measured = [(label, found[quantity]) for label, found in by_run if quantity in found]
        name = f"{'error' if of_error else 'accuracy'}_by_{quantity}"
        draw = partial(draw_groups, measured, quantity, of_error)
        blocks.append(Picture(name, draw, caption_of_groups(measured, quantity, of_error)))
        numbers[name] = dict(measured)
    return blocks, numbers


def caption_of_groups(runs: Sequence[tuple[str, GroupScores]], quantity: str, of_error: bool) -> str:
    """Return the caption of scores by group.

    Args:
        runs: The name and the scores of each run.
        quantity: What the groups are.
        of_error: Whether the scores are mean squared errors, not accuracies.
    """
    noun = quantity.replace("_", " ")
    text = f"{'Mean squared error' if of_error else 'Accuracy'} by {noun}, over all test sequences; "
    text += "dashed: the baseline."
    if any(found.plateaus for _, found in runs):
        text += " Grey lines: the scores of other predictors."
    has_longer = any(found.is_longer.any() for _, found in runs)
    has_trained = any(not found.is_longer.all() for _, found in runs)
    if has_longer and has_trained:
        text += " Lengths outside the shaded range are beyond those of training; inside it, the dashed line is a mean."
    elif has_longer:
        text += " All these lengths are beyond those of training."
    for name, found in runs:
        worst = int((found.scores if of_error else -found.scores).argmax())
        score = f"error {found.scores[worst]:.4g}" if of_error else f"accuracy {found.scores[worst]:.1%}"
        text += f" {name.partition(':')[0]}: worst" if len(runs) > 1 else " Worst"
        text += f" {score} at {noun} {found.groups[worst]}."
    return text
