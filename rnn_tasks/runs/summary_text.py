"""The closing lines of a run."""

import math
import os
import shlex
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rnn_tasks.printable import printable
from rnn_tasks.runs.verdict import SOLVED_ACCURACY

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


def command() -> str:
    """Return how to call this program here: ``rnn-tasks``, its relative path, or ``python -m rnn_tasks``."""
    called = Path(sys.argv[0])
    if called.name != "rnn-tasks":
        return "python -m rnn_tasks"
    installed = shutil.which("rnn-tasks")
    if installed is not None and Path(installed).resolve() == called.resolve():
        return "rnn-tasks"
    return shlex.quote(os.path.relpath(called))


def closing_lines(summary: Mapping[str, Any], folder: Path) -> str:
    """Return the closing lines of a run: verdict, metrics and baselines, training, network, folder and next commands.

    Characters that a terminal would obey are escaped, see :func:`rnn_tasks.printable.printable`.

    Args:
        summary: The contents of summary.json.
        folder: The run folder.
    """
    metrics, baseline = summary["metrics"], summary.get("baseline", {})
    stage = "test" if "test/loss" in metrics else "val"
    path = os.path.relpath(folder)
    is_text = "perplexity" in baseline
    name = summary.get("verdict") or ""
    verdict = (VERDICTS | VERDICTS_ON_TEXT if is_text else VERDICTS).get(name)
    rows: dict[str, str] = {}
    if f"{stage}/loss" in metrics:
        rows |= text_metric_rows(metrics, baseline, stage) if is_text else metric_rows(metrics, baseline, stage)
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
    lines += [f"  {name:{width}}  {text}" for name, text in rows.items()]
    return "\n".join(map(printable, lines))


def only_validation_solved(summary: Mapping[str, Any], stage: str) -> str:
    """Return why a run is not solved although one of its validations was.

    Args:
        summary: The contents of summary.json, with a step ``solved_at``.
        stage: The stage of the final metrics: ``test``, or ``val`` for the last validation.
    """
    metrics, baseline = summary["metrics"], summary.get("baseline", {})
    step = f"in validation at step {summary['solved_at']:,}"
    if summary.get("verdict") == "diverged":
        return f"{step}, before the run diverged"
    final = "in the test" if stage == "test" else "in the last validation"
    if "perplexity" in baseline:
        return f"{step}, but not {final}: the best n-gram is better"
    accuracy = metrics.get(f"{stage}/worst_accuracy", math.nan)
    if accuracy < SOLVED_ACCURACY:
        return f"{step} (accuracy {SOLVED_ACCURACY} reached), but not {final} ({accuracy:.4f})"
    return f"{step}, but not {final}"


def metric_rows(metrics: Mapping[str, float], baseline: Mapping[str, Any], stage: str) -> dict[str, str]:
    """Return the metrics of a task with generated sequences, by the first words of their lines."""
    accuracy, worst = metrics[f"{stage}/accuracy"], metrics[f"{stage}/worst_accuracy"]
    worst_condition = f", worst condition {worst:.4f}" if worst != accuracy else ""
    exact_match = metrics[f"{stage}/exact_match"]
    loss, share = metrics[f"{stage}/loss"], metrics[f"{stage}/loss"] / baseline["loss"]
    return {
        f"{stage} accuracy": f"{accuracy:.4f}{worst_condition} (chance {baseline['accuracy']:.4f}); "
        f"exact match {exact_match:.4f}",
        f"{stage} loss": f"{loss:.4f} nats per step, {share:.1%} of the baseline {baseline['loss']:.4f}",
    }


def text_metric_rows(metrics: Mapping[str, float], baseline: Mapping[str, Any], stage: str) -> dict[str, str]:
    """Return the metrics of a task on text, by the first words of their lines."""
    reference = baseline.get("val", baseline) if stage == "val" else baseline
    perplexity, bits = metrics[f"{stage}/perplexity"], metrics[f"{stage}/bits_per_character"]
    floor = f"; lower bound {reference['floor']:.4f} nats" if "floor" in reference else ""
    rows = {
        f"{stage} perplexity": f"{perplexity:.3f} (best n-gram, a {reference['name']}: {reference['perplexity']:.3f})",
        f"{stage} loss": f"{metrics[f'{stage}/loss']:.4f} nats per character, {bits:.3f} bits per character{floor}",
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
