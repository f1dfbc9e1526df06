"""Time to solve a task, from the start of the process, relative to the published recipe; each run is a new process."""

import json
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.table import NotMeasuredError, Row
from benchmarks.timing import interleaved, python, ratio_row

TASKS = {"variable_delay_echo": (20, 300, 2), "echo": (2, 10, 4), "copy": (1.5, 10, 4)}
"""By task: lower bounds on the ratio recipe / ours for the whole process and for training alone; number of rounds."""


def measure(quick: bool) -> Iterator[Row]:
    """Yield two rows for each task: the whole process, and the training alone."""
    for task, (whole, training, rounds) in TASKS.items():
        if quick and task == "variable_delay_echo":
            yield Row("answer", task, "recipe / ours", at_least=whole, note="takes minutes: run without --quick")
            continue
        runs: dict[str, list[dict[str, Any]]] = {"recipe": [], "ours": []}
        contestants = {name: partial(solve, name, task, runs) for name in runs}
        interleaved(contestants, 1 if quick else rounds)
        recipe, ours = runs["recipe"][0], runs["ours"][0]
        note = f"recipe: {recipe['epochs']} epochs to {recipe['accuracy']:.4f}"
        note += f"; ours: {ours['steps']} steps to {ours['accuracy']:.4f}"
        for key, case, bound in (("process", "whole command", whole), ("seconds", "training alone", training)):
            seconds = {name: [float(result[key]) for result in results] for name, results in runs.items()}
            yield ratio_row("answer", f"{task}, {case}", seconds, "recipe", "ours", at_least=bound, note=note)


def solve(name: str, task: str, runs: dict[str, list[dict[str, Any]]]) -> float:
    """Solve a task in a new process, append the result to ``runs[name]``, and return the seconds of the process.

    A result holds ``process`` (its seconds), ``seconds`` (of training), ``accuracy``, and ``steps`` or ``epochs``.

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
        accuracy = f"an accuracy of {result['accuracy']:.4f} after {result['seconds']:.0f} s"
        raise NotMeasuredError(f"{name} did not solve {task}: {accuracy}")
    runs[name].append({**result, "process": seconds})
    return seconds
