"""The closing lines of a run."""

import math
import os
import re
import shlex
import shutil
import sys
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rnn_tasks.printable import printable

VERDICTS = {
    "solved": "solved",
    "learning": "learning (better than the baseline, not solved)",
    "at_baseline": "at baseline (no better than guessing)",
    "worse_than_baseline": "worse than the baseline: try a smaller --model.optimizer.lr, or train longer",
    "diverged": "diverged (the loss or a weight is not finite)",
}
VERDICTS_ON_TEXT = {
    "solved": "solved (better than the best n-gram)",
    "learning": "learning (better than character frequencies, not better than the best n-gram)",
    "at_baseline": "at baseline (no better than character frequencies)",
    "worse_than_baseline": "worse than character frequencies: try a smaller --model.optimizer.lr, or train longer",
}
STOPPED = {
    "accuracy": "stopped: accuracy reached",
    "steps": "stopped: all steps done",
    "epochs": "stopped: all epochs done",
    "time": "stopped: time limit reached",
    "early_stopping": "stopped by a callback",
    "interrupted": "interrupted",
    "diverged": "diverged",
}


BOARD = "tensorboard --logdir lightning_logs"

SQUARED_ERROR = "mean squared error"
"""The unit of the loss of real values, in the baseline of a summary; symbols have nats."""

WIDTH = 100
"""Largest number of columns of a line that lists several lengths."""

NO_BREAK = "\N{NO-BREAK SPACE}"

Rows = dict[str, str | Sequence[str]]
"""The text of each row by the first words of its line; a row of several lines has several texts."""


MIN_STEPS = 20
"""A group of the test with fewer steps is never called the worst group."""


def command() -> str:
    """Return how to call this program here: ``rnn-tasks``, its relative path, or ``python -m rnn_tasks``."""
    called = Path(sys.argv[0])
    if called.name != "rnn-tasks":
        return "python -m rnn_tasks"
    installed = shutil.which("rnn-tasks")
    if installed is not None and Path(installed).resolve() == called.resolve():
        return "rnn-tasks"
    return shlex.quote(os.path.relpath(called))


def closing_lines(summary: Mapping[str, Any], folder: Path, task: str = "") -> str:
    """Return the closing lines of a run: verdict, metrics and baselines, training, network, folder and next commands.

    Characters that a terminal would obey are escaped, see :func:`rnn_tasks.printable.printable`.

    Args:
        summary: The contents of summary.json.
        folder: The run folder.
        task: The task and its options, see :func:`rnn_tasks.runs.data_text.data_text`; empty if they are unknown.
    """
    metrics, baseline = summary["metrics"], summary.get("baseline", {})
    stage = "test" if "test/loss" in metrics else "val"
    path = os.path.relpath(folder)
    is_text = "perplexity" in baseline
    name = summary.get("verdict") or ""
    verdict = (VERDICTS | VERDICTS_ON_TEXT if is_text else VERDICTS).get(name)
    rows: Rows = {"task": task} if task else {}
    if f"{stage}/loss" in metrics:
        if is_text:
            rows |= text_metric_rows(metrics, baseline, stage)
        elif baseline.get("unit") == SQUARED_ERROR:
            rows |= error_rows(metrics, baseline, stage)
        else:
            rows |= metric_rows(metrics, baseline, stage)
        rows |= plateau_rows(baseline) | group_rows(metrics, baseline) | length_rows(metrics, baseline)
    solved = ""
    if summary["solved_at"] is not None and name == "solved":
        solved = f", solved at step {summary['solved_at']:,}"
    elif summary["solved_at"] is not None:
        rows["solved"] = only_validation_solved(summary, stage)
    training = f"{summary['steps']:,} steps{solved}, {summary['sequences']:,} sequences, {summary['seconds']:.1f} s"
    if is_text and summary["seconds"]:
        training += f" ({summary['time_steps'] / summary['seconds']:,.0f} characters/s)"
    rows["training"] = f"{training}; {STOPPED[summary['stopped']]}"
    rows["network"] = f"{summary['core']}, {summary['parameters']:,} parameters"
    rows["run"] = path
    has_no_network = folder.is_dir() and not any((folder / "checkpoints").glob("*.ckpt"))
    rows["next"] = BOARD if has_no_network else next_step(summary, path)
    rows["report"] = f"{command()} analyze {shlex.quote(path)}"
    if not has_no_network:
        rows["explore"] = f"{command()} explore {shlex.quote(path)}"
    width = max(map(len, rows))
    lines = [f"{summary['task']}: {verdict or 'no verdict yet (not validated)'}"]
    for name, texts in rows.items():
        for text in [texts] if isinstance(texts, str) else texts:
            lines.append(f"  {name:{width}}  {text}")
            name = ""  # only the first line of a row has its name
    return "\n".join(map(printable, lines))


