"""Compute our values of published results, from runs or without training."""

import math
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from rnn_tasks.analysis.first_failure import first_failure
from rnn_tasks.analysis.memory import memory_capacity
from rnn_tasks.errors import UsageError
from rnn_tasks.networks import LanguageNetwork
from rnn_tasks.report.fixed_points import fixed_points_of
from rnn_tasks.report.run_data import load_run
from rnn_tasks.runs.curves import read_curves
from rnn_tasks.runs.files import CHECKPOINTS, LAST
from rnn_tasks.runs.find import RunLocation
from rnn_tasks.runs.trained_network import load_network
from rnn_tasks.studies.published import Comparison, Published, PublishedResult, Verdict, compare
from rnn_tasks.studies.queue import RunState
from rnn_tasks.studies.table import first_finite, run_names, steps_to_solve, with_variant
from rnn_tasks.tasks import Counting, TimeMachine
from rnn_tasks.tasks.counting import GEOMETRIC_P, LANGUAGES, LanguageName, generator_loss
from rnn_tasks.texts.grammar import ELMAN

NUMBERS = ("seconds", "steps", "parameters")
"""Values of a summary that a result may name, besides metrics."""

TEXT_LENGTH, TEMPERATURE = 20_000, 0.5
"""Number of generated characters in which words of the lexicon are counted, and the sampling temperature."""


COUNTING_TEST = range(15, 1015)
"""The numbers n of the test strings of Lan et al. (2022), after 100 training strings."""

LARGEST_N = 500
"""The largest n up to which strings are tested for the first failure."""


def compare_with_runs(result: PublishedResult, published: Published, runs: pd.DataFrame, folder: Path) -> Comparison:
    """Compare a published result with our values; the verdict tells whether its run is not done or has failed.

    Args:
        result: The published result.
        published: All published results.
        runs: All runs.
        folder: The folder of the run folders.
    """
    if result.run is None:
        try:
            return compare(result, [COMPUTED[result.key]()])
        except UsageError as error:
            return Comparison(result, Verdict.NOT_RUN, (), str(error))
    needed = with_variant(runs, "run", result.run)
    failed, done = (needed[needed["state"] == state.value] for state in (RunState.FAILED, RunState.DONE))
    if not failed.empty:
        return Comparison(result, Verdict.FAILED, (), f"{failed['reason'].iloc[0]} (retry with --retry-failed)")
    if len(done) < len(needed):
        part = f", {len(done)} of {len(needed)} seeds are done" if len(done) else ""
        note = f"rnn-tasks reproduce {result.run} ({published.costs[result.run].time}{part})"
        return Comparison(result, Verdict.NOT_RUN, (), note)
    try:
        return compare(result, values_of(result, done, folder))
    except UsageError as error:
        return Comparison(result, Verdict.FAILED, (), str(error))


def values_of(result: PublishedResult, runs: pd.DataFrame, folder: Path) -> list[float]:
    """Return our value of a published result from each run.

    Args:
        result: The published result.
        runs: Runs that are done.
        folder: The folder of the run folders.

    Raises:
        UsageError: A run lacks the value.
    """
    folders = [folder / name for name in run_names(runs)]
    if result.source_kind == "function":
        return [MEASURED[result.key](run) for run in folders]
    if result.source_kind == "metric":
        values: Sequence[float | None] = metric_values(runs, result.key)
    else:
        values = [last_of_curve(run, result.key) for run in folders]
    for run, value in zip(folders, values, strict=True):
        if value is None or math.isnan(value):
            raise UsageError(f"{run} has no {result.key}")
    return [value for value in values if value is not None]


def metric_values(runs: pd.DataFrame, name: str) -> list[float]:
    """Return a value of the summary of each run; NaN for a run that lacks the value.

    Args:
        runs: The runs.
        name: A metric, one of ``NUMBERS``, or ``solved_at``, which is infinite for an unsolved run.
    """
    if name == "solved_at":
        return [math.inf if math.isnan(step) else int(step) for step in steps_to_solve(runs)]
    return [*(runs[name].astype(float) if name in NUMBERS else first_finite(runs, name))]


def last_of_curve(folder: Path, name: str) -> float | None:
    """Return the last value of a curve in the log of a run; None without the curve.

    Args:
        folder: The run folder.
        name: The name of the curve, such as ``spectral_radius/weight_hh_l0``.
    """
    curve = read_curves(folder).get(name) if folder.is_dir() else None
    return None if curve is None else float(curve.values[-1])


