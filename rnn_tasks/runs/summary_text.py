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
from rnn_tasks.spec import BEST_POSSIBLE, Plateau

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
VERDICTS_ON_VALUES = {"at_baseline": "at baseline (no better than the baseline)"}
STOPPED = {
    "accuracy": "stopped: accuracy reached",
    "steps": "stopped: all steps done",
    "epochs": "stopped: all epochs done",
    "time": "stopped: time limit reached",
    "early_stopping": "stopped by a callback",
    "interrupted": "interrupted",
    "diverged": "diverged",
}

STOPPED_ON_VALUES = {"accuracy": "stopped: error reached"}

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


def closing_lines(summary: Mapping[str, Any], folder: Path, task: str = "", trust: bool = False) -> str:
    """Return the closing lines of a run: verdict, metrics and baselines, training, network, folder and next commands.

    Characters that a terminal would obey are escaped, see :func:`rnn_tasks.printable.printable`.

    Args:
        summary: The contents of summary.json.
        folder: The run folder.
        task: The task and its options, see :func:`rnn_tasks.runs.data_text.data_text`; empty if they are unknown.
        trust: Whether the commands need ``--trust``, see :func:`rnn_tasks.runs.trust.needs_trust`.
    """
    path = os.path.relpath(folder)
    rows = result_rows(summary, task)
    rows["run"] = path
    has_no_network = folder.is_dir() and not any((folder / "checkpoints").glob("*.ckpt"))
    arguments = shlex.quote(path) + (" --trust" if trust else "")
    explore = f"{command()} explore {arguments}"
    rows["next"] = BOARD if has_no_network else next_step(summary, path, trust)
    rows["report"] = f"{command()} analyze {arguments}"
    if not has_no_network and rows["next"] != explore:
        rows["explore"] = explore
    width = max(map(len, rows))
    lines = [headline(summary)]
    for name, texts in rows.items():
        for text in [texts] if isinstance(texts, str) else texts:
            lines.append(f"  {name:{width}}  {text}")
            name = ""  # only the first line of a row has its name
    return "\n".join(map(printable, lines))


def headline(summary: Mapping[str, Any]) -> str:
    """Return the task and the verdict of a run.

    Args:
        summary: The contents of summary.json.
    """
    return f"{summary['task']}: {verdict_text(summary) or 'no verdict yet (not validated)'}"


def result_rows(summary: Mapping[str, Any], task: str = "") -> Rows:
    """Return the results of a run by the first words of their lines: metrics and baselines, training, network.

    Args:
        summary: The contents of summary.json.
        task: The task and its options; empty if they are unknown.
    """
    metrics, baseline = summary["metrics"], summary.get("baseline", {})
    stage = "test" if "test/loss" in metrics else "val"
    is_text = "perplexity" in baseline
    of_error = baseline.get("unit") == SQUARED_ERROR
    rows: Rows = {"task": task} if task else {}
    if f"{stage}/loss" in metrics:
        if is_text:
            rows |= text_metric_rows(metrics, baseline, stage)
        elif of_error:
            rows |= error_rows(metrics, baseline, stage)
        else:
            rows |= metric_rows(metrics, baseline, stage)
        rows |= plateau_rows(baseline) | group_rows(metrics, baseline) | length_rows(metrics, baseline)
    solved = ""
    if summary["solved_at"] is not None and summary.get("verdict") == "solved":
        solved = f", solved at step {summary['solved_at']:,}"
    elif summary["solved_at"] is not None:
        rows["solved"] = only_validation_solved(summary, stage)
    training = f"{summary['steps']:,} steps{solved}, {summary['sequences']:,} sequences, {summary['seconds']:.1f} s"
    if is_text and summary["seconds"]:
        training += f" ({summary['time_steps'] / summary['seconds']:,.0f} characters/s)"
    stopped = STOPPED | STOPPED_ON_VALUES if of_error else STOPPED
    rows["training"] = f"{training}; {stopped[summary['stopped']]}"
    rows["network"] = f"{summary['core']}, {summary['parameters']:,} parameters"
    return rows