def only_validation_solved(summary: Mapping[str, Any], stage: str) -> str:
    """Return why a run is not solved although one of its validations was.

    Args:
        summary: The contents of summary.json, with a step ``solved_at``.
        stage: The stage of the final metrics: ``test``, or ``val`` for the last validation.
    """
    baseline = summary.get("baseline", {})
    step = f"in validation at step {summary['solved_at']:,}"
    if summary.get("verdict") == "diverged":
        return f"{step}, before the run diverged"
    final = "in the test" if stage == "test" else "in the last validation"
    if "perplexity" in baseline:
        return f"{step}, but not {final}: the best n-gram is better"
    return f"{step}, but not {final}"


def metric_rows(metrics: Mapping[str, float], baseline: Mapping[str, Any], stage: str) -> dict[str, str]:
    """Return the metrics of a task with generated sequences of symbols, by the first words of their lines."""
    accuracy, worst = metrics[f"{stage}/accuracy"], metrics[f"{stage}/worst_accuracy"]
    worst_condition = f", worst condition {worst:.4f}" if worst != accuracy else ""
    exact_match = metrics[f"{stage}/exact_match"]
    loss, share = metrics[f"{stage}/loss"], metrics[f"{stage}/loss"] / baseline["loss"]
    return {
        f"{stage} accuracy": f"{accuracy:.4f}{worst_condition} "
        f"({baseline.get('name', 'chance')} {baseline['accuracy']:.4f}); "
        f"exact match {exact_match:.4f}",
        f"{stage} loss": f"{loss:.4f} nats per step, {share:.1%} of the baseline {baseline['loss']:.4f}"
        + floor_text(baseline),
    }


def error_rows(metrics: Mapping[str, float], baseline: Mapping[str, Any], stage: str) -> dict[str, str]:
    """Return the error of a task with real targets, by the first words of its line."""
    loss, share = metrics[f"{stage}/loss"], metrics[f"{stage}/loss"] / baseline["loss"]
    name = f" ({baseline['name']})" if "name" in baseline else ""
    text = f"{loss:.4g} {SQUARED_ERROR}, {share:.1%} of the baseline {baseline['loss']:.4g}{name}"
    return {f"{stage} error": text + floor_text(baseline)}


def floor_text(baseline: Mapping[str, Any]) -> str:
    """Return the lower bound of the loss as the end of a line; an empty text if it is unknown."""
    if "floor" not in baseline:
        return ""
    of_error = baseline.get("unit") == SQUARED_ERROR
    return "; lower bound " + (f"{baseline['floor']:.4g}" if of_error else f"{baseline['floor']:.4f} nats")


def plateau_rows(baseline: Mapping[str, Any]) -> Rows:
    """Return one line for the score of each partial solution.

    Example:
        >>> plateau_rows({"loss": 1.4, "plateaus": [{"name": "knows half", "loss": 0.7, "accuracy": 0.5}]})
        {'plateau': ['accuracy 0.5000, loss 0.7000: knows half']}
    """
    lines = []
    for plateau in baseline.get("plateaus", ()):
        scores = []
        if plateau.get("accuracy") is not None:
            scores.append(f"accuracy {plateau['accuracy']:.4f}")
        if plateau.get("loss") is not None:
            of_error = baseline.get("unit") == SQUARED_ERROR
            scores.append(f"{'error' if of_error else 'loss'} {plateau['loss']:{'.4g' if of_error else '.4f'}}")
        lines.append(f"{', '.join(scores)}: {plateau['name']}")
    return {"plateau": lines} if lines else {}


