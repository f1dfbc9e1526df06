"""1: from the command to the solved task, a process each, against the recipe that the package grew from."""

import json
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.rows import Bound, NotMeasuredError, Row
from benchmarks.turns import Lap, Setting, in_turn, process_lap, python, ratio_row

TRAINING = Bound(">=", 8)


@dataclass(frozen=True)
class Answer:
    """A task that both sides solve.

    Args:
        task: Its name: of the config, and of the peer's module.
        whole: Bound on the peer's whole process over ours.
        training: Bound on the peer's training over ours, without start-up; None if there is none.
        once: Whether the peer takes so long that it runs once, and not at all when it must be quick.
    """

    task: str
    whole: Bound
    training: Bound | None = None
    once: bool = False


ANSWERS = (
    Answer("variable_delay_echo", Bound(">=", 60), once=True),
    Answer("echo", Bound(">=", 1), TRAINING),
    Answer("copy", Bound(">=", 1), TRAINING),
)


def measure(setting: Setting) -> Iterator[Row]:
    """Two rows for each task: the whole process, and the training alone."""
    for answer in ANSWERS:
        try:
            yield from rows(answer, setting)
        except NotMeasuredError as reason:
            yield Row("answer", answer.task, "recipe / ours", bound=answer.whole, note=str(reason))


def rows(answer: Answer, setting: Setting) -> Iterator[Row]:
    """The rows of a task.

    Args:
        answer: The task.
        setting: How thoroughly.

    Raises:
        NotMeasuredError: A side fails, or does not solve the task.
    """
    if answer.once and setting.quick:
        raise NotMeasuredError("takes ten minutes: leave out --quick")
    turns = setting.count(5, 1)
    said: dict[str, list[dict[str, Any]]] = {"ours": [], "recipe": []}
    works: dict[str, Callable[[], object]] = {
        "ours": lambda: said["ours"].append(our_run(answer.task)),
        "recipe": lambda: said["recipe"].append(recipe_run(answer.task)),
    }
    if answer.once:
        laps = {**in_turn({"recipe": works["recipe"]}, 1, process_lap)}
        laps |= in_turn({"ours": works["ours"]}, turns, process_lap)
        laps["recipe"] *= turns
        said["recipe"] *= turns
    else:
        laps = in_turn(works, turns, process_lap)
    what = f"{answer.task}: command to answer"
    note = f"recipe: {said['recipe'][0]['epochs']} epochs to {said['recipe'][0]['accuracy']:.4f}"
    note += f"; ours: {said['ours'][0]['steps']} steps to {said['ours'][0]['accuracy']:.4f}"
    note += "; the recipe ran once" if answer.once else ""
    yield ratio_row("answer", what, laps, "recipe", "ours", answer.whole, ours="ours", note=note)
    training = {name: [Lap(run["seconds"], 0.0) for run in runs] for name, runs in said.items()}
    what = f"{answer.task}: training alone"
    yield ratio_row("answer", what, training, "recipe", "ours", answer.training, ours="ours")


def our_run(task: str) -> dict[str, Any]:
    """Seconds of training, steps and accuracy of a run that solves the task, in a folder that is deleted.

    Raises:
        NotMeasuredError: It does not solve it.
    """
    with tempfile.TemporaryDirectory() as folder:
        python(["-m", "rnn_tasks", "fit", "--config", task], Path(folder))
        summary = json.loads(next(Path(folder).glob("lightning_logs/*/*/summary.json")).read_text())
    if summary["verdict"] != "solved":
        raise NotMeasuredError(f"our run ended {summary['verdict']}")
    return {**summary, "accuracy": summary["metrics"]["test/worst_accuracy"]}


def recipe_run(task: str) -> dict[str, Any]:
    """Seconds of training, epochs and accuracy of the recipe.

    Raises:
        NotMeasuredError: It does not solve the task.
    """
    with tempfile.TemporaryDirectory() as folder:
        said = python(["-m", f"benchmarks.peers.{task}"], Path(folder))
    found: dict[str, Any] = json.loads(said.splitlines()[-1])
    if not found["solved"]:
        raise NotMeasuredError(f"the recipe ended at {found['accuracy']:.4f} after {found['seconds']:.0f} s")
    return found
