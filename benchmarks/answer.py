"""From the command to the solved task, each in a process of its own, against the recipe that the package grew from."""

import json
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.table import NotMeasuredError, Row
from benchmarks.timing import interleaved, python, ratio_row

TASKS = {"variable_delay_echo": (20, 300, 2), "echo": (2, 10, 4), "copy": (1.5, 10, 4)}
"""By task: bounds on the recipe's time over ours, of the whole process and of the training alone; and the rounds."""


def measure(quick: bool) -> Iterator[Row]:
    """Yield two rows for each task: the whole process, and the training alone."""
    for task, (whole, training, rounds) in TASKS.items():
        if quick and task == "variable_delay_echo":
            yield Row("answer", task, "recipe / ours", at_least=whole, note="takes minutes: leave out --quick")
            continue
        runs: dict[str, list[dict[str, Any]]] = {"recipe": [], "ours": []}
        contestants = {name: partial(solve, name, task, runs) for name in runs}
        interleaved(contestants, 1 if quick else rounds)
        recipe, ours = runs["recipe"][0], runs["ours"][0]
        note = f"recipe: {recipe['epochs']} epochs to {recipe['accuracy']:.4f}"
        note += f"; ours: {ours['steps']} steps to {ours['accuracy']:.4f}"
        for key, case, bound in (("process", "whole command", whole), ("seconds", "training alone", training)):
            seconds = {name: [float(run[key]) for run in found] for name, found in runs.items()}
            yield ratio_row("answer", f"{task}, {case}", seconds, "recipe", "ours", at_least=bound, note=note)


def solve(name: str, task: str, runs: dict[str, list[dict[str, Any]]]) -> float:
    """Solve a task in a process; append its result to ``runs[name]``, and return its seconds.

    Results hold ``process`` (seconds), ``seconds`` (of training alone), ``accuracy``, and ``steps`` or ``epochs``.

    Raises:
        NotMeasuredError: The task was not solved.
    """
    with tempfile.TemporaryDirectory() as folder:
        arguments = ["rnn_tasks", "fit", "--config", task] if name == "ours" else [f"benchmarks.peers.{task}"]
        seconds, output = python(["-m", *arguments], Path(folder))
        if name == "ours":
            result = json.loads(next(Path(folder).glob("lightning_logs/*/*/summary.json")).read_text())
            result |= {"solved": result["verdict"] == "solved", "accuracy": result["metrics"]["test/worst_accuracy"]}
        else:
            result = json.loads(output.splitlines()[-1])
    if not result["solved"]:
        raise NotMeasuredError(f"{name}: {task} ended at {result['accuracy']:.4f} after {result['seconds']:.0f} s")
    runs[name].append({**result, "process": seconds})
    return seconds
