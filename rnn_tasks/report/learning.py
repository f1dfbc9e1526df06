"""Did it learn? The verdict, the results and the baseline, the learning curves, and examples."""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from rnn_tasks.plots.learning_curves import draw_learning_curves
from rnn_tasks.report.answers import has_values, is_text, labelled, loss_unit
from rnn_tasks.report.blocks import Block, Paragraph, Picture, Section, Table
from rnn_tasks.report.examples import examples, predictions, samples
from rnn_tasks.report.learning_curves import curve_caption, curves, learning_run, plateaus
from rnn_tasks.report.run_data import RunData, attempt
from rnn_tasks.report.value_examples import value_examples
from rnn_tasks.runs.summary_text import SQUARED_ERROR, can_be_exact, verdict_text
from rnn_tasks.spec import Baseline, Plateau

STAGES = {"test": "test", "val": "validation"}


class Results(NamedTuple):
    """The results of a run.

    Attributes:
        stage: ``test``, or ``val`` if the run was not tested; None if it was never evaluated.
        metrics: The metrics by name, without the prefix of the stage.
        baseline: The baseline of the stage; None if it is unknown.
    """

    stage: str | None
    metrics: dict[str, float]
    baseline: Baseline | None


def results(run: RunData) -> Results:
    """Return the final results of a run or, without a summary, the results of its last validation.

    Args:
        run: The run.
    """
    logged = {name: float(curve.values[-1]) for name, curve in run.curves.items()}
    metrics: Mapping[str, float] = run.summary.get("metrics") or logged
    stage = next((stage for stage in STAGES if f"{stage}/loss" in metrics), None)
    if stage is None:
        return Results(None, {}, baseline(run, "val"))
    finite = {name: value for name, value in metrics.items() if isinstance(value, int | float) and math.isfinite(value)}
    of_stage = {name.removeprefix(f"{stage}/"): value for name, value in finite.items() if name.startswith(f"{stage}/")}
    if "train_epoch/perplexity" in finite:
        of_stage["perplexity_in_training"] = finite["train_epoch/perplexity"]
    return Results(stage, of_stage, baseline(run, stage))


def baseline(run: RunData, stage: str) -> Baseline | None:
    """Return the baseline of a run from its summary, else from its task, else from the logged values.

    Args:
        run: The run.
        stage: ``val`` or ``test``.
    """
    values = run.summary.get("baseline")
    if values and "loss" in values:
        values = values.get("val", values) if stage == "val" else values
        return Baseline(**{name: value for name, value in values.items() if name in Baseline._fields})
    if run.task is not None:
        return run.task.baseline_on(stage)
    logged = {name: run.curves.get(f"{stage}/{name}") for name in ("baseline_loss", "baseline_accuracy", "floor")}
    last = {name: float(curve.values[-1]) for name, curve in logged.items() if curve is not None}
    if "baseline_loss" not in last:
        return None
    name = "n-gram" if is_text(run) else "chance"
    return Baseline(last["baseline_loss"], last.get("baseline_accuracy", math.nan), name, floor=last.get("floor"))


def verdict(run: RunData, found: Results) -> str:
    """Return sentences with the verdict on a run and its main results.

    Args:
        run: The run.
        found: The results of the run.
    """
    sentences = [f"{run.label}: {verdict_text(run.summary) or 'no verdict yet'}."]
    metrics, reference = found.metrics, found.baseline
    if found.stage is None or reference is None:
        return " ".join([*sentences, *(["The run was never validated."] if found.stage is None else [])])
    stage = STAGES[found.stage]
    needed = {"perplexity"} if is_text(run) else {"loss"} if has_values(run) else {"accuracy", "loss"}
    if not needed <= metrics.keys():
        sentences.append("Some results are missing or not finite.")
    elif is_text(run):
        sentences.append(f"The perplexity on the {stage} text is {metrics['perplexity']:.3f}.")
        sentences.append(f"The best n-gram, a {reference.name}, has {math.exp(reference.loss):.3f}.")
        if reference.floor is not None:
            sentences.append(f"The lowest possible perplexity is {math.exp(reference.floor):.3f}.")
    elif has_values(run):
        sentences.append(f"The {SQUARED_ERROR} in the {stage} is {metrics['loss']:.4g},")
        sentences.append(f"which is {metrics['loss'] / reference.loss:.1%} of the baseline ({reference.loss:.4g}).")
    else:
        sentences.append(f"The {stage} accuracy is {metrics['accuracy']:.2%} at the steps that need memory")
        sentences.append(f"({reference.name}: {reference.accuracy:.2%}).")
        sentences.append(f"The {stage} loss is {metrics['loss'] / reference.loss:.1%} of the baseline loss.")
    solved_at = run.summary.get("solved_at")
    if solved_at is not None and run.summary.get("verdict") == "solved":
        sentences.append(f"The run was first validated as solved at step {solved_at:,}.")
    elif solved_at is not None:
        sentences.append(f"A validation was solved, first at step {solved_at:,}, but the final result is not.")
    return " ".join(sentences)


