"""Learning curves: loss and accuracy over the optimizer steps of runs, with their baselines."""

from collections.abc import Sequence

from rnn_tasks.plots.learning_curves import LearningRun
from rnn_tasks.report.answers import is_text
from rnn_tasks.report.run_data import RunData
from rnn_tasks.runs.tensorboard_log import Curve
from rnn_tasks.spec import Baseline

CURVES = ("train/loss", "val/loss", "val/accuracy", "val/worst_accuracy")
MAX_POINTS = 1000
"""Points of a curve that are drawn."""


def thinned(curve: Curve) -> Curve:
    """Return a curve over optimizer steps done, with at most ``MAX_POINTS`` points, its last one among them.

    Example:
        >>> import numpy as np
        >>> thinned(Curve(np.array([9, 19]), np.array([0.5, 0.25]))).steps.tolist()
        [10, 20]
    """
    stride = -(-len(curve.steps) // MAX_POINTS)
    # Lightning logs the step that it does, counted from 0; it is done then.
    return Curve(curve.steps[::-stride][::-1] + 1, curve.values[::-stride][::-1])


def curves(run: RunData) -> dict[str, Curve]:
    """Return the curves of a run that are drawn, by name."""
    return {name: thinned(run.curves[name]) for name in CURVES if name in run.curves}


def learning_run(run: RunData, baseline: Baseline | None) -> LearningRun:
    """Return what learning curves show of a run.

    Args:
        run: The run.
        baseline: The baseline of its validation.
    """
    has_conditions = bool(run.network.spec.num_conditions)
    return LearningRun(run.label, curves(run), baseline, run.summary.get("solved_at"), has_conditions)


def curve_caption(runs: Sequence[RunData], known: Sequence[Baseline | None]) -> str:
    """Return the caption of the curves.

    Args:
        runs: The runs.
        known: The baselines of their validations.
    """
    counted = "the n-gram" if is_text(runs[0]) else "the baseline, which has learnt nothing but the timing"
    text = (
        "Loss and accuracy after so many optimizer steps; the thick line is validation, the thin one training batches. "
    )
    text += f"Black: {counted}"
    if any(k is not None and k.floor is not None for k in known):
        text += ", and the least loss that any predictor can have"
    text += "."
    if any(run.network.spec.num_conditions for run in runs):
        text += " The thin line of the accuracy is the worst condition."
    solved = [run for run in runs if run.summary.get("solved_at") is not None]
    if solved:
        ends = [f"step {run.summary['solved_at']:,}" for run in solved]
        if len(runs) > 1:
            ends = [f"{run.label} at {end}" for run, end in zip(solved, ends, strict=True)]
        text += f" The mark is where validation first said that it is solved: {', '.join(ends)}."
    return text
