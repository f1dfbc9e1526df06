"""Did it learn? The verdict, the figures beside the baseline, the curves, and what the network answers."""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from rnn_tasks.plots.learning_curves import draw_learning_curves
from rnn_tasks.report.answers import is_text, labelled
from rnn_tasks.report.blocks import Block, Paragraph, Picture, Section, Table
from rnn_tasks.report.examples import examples, predictions, samples
from rnn_tasks.report.learning_curves import curve_caption, curves, learning_run
from rnn_tasks.report.run_data import RunData, attempt
from rnn_tasks.runs.summary_text import VERDICTS, VERDICTS_ON_TEXT
from rnn_tasks.spec import Baseline

STAGES = {"test": "test", "val": "validation"}


class Results(NamedTuple):
    """The results of a run.

    Attributes:
        stage: ``test``, or ``val`` if it was not tested; None if it was never measured.
        metrics: By name, without the stage.
        baseline: What they stand beside; None if it is not known.
    """

    stage: str | None
    metrics: dict[str, float]
    baseline: Baseline | None


def results(run: RunData) -> Results:
    """Return the results of a run at its end or, without a summary, of its last validation.

    Args:
        run: The run.
    """
    logged = {name: float(curve.values[-1]) for name, curve in run.curves.items()}
    metrics: Mapping[str, float] = run.summary.get("metrics") or logged
    stage = next((stage for stage in STAGES if f"{stage}/loss" in metrics), None)
    if stage is None:
        return Results(None, {}, baseline(run, "val"))
    known = {name: value for name, value in metrics.items() if isinstance(value, int | float) and math.isfinite(value)}
    found = {name.removeprefix(f"{stage}/"): value for name, value in known.items() if name.startswith(f"{stage}/")}
    if "train_epoch/perplexity" in known:
        found["perplexity_in_training"] = known["train_epoch/perplexity"]
    return Results(stage, found, baseline(run, stage))


def baseline(run: RunData, stage: str) -> Baseline | None:
    """Return the baseline of a run: from its summary, else from its task, else from what was logged.

    Args:
        run: The run.
        stage: ``val`` or ``test``.
    """
    values = run.summary.get("baseline")
    if values and "accuracy" in values:
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
    """Return the verdict on a run, in words.

    Args:
        run: The run.
        found: Its figures.
    """
    said = (VERDICTS | VERDICTS_ON_TEXT if is_text(run) else VERDICTS).get(run.summary.get("verdict") or "")
    words = [f"{run.label}: {said or 'no verdict yet'}."]
    metrics, against = found.metrics, found.baseline
    if found.stage is None or against is None:
        return " ".join([*words, *(["It was never validated."] if found.stage is None else [])])
    on = STAGES[found.stage]
    needed = {"perplexity"} if is_text(run) else {"accuracy", "loss"}
    if not needed <= metrics.keys():
        words.append("Its figures are not all there, or no longer finite.")
    elif is_text(run):
        words.append(f"Its perplexity is {metrics['perplexity']:.3f} on the {on} text, where the best n-gram, a")
        words.append(f"{against.name}, has {math.exp(against.loss):.3f}.")
        if against.floor is not None:
            words.append(f"No predictor is below {math.exp(against.floor):.3f}.")
    else:
        words.append(f"In the {on} it is right at {metrics['accuracy']:.2%} of the steps that need memory, where")
        words.append(f"{against.name} is {against.accuracy:.2%};")
        words.append(f"its loss is {metrics['loss'] / against.loss:.1%} of the baseline's.")
    if run.summary.get("solved_at") is not None:
        words.append(f"Validation said so first at step {run.summary['solved_at']:,}.")
    return " ".join(words)


def worst(metrics: Mapping[str, float]) -> float | None:
    """Return the accuracy for the worst condition; None if there are not several conditions."""
    several = any(name.startswith("accuracy_at/") for name in metrics)
    return metrics.get("worst_accuracy") if several else None


Cell = Callable[[Mapping[str, float], Baseline], float | None]

