"""The traces of a network that a page cannot run: states, gates and answers on a few sequences."""

from contextlib import suppress
from typing import Any, NamedTuple

import torch
from torch import Tensor

from rnn_tasks.analysis.flow import encoded, evaluating, hidden_states, state_trajectory
from rnn_tasks.analysis.gates import gate_activity
from rnn_tasks.cores import map_state
from rnn_tasks.errors import require
from rnn_tasks.explorer.arrays import scaled
from rnn_tasks.explorer.live import StatePart
from rnn_tasks.networks import Network
from rnn_tasks.spec import Batch

MAX_SEQUENCES = 20
"""Largest number of recorded sequences."""

MAX_BYTES = 1_500_000
"""Approximate size of the traces in a page. Fewer sequences are recorded if they are long, and no states if those of
one sequence are larger."""


class Recording(NamedTuple):
    """The traces of a network.

    Attributes:
        parts: The parts of the state.
        values: The traces as values of a page.
        sequences: Number of recorded sequences.
    """

    parts: list[StatePart]
    values: dict[str, Any]
    sequences: int


def record(network: Network, batch: Batch) -> Recording:
    """Record a network on the first sequences of a batch.

    Args:
        network: The network.
        batch: The stored sequences.

    Raises:
        UsageError: A state or an answer is not finite.
    """
    first = traces_of(network, batch.rows(0, 1))
    if size_in_page(first) > MAX_BYTES:
        first.pop("states", None)
    batch = batch.rows(0, max(1, min(MAX_SEQUENCES, MAX_BYTES // size_in_page(first))))
    traces = {name: trace for name, trace in traces_of(network, batch).items() if name in first}
    require(all(bool(trace.isfinite().all()) for trace in traces.values()), "its states or answers are not finite")
    hidden, outputs, states = traces.pop("hidden"), traces.pop("outputs"), traces.pop("states", None)
    values = {
        "outputs": scaled(outputs),
        "gates": {name: scaled(gate) for name, gate in traces.items()},
    }
    shown = hidden if states is None else states
    parts = [StatePart("output", 0, shown.shape[-1])] if states is None else tensor_parts(network, batch)
    return Recording(parts, values | {"states": scaled(shown)}, len(batch.inputs))


def tensor_parts(network: Network, batch: Batch) -> list[StatePart]:
    """Return the tensors of the state of a network as parts, such as ``state 1`` and ``state 2``.

    Args:
        network: The network.
        batch: Sequences.
    """
    sizes: list[int] = []

    def keep(values: Tensor) -> Tensor:
        sizes.append(values.numel())
        return values

    with torch.no_grad(), evaluating(network):
        map_state(network.core(encoded(network, batch.rows(0, 1))[:, :1])[1], keep)
    names = ["state"] if len(sizes) == 1 else [f"state {i + 1}" for i in range(len(sizes))]
    return [StatePart(name, sum(sizes[:i]), size) for i, (name, size) in enumerate(zip(names, sizes, strict=True))]


def size_in_page(traces: dict[str, Tensor]) -> int:
    """Return about how many bytes traces take in a page."""
    return sum(trace.numel() for trace in traces.values()) * 2 * 4 // 3


def traces_of(network: Network, batch: Batch) -> dict[str, Tensor]:
    """Return the outputs of the layer and of the network, and if they can be computed the states and the gates.

    States need a layer that can be called step by step, and whose state can be flattened. Gates are computed from them.

    Args:
        network: The network.
        batch: The sequences.

    Returns:
        ``hidden`` and ``outputs``, then ``states`` and the gates by name, ``(batch, time, ...)`` each.
    """
    traces = {"hidden": hidden_states(network, batch)}
    with torch.no_grad(), evaluating(network):
        traces["outputs"] = network(batch.inputs, batch.condition)[0]
    with suppress(Exception):  # a layer of another package may raise any exception
        traces["states"] = state_trajectory(network, batch)
    return traces | gate_activity(network, batch) if "states" in traces else traces