def verdict_text(summary: Mapping[str, Any]) -> str | None:
    """Return the verdict on a run as text; None without a verdict.

    Args:
        summary: The contents of summary.json.
    """
    baseline = summary.get("baseline") or {}
    texts = dict(VERDICTS)
    if "perplexity" in baseline:
        texts |= VERDICTS_ON_TEXT
    elif baseline.get("unit") == SQUARED_ERROR:
        texts |= VERDICTS_ON_VALUES
    plateau = plateau_text(summary.get("metrics", {}), baseline)
    if plateau:
        texts["learning"] = f"learning ({plateau})"
    return texts.get(summary.get("verdict") or "")


def plateau_text(metrics: Mapping[str, float], baseline: Mapping[str, Any]) -> str:
    """Return which partial solution a run has not surpassed; an empty text if it is above all, or if none is known.

    A test accuracy is at a plateau if it is within three standard errors of it, as if the steps that need memory were
    independent.

    Args:
        metrics: The metrics by name.
        baseline: The baseline of a summary.

    Example:
        >>> metrics = {"test/accuracy": 0.51, "test/steps_by_lag/3": 500.0}
        >>> plateau_text(metrics, {"accuracy": 0.25, "plateaus": [{"name": "knows half", "accuracy": 0.5}]})
        'at the plateau: knows half'
    """
    accuracy = metrics.get("test/accuracy", math.inf)
    steps = sum(value for name, value in metrics.items() if name.startswith("test/steps_by_"))
    plateaus = [(p.accuracy or 0.0, p.name) for p in stored_plateaus(baseline) if p.kind == "plateau"]
    for share, name in sorted(plateaus):
        noise = 3 * math.sqrt(share * (1 - share) / steps) if steps else 0.0
        if share > baseline.get("accuracy", math.inf) and accuracy <= share + noise:
            return f"{'at' if accuracy >= share - noise else 'below'} the plateau: {name}"
    return ""


def stored_plateaus(baseline: Mapping[str, Any]) -> list[Plateau]:
    """Return the plateaus and references in the baseline of a summary."""
    return [
        Plateau(**{name: value for name, value in plateau.items() if name in Plateau._fields})
        for plateau in baseline.get("plateaus", ())
    ]


