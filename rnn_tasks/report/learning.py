"""Did it learn? The verdict, the figures beside the baseline, the curves, and what the network answers."""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from rnn_tasks.report.answers import about, is_text
from rnn_tasks.report.examples import examples, predictions, samples
from rnn_tasks.report.learning_curves import curve_caption, curves, draw_curves
from rnn_tasks.report.page import Block, Paragraph, Picture, Section, Table
from rnn_tasks.report.run_data import Subject, attempt
from rnn_tasks.runs.summary_text import VERDICTS, VERDICTS_ON_TEXT
from rnn_tasks.spec import Baseline

STAGES = {"test": "test", "val": "validation"}


class Figures(NamedTuple):
    """What a run scored.

    Attributes:
        stage: ``test``, or ``val`` if it was not tested; None if it was never measured.
        metrics: By name, without the stage.
        baseline: What they stand beside; None if it is not known.
    """

    stage: str | None
    metrics: dict[str, float]
    baseline: Baseline | None


def figures(subject: Subject) -> Figures:
    """What a run scored, at its end or, without a summary, when it was last validated.

    Args:
        subject: The run.
    """
    logged = {name: float(curve.values[-1]) for name, curve in subject.curves.items()}
    metrics: Mapping[str, float] = subject.summary.get("metrics") or logged
    stage = next((stage for stage in STAGES if f"{stage}/loss" in metrics), None)
    if stage is None:
        return Figures(None, {}, baseline(subject, "val"))
    known = {name: value for name, value in metrics.items() if isinstance(value, int | float) and math.isfinite(value)}
    found = {name.removeprefix(f"{stage}/"): value for name, value in known.items() if name.startswith(f"{stage}/")}
    if "train_epoch/perplexity" in known:
        found["perplexity_in_training"] = known["train_epoch/perplexity"]
    return Figures(stage, found, baseline(subject, stage))


def baseline(subject: Subject, stage: str) -> Baseline | None:
    """The baseline of a run: as it stands in the summary, else the task's, else what was logged of it.

    Args:
        subject: The run.
        stage: ``val`` or ``test``.
    """
    values = subject.summary.get("baseline")
    if values and "accuracy" in values:
        values = values.get("val", values) if stage == "val" else values
        return Baseline(**{name: value for name, value in values.items() if name in Baseline._fields})
    if subject.task is not None:
        return subject.task.baseline_on(stage)
    logged = {name: subject.curves.get(f"{stage}/{name}") for name in ("baseline_loss", "baseline_accuracy", "floor")}
    last = {name: float(curve.values[-1]) for name, curve in logged.items() if curve is not None}
    if "baseline_loss" not in last:
        return None
    name = "n-gram" if is_text(subject) else "chance"
    return Baseline(last["baseline_loss"], last.get("baseline_accuracy", math.nan), name, floor=last.get("floor"))


def verdict(subject: Subject, found: Figures) -> str:
    """What came of a run, in words.

    Args:
        subject: The run.
        found: Its figures.
    """
    said = (VERDICTS | VERDICTS_ON_TEXT if is_text(subject) else VERDICTS).get(subject.summary.get("verdict") or "")
    words = [f"{subject.label}: {said or 'no verdict yet'}."]
    metrics, against = found.metrics, found.baseline
    if found.stage is None or against is None:
        return " ".join([*words, *(["It was never validated."] if found.stage is None else [])])
    on = STAGES[found.stage]
    needed = {"perplexity"} if is_text(subject) else {"accuracy", "loss"}
    if not needed <= metrics.keys():
        words.append("Its figures are not all there, or no longer finite.")
    elif is_text(subject):
        words.append(f"Its perplexity is {metrics['perplexity']:.3f} on the {on} text, where the best n-gram, a")
        words.append(f"{against.name}, has {math.exp(against.loss):.3f}.")
        if against.floor is not None:
            words.append(f"No predictor is below {math.exp(against.floor):.3f}.")
    else:
        words.append(f"In the {on} it is right at {metrics['accuracy']:.2%} of the steps that need memory, where")
        words.append(f"{against.name} is {against.accuracy:.2%};")
        words.append(f"its loss is {metrics['loss'] / against.loss:.1%} of the baseline's.")
    if subject.summary.get("solved_at") is not None:
        words.append(f"Validation said so first at step {subject.summary['solved_at']:,}.")
    return " ".join(words)


