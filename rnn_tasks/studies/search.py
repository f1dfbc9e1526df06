"""Draw the values of the runs of a search, and compute the objective that the search minimises."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.trial import Trial

from rnn_tasks.errors import UsageError
from rnn_tasks.studies.plan import Plan, Search
from rnn_tasks.studies.rows import is_finite


def sampler_of(search: Search, seed: int, number: int) -> BaseSampler:
    """Return the sampler of a run. It depends only on the study's seed and the run, not on the worker.

    Args:
        search: The settings of the search.
        seed: The seed of the study.
        number: The number of the run, from 1.
    """
    (sampler_seed,) = np.random.SeedSequence([seed, number]).generate_state(1)
    if search.sampler == "random":
        return RandomSampler(seed=int(sampler_seed))
    startup = min(10, max(4, search.runs // 4))  # random runs before the first model
    return TPESampler(seed=int(sampler_seed), n_startup_trials=startup, constant_liar=True)


def draw(plan: Plan, trial: Trial) -> dict[str, Any]:
    """Draw the values of a run, or return those of an earlier trial of the same run.

    Args:
        plan: A search.
        trial: The trial of the run; the sampler of its Optuna study draws the values.

    Returns:
        For each axis a number, or the name of a variant.

    Raises:
        UsageError: The variants of an axis have changed since the search began.
    """
    values: dict[str, Any] = {}
    for axis, variants in plan.axes.items():
        try:
            if axis not in plan.ranges:
                values[axis] = trial.suggest_categorical(axis, tuple(variant.name for variant in variants))
                continue
            drawn = plan.ranges[axis]
            if drawn.whole:
                values[axis] = trial.suggest_int(axis, int(drawn.low), int(drawn.high), log=drawn.log)
            else:
                values[axis] = trial.suggest_float(axis, drawn.low, drawn.high, log=drawn.log)
        except ValueError as error:
            raise UsageError(
                f"{plan.name}: the values of {axis} have changed since the search began: give the new search a new name"
            ) from error
    return values


def objective_of(plan: Plan, result: Mapping[str, Any]) -> float:
    """Return the objective of a run, which the search minimises; infinite for a run without a result.

    The objective is computed from the validation alone. If the objective is steps to solve, every unsolved run ranks
    after all solved runs, by its loss as a share of the baseline loss.

    Args:
        plan: The study.
        result: The result of the run.
    """
    value = (result.get("metrics") or {}).get("val/loss")
    loss = float(value) if is_finite(value) else math.inf
    if plan.search is None or plan.search.objective == "loss":
        return loss
    if result.get("solved_at") is not None:
        return float(result["solved_at"])
    baseline = (result.get("baseline") or {}).get("loss")
    return (plan.max_steps or 0) * (1 + loss / baseline) if baseline else math.inf
