"""Measure the memory in hidden states: linear probes of past symbols, and memory capacity."""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from rnn_tasks.analysis.flow import encoded, evaluating, hidden_states
from rnn_tasks.analysis.linear_probe import Probe, linear_probe
from rnn_tasks.analysis.memory import MemoryCapacity, drive, memory_capacity, scalar_input, white_noise
from rnn_tasks.errors import UsageError, require
from rnn_tasks.networks import Network
from rnn_tasks.plots.memory import Capacities, ProbePair
from rnn_tasks.spec import Batch, TaskSpec

DENSE, SPARSE = 30, 8
"""All lags up to ``DENSE`` are probed, and about ``SPARSE`` longer lags up to the longest."""

SEQUENCES, MAX_SAMPLES, MIN_SAMPLES = 300, 3000, 100
"""Number of sequences, and approximate bounds of the number of steps at which a lag is probed, over all sequences."""

SHUFFLES = 10
"""Number of probes with symbols of other sequences, for the chance range."""

DIRECTIONS = 3
"""Number of random input directions over which the memory capacity is averaged."""

STEPS_PER_UNIT, MIN_STEPS = 30, 2000
"""The input of the memory capacity has ``STEPS_PER_UNIT`` steps per unit, at least ``MIN_STEPS``."""


def reach(probed: Probe) -> int | None:
    """Return the longest lag up to which all probes are above chance; None if the probe of the first lag is not.

    Args:
        probed: The probes by lag.
    """
    above = set(probed.lags_above_chance)
    longest = None
    for lag in probed.lags.tolist():
        if lag not in above:
            break
        longest = lag
    return longest


def informative(inputs: NDArray[np.int64], spec: TaskSpec) -> NDArray[np.bool_]:
    """Return a mask of the input symbols that are letters, not blanks or markers.

    Args:
        inputs: The input symbols, ``(sequences, time)``.
        spec: The symbols of the task.
        max_samples: The approximate largest number of samples at a lag.
    """
    if spec.codec is not None:
        return np.isin(inputs, [spec.codec.index(letter) for letter in spec.codec.letters])
    return np.ones(inputs.shape, bool) if spec.blank is None else inputs != spec.blank


def lags_of(longest: int) -> list[int]:
    """Return the probed lags: all short lags, and some longer lags up to the longest.

    Example:
        >>> lags_of(5), lags_of(110)[28:]
        ([0, 1, 2, 3, 4, 5], [28, 29, 30, 40, 50, 60, 70, 80, 90, 100, 110])
    """
    if longest <= DENSE:
        return list(range(longest + 1))
    return [*range(DENSE), *sorted(set(np.linspace(DENSE, longest, SPARSE + 1).round().astype(int).tolist()))]


