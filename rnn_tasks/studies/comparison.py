"""Compare layers over tasks and seeds without ranks: cells with all seeds, consistent differences, one interval.

All functions take the results of :func:`rnn_tasks.studies.results.results_of` whose stage is ``final``. Runs with the
same task and seed have the same training sequences, so they are paired.
"""

import itertools
import math
import statistics
from typing import NamedTuple

import numpy as np
import pandas as pd

RESAMPLES = 10_000
"""Number of bootstrap resamples."""

CONFIDENCE = 0.95


class Difference(NamedTuple):
    """A difference between two layers on a task that has the same sign with every seed.

    Attributes:
        task: The name of the task.
        faster: The layer that needs fewer steps with every seed.
        slower: The other layer.
    """

    task: str
    faster: str
    slower: str


class Interval(NamedTuple):
    """A share with a confidence interval.

    Attributes:
        share: The share.
        low: The lower end of the interval.
        high: The upper end.
    """

    share: float
    low: float
    high: float


def censored_steps(results: pd.DataFrame) -> pd.Series:
    """Return the steps to solve of each run, and the budget for a run that is not solved."""
    return results["solved_at"].astype(float).fillna(results["budget"].astype(float))


def seeds_text(results: pd.DataFrame) -> tuple[str, str, str]:
    """Return how many runs of a layer on a task are solved, the median of the steps to solve, and those of all seeds.

    Args:
        results: The runs of the layer on the task.

    Example:
        >>> runs = pd.DataFrame({"seed": [0, 1, 2], "solved_at": [50, 75, None], "budget": 400})
        >>> seeds_text(runs), seeds_text(runs[2:])
        (('2 of 3', '75', '50, 75, > 400'), ('0 of 1', '> 400', 'none'))
    """
    results = results.sort_values("seed")

    def text(steps: float) -> str:
        return f"{steps:,.0f}" if math.isfinite(steps) else f"> {results['budget'].iloc[0]:,.0f}"

    steps = results["solved_at"].astype(float).fillna(math.inf)
    solved = f"{results['solved_at'].notna().sum()} of {len(results)}"
    if results["solved_at"].isna().all():
        return solved, text(math.inf), "none"
    return solved, text(statistics.median_high(steps)), ", ".join(map(text, steps))


def cell_text(results: pd.DataFrame, score: str) -> str:
    """Return :func:`seeds_text` as one text, with the scores of the test if no run is solved.

    Args:
        results: The runs of a layer on a task.
        score: The column of the score.

    Example:
        >>> runs = pd.DataFrame({"seed": [0, 1], "solved_at": [50, None], "budget": 400, "accuracy": [1.0, 0.5]})
        >>> cell_text(runs, "accuracy"), cell_text(runs[1:], "accuracy")
        ('1 of 2: > 400 (50, > 400)', '0 of 1: score 0.500 (0.500)')
    """
    solved, median, steps = seeds_text(results)
    if results["solved_at"].notna().any():
        return f"{solved}: {median} ({steps})"
    scores = [f"{value:.3f}" for value in results.sort_values("seed")[score]]
    return f"{solved}: score {results[score].median():.3f} ({', '.join(scores)})"


def differences(results: pd.DataFrame) -> list[Difference]:
    """Return the differences in steps to solve that have the same sign with every seed.

    A run that is not solved counts as its budget, so two runs that are not solved do not differ.

    Args:
        results: The runs of all layers and tasks.
    """
    found = []
    for task, of_task in results.assign(steps=censored_steps(results)).groupby("task", sort=False):
        by_layer = of_task.pivot(index="seed", columns="layer", values="steps")
        for first, second in itertools.combinations(by_layer.columns, 2):
            signs = set(np.sign(by_layer[first] - by_layer[second]).dropna())
            if signs == {-1.0} or signs == {1.0}:
                faster, slower = (first, second) if signs == {-1.0} else (second, first)
                found.append(Difference(str(task), faster, slower))
    return found


def expected_by_chance(results: pd.DataFrame) -> float:
    """Return an upper bound of how many :func:`differences` chance would give if no two layers differed.

    With n seeds and without ties, all n differences of a pair have the same sign with the probability 2^(1 - n).

    Args:
        results: The runs of all layers and tasks.
    """
    total = 0.0
    for _, of_task in results.groupby("task"):
        seeds = of_task.groupby("layer")["seed"].nunique()
        total += sum(2.0 ** (1 - min(pair)) for pair in itertools.combinations(seeds, 2))
    return total


def solved_share(results: pd.DataFrame, seed: int = 0) -> Interval:
    """Return the share of solved runs of a layer over all tasks, with a bootstrap interval over seeds within tasks.

    Args:
        results: The runs of one layer.
        seed: Random seed of the bootstrap.
    """
    generator = np.random.default_rng(seed)
    solved = [of_task["solved_at"].notna().to_numpy(float) for _, of_task in results.groupby("task")]
    total = sum(map(len, solved))
    drawn = sum(generator.choice(values, (RESAMPLES, len(values))).sum(1) for values in solved) / total
    low, high = np.quantile(drawn, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Interval(float(sum(values.sum() for values in solved) / total), float(low), float(high))