def longer_lengths(baseline: Mapping[str, Any]) -> list[int]:
    """Return the tested lengths beyond those of training, ascending.

    Args:
        baseline: The baseline of a summary.
    """
    return sorted(map(int, baseline.get("by_length", {})))


def scores_by(metrics: Mapping[str, float], kind: str) -> dict[str, dict[int, float]]:
    """Return the test scores by group, for each quantity by which the test is grouped.

    Args:
        metrics: The metrics by name.
        kind: ``accuracy``, ``exact_match`` or ``loss``.

    Example:
        >>> scores_by({"test/accuracy_by_lag/7": 0.5, "test/accuracy_by_lag/3": 1.0, "test/loss": 0.1}, "accuracy")
        {'lag': {3: 1.0, 7: 0.5}}
    """
    found: dict[str, dict[int, float]] = {}
    start = f"test/{kind}_by_"
    for name, value in metrics.items():
        quantity, _, group = name.removeprefix(start).rpartition("/")
        if name.startswith(start) and quantity and re.fullmatch("[0-9]{1,9}", group):
            found.setdefault(quantity, {})[int(group)] = value
    return {quantity: dict(sorted(scores.items())) for quantity, scores in sorted(found.items())}


def group_rows(metrics: Mapping[str, float], baseline: Mapping[str, Any]) -> dict[str, str]:
    """Return a line with the worst group of the test, for each quantity by which the test is grouped.

    Groups with fewer than ``MIN_STEPS`` steps are left out, since their scores are mostly noise.

    Example:
        >>> metrics = {"test/accuracy_by_lag/3": 1.0, "test/accuracy_by_lag/7": 0.5}
        >>> group_rows(metrics, {})
        {'worst lag': '7 (of 3 to 7): accuracy 0.5000'}
    """
    of_error = baseline.get("unit") == SQUARED_ERROR
    rows: dict[str, str] = {}
    for quantity, scores in scores_by(metrics, "loss" if of_error else "accuracy").items():
        longer = longer_lengths(baseline) if quantity == "length" else []
        finite = {
            group: score
            for group, score in scores.items()
            if group not in longer
            and math.isfinite(score)
            and metrics.get(f"test/steps_by_{quantity}/{group}", math.inf) >= MIN_STEPS
        }
        if len(finite) > 1:
            worst = max(finite, key=lambda group: finite[group] if of_error else -finite[group])
            score = f"error {finite[worst]:.4g}" if of_error else f"accuracy {finite[worst]:.4f}"
            rows[f"worst {quantity.replace('_', ' ')}"] = f"{worst} (of {min(finite)} to {max(finite)}): {score}"
    return rows


