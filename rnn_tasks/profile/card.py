"""What a card says: the results of a layer on each task, beside those of known layers."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import pandas as pd

from rnn_tasks.analysis.cost import Cost
from rnn_tasks.profile.known import KNOWN, comparable
from rnn_tasks.profile.layer import ProfiledLayer
from rnn_tasks.profile.measures import Measures
from rnn_tasks.studies.comparison import censored_steps
from rnn_tasks.studies.plan import Plan
from rnn_tasks.studies.queue import RunState
from rnn_tasks.studies.results import score_of

TESTS = {
    "temporal_order": "order over a long time",
    "s3": "a state that does not commute",
    "parity": "a state, at longer lengths",
    "selective_copy": "filtering",
    "recall": "keys and values",
    "induction": "a rule in the context",
    "flip_flop": "overwriting",
    "reverse": "order, capacity",
}
"""The kind of memory that each task tests."""

MANY_PARAMETERS = 2.0
"""A layer whose parameters are above this multiple of the largest known layer does not compare fairly."""


class Attempt(NamedTuple):
    """One run of the profile.

    Attributes:
        name: The name of the run and of its folder.
        setting: The setting of the learning rates; empty if it is not chosen yet.
        seed: The random seed.
        state: ``done``, ``failed`` (also a run that diverged), ``running`` or ``pending``.
        verdict: The verdict on the run; None without one.
        steps: The optimizer steps that the run did; None for a run that has not ended.
        solved_at: The step of the first validation that solved the task; None if none did.
        score: The score of the test; None without one.
        val_loss: The last validation loss; None without one.
        reason: Why the run failed; empty for other runs.
    """

    name: str
    setting: str
    seed: int
    state: str
    verdict: str | None
    steps: int | None
    solved_at: int | None
    score: float | None
    val_loss: float | None
    reason: str

    @property
    def diverged(self) -> bool:
        """Whether the loss or a weight became infinite or NaN."""
        return self.verdict == "diverged" or "diverged" in self.reason

    def steps_text(self, budget: int) -> str:
        """Return the steps to solve: ``> 600`` beyond the budget; else what became of the run.

        Args:
            budget: The largest number of optimizer steps.
        """
        if self.state == RunState.FAILED.value:
            return "diverged" if self.diverged else "failed"
        if self.state != RunState.DONE.value:
            return self.state
        return f"> {budget:,}" if self.solved_at is None else f"{self.solved_at:,}"


class KnownCell(NamedTuple):
    """The committed results of a known layer on a task.

    Attributes:
        runs: The number of seeds.
        solved: How many are solved.
        steps: The median of the steps to solve, where a run that is not solved counts as more than the budget;
            infinite if it is one of these.
        score: The median of the scores of the test.
        parameters: The number of parameters of the network.
        results: The runs, see :func:`rnn_tasks.profile.known.known_results`.
    """

    runs: int
    solved: int
    steps: float
    score: float
    parameters: int
    results: pd.DataFrame


@dataclass(frozen=True)
class TaskCard:
    """The results of the layer on one task.

    Attributes:
        task: The name of the task.
        tests: The kind of memory that it tests.
        sizes: The sizes of the task by option.
        budget: The largest number of optimizer steps.
        chance: The accuracy of a guess; None if no run has ended.
        plateaus: The name and the accuracy of each partial solution.
        trials: The runs that tried the settings.
        chosen: The chosen setting; empty if it is not chosen yet.
        runs: The runs with the chosen setting.
        known: The committed results by known layer, without layers that have none.
    """

    task: str
    tests: str
    sizes: Mapping[str, Any]
    budget: int
    chance: float | None
    plateaus: Sequence[tuple[str, float]]
    trials: Sequence[Attempt]
    chosen: str
    runs: Sequence[Attempt]
    known: Mapping[str, KnownCell]

    @property
    def solved(self) -> int:
        """The number of solved runs with the chosen setting."""
        return sum(run.solved_at is not None and run.state == RunState.DONE.value for run in self.runs)


@dataclass(frozen=True)
class Card:
    """Everything that a card says.

    Attributes:
        layer: The layer.
        plan: The study.
        quick: Whether the profile is a quick one.
        command: The command that repeats it.
        tasks: The results by task.
        runs: All runs of the study, see :func:`rnn_tasks.studies.table.read_runs`.
        cost: The cost of the layer and of torch's GRU, ``layer`` and ``gru``; None if it could not be measured.
        untrained: The measurements of the untrained network.
        trained: The measurements of a trained network; None without one.
        trained_on: The name of the run of the trained network; empty without one.
        missing: A line for each part that could not be measured.
        gaps: A line for each gap in the committed results.
    """

    layer: ProfiledLayer
    plan: Plan
    quick: bool
    command: str
    tasks: Sequence[TaskCard]
    runs: pd.DataFrame
    cost: Mapping[str, Cost] | None
    untrained: Measures
    trained: Measures | None
    trained_on: str
    missing: Sequence[str]
    gaps: Sequence[str]

    @property
    def parameters(self) -> int:
        """The number of parameters of the network of the task temporal order."""
        return sum(parameter.numel() for parameter in self.layer.network.parameters())

    @property
    def most_parameters(self) -> int:
        """The largest number of parameters of the networks of the tasks."""
        return max(self.parameters, int(self.runs["parameters"].fillna(0).max()))

    @property
    def known_parameters(self) -> dict[str, int]:
        """The largest number of parameters of each known layer over the tasks."""
        found: dict[str, int] = {}
        for task in self.tasks:
            for name, cell in task.known.items():
                found[name] = max(found.get(name, 0), cell.parameters)
        return found

    @property
    def warning(self) -> str:
        """A line about a layer that has too many parameters for a fair comparison; empty for other layers."""
        own, known = self.most_parameters, max(self.known_parameters.values(), default=0)
        if not known or own <= MANY_PARAMETERS * known:
            return ""
        return (
            f"Not a fair comparison: with {self.layer.network.core.hidden_size} units, this layer has up to {own:,} "
            f"parameters, {own / known:.1f} times as many as the largest known layer here ({known:,})."
        )


def task_cards(plan: Plan, runs: pd.DataFrame, known: pd.DataFrame) -> tuple[list[TaskCard], list[str]]:
    """Return the results of each task, and a line for each gap in the committed results.

    Args:
        plan: The study of the profile.
        runs: Its runs, see :func:`rnn_tasks.studies.table.read_runs`.
        known: The results of known layers, see :func:`rnn_tasks.profile.known.known_results`.
    """
    flat = runs.reset_index()
    assert plan.tuning is not None
    budgets = {run.variants["task"].name: plan.options_of(run)["trainer.max_steps"] for run in plan.runs()}
    known, gaps = comparable(known, flat[flat["seed"].isin(plan.seeds)], budgets)
    cards = []
    for variant in plan.axes["task"]:
        task = variant.name
        rows = flat[flat["task"] == task]
        score = f"test/{score_of(task)}"
        final = [attempt_of(row, score) for row in rows[rows["seed"] != plan.tuning.seed].to_dict("records")]
        baseline: dict[str, Any] = next((values for values in rows["baseline"] if values), {})
        accuracies = [(one["name"], one["accuracy"]) for one in baseline.get("plateaus", ()) if "accuracy" in one]
        of_task = known[known["task"] == task]
        cards.append(
            TaskCard(
                task,
                TESTS.get(task, "-"),
                {name.removeprefix("data."): value for name, value in variant.options.items() if "data." in name},
                budgets[task],
                baseline.get("accuracy"),
                accuracies,
                [attempt_of(row, score) for row in rows[rows["seed"] == plan.tuning.seed].to_dict("records")],
                next((run.setting for run in final if run.setting), ""),
                final,
                {
                    name: known_cell(of_task[of_task["layer"] == name], score_of(task))
                    for name in KNOWN
                    if name in set(of_task["layer"])
                },
            )
        )
    return cards, gaps


def attempt_of(row: Mapping[str, Any], score: str) -> Attempt:
    """Return a run of a table of runs.

    Args:
        row: The row of the run by column.
        score: The column of the score.
    """

    def number(name: str) -> Any:
        value = row.get(name)
        return None if value is None or pd.isna(value) else value

    steps, solved_at = (None if number(name) is None else int(number(name)) for name in ("steps", "solved_at"))
    return Attempt(
        row["run"],
        row["rates"],
        row["seed"],
        row["state"],
        row["verdict"] or None,
        steps,
        solved_at,
        number(score),
        number("val/loss"),
        row["reason"],
    )


def known_cell(results: pd.DataFrame, score: str) -> KnownCell:
    """Return the results of a known layer on a task.

    Args:
        results: Its runs, at least one.
        score: The column of the score.
    """
    solved = int(results["solved_at"].notna().sum())
    steps = censored_steps(results).where(results["solved_at"].notna(), math.inf).sort_values()
    middle = float(steps.iloc[len(steps) // 2])
    return KnownCell(
        len(results), solved, middle, float(results[score].median()), int(results["parameters"].max()), results
    )
