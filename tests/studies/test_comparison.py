"""Statistics of comparisons, tested by simulation."""

import itertools

import numpy as np
import pandas as pd
import pytest

from rnn_tasks.studies.comparison import (
    Difference,
    censored_steps,
    differences,
    expected_by_chance,
    seeds_text,
    solved_share,
)

BUDGET = 1000


def results(steps: dict[tuple[str, str], list[float]]) -> pd.DataFrame:
    """Return results whose steps to solve are given by task and layer; NaN for a run that is not solved."""
    rows = [
        {"task": task, "layer": layer, "seed": seed, "solved_at": value, "budget": BUDGET, "accuracy": 0.25}
        for (task, layer), values in steps.items()
        for seed, value in enumerate(values)
    ]
    return pd.DataFrame(rows)


def random_results(generator: np.random.Generator, layers: int, tasks: int, seeds: int) -> pd.DataFrame:
    """Return results of layers that do not differ."""
    names = itertools.product([f"task{i}" for i in range(tasks)], [f"layer{i}" for i in range(layers)])
    return results({name: generator.permutation(10_000)[:seeds].tolist() for name in names})


def test_unsolved_run_counts_as_its_budget() -> None:
    assert censored_steps(results({("a", "x"): [50, np.nan]})).tolist() == [50, BUDGET]


def test_difference_needs_the_same_sign_with_every_seed() -> None:
    table = results({("a", "x"): [50, 60, 70], ("a", "y"): [55, 65, np.nan], ("a", "z"): [40, 70, 80]})
    assert differences(table) == [Difference("a", "x", "y")]
    assert differences(results({("a", "x"): [np.nan] * 3, ("a", "y"): [np.nan] * 3})) == []


@pytest.mark.parametrize("seeds", [3, 5])
def test_chance_names_as_many_differences_as_expected(seeds: int) -> None:
    generator = np.random.default_rng(0)
    samples = [random_results(generator, layers=4, tasks=5, seeds=seeds) for _ in range(60)]
    counts = [len(differences(table)) for table in samples]
    expected = expected_by_chance(samples[0])
    assert expected == 5 * 6 * 2.0 ** (1 - seeds)
    # Pairs that share a layer depend on each other, so the standard error comes from the samples.
    assert abs(np.mean(counts) - expected) < 3 * np.std(counts) / np.sqrt(len(counts))


def test_interval_of_solved_runs_covers_the_true_share() -> None:
    generator = np.random.default_rng(1)
    probabilities = [0.1, 0.3, 0.5, 0.5, 0.7, 0.9, 0.5, 0.4]
    covered = 0
    for sample in range(200):
        values = {
            (f"task{i}", "x"): np.where(generator.random(5) < p, 10.0, np.nan).tolist()
            for i, p in enumerate(probabilities)
        }
        interval = solved_share(results(values), seed=sample)
        covered += bool(interval.low <= np.mean(probabilities) <= interval.high)
    # Five seeds are few: the bootstrap's intervals are a little too narrow.
    assert 0.85 < covered / 200 <= 1


def test_text_of_seeds_has_the_budget_if_no_run_is_solved() -> None:
    table = results({("a", "x"): [np.nan, np.nan, np.nan]})
    assert seeds_text(table) == ("0 of 3", "> 1,000", "none")