def can_be_exact(baseline: Mapping[str, Any]) -> bool:
    """Return whether some predictor can answer everything right; if not, exact match says nothing.

    Args:
        baseline: The baseline of a summary.
    """
    return all(plateau.name != BEST_POSSIBLE for plateau in stored_plateaus(baseline))


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
    exact_match = f"; exact match {metrics[f'{stage}/exact_match']:.4f}" if can_be_exact(baseline) else ""
    loss, share = metrics[f"{stage}/loss"], metrics[f"{stage}/loss"] / baseline["loss"]
    return {
        f"{stage} accuracy": f"{accuracy:.4f}{worst_condition} "
        f"({baseline.get('name', 'chance')} {baseline['accuracy']:.4f}){exact_match}",
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
    """Return the lowest possible loss as the end of a line; an empty text if it is unknown."""
    if "floor" not in baseline:
        return ""
    of_error = baseline.get("unit") == SQUARED_ERROR
    return "; lowest possible " + (f"{baseline['floor']:.4g}" if of_error else f"{baseline['floor']:.4f} nats")


def plateau_rows(baseline: Mapping[str, Any]) -> Rows:
    """Return one line for the score of each partial solution, and of each other reference.

    Example:
        >>> plateau_rows({"loss": 1.4, "plateaus": [{"name": "knows half", "loss": 0.7, "accuracy": 0.5}]})
        {'plateau': ['accuracy 0.5000, loss 0.7000: knows half']}
    """
    of_error = baseline.get("unit") == SQUARED_ERROR
    rows: dict[str, list[str]] = {}
    for plateau in stored_plateaus(baseline):
        scores = [] if plateau.accuracy is None else [f"accuracy {plateau.accuracy:.4f}"]
        if plateau.loss is not None:
            scores.append(f"error {plateau.loss:.4g}" if of_error else f"loss {plateau.loss:.4f}")
        rows.setdefault(plateau.kind, []).append(f"{', '.join(scores)}: {plateau.name}")
    return {**rows}


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
        >>> group_rows({**metrics, "test/accuracy_by_lag/7": 1.0}, {})
        {'every lag': '3 to 7: accuracy 1.0000'}
    """
    rows: dict[str, str] = {}
    if not can_be_exact(baseline):  # the worst group is that of the guesses
        return rows
    of_error = baseline.get("unit") == SQUARED_ERROR
    for quantity, scores in scores_by(metrics, "loss" if of_error else "accuracy").items():
        longer = longer_lengths(baseline) if quantity == "length" else []
        finite = {
            group: score
            for group, score in scores.items()
            if group not in longer
            and math.isfinite(score)
            and metrics.get(f"test/steps_by_{quantity}/{group}", math.inf) >= MIN_STEPS
        }
        if len(finite) < 2:
            continue
        worst = max(finite, key=lambda group: finite[group] if of_error else -finite[group])
        score = f"error {finite[worst]:.4g}" if of_error else f"accuracy {finite[worst]:.4f}"
        noun, span = quantity.replace("_", " "), f"{min(finite)} to {max(finite)}"
        if len(set(finite.values())) == 1:
            rows[f"every {noun}"] = f"{span}: {score}"
        else:
            rows[f"worst {noun}"] = f"{worst} (of {span}): {score}"
    return rows


def length_rows(metrics: Mapping[str, float], baseline: Mapping[str, Any]) -> Rows:
    """Return the scores at lengths beyond those of training, with those of the baseline and of the best plateau.

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
    scores = scores_by(metrics, "loss" if of_error else "accuracy").get("length", {})
    lengths = [length for length in longer_lengths(baseline) if length in scores]
    if not lengths:
        return {}
    values = [f"{length}: {scores[length]:{'.4g' if of_error else '.4f'}}" for length in lengths]
    exact = scores_by(metrics, "exact_match").get("length", {})
    has_exact = can_be_exact(baseline) and any(
        exact.get(length, scores[length]) != scores[length] for length in lengths
    )
    if has_exact:
        values = [f"{value} ({exact.get(length, math.nan):.4f})" for value, length in zip(values, lengths, strict=True)]
    values[-1] += f" ({references_of([baseline['by_length'][str(length)] for length in lengths])})"
    # Lines are broken only between two lengths.
    quantity = "error" if of_error else "accuracy (exact match)" if has_exact else "accuracy"
    text = f"{quantity} at length " + ", ".join(v.replace(" ", NO_BREAK) for v in values)
    return {"longer": [line.replace(NO_BREAK, " ") for line in textwrap.wrap(text, WIDTH - 20)]}


def references_of(baselines: Sequence[Mapping[str, Any]]) -> str:
    """Return the scores of the baselines of several lengths, and of the best plateau at each of these lengths.

    Example:
        >>> short = {"loss": 0.7, "accuracy": 0.5, "plateaus": [{"name": "knows half", "accuracy": 0.75}]}
        >>> references_of([short, {**short, "accuracy": 0.25}])
        'chance 0.2500 to 0.5000, plateau 0.7500'
    """
    of_error = baselines[0].get("unit") == SQUARED_ERROR
    kind, best_of = ("loss", min) if of_error else ("accuracy", max)
    by_name: dict[str, list[float]] = {}
    for baseline in baselines:
        by_name.setdefault(baseline.get("name", "baseline" if of_error else "chance"), []).append(baseline[kind])
    for baseline in baselines:
        scores = [getattr(plateau, kind) for plateau in stored_plateaus(baseline) if plateau.kind == "plateau"]
        known = [score for score in scores if score is not None]
        if known:
            by_name.setdefault("plateau", []).append(best_of(known))
    texts = []
    for name, scores in by_name.items():
        low, high = (f"{score:{'.4g' if of_error else '.4f'}}" for score in (min(scores), max(scores)))
        texts.append(f"{name} {low}" if low == high else f"{name} {low} to {high}")
    return ", ".join(texts)


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


def next_step(summary: Mapping[str, Any], path: str, trust: bool = False) -> str:
    """Return the command to run next, or advice.

    Args:
        summary: The contents of summary.json.
        path: The path of the run folder.
        trust: Whether the commands that load the network need ``--trust``.
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
        call = f"{command()} {'generate' if is_text else 'respond'} {quoted} {example(summary)}".rstrip()
    else:
        call = f"{command()} explore {quoted}"
    return f"{call} --trust" if trust else call


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