def worst(metrics: Mapping[str, float]) -> float | None:
    """The accuracy for the worst condition, where there are several."""
    several = any(name.startswith("accuracy_at/") for name in metrics)
    return metrics.get("worst_accuracy") if several else None


Cell = Callable[[Mapping[str, float], Baseline], float | None]

TAGGED_ROWS: dict[str, tuple[str, Cell]] = {
    "accuracy": (".4f", lambda metrics, known: metrics.get("accuracy")),
    "accuracy of chance": (".4f", lambda metrics, known: known.accuracy),
    "accuracy, worst condition": (".4f", lambda metrics, known: worst(metrics)),
    "flawless sequences": (".4f", lambda metrics, known: metrics.get("sequence_accuracy")),
    "loss, nats a step": (".4f", lambda metrics, known: metrics.get("loss")),
    "loss of the baseline": (".4f", lambda metrics, known: known.loss),
    "loss, share of the baseline": (".1%", lambda metrics, known: metrics.get("loss", math.nan) / known.loss),
}
TEXT_ROWS: dict[str, tuple[str, Cell]] = {
    "perplexity": (".3f", lambda metrics, known: metrics.get("perplexity")),
    "perplexity of the n-gram": (".3f", lambda metrics, known: math.exp(known.loss)),
    "least perplexity possible": (".3f", lambda metrics, known: None if known.floor is None else math.exp(known.floor)),
    "perplexity in training": (".3f", lambda metrics, known: metrics.get("perplexity_in_training")),
    "bits per character": (".3f", lambda metrics, known: metrics.get("bits_per_character")),
    "loss, nats a character": (".4f", lambda metrics, known: metrics.get("loss")),
    "loss of the n-gram": (".4f", lambda metrics, known: known.loss),
    "entropy rate, nats a character": (".4f", lambda metrics, known: known.floor),
    "accuracy": (".4f", lambda metrics, known: metrics.get("accuracy")),
    "accuracy of the n-gram": (".4f", lambda metrics, known: known.accuracy),
}


def table(subjects: Sequence[Subject], found: Sequence[Figures]) -> Table:
    """The figures of runs, a column each.

    Args:
        subjects: The runs.
        found: Their figures.
    """
    text = is_text(subjects[0])
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
            "Accuracy is the share of right answers at the steps that need memory; flawless, that of sequences without "
            "an error there. The loss is taken over all scored steps; the baseline knows the timing and guesses."
        )
    names = [subject.label for subject in subjects] if len(subjects) > 1 else [""]
    return Table(caption, ["", *names], rows)


def learning(subjects: Sequence[Subject]) -> Section:
    """Did it learn?

    Args:
        subjects: The runs.
    """
    missing: list[str] = []
    found = [figures(subject) for subject in subjects]
    blocks: list[Block] = [Paragraph(verdict(*pair)) for pair in zip(subjects, found, strict=True)]
    if any(f.stage is not None for f in found):
        blocks.append(table(subjects, found))
    for subject in subjects:
        if not curves(subject):
            missing.append(about(subjects, subject, "learning curves: they are not in TensorBoard files of the run"))
    drawn = [subject for subject in subjects if curves(subject)]
    if drawn:
        known = [baseline(subject, "val") for subject in drawn]
        blocks.append(Picture("learning_curves", partial(draw_curves, drawn, known), curve_caption(drawn, known)))
    blocks += attempt(missing, "examples", lambda: shown_examples(subjects)) or []
    for subject in subjects:
        if subject.batch is not None and not subject.alphabet:
            missing.append(about(subjects, subject, "examples: the task does not say how its symbols are written"))
    return Section("learning", "Did it learn?", blocks, numbers(subjects, found), missing)


def shown_examples(subjects: Sequence[Subject]) -> list[Block]:
    """What the networks answer, or expect and write."""
    if not is_text(subjects[0]):
        return [*examples(subjects)]
    sample = samples(subjects)
    return [*predictions(subjects), *([] if sample is None else [sample])]


def numbers(subjects: Sequence[Subject], found: Sequence[Figures]) -> dict[str, Any]:
    """Every number, by run."""
    return {
        subject.label: {
            "verdict": subject.summary.get("verdict"),
            "solved_at": subject.summary.get("solved_at"),
            "measured_on": f.stage,
            "metrics": f.metrics,
            "baseline": f.baseline,
            "curves": curves(subject),
        }
        for subject, f in zip(subjects, found, strict=True)
    }
