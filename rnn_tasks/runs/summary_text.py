"""The last thing that a run says."""

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

VERDICTS = {
    "solved": "solved",
    "learning": "learning (better than the baseline, not solved)",
    "at_baseline": "at baseline (nothing learnt that shows)",
    "diverged": "diverged (a number is no longer finite)",
}
VERDICTS_ON_TEXT = {
    "solved": "solved (better than counting)",
    "learning": "learning (better than single characters, not than the best n-gram)",
    "at_baseline": "at baseline (no better than single characters, on text that it was not trained on)",
}
STOPPED = {
    "accuracy": "the accuracy was reached",
    "steps": "all steps were done",
    "epochs": "all epochs were done",
    "time": "the time was up",
    "early_stopping": "a callback stopped it",
    "interrupted": "interrupted",
    "diverged": "diverged",
}


def command() -> str:
    """What to type for this program here."""
    called = Path(sys.argv[0])
    if called.name != "rnn-tasks":
        return "python -m rnn_tasks"
    found = shutil.which("rnn-tasks")
    if found is not None and Path(found).resolve() == called.resolve():
        return "rnn-tasks"
    return os.path.relpath(called)


def closing_lines(summary: Mapping[str, Any], folder: Path) -> str:
    """A run in a few lines: verdict, figures beside the baseline, steps, where it is, and what to type next.

    Args:
        summary: The contents of summary.json.
        folder: The run folder.
    """
    metrics, baseline = summary["metrics"], summary.get("baseline", {})
    stage = "test" if "test/loss" in metrics else "val"
    place = os.path.relpath(folder)
    is_text = "perplexity" in baseline
    said = (VERDICTS | VERDICTS_ON_TEXT if is_text else VERDICTS).get(summary.get("verdict") or "")
    lines = [f"{summary['task']}: {said or 'no verdict yet (never validated)'}"]
    if f"{stage}/loss" in metrics:
        lines += figures_of_text(metrics, baseline, stage) if is_text else figures(metrics, baseline, stage)
    solved = f", solved at {summary['solved_at']:,}" if summary["solved_at"] is not None else ""
    steps = f"{summary['steps']:,} steps{solved}, {summary['sequences']:,} sequences, {summary['seconds']:.1f} s"
    if is_text and summary["seconds"]:
        steps += f" ({summary['time_steps'] / summary['seconds']:,.0f} characters/s)"
    lines.append(f"  {'training':{len(stage) + 10}}{steps}; {STOPPED[summary['stopped']]}")
    lines.append(f"  {'network':{len(stage) + 10}}{summary['core']}, {summary['parameters']:,} parameters")
    lines.append(f"  {'run':{len(stage) + 10}}{place}")
    lines.append(f"  {'next':{len(stage) + 10}}{next_step(summary, place)}")
    lines.append(f"  {'report':{len(stage) + 10}}{command()} analyze {place}")
    return "\n".join(lines)


def figures(metrics: Mapping[str, float], baseline: Mapping[str, Any], stage: str) -> list[str]:
    """The lines that say how well the network answers."""
    accuracy, worst = metrics[f"{stage}/accuracy"], metrics[f"{stage}/worst_accuracy"]
    worse = f", worst condition {worst:.4f}" if worst != accuracy else ""
    whole = metrics[f"{stage}/exact_match"]
    loss, share = metrics[f"{stage}/loss"], metrics[f"{stage}/loss"] / baseline["loss"]
    return [
        f"  {stage} accuracy  {accuracy:.4f}{worse} (chance {baseline['accuracy']:.4f}); exact match {whole:.4f}",
        f"  {stage} loss      {loss:.4f} nats per step, {share:.1%} of the baseline {baseline['loss']:.4f}",
    ]


def figures_of_text(metrics: Mapping[str, float], baseline: Mapping[str, Any], stage: str) -> list[str]:
    """The lines that say how well the network predicts a text."""
    against = baseline.get("val", baseline) if stage == "val" else baseline
    perplexity, bits = metrics[f"{stage}/perplexity"], metrics[f"{stage}/bits_per_character"]
    lines = [
        f"  {stage} perplexity {perplexity:.3f} (best n-gram, a {against['name']}: {against['perplexity']:.3f})",
        f"  {stage} loss      {metrics[f'{stage}/loss']:.4f} nats, {bits:.3f} bits per character",
    ]
    if "floor" in against:
        lines[1] += f"; no predictor is below {against['floor']:.4f} nats"
    if "train_epoch/perplexity" in metrics:
        what = "over the last epoch, while it learnt"
        lines.append(f"  {'in training':{len(stage) + 10}}{metrics['train_epoch/perplexity']:.3f} {what}")
    return lines


def next_step(summary: Mapping[str, Any], place: str) -> str:
    """What to type next."""
    if summary["stopped"] == "interrupted":
        return f"{command()} resume {place}"
    if summary["stopped"] == "diverged":
        return "train again with a smaller --model.optimizer.lr, or a smaller --trainer.gradient_clip_val"
    if summary.get("verdict") == "at_baseline" and summary["stopped"] == "steps":
        return f"{command()} resume {place} --trainer.max_steps {2 * summary['steps']}"
    if summary.get("example") and "perplexity" in summary.get("baseline", {}):
        return f"{command()} generate {place} {summary['example']}"
    if summary.get("example"):
        return f"{command()} respond {place} {summary['example']}"
    return "tensorboard --logdir lightning_logs"