def length_rows(metrics: Mapping[str, float], baseline: Mapping[str, Any]) -> Rows:
    """Return the scores at lengths beyond those of training, with the score of the baseline at the same lengths.

    Example:
        >>> metrics = {"test/accuracy_by_length/64": 0.9, "test/accuracy_by_length/128": 0.6}
        >>> chance = {"loss": 0.7, "accuracy": 0.5}
        >>> length_rows(metrics, {**chance, "by_length": {"64": chance, "128": chance}})
        {'longer': ['accuracy at length 64: 0.9000, 128: 0.6000 (chance 0.5000)']}
        >>> exact = {"test/exact_match_by_length/64": 0.4}
        >>> length_rows(metrics | exact, {**chance, "by_length": {"64": chance}})
        {'longer': ['accuracy (exact match) at length 64: 0.9000 (0.4000) (chance 0.5000)']}
    """
    of_error = baseline.get("unit") == SQUARED_ERROR
    kind = "loss" if of_error else "accuracy"
    scores = scores_by(metrics, kind).get("length", {})
    references = {int(length): values.get(kind, math.nan) for length, values in baseline.get("by_length", {}).items()}
    lengths = [length for length in longer_lengths(baseline) if length in scores]
    if not lengths:
        return {}
    form = ".4g" if of_error else ".4f"
    at_baseline = [f"({'baseline' if of_error else 'chance'} {references[length]:{form}})" for length in lengths]
    values = [f"{length}: {scores[length]:{form}}" for length in lengths]
    exact = scores_by(metrics, "exact_match").get("length", {})
    has_exact = any(exact.get(length, scores[length]) != scores[length] for length in lengths)
    if has_exact:
        values = [f"{value} ({exact.get(length, math.nan):.4f})" for value, length in zip(values, lengths, strict=True)]
    if len(set(at_baseline)) == 1:
        values[-1] += f" {at_baseline[0]}"
    else:
        values = [f"{value} {reference}" for value, reference in zip(values, at_baseline, strict=True)]
    # Lines are broken only between two lengths.
    quantity = "error" if of_error else "accuracy (exact match)" if has_exact else "accuracy"
    text = f"{quantity} at length " + ", ".join(v.replace(" ", NO_BREAK) for v in values)
    return {"longer": [line.replace(NO_BREAK, " ") for line in textwrap.wrap(text, WIDTH - 20)]}


def text_metric_rows(metrics: Mapping[str, float], baseline: Mapping[str, Any], stage: str) -> dict[str, str]:
    """Return the metrics of a task on text, by the first words of their lines."""
    reference = baseline.get("val", baseline) if stage == "val" else baseline
    perplexity, bits = metrics[f"{stage}/perplexity"], metrics[f"{stage}/bits_per_character"]
    rows = {
        f"{stage} perplexity": f"{perplexity:.3f} (best n-gram, a {reference['name']}: {reference['perplexity']:.3f})",
        f"{stage} loss": f"{metrics[f'{stage}/loss']:.4f} nats per character, {bits:.3f} bits per character"
        + floor_text(reference),
    }
    if "train_epoch/perplexity" in metrics:
        rows["train perplexity"] = f"{metrics['train_epoch/perplexity']:.3f} (last epoch, measured during training)"
    return rows


def next_step(summary: Mapping[str, Any], path: str) -> str:
    """Return the command to run next, or advice.

    Args:
        summary: The contents of summary.json.
        path: The path of the run folder.
    """
    quoted = shlex.quote(path)
    if summary["stopped"] == "interrupted":
        return f"{command()} resume {quoted}"
    if "diverged" in (summary["stopped"], summary.get("verdict")):
        return "train again with a smaller --model.optimizer.lr or --trainer.gradient_clip_val"
    longer = f"{command()} resume {quoted} --trainer.max_steps {2 * summary['steps']}"
    if summary.get("verdict") == "worse_than_baseline":
        other = "train again with a smaller --model.optimizer.lr"
        return f"{other}, or longer: {longer}" if summary["stopped"] == "steps" else other
    if summary.get("verdict") == "at_baseline" and summary["stopped"] == "steps":
        return longer
    if summary.get("example"):
        is_text = "perplexity" in summary.get("baseline", {})
        return f"{command()} {'generate' if is_text else 'respond'} {quoted} {example(summary)}".rstrip()
    return BOARD


def example(summary: Mapping[str, Any]) -> str:
    """Return the example arguments of a summary, quoted anew, so that a shell takes them for arguments only.

    Args:
        summary: The contents of summary.json, perhaps of a stranger.

    Returns:
        The arguments; empty if they are not valid or cannot be printed.

    Example:
        >>> example({"example": "abc; rm -r folder"})
        "'abc;' rm -r folder"
    """
    try:
        arguments = shlex.join(shlex.split(str(summary["example"])))
    except ValueError:
        return ""
    return arguments if printable(arguments) == arguments else ""