def probed_steps(
    batch: Batch, spec: TaskSpec, max_samples: int = MAX_SAMPLES
) -> Iterator[tuple[int, NDArray[np.bool_]]]:
    """Yield each lag with a mask of the steps at which it is probed, ``(sequences, time)``, up to the last scored step.

    If a lag has too many steps, the same steps are omitted in all sequences. So the shuffled probes see the same time
    steps, and any accuracy that follows from the time step alone counts as chance.

    Args:
        batch: The sequences.
        spec: The symbols of the task.
        max_samples: The approximate largest number of samples at a lag.
    """
    letters = informative(batch.inputs.numpy(), spec)
    not_after_end = batch.scored.numpy()[:, ::-1].cumsum(axis=1)[:, ::-1] > 0
    time = letters.shape[1]

    def mask_of(lag: int) -> NDArray[np.bool_]:
        mask = not_after_end.copy()
        mask[:, :lag] = False
        mask[:, lag:] &= letters[:, : time - lag]
        return mask

    possible = [lag for lag in range(time) if mask_of(lag).sum() >= MIN_SAMPLES]
    for lag in lags_of(max(possible)) if possible else []:
        mask = mask_of(lag)
        if mask.sum() >= MIN_SAMPLES:
            steps = np.random.default_rng(lag).permutation(np.flatnonzero(mask.any(axis=0)))
            mask[:, steps[max(1, max_samples * len(steps) // mask.sum()) :]] = False
            yield lag, mask


def probe(trained: Network, untrained: Network, batch: Batch) -> ProbePair:
    """Fit a linear probe of past symbols for each lag, at the same steps of both networks.

    Args:
        trained: The trained network.
        untrained: The network before training.
        batch: The sequences that the networks read.

    Raises:
        UsageError: The inputs are real, there are too few sequences, or a hidden state is not finite.
    """
    require(not trained.spec.real_inputs, "the inputs are real numbers, and a probe reads a past symbol")
    batch = batch.rows(0, SEQUENCES)
    symbols = batch.inputs.numpy()
    probed = list(probed_steps(batch, trained.spec))
    require(
        bool(probed), f"linear probes need at least {MIN_SAMPLES} steps with a letter; the test sequences have fewer"
    )

    def fit(network: Network) -> Probe:
        states = hidden_states(network, batch).double().numpy()
        probes = [linear_probe(states, symbols, [lag], num_shuffles=SHUFFLES, where=mask) for lag, mask in probed]
        return Probe(*(np.concatenate(values) for values in zip(*probes, strict=True)))

    return ProbePair(fit(trained), fit(untrained))


def capacities(trained: Network, untrained: Network, batch: Batch | None) -> Capacities:
    """Return the memory capacities of two networks, for white noise along directions between encoded inputs.

    Args:
        trained: The trained network.
        untrained: The network before training.
        batch: Sequences that contain the used inputs; None for all input symbols of the network.

    Raises:
        UsageError: A hidden state is not finite, the network encodes all inputs alike, or there are no sequences with
            real inputs.
    """
    return Capacities(mean_capacity(trained, batch), mean_capacity(untrained, batch), units=trained.core.hidden_size)


def mean_capacity(network: Network, batch: Batch | None) -> MemoryCapacity:
    """Return the memory capacity of a network as a mean over random input directions, see :func:`capacities`.

    Args:
        network: The network.
        batch: Sequences that contain the used inputs; None for all input symbols of the network.

    Raises:
        UsageError: As for :func:`capacities`.
    """
    units = network.core.hidden_size
    signal = white_noise(max(MIN_STEPS, STEPS_PER_UNIT * units), seed=0)
    encodings = encoded_values(network, batch) if network.spec.real_inputs else encoded_letters(network, batch)
    with evaluating(network):
        inputs = [scalar_input(encodings, seed) for seed in range(DIRECTIONS)]
        results = [memory_capacity(drive(network.core, signal, *one), signal, 2 * units) for one in inputs]
    by_lag = np.mean([capacity.by_lag for capacity in results], axis=0)
    return MemoryCapacity(float(by_lag.sum()), results[0].lags, by_lag, results[0].chance)


def encoded_values(network: Network, batch: Batch | None) -> torch.Tensor:
    """Return the encoded real inputs of some sequences, ``(steps, features)``.

    Args:
        network: The network.
        batch: The sequences.

    Raises:
        UsageError: There are no sequences.
    """
    if batch is None:
        raise UsageError("the memory capacity of a network with real inputs needs test sequences")
    return encoded(network, batch.rows(0, SEQUENCES)).flatten(0, 1)[:MAX_SAMPLES]


def encoded_letters(network: Network, batch: Batch | None) -> torch.Tensor:
    """Return the encoding of each letter with the last condition, ``(symbols, features)``.

    Args:
        network: The network.
        batch: Sequences that contain the used symbols; None for all input symbols of the network.
    """
    present = np.arange(network.spec.input_size) if batch is None else np.unique(batch.inputs.numpy())
    symbols = torch.from_numpy(present[informative(present, network.spec)])
    condition = torch.tensor([network.spec.num_conditions - 1]) if network.spec.num_conditions else None
    return encoded(network, Batch(symbols[None], symbols[None], condition=condition))[0]
