"""What can be read out of hidden states: past symbols by linear probes, and past numbers as memory capacity."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray

from rnn_tasks.analysis.flow import encoded, evaluating, hidden_states
from rnn_tasks.analysis.memory import (
    MemoryCapacity,
    Probe,
    drive,
    linear_probe,
    memory_capacity,
    scalar_input,
    white_noise,
)
from rnn_tasks.errors import require
from rnn_tasks.models import RecurrentModel
from rnn_tasks.plots.style import BASELINE, DOTS, LINES, UNTRAINED, legend_below, level, name_axes, panels, whole
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

SEEN = 0.02
"""Squared correlations above this one are worth being drawn."""


class Both(NamedTuple):
    """The same of a trained network and of an untrained one."""

    trained: Probe
    untrained: Probe


class Capacities(NamedTuple):
    """Memory capacities of a run, each the mean over directions."""

    trained: MemoryCapacity
    untrained: MemoryCapacity
    units: int


def reach(probed: Probe) -> int | None:
    """The longest lag up to which every probed one is above chance; None if not even the shortest is.

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
    """Which of the symbols that are read are worth remembering: letters, not blanks and markers.

    Args:
        inputs: Symbols, ``(sequences, time)``.
        spec: The task's symbols.
    """
    if spec.codec is not None:
        return np.isin(inputs, [spec.codec.index(letter) for letter in spec.codec.letters])
    return np.ones(inputs.shape, bool) if spec.blank is None else inputs != spec.blank


def lags_of(longest: int) -> list[int]:
    """The lags that are probed: all short ones, then some up to the longest.

    Example:
        >>> lags_of(5), lags_of(110)[28:]
        ([0, 1, 2, 3, 4, 5], [28, 29, 30, 40, 50, 60, 70, 80, 90, 100, 110])
    """
    if longest <= DENSE:
        return list(range(longest + 1))
    return [*range(DENSE), *sorted(set(np.linspace(DENSE, longest, WIDE + 1).round().astype(int).tolist()))]


def places(batch: Batch, spec: TaskSpec) -> Iterator[tuple[int, NDArray[np.bool_]]]:
    """Each lag with the steps at which it is probed, ``(sequences, time)``: up to the last one that is scored.

    Where these are many, some are left out in all sequences alike: what can be guessed from the step alone, such as the
    commonest symbol there, is then the same for the shuffles.

    Args:
        batch: The sequences.
        spec: The task's symbols.
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
            where[:, steps[max(1, SAMPLES * len(steps) // where.sum()) :]] = False
            yield lag, where


def probe(trained: RecurrentModel, untrained: RecurrentModel, batch: Batch) -> Both:
    """What linear probes read of past symbols, lag by lag, at the same steps of both networks.

    Args:
        trained: The network.
        untrained: One as training began.
        batch: What they read.

    Raises:
        UsageError: Too few sequences, or states that are not finite.
    """
    batch = batch.rows(0, SEQUENCES)
    symbols = batch.inputs.numpy()
    probed = list(places(batch, trained.spec))
    require(bool(probed), f"there are fewer than {LEAST_SAMPLES} steps at which a symbol could be read")

    def of(model: RecurrentModel) -> Probe:
        states = hidden_states(model, batch).double().numpy()
        found = [linear_probe(states, symbols, [lag], num_shuffles=SHUFFLES, where=where) for lag, where in probed]
        return Probe(*(np.concatenate(values) for values in zip(*found, strict=True)))

    return Both(of(trained), of(untrained))


def capacities(trained: RecurrentModel, untrained: RecurrentModel, batch: Batch | None) -> Capacities:
    """The memory capacity of both networks' layers, for white noise between the symbols that they know.

    Args:
        trained: The network.
        untrained: One as training began.
        batch: Sequences, of which the symbols are taken; None for all that the network can read.

    Raises:
        UsageError: States that are not finite, or symbols that the network cannot tell apart.
    """
    units = trained.core.hidden_size
    signal = white_noise(max(LEAST_STEPS, STEPS_PER_UNIT * units), seed=0)

    def of(model: RecurrentModel) -> MemoryCapacity:
        encodings = known_symbols(model, batch)
        with evaluating(model):
            entries = [scalar_input(encodings, seed) for seed in range(DIRECTIONS)]
            found = [memory_capacity(drive(model.core, signal, *entry), signal, 2 * units) for entry in entries]
        by_lag = np.mean([capacity.by_lag for capacity in found], axis=0)
        return MemoryCapacity(float(by_lag.sum()), found[0].lags, by_lag, found[0].chance)

    return Capacities(of(trained), of(untrained), units)


def known_symbols(model: RecurrentModel, batch: Batch | None) -> torch.Tensor:
    """What a layer reads for each symbol that tells something, ``(symbols, features)``, and for its last condition.

    Args:
        model: The network.
        batch: Sequences, of which the symbols are taken; None for all that the network can read.
    """
    there = np.arange(model.spec.input_size) if batch is None else np.unique(batch.inputs.numpy())
    symbols = torch.from_numpy(there[informative(there, model.spec)])
    condition = torch.tensor([model.spec.num_conditions - 1]) if model.spec.num_conditions else None
    return encoded(model, Batch(symbols[None], symbols[None], condition=condition))[0]


def draw_probes(probes: Sequence[tuple[str, Both]], width: float) -> Figure:
    """Accuracy of the probes by lag, a field for each run.

    Args:
        probes: Name and probes of each run.
        width: Inches.
    """
    figure, fields = panels(width, len(probes), height=2.7, sharex=True, sharey=True)
    for field, (name, (trained, untrained)) in zip(fields, probes, strict=True):
        field.plot(trained.lags, trained.accuracy, **LINES[0], **DOTS, label="trained")
        field.plot(untrained.lags, untrained.accuracy, **UNTRAINED, label="untrained")
        field.fill_between(trained.lags, trained.low, trained.high, color="0.8", linewidth=0, label="band of chance")
        field.plot(trained.lags, trained.chance, **BASELINE, label="commonest symbol")
        name_axes(field, "steps ago (lag)", "share read rightly", name if len(probes) > 1 else "")
        whole(field)
        field.set_ylim(-0.03, 1.03)
    above = [probe.lags_above_chance[-1] for _, both in probes for probe in both if probe.lags_above_chance]
    longest = max(int(probe.lags[-1]) for _, both in probes for probe in both)
    shown = min(longest, max([DENSE, *(1.5 * lag for lag in above)]))
    fields[0].set_xlim(-0.02 * shown, 1.02 * shown)
    legend_below(figure, fields[0], width)
    return figure


def draw_capacities(found: Sequence[tuple[str, Capacities]], width: float) -> Figure:
    """Squared correlation by lag, a field for each run.

    Args:
        found: Name and capacities of each run.
        width: Inches.
    """
    figure, fields = panels(width, len(found), height=2.7, sharex=True, sharey=True)
    for field, (name, (trained, untrained, _)) in zip(fields, found, strict=True):
        field.plot(trained.lags, trained.by_lag, **LINES[0], linewidth=1.6, zorder=3, label="trained")
        field.plot(untrained.lags, untrained.by_lag, **UNTRAINED, label="untrained")
        level(field, trained.chance / len(trained.lags), "chance", BASELINE)
        name_axes(field, "steps ago (lag)", "squared correlation", name if len(found) > 1 else "")
        whole(field)
        field.set_ylim(-0.03, 1.03)
    seen = [c.lags[c.by_lag > SEEN].max(initial=10) for _, both in found for c in both[:2]]
    fields[0].set_xlim(0, 1.1 * max(seen))
    legend_below(figure, fields[0], width)
    return figure
