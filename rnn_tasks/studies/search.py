"""What a search draws for each of its runs, and how good a run has been."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.trial import Trial

from rnn_tasks.errors import UsageError
from rnn_tasks.studies.plan import Plan, Search


def sampler_of(search: Search, seed: int, number: int) -> BaseSampler:
    """What draws the values of a run: the same for the same run, whoever does it and after whatever interruptions.

    Args:
        search: How values are drawn.
        seed: Of the study.
        number: Of the run.
    """
    (drawn,) = np.random.SeedSequence([seed, number]).generate_state(1)
    if search.sampler == "random":
        return RandomSampler(seed=int(drawn))
    first = min(10, max(4, search.runs // 4))  # at random, before anything is known
    return TPESampler(seed=int(drawn), n_startup_trials=first, constant_liar=True)


def draw(plan: Plan, trial: Trial) -> dict[str, Any]:
    """Draw the values of a run, unless its trial has them from an earlier one that stood for the same run.

    Args:
        plan: A search.
        trial: Stands for the run; its study's sampler draws.

    Returns:
        A number or the name of a variant for each axis.

    Raises:
        UsageError: An axis has other variants than when the search began.
    """
    values: dict[str, Any] = {}
    for axis, variants in plan.axes.items():
        try:
            if axis not in plan.ranges:
                values[axis] = trial.suggest_categorical(axis, tuple(variant.name for variant in variants))
                continue
            of = plan.ranges[axis]
            if of.whole:
                values[axis] = trial.suggest_int(axis, int(of.low), int(of.high), log=of.log)
            else:
                values[axis] = trial.suggest_float(axis, of.low, of.high, log=of.log)
        except ValueError as error:
            raise UsageError(
                f"{plan.name}: {axis} has other values than when the search began: give the new search a new name"
            ) from error
    return values


def objective_of(plan: Plan, result: Mapping[str, Any]) -> float:
    """How good a run has been, less being better; infinite where that is not known.

    The test has no part in it. Where steps to solve are wanted, a run that did not solve is worse than all that did,
    by its loss as a share of the baseline's.

    Args:
        plan: The study.
        result: Figures of the run's summary.
    """
    loss = (result.get("metrics") or {}).get("val/loss")
    loss = float(loss) if isinstance(loss, int | float) and math.isfinite(loss) else math.inf
    if plan.search is None or plan.search.objective == "loss":
        return loss
    if result.get("solved_at") is not None:
        return float(result["solved_at"])
    baseline = (result.get("baseline") or {}).get("loss")
    return (plan.max_steps or 0) * (1 + loss / baseline) if baseline else math.inf