TAGGED_ROWS: dict[str, tuple[str, Cell]] = {
    "accuracy": (".4f", lambda metrics, known: metrics.get("accuracy")),
    "accuracy of chance": (".4f", lambda metrics, known: known.accuracy),
    "accuracy, worst condition": (".4f", lambda metrics, known: worst(metrics)),
    "exact match": (".4f", lambda metrics, known: metrics.get("exact_match")),
    "loss, nats per step": (".4f", lambda metrics, known: metrics.get("loss")),
    "loss of the baseline": (".4f", lambda metrics, known: known.loss),
    "loss, share of the baseline": (".1%", lambda metrics, known: metrics.get("loss", math.nan) / known.loss),
}
TEXT_ROWS: dict[str, tuple[str, Cell]] = {
    "perplexity": (".3f", lambda metrics, known: metrics.get("perplexity")),
    "perplexity of the n-gram": (".3f", lambda metrics, known: math.exp(known.loss)),
    "least perplexity possible": (".3f", lambda metrics, known: None if known.floor is None else math.exp(known.floor)),
    "perplexity in training": (".3f", lambda metrics, known: metrics.get("perplexity_in_training")),
    "bits per character": (".3f", lambda metrics, known: metrics.get("bits_per_character")),
    "loss, nats per character": (".4f", lambda metrics, known: metrics.get("loss")),
    "loss of the n-gram": (".4f", lambda metrics, known: known.loss),
    "entropy rate, nats per character": (".4f", lambda metrics, known: known.floor),
    "accuracy": (".4f", lambda metrics, known: metrics.get("accuracy")),
    "accuracy of the n-gram": (".4f", lambda metrics, known: known.accuracy),
}


def table(runs: Sequence[RunData], found: Sequence[Results]) -> Table:
    """Return the results of the runs as a table with a column for each run.

    Args:
        runs: The runs.
        found: Their figures.
    """
    text = is_text(runs[0])
    rows = [["measured on the", *(STAGES.get(f.stage or "", "-") for f in found)]]
    if text:
        rows.append(["best n-gram", *("-" if f.baseline is None else f.baseline.name for f in found)])
    for name, (form, cell) in (TEXT_ROWS if text else TAGGED_ROWS).items():
        values = [None if f.baseline is None else cell(f.metrics, f.baseline) for f in found]
        if any(value is not None for value in values):
            rows.append([name, *("-" if value is None else format(value, form) for value in values)])
    if text:
        caption = (
            "Perplexity is exp of the mean loss: how many characters, equally likely, would be as hard to guess. The "
            "n-gram counts which characters follow which in the training text."
        )
    else:
        caption = (
            "Accuracy is the share of right answers at the steps that need memory. Exact match is the share of "
            "sequences without an error at these steps. The loss is taken over all scored steps. The baseline knows "
            "when to answer, and guesses."
        )
    names = [run.label for run in runs] if len(runs) > 1 else [""]
    return Table(caption, ["", *names], rows)


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
            missing.append(labelled(runs, run, "learning curves: they are not in TensorBoard files of the run"))
    drawn = [run for run in runs if curves(run)]
    if drawn:
        known = [baseline(run, "val") for run in drawn]
        shown = [learning_run(*pair) for pair in zip(drawn, known, strict=True)]
        draw = partial(draw_learning_curves, shown, is_text(runs[0]))
        blocks.append(Picture("learning_curves", draw, curve_caption(drawn, known)))
    blocks += attempt(missing, "examples", lambda: shown_examples(runs)) or []
    for run in runs:
        if run.batch is not None and not run.alphabet:
            missing.append(labelled(runs, run, "examples: the task does not say how its symbols are written"))
    return Section("learning", "Did it learn?", blocks, numbers(runs, found), missing)


def shown_examples(runs: Sequence[RunData]) -> list[Block]:
    """Return examples of what the networks answer, or of what they predict and write."""
    if not is_text(runs[0]):
        return [*examples(runs)]
    sample = samples(runs)
    return [*predictions(runs), *([] if sample is None else [sample])]


def numbers(runs: Sequence[RunData], found: Sequence[Results]) -> dict[str, Any]:
    """Return every number, by run."""
    return {
        run.label: {
            "verdict": run.summary.get("verdict"),
            "solved_at": run.summary.get("solved_at"),
            "measured_on": f.stage,
            "metrics": f.metrics,
            "baseline": f.baseline,
            "curves": curves(run),
        }
        for run, f in zip(runs, found, strict=True)
    }
