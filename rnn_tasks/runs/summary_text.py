"""The closing lines of a run."""

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

VERDICTS = {
    "solved": "solved",
    "learning": "learning (better than the baseline, not solved)",
    "at_baseline": "at baseline (no better than guessing)",
    "diverged": "diverged (the loss or a weight is not finite)",
}
VERDICTS_ON_TEXT = {
    "solved": "solved (better than the best n-gram)",
    "learning": "learning (better than character frequencies, not better than the best n-gram)",
    "at_baseline": "at baseline (no better than character frequencies)",
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


def command() -> str:
    """Return how to call this program here: ``rnn-tasks``, its relative path, or ``python -m rnn_tasks``."""
    called = Path(sys.argv[0])
    if called.name != "rnn-tasks":
        return "python -m rnn_tasks"
    installed = shutil.which("rnn-tasks")
    if installed is not None and Path(installed).resolve() == called.resolve():
        return "rnn-tasks"
    return os.path.relpath(called)


def closing_lines(summary: Mapping[str, Any], folder: Path) -> str:
    """Return the closing lines of a run: verdict, metrics and baselines, training, network, folder and next commands.

    Args:
        summary: The contents of summary.json.
        folder: The run folder.
    """
    metrics, baseline = summary["metrics"], summary.get("baseline", {})
    stage = "test" if "test/loss" in metrics else "val"
    path = os.path.relpath(folder)
    is_text = "perplexity" in baseline
    verdict = (VERDICTS | VERDICTS_ON_TEXT if is_text else VERDICTS).get(summary.get("verdict") or "")
    rows: dict[str, str] = {}
    if f"{stage}/loss" in metrics:
        rows |= text_metric_rows(metrics, baseline, stage) if is_text else metric_rows(metrics, baseline, stage)
    solved = f", solved at step {summary['solved_at']:,}" if summary["solved_at"] is not None else ""
    training = f"{summary['steps']:,} steps{solved}, {summary['sequences']:,} sequences, {summary['seconds']:.1f} s"
    if is_text and summary["seconds"]:
        training += f" ({summary['time_steps'] / summary['seconds']:,.0f} characters/s)"
    rows["training"] = f"{training}; {STOPPED[summary['stopped']]}"
    rows["network"] = f"{summary['core']}, {summary['parameters']:,} parameters"
    rows["run"] = path
    rows["next"] = next_step(summary, path)
    rows["report"] = f"{command()} analyze {path}"
    width = max(map(len, rows))
    lines = [f"  {name:{width}}  {text}" for name, text in rows.items()]
    return "\n".join([f"{summary['task']}: {verdict or 'no verdict yet (not validated)'}", *lines])


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
    if summary["stopped"] == "interrupted":
        return f"{command()} resume {path}"
    if summary["stopped"] == "diverged":
        return "train again with a smaller --model.optimizer.lr or --trainer.gradient_clip_val"
    if summary.get("verdict") == "at_baseline" and summary["stopped"] == "steps":
        return f"{command()} resume {path} --trainer.max_steps {2 * summary['steps']}"
    if summary.get("example") and "perplexity" in summary.get("baseline", {}):
        return f"{command()} generate {path} {summary['example']}"
    if summary.get("example"):
        return f"{command()} respond {path} {summary['example']}"
    return "tensorboard --logdir lightning_logs"
