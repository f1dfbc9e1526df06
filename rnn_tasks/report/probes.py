"""What can be read from hidden states: past symbols by linear probes, and past numbers as memory capacity."""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from rnn_tasks.analysis.flow import encoded, evaluating, hidden_states
from rnn_tasks.analysis.linear_probe import Probe, linear_probe
from rnn_tasks.analysis.memory import MemoryCapacity, drive, memory_capacity, scalar_input, white_noise
from rnn_tasks.errors import require
from rnn_tasks.networks import Network
from rnn_tasks.plots.memory import Capacities, ProbePair
from rnn_tasks.spec import Batch, TaskSpec

DENSE, WIDE = 30, 8
"""Up to this lag all are probed; beyond it, about so many up to the longest."""

SEQUENCES, SAMPLES, LEAST_SAMPLES = 300, 3000, 100
"""Sequences that are probed, and about how many places in them a lag is probed at, at most and at least."""

SHUFFLES = 10
DIRECTIONS = 3
"""Ways into the layer that memory capacity is the mean of."""

STEPS_PER_UNIT, LEAST_STEPS = 30, 2000
"""Numbers that a layer is driven with."""


def reach(probed: Probe) -> int | None:
    """Return the longest lag up to which every probe is above chance; None if not even the shortest one is.

    Args:
        probed: Probes by lag.
    """
    above = set(probed.lags_above_chance)
    found = None
    for lag in probed.lags.tolist():
        if lag not in above:
            break
        found = lag
    return found


def informative(inputs: NDArray[np.int64], spec: TaskSpec) -> NDArray[np.bool_]:
    """Return which of the symbols that are read are letters, not blanks or markers.

    Args:
        inputs: Symbols, ``(sequences, time)``.
        spec: The task's symbols.
    """
    if spec.codec is not None:
        return np.isin(inputs, [spec.codec.index(letter) for letter in spec.codec.letters])
    return np.ones(inputs.shape, bool) if spec.blank is None else inputs != spec.blank


def lags_of(longest: int) -> list[int]:
    """Return the lags that are probed: all short ones, then some up to the longest.

    Example:
        >>> lags_of(5), lags_of(110)[28:]
        ([0, 1, 2, 3, 4, 5], [28, 29, 30, 40, 50, 60, 70, 80, 90, 100, 110])
    """
    if longest <= DENSE:
        return list(range(longest + 1))
    return [*range(DENSE), *sorted(set(np.linspace(DENSE, longest, WIDE + 1).round().astype(int).tolist()))]


def probed_steps(batch: Batch, spec: TaskSpec, samples: int = SAMPLES) -> Iterator[tuple[int, NDArray[np.bool_]]]:
    """Yield each lag with the steps at which it is probed, ``(sequences, time)``, up to the last scored step.

    Where these are many, some are left out in all sequences alike: what can be guessed from the step alone, such as the
    commonest symbol there, is then the same for the shuffles.

    Args:
        batch: The sequences.
        spec: The task's symbols.
        samples: The approximate largest number of samples at a lag.
    """
    telling = informative(batch.inputs.numpy(), spec)
    inside = batch.scored.numpy()[:, ::-1].cumsum(axis=1)[:, ::-1] > 0
    time = telling.shape[1]

    def at(lag: int) -> NDArray[np.bool_]:
        where = inside.copy()
        where[:, :lag] = False
        where[:, lag:] &= telling[:, : time - lag]
        return where

    there = [lag for lag in range(time) if at(lag).sum() >= LEAST_SAMPLES]
    for lag in lags_of(max(there, default=-1)) if there else []:
        where = at(lag)
        if where.sum() >= LEAST_SAMPLES:
            steps = np.random.default_rng(lag).permutation(np.flatnonzero(where.any(axis=0)))
            where[:, steps[max(1, samples * len(steps) // where.sum()) :]] = False
            yield lag, where


def probe(trained: Network, untrained: Network, batch: Batch) -> ProbePair:
    """Fit linear probes of past symbols, lag by lag, at the same steps of both networks.

    Args:
        trained: The network.
        untrained: One as training began.
        batch: What they read.

    Raises:
        UsageError: Too few sequences, or states that are not finite.
    """
    batch = batch.rows(0, SEQUENCES)
    symbols = batch.inputs.numpy()
    probed = list(probed_steps(batch, trained.spec))
    require(bool(probed), f"there are fewer than {LEAST_SAMPLES} steps at which a symbol could be read")

    def of(network: Network) -> Probe:
        states = hidden_states(network, batch).double().numpy()
        found = [linear_probe(states, symbols, [lag], num_shuffles=SHUFFLES, where=where) for lag, where in probed]
        return Probe(*(np.concatenate(values) for values in zip(*found, strict=True)))

    return ProbePair(of(trained), of(untrained))


def capacities(trained: Network, untrained: Network, batch: Batch | None) -> Capacities:
    """Return the memory capacity of the layers of both networks, for white noise between the symbols that they know.

    Args:
        trained: The network.
        untrained: One as training began.
        batch: Sequences, of which the symbols are taken; None for all that the network can read.

    Raises:
        UsageError: States that are not finite, or symbols that the network cannot tell apart.
    """
    units = trained.core.hidden_size
    signal = white_noise(max(LEAST_STEPS, STEPS_PER_UNIT * units), seed=0)

    def of(network: Network) -> MemoryCapacity:
        encodings = known_symbols(network, batch)
        with evaluating(network):
            entries = [scalar_input(encodings, seed) for seed in range(DIRECTIONS)]
            found = [memory_capacity(drive(network.core, signal, *entry), signal, 2 * units) for entry in entries]
        by_lag = np.mean([capacity.by_lag for capacity in found], axis=0)
        return MemoryCapacity(float(by_lag.sum()), found[0].lags, by_lag, found[0].chance)

    return Capacities(of(trained), of(untrained), units)


def known_symbols(network: Network, batch: Batch | None) -> torch.Tensor:
    """Return what a layer reads for each letter with the last condition, ``(symbols, features)``.

    Args:
        network: The network.
        batch: Sequences, of which the symbols are taken; None for all that the network can read.
    """
    there = np.arange(network.spec.input_size) if batch is None else np.unique(batch.inputs.numpy())
    symbols = torch.from_numpy(there[informative(there, network.spec)])
    condition = torch.tensor([network.spec.num_conditions - 1]) if network.spec.num_conditions else None
    return encoded(network, Batch(symbols[None], symbols[None], condition=condition))[0]
