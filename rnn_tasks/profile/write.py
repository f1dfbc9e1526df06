"""Make the profile of a layer: check it, train its runs, measure it, and write its card."""

import shlex
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from rnn_tasks.profile.card import Card, TaskCard, task_cards
from rnn_tasks.profile.known import RESULTS, known_results
from rnn_tasks.profile.layer import build_layer
from rnn_tasks.profile.measures import TASK, Measures, cost_beside_gru, measure, trained_network
from rnn_tasks.profile.page import write_card
from rnn_tasks.profile.plan import layer_of, other_settings, profile_plan, read_suite
from rnn_tasks.profile.texts import own_cell
from rnn_tasks.report.run_data import attempt
from rnn_tasks.runs.files import require_writable
from rnn_tasks.studies.plan import Plan
from rnn_tasks.studies.progress import say
from rnn_tasks.studies.queue import TIMING, RunState
from rnn_tasks.studies.table import read_runs
from rnn_tasks.studies.worker import work_on

FOLDER = Path("lightning_logs/profiles")
"""The folder that holds a folder for each profile."""


class Profile(NamedTuple):
    """A profile that was made.

    Attributes:
        page: The path of the page.
        card: What it says.
        all_done: Whether every run is done, and none has failed.
    """

    page: Path
    card: Card
    all_done: bool


def make_profile(
    model: str,
    quick: bool = False,
    jobs: int = 1,
    output: Path | None = None,
    retry_failed: bool = False,
    suite: Plan | None = None,
    results: Path = RESULTS,
) -> Profile:
    """Train the pending runs of the profile of a layer, and write its card.

    Args:
        model: The name of a shipped overlay, or the path of a YAML file.
        quick: Whether to take three tasks and one seed.
        jobs: The number of runs at a time, ``>= 1``.
        output: The folder of the card; None for a folder beside the runs.
        retry_failed: Whether to retry failed runs from scratch.
        suite: The study whose tasks and settings are taken; None for that of the memory suite.
        results: The results of known layers.

    Raises:
        UsageError: The layer does not exist, cannot be trained, or looks ahead.
        OSError: The files cannot be written.
        SystemExit: The config of the layer has a mistake, which is printed.
    """
    suite = suite or read_suite()
    variant = layer_of(model, suite)
    plan = profile_plan(variant, suite, quick)
    known = known_results(results, [task.name for task in plan.axes["task"]])
    layer = build_layer(plan, other_settings(plan))
    say(f"{layer.name}: {layer.class_name}; no output depends on a later input")
    folder = FOLDER / variant.name
    folder.mkdir(parents=True, exist_ok=True)
    output = output or folder / ("quick_card" if quick else "card")
    require_writable(output)  # fail before the long training
    url = f"sqlite:///{folder / 'study.db'}"
    all_done = work_on(plan, url, folder / "runs", jobs, retry_failed)
    runs = read_runs(plan, url, TIMING.patience)
    tasks, gaps = task_cards(plan, runs, known)
    missing: list[str] = []
    cost = attempt(missing, "cost", lambda: cost_beside_gru(layer.network))
    untrained = measure(layer.network, "untrained network", missing)
    trained, trained_on = measure_trained(tasks, folder / "runs", missing)
    command = f"rnn-tasks profile {shlex.quote(model)}{' --quick' if quick else ''}"
    card = Card(layer, plan, quick, command, tasks, runs, cost, untrained, trained, trained_on, missing, gaps)
    return Profile(write_card(card, output), card, all_done)


def measure_trained(tasks: Sequence[TaskCard], folder: Path, missing: list[str]) -> tuple[Measures | None, str]:
    """Measure the network of the first run of the task temporal order that has ended well.

    Args:
        tasks: The results by task.
        folder: The folder of the run folders.
        missing: Lines about missing parts, to which this function may append.

    Returns:
        The measurements and the name of the run; None and an empty name without such a run.
    """
    runs = [run for task in tasks if task.task == TASK for run in task.runs if run.state == RunState.DONE.value]
    for run in runs[:1]:
        network = attempt(missing, f"network of {run.name}", partial(trained_network, folder / run.name))
        if network is not None:
            return measure(network, "trained network", missing), run.name
    return None, ""


def summary(profile: Profile) -> str:
    """Return the results of each task as lines of text, and the paths of the page and of the picture.

    Args:
        profile: The profile.
    """
    width = max(len(task.tests) for task in profile.card.tasks)
    lines = [f"{task.tests:{width}}  {': '.join(filter(None, own_cell(task)))}" for task in profile.card.tasks]
    warning = [profile.card.warning] if profile.card.warning else []
    picture = profile.page.parent / "pictures" / "card.png"
    return "\n".join([*lines, *warning, f"picture: {picture}", f"open {profile.page}"])