def worst(metrics: Mapping[str, float]) -> float | None:
    """Return the accuracy of the worst condition; None if there is only one condition."""
    several = any(name.startswith("accuracy_at/") for name in metrics)
    return metrics.get("worst_accuracy") if several else None


def plateau_cell(plateau: Plateau, name_of_loss: str) -> str:
    """Return the scores of a partial solution for a table."""
    scores = [("accuracy", plateau.accuracy), (name_of_loss, plateau.loss)]
    return ", ".join(f"{name} {value:.4f}" for name, value in scores if value is not None)


Cell = Callable[[Mapping[str, float], Baseline], float | None]

TAGGED_ROWS: dict[str, tuple[str, Cell]] = {
    "accuracy": (".4f", lambda metrics, baseline: metrics.get("accuracy")),
    "chance accuracy": (".4f", lambda metrics, baseline: baseline.accuracy),
    "accuracy, worst condition": (".4f", lambda metrics, baseline: worst(metrics)),
    "exact match": (".4f", lambda metrics, baseline: metrics.get("exact_match")),
    "loss, nats per step": (".4f", lambda metrics, baseline: metrics.get("loss")),
    "baseline loss, nats per step": (".4f", lambda metrics, baseline: baseline.loss),
    "loss / baseline loss": (".1%", lambda metrics, baseline: metrics.get("loss", math.nan) / baseline.loss),
    "lowest possible loss, nats per step": (".4f", lambda metrics, baseline: baseline.floor),
}
VALUE_ROWS: dict[str, tuple[str, Cell]] = {
    "mean squared error": (".4g", lambda metrics, baseline: metrics.get("loss")),
    "mean squared error of the baseline": (".4g", lambda metrics, baseline: baseline.loss),
    "error / baseline error": (".1%", lambda metrics, baseline: metrics.get("loss", math.nan) / baseline.loss),
    "root mean squared error": (".4g", lambda metrics, baseline: metrics.get("loss", math.nan) ** 0.5),
    "lowest possible mean squared error": (".4g", lambda metrics, baseline: baseline.floor),
}
TEXT_ROWS: dict[str, tuple[str, Cell]] = {
    "perplexity": (".3f", lambda metrics, baseline: metrics.get("perplexity")),
    "perplexity of the n-gram": (".3f", lambda metrics, baseline: math.exp(baseline.loss)),
    "lowest possible perplexity": (
        ".3f",
        lambda metrics, baseline: None if baseline.floor is None else math.exp(baseline.floor),
    ),
    "training perplexity, last epoch": (".3f", lambda metrics, baseline: metrics.get("perplexity_in_training")),
    "bits per character": (".3f", lambda metrics, baseline: metrics.get("bits_per_character")),
    "loss, nats per character": (".4f", lambda metrics, baseline: metrics.get("loss")),
    "loss of the n-gram, nats per character": (".4f", lambda metrics, baseline: baseline.loss),
    "entropy rate, nats per character": (".4f", lambda metrics, baseline: baseline.floor),
    "accuracy": (".4f", lambda metrics, baseline: metrics.get("accuracy")),
    "accuracy of the n-gram": (".4f", lambda metrics, baseline: baseline.accuracy),
}