def ngram_of_windows() -> float:
    """Return the validation perplexity of the best n-gram in the ``windows`` protocol, which is a 4-gram.

    Raises:
        UsageError: The text of the book cannot be loaded.
    """
    task = TimeMachine("windows", sequence_length=32)
    task.prepare_data()
    return math.exp(task.baseline_on("val").loss)


def reservoir_memory_capacity() -> float:
    """Return our memory capacity of the reservoir in reservoirpy's documentation.

    The reservoir has 100 units and spectral radius 1; lags go up to 50. Of the 500 inputs, reservoirpy skips the first
    50, fits from the 101st on, and scores the last 100.

    Raises:
        UsageError: reservoirpy is not installed.
    """
    try:
        from reservoirpy.nodes import Reservoir
    except ImportError as error:
        raise UsageError("this result needs reservoirpy: pip install reservoirpy") from error
    inputs = np.random.default_rng(1).uniform(-0.8, 0.8, 500)[50:]
    states = Reservoir(100, sr=1, seed=1).run(inputs[:, None])
    return memory_capacity(states, inputs, 50, ridge=1e-4, test_share=100 / 400).total


def counting_optimum(language: LanguageName) -> float:
    """Return the lowest possible loss on the test strings of Lan et al. (2022), in bits per symbol.

    The optimum is the loss of the predictor that knows the distribution of n in training, geometric with p = 0.3.

    Args:
        language: A language with one number n.
    """
    numbers = torch.tensor(COUNTING_TEST)
    lengths = LANGUAGES[language].lengths(numbers, numbers)
    loss = generator_loss(lengths, 1, lambda n: (n - 1) * math.log(1 - GEOMETRIC_P) + math.log(GEOMETRIC_P))
    return loss / math.log(2)


def first_failure_of_run(folder: Path) -> float:
    """Return the first n of which a^n b^n c^n is wrong, with the last weights of a run; ``LARGEST_N + 1`` without any.

    Args:
        folder: The run folder.

    Raises:
        UsageError: The run has no weights, or its network was trained on other symbols.
    """
    network = load_network(RunLocation(folder, folder / CHECKPOINTS / LAST))
    task = Counting("an_bn_cn", max_n=LARGEST_N)
    task.adapt_to(network.spec)
    batch = task.sample(LARGEST_N, "test", torch.Generator())  # one string of each n, in order
    with torch.no_grad():
        answers = network(batch.inputs)[0].argmax(-1)
    is_right = ((answers == batch.targets) | ~batch.needs_memory).all(1)
    return first_failure({n: float(right) for n, right in enumerate(is_right.tolist(), 1)})


def stable_fixed_points_of_run(folder: Path) -> float:
    """Return the number of stable fixed points of the best network of a run at its constant input.

    Args:
        folder: The run folder.

    Raises:
        UsageError: The run is broken, or its task has no constant input.
    """
    placed = fixed_points_of(load_run(RunLocation(folder), folder.name))
    if placed is None:
        raise UsageError("the task of this run has no constant input, such as a blank")
    return float(placed.found.is_stable.sum())


def lexicon_share_of_run(folder: Path) -> float:
    """Return the share of generated words that are in the lexicon of Elman's grammar, with the last weights of a run.

    Args:
        folder: The run folder.

    Raises:
        UsageError: The run has no weights, or its network is not a language model.
    """
    network = load_network(RunLocation(folder, folder / CHECKPOINTS / LAST))
    if not isinstance(network, LanguageNetwork) or network.spec.vocabulary is None:
        raise UsageError(f"the network of {folder} is not a language model")
    return ELMAN.lexicon_share(network.generate(network.spec.vocabulary.prefix, TEXT_LENGTH, TEMPERATURE, seed=0))


COMPUTED: dict[str, Callable[[], float]] = {
    "counting_optimum_an_bn": partial(counting_optimum, "an_bn"),
    "counting_optimum_an_bn_cn": partial(counting_optimum, "an_bn_cn"),
    "counting_optimum_an_b2n": partial(counting_optimum, "an_b2n"),
    "ngram_of_windows": ngram_of_windows,
    "reservoir_memory_capacity": reservoir_memory_capacity,
}
"""Functions that compute a value without a run."""

MEASURED: dict[str, Callable[[Path], float]] = {
    "first_failure": first_failure_of_run,
    "lexicon_share": lexicon_share_of_run,
    "stable_fixed_points": stable_fixed_points_of_run,
}
"""Functions that compute a value from a run folder."""
