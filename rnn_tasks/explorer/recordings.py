"""The traces of a network that a page cannot run: states, gates and answers on a few sequences."""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from rnn_tasks.analysis.flow import evaluating, hidden_states, state_trajectory
from rnn_tasks.analysis.gates import gate_activity
from rnn_tasks.errors import UsageError, require
from rnn_tasks.explorer.arrays import scaled
from rnn_tasks.networks import Network
from rnn_tasks.spec import Batch

MAX_SEQUENCES = 20
"""Largest number of recorded sequences."""

MAX_BYTES = 1_500_000
"""Approximate size of the traces in a page; fewer sequences are recorded if they are long."""


class Recording(NamedTuple):
    """The traces of a network.

    Attributes:
        parts: The name and the size of each part of the state.
        outputs: First column and size of the outputs of the layer in the state; None if they are no part of it.
        values: The traces as values of a page.
        sequences: Number of recorded sequences.
    """

    parts: list[tuple[str, int]]
    outputs: tuple[int, int] | None
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
    size = network.core.hidden_size
    batch = batch.rows(0, MAX_SEQUENCES)
    hidden, states = hidden_states(network, batch), states_of(network, batch)
    with torch.no_grad(), evaluating(network):
        logits: Tensor = network(batch.inputs, batch.condition)[0]
    gates = gate_activity(network, batch)
    traces = {"states": hidden if states is None else states, "logits": logits, **gates}
    numbers = sum(trace[0].numel() for trace in traces.values())
    count = max(1, min(len(hidden), MAX_BYTES // max(1, numbers * 2 * 4 // 3)))
    finite = all(bool(trace[:count].isfinite().all()) for trace in traces.values())
    require(finite, "its states or answers are not finite")
    values = {
        "states": scaled(traces["states"][:count]),
        "logits": scaled(logits[:count]),
        "gates": {name: scaled(gate[:count]) for name, gate in gates.items()},
    }
    if states is None:
        return Recording([("output", size)], (0, size), values, count)
    return Recording([("state", states.shape[-1])], columns_of(hidden, states), values, count)


def states_of(network: Network, batch: Batch) -> Tensor | None:
    """Return the states after each step, ``(batch, time, state_size)``; None if they cannot be flattened.

    Args:
        network: The network.
        batch: The sequences.
    """
    try:
        return state_trajectory(network, batch)
    except UsageError:
        return None


def columns_of(hidden: Tensor, states: Tensor) -> tuple[int, int] | None:
    """Return the first column and the number of the columns of the states that are the outputs of the layer.

    Args:
        hidden: The outputs of the layer, ``(batch, time, hidden_size)``.
        states: The states, ``(batch, time, state_size)``.

    Returns:
        The last matching columns, as those of the last of several layers; None if the states do not hold the outputs.

    Example:
        >>> columns_of(torch.ones(1, 3, 2), torch.tensor([0.0, 0, 1, 1, 2, 2]).expand(1, 3, 6))
        (2, 2)
    """
    size = hidden.shape[-1]
    starts = range(0, states.shape[-1] - size + 1, size)
    matching = [start for start in starts if torch.allclose(states[..., start : start + size], hidden, atol=1e-5)]
    return (matching[-1], size) if matching else None
