"""Learning curves: loss and accuracy by optimizer step, with baselines."""

from collections.abc import Sequence

from rnn_tasks.plots.learning_curves import LearningRun
from rnn_tasks.report.answers import has_values, is_text
from rnn_tasks.report.run_data import RunData
from rnn_tasks.runs.curves import Curve
from rnn_tasks.runs.summary_text import stored_plateaus
from rnn_tasks.spec import Baseline, Plateau

CURVES = ("train/loss", "val/loss", "val/accuracy", "val/worst_accuracy")
MAX_POINTS = 1000
"""Largest number of drawn points per curve."""


def thinned(curve: Curve) -> Curve:
    """Return a curve by the number of optimizer steps, with at most ``MAX_POINTS`` points, the last one included.

    Example:
        >>> import numpy as np
        >>> thinned(Curve(np.array([9, 19]), np.array([0.5, 0.25]))).steps.tolist()
        [10, 20]
    """
    stride = -(-len(curve.steps) // MAX_POINTS)
    # Lightning counts the steps of logged values from 0.
    return Curve(curve.steps[::-stride][::-1] + 1, curve.values[::-stride][::-1])


def curves(run: RunData) -> dict[str, Curve]:
    """Return the drawn curves of a run by name."""
    return {name: thinned(run.curves[name]) for name in CURVES if name in run.curves}


def plateaus(run: RunData) -> list[Plateau]:
    """Return the scores of partial solutions and references from the summary of a run, else from its task.

    Args:
        run: The run.
    """
    stored = run.summary.get("baseline")
    if stored:
        return stored_plateaus(stored)
    return [] if run.task is None else list(run.task.plateaus)


def learning_run(run: RunData, baseline: Baseline | None) -> LearningRun:
    """Return the learning curves of a run with its baseline and its plateaus.

    Args:
        run: The run.
        baseline: The baseline on the validation data.
    """
    has_conditions = bool(run.network.spec.num_conditions)
    solved_at = run.summary.get("solved_at")
    return LearningRun(run.label, curves(run), baseline, solved_at, has_conditions, plateaus(run))


def baseline_name(run: RunData, baselines: Sequence[Baseline | None]) -> str:
    """Return what the baseline is, for a caption."""
    if is_text(run):
        return "best n-gram"
    names = {baseline.name for baseline in baselines if baseline is not None} - {"chance"}
    if names:
        return f"baseline ({', '.join(sorted(names))})"
    return "baseline, which ignores the inputs" if has_values(run) else "baseline, which guesses the symbols"


def curve_caption(runs: Sequence[RunData], baselines: Sequence[Baseline | None]) -> str:
    """Return the caption of the learning curves.

    Args:
        runs: The runs.
        baselines: The baselines on the validation data.
    """
    names = "Mean squared error" if has_values(runs[0]) else "Loss and accuracy"
    text = f"{names} by optimizer step. Thick lines: validation; thin lines of the loss: training batches. "
    text += f"Dashed black lines: the {baseline_name(runs[0], baselines)}."
    if any(plateaus(run) for run in runs):
        text += " Grey lines: the scores of other predictors, named in the legend."
    if any(baseline is not None and baseline.floor is not None for baseline in baselines):
        text += " Dotted black line: the lowest possible loss of any predictor."
    if any(run.network.spec.num_conditions for run in runs):
        text += " Thin line of the accuracy: the worst condition."
    solved = [run for run in runs if run.summary.get("solved_at") is not None]
    if solved:
        steps = [f"step {run.summary['solved_at']:,}" for run in solved]
        if len(runs) > 1:
            steps = [f"{run.letter} at {step}" for run, step in zip(solved, steps, strict=True)]
        text += f" Marker: the first validation that counts as solved ({', '.join(steps)})."
    return text
