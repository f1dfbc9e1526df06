"""Test scores by group and by length, from the summary of a run."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnn_tasks.plots.groups import GroupScores, draw_groups
from rnn_tasks.report.answers import has_values
from rnn_tasks.report.blocks import Block, Picture
from rnn_tasks.report.run_data import RunData
from rnn_tasks.runs.summary_text import longer_lengths, scores_by


def group_scores(run: RunData) -> dict[str, GroupScores]:
    """Return the test scores of a run by the quantity that the groups are; empty if the run was not tested.

    Groups within training have the baseline and the plateaus of the whole test; longer lengths have their own.

    Args:
        run: The run.
    """
    kind = "loss" if has_values(run) else "accuracy"
    baseline: dict[str, Any] = run.summary.get("baseline") or {}
    by_length = baseline.get("by_length", {})
    longer = longer_lengths(baseline)
    found: dict[str, GroupScores] = {}
    for quantity, scores in scores_by(run.summary.get("metrics", {}), kind).items():
        groups = np.array([group for group, score in scores.items() if np.isfinite(score)], dtype=np.int64)
        if len(groups) < 2:
            continue
        is_longer = np.isin(groups, longer) if quantity == "length" else np.zeros(len(groups), bool)
        sources = [
            by_length[str(group)] if beyond else baseline
            for group, beyond in zip(groups.tolist(), is_longer.tolist(), strict=True)
        ]
        names = dict.fromkeys(plateau["name"] for source in sources for plateau in source.get("plateaus", ()))
        found[quantity] = GroupScores(
            groups,
            np.array([scores[group] for group in groups.tolist()]),
            is_longer,
            values_of(sources, kind),
            {name: values_of([plateau_of(source, name) for source in sources], kind) for name in names},
        )
    return found


def values_of(sources: Sequence[dict[str, Any]], kind: str) -> NDArray[np.float64]:
    """Return a score of each source, NaN where it is unknown."""
    return np.array([source.get(kind, np.nan) for source in sources], dtype=np.float64)


def plateau_of(baseline: dict[str, Any], name: str) -> dict[str, Any]:
    """Return the scores of a partial solution in the baseline of a summary; empty if it is not there."""
    return next((plateau for plateau in baseline.get("plateaus", ()) if plateau["name"] == name), {})


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
    text += f"dashed: {'the baseline' if of_error else 'chance'}."
    if any(found.plateaus for _, found in runs):
        text += " Grey lines: the scores of partial solutions."
    if any(found.is_longer.any() for _, found in runs):
        text += (
            " Lengths outside the shaded range are beyond those of training."
            if any(not found.is_longer.all() for _, found in runs)
            else " All these lengths are beyond those of training."
        )
    for name, found in runs:
        worst = int((found.scores if of_error else -found.scores).argmax())
        score = f"error {found.scores[worst]:.4g}" if of_error else f"accuracy {found.scores[worst]:.1%}"
        text += f" {name.partition(':')[0]}: worst" if len(runs) > 1 else " Worst"
        text += f" {score} at {noun} {found.groups[worst]}."
    return text