def table(runs: Sequence[RunData], found: Sequence[Results]) -> Table:
    """Return the results of the runs as a table with a column for each run.

    Args:
        runs: The runs.
        found: The results of each run.
    """
    of_text = is_text(runs[0])
    rows = [["data split", *(STAGES.get(f.stage or "", "-") for f in found)]]
    names_of_baselines = ["-" if f.baseline is None else f.baseline.name for f in found]
    if of_text or not set(names_of_baselines) <= {"chance", "-"}:
        rows.append(["best n-gram" if of_text else "baseline", *names_of_baselines])
    for name, (form, cell) in (TEXT_ROWS if of_text else VALUE_ROWS if has_values(runs[0]) else TAGGED_ROWS).items():
        if name == "exact match" and not all(can_be_exact(run.summary.get("baseline") or {}) for run in runs):
            continue
        values = [None if f.baseline is None else cell(f.metrics, f.baseline) for f in found]
        if any(value is not None for value in values):
            rows.append([name, *("-" if value is None else format(value, form) for value in values)])
    rows += plateau_rows(runs)
    if of_text:
        caption = (
            "Perplexity is exp(loss): a uniform choice among this number of characters would be as hard to predict. "
            "The n-gram predicts the next character from counts in the training text."
        )
    elif has_values(runs[0]):
        caption = "The errors are means over all scored steps and over the values of a step."
    else:
        caption = (
            "Accuracy is the share of right answers at the steps that need memory. Exact match is the share of "
            "sequences without an error at these steps. The loss is the mean over all scored steps. The baseline knows "
            "at which steps to answer, and guesses the symbols."
        )
    kinds = {plateau.kind for run in runs for plateau in plateaus(run)}
    if "plateau" in kinds:
        caption += " Plateaus are the scores of partial solutions, at which training may stay for a while."
    if "reference" in kinds:
        caption += " References are the scores of other predictors."
    names = [run.label for run in runs] if len(runs) > 1 else [""]
    return Table(caption, ["", *names], rows)


def plateau_rows(runs: Sequence[RunData]) -> list[list[str]]:
    """Return a row of a table for each partial solution and reference, with a column for each run."""
    losses = [SQUARED_ERROR if has_values(run) else "loss" for run in runs]
    scores = [
        {f"{plateau.kind}: {plateau.name}": plateau_cell(plateau, loss) for plateau in plateaus(run)}
        for run, loss in zip(runs, losses, strict=True)
    ]
    names = dict.fromkeys(name for of_run in scores for name in of_run)
    return [[name, *(of_run.get(name, "-") for of_run in scores)] for name in names]


def learning_section(runs: Sequence[RunData]) -> Section:
    """Return the section "Did it learn?".

    Args:
        runs: The runs.
    """
    missing: list[str] = []
    found = [results(run) for run in runs]
    blocks: list[Block] = [Paragraph(verdict(*pair)) for pair in zip(runs, found, strict=True)]
    if any(f.stage is not None for f in found):
        blocks.append(table(runs, found))
    for run in runs:
        if not curves(run):
            missing.append(labelled(runs, run, "learning curves: the run has no TensorBoard files that contain them"))
    drawn = [run for run in runs if curves(run)]
    if drawn:
        baselines = [baseline(run, "val") for run in drawn]
        curves_of_runs = [learning_run(*pair) for pair in zip(drawn, baselines, strict=True)]
        draw = partial(draw_learning_curves, curves_of_runs, loss_unit(runs[0]))
        blocks.append(Picture("learning_curves", draw, curve_caption(drawn, baselines)))
    blocks += attempt(missing, "examples", lambda: example_blocks(runs)) or []
    for run in runs:
        if run.batch is not None and not run.alphabet and not run.batch.inputs.is_floating_point():
            missing.append(labelled(runs, run, "examples: the task has no printed form of its symbols"))
    return Section("learning", "Did it learn?", blocks, numbers(runs, found), missing)


def example_blocks(runs: Sequence[RunData]) -> list[Block]:
    """Return examples of answers or, for runs on text, of predictions and generated text."""
    if runs[0].network.spec.real_inputs or has_values(runs[0]):
        return [*value_examples(runs)]
    if not is_text(runs[0]):
        return [*examples(runs)]
    sample = samples(runs)
    return [*predictions(runs), *([] if sample is None else [sample])]


def numbers(runs: Sequence[RunData], found: Sequence[Results]) -> dict[str, Any]:
    """Return all numbers by run."""
    return {
        run.label: {
            "verdict": run.summary.get("verdict"),
            "solved_at": run.summary.get("solved_at"),
            "measured_on": f.stage,
            "metrics": f.metrics,
            "baseline": f.baseline,
            "plateaus": plateaus(run),
            "curves": curves(run),
        }
        for run, f in zip(runs, found, strict=True)
    }
