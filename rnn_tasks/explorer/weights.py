"""The weights of a network in a page: as many moments of the training as fit, and what storing them changes."""

from collections.abc import Collection, Mapping, Sequence
from copy import deepcopy
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized

from rnn_tasks.analysis.dynamics import eigenvalues
from rnn_tasks.analysis.snapshots import Snapshots, effective_weights
from rnn_tasks.explorer.arrays import decoded, exact, scaled
from rnn_tasks.networks import Network
from rnn_tasks.spec import Batch

MAX_MOMENTS = 16
"""Largest number of moments of a training in a page."""

ARRAY_BYTES = 150
"""Approximate number of bytes of an array in JSON besides its data: name, type, shape and scale."""


def stored_weights(network: Network, bits: int) -> dict[str, dict[str, Any]]:
    """Return the weights of a network by name, see :func:`rnn_tasks.analysis.snapshots.effective_weights`.

    Args:
        network: The network.
        bits: 32 for exact weights, or 16.
    """
    with torch.no_grad():
        return {name: (exact if bits == 32 else scaled)(weight) for name, weight in effective_weights(network).items()}


def eigenvalue_arrays(values: Mapping[str, Tensor]) -> dict[str, dict[str, Any]]:
    """Return eigenvalues by the names of their matrices, with a column of real and one of imaginary parts.

    Args:
        values: Complex numbers, ``(n,)`` each, see :func:`rnn_tasks.analysis.eigenvalues`.
    """
    return {name: exact(torch.view_as_real(numbers)) for name, numbers in values.items()}


def size_in_page(numbers: int, bits: int, arrays: int) -> int:
    """Return about how many bytes arrays take in a page.

    Args:
        numbers: The number of values in all arrays.
        bits: Bits of each value.
        arrays: The number of arrays.
    """
    return numbers * bits // 8 * 4 // 3 + arrays * ARRAY_BYTES


def weights_size(network: Network, bits: int) -> int:
    """Return about how many bytes the weights of a network take in a page.

    Args:
        network: The network.
        bits: Bits of each weight.
    """
    weights = effective_weights(network)
    return size_in_page(sum(weight.numel() for weight in weights.values()), bits, len(weights))


def moment_size(network: Network) -> int:
    """Return about how many bytes a moment of the training of a network takes in a page.

    Args:
        network: The network.
    """
    shown = eigenvalues(network)
    return weights_size(network, 16) + size_in_page(2 * sum(map(len, shown.values())), 32, len(shown))


def moment_values(
    snapshots: Snapshots, network: Network, most_bytes: int, trained_steps: int | None = None
) -> list[dict[str, Any]]:
    """Return moments of a training: the first one, and others at about equal distances, as many as fit.

    Snapshots with weights that are not finite, with the weights of the network itself, and of later steps than the
    network are left out.

    Args:
        snapshots: The snapshots of the training.
        network: The trained network.
        most_bytes: The size in a page that the moments may have.
        trained_steps: Optimizer steps of the trained network; None if unknown.

    Returns:
        At most :data:`MAX_MOMENTS` moments, the oldest first; none if the snapshots are of another network.
    """
    trained = effective_weights(network)
    shapes = {name: weight.shape for name, weight in trained.items()}
    if {name: rows.shape[1:] for name, rows in snapshots.weights.items()} != shapes:
        return []
    earlier = [
        index for index, step in enumerate(snapshots.steps.tolist()) if trained_steps is None or step < trained_steps
    ]
    usable = [index for index in earlier if is_usable(snapshots, index, trained)]
    count = min(MAX_MOMENTS, most_bytes // moment_size(network))
    names = eigenvalues(network)
    return [moment(snapshots, index, names) for index in spread(usable, count)]


def is_usable(snapshots: Snapshots, index: int, trained: Mapping[str, Tensor]) -> bool:
    """Return whether the weights of a snapshot are finite and not those of the trained network.

    Args:
        snapshots: The snapshots.
        index: The index of the snapshot.
        trained: The weights of the trained network by name.
    """
    weights = {name: rows[index] for name, rows in snapshots.weights.items()}
    is_finite = all(bool(weight.isfinite().all()) for weight in weights.values())
    return is_finite and not all(torch.equal(weight, trained[name]) for name, weight in weights.items())


def moment(snapshots: Snapshots, index: int, names: Collection[str]) -> dict[str, Any]:
    """Return a snapshot as values of a page.

    Args:
        snapshots: The snapshots.
        index: The index of the snapshot.
        names: Names of the eigenvalues that the page shows.
    """
    return {
        "step": int(snapshots.steps[index]),
        "weights": {name: scaled(rows[index]) for name, rows in snapshots.weights.items()},
        "eigenvalues": eigenvalue_arrays({name: snapshots.eigenvalues[name][index] for name in names}),
    }


def spread(items: Sequence[int], count: int) -> list[int]:
    """Return some items at about equal distances, the first and the last included; only the first if ``count`` is 1.

    Args:
        items: The items.
        count: The number of items to return; all if there are not more.

    Example:
        >>> spread(range(10), 4), spread(range(10), 1), spread(range(3), 5), spread(range(3), 0)
        ([0, 3, 6, 9], [0], [0, 1, 2], [])
    """
    if count >= len(items):
        return list(items)
    return [items[position] for position in np.linspace(0, len(items) - 1, max(0, count)).round().astype(int)]


def precision_values(
    network: Network, weights: Mapping[str, Mapping[str, Any]], batch: Batch | None, bits: int
) -> dict[str, Any]:
    """Return how much the stored weights change the answers of a network.

    Args:
        network: The network.
        weights: The stored weights by name.
        batch: The stored sequences; None without any: then no answers are compared.
        bits: Bits of each stored weight.

    Returns:
        ``bits``; ``answers``, the number of compared answers (0 for real values); ``changed``, the number of those that
        differ; ``largest_change`` of a probability or a real output at a scored step, None without sequences or if an
        output is not a number.
    """
    if batch is None:
        return {"bits": bits, "answers": 0, "changed": 0, "largest_change": None}
    copy = with_weights(network, {name: torch.from_numpy(decoded(dict(array))) for name, array in weights.items()})
    with torch.no_grad():
        before: Tensor = network(batch.inputs, batch.condition)[0]
        after: Tensor = copy(batch.inputs, batch.condition)[0]
    if network.spec.real_targets:
        answers, changed, difference = 0, 0, after - before
    else:
        counted = batch.needs_memory
        answers, changed = int(counted.sum()), int((before.argmax(-1) != after.argmax(-1))[counted].sum())
        difference = after.softmax(-1) - before.softmax(-1)
    change = float(difference[batch.scored].abs().max())
    return {
        "bits": bits,
        "answers": answers,
        "changed": changed,
        "largest_change": change if np.isfinite(change) else None,
    }


class Fixed(nn.Module):
    """A parametrization whose result is a fixed weight.

    Args:
        weight: The weight.
    """

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, *values: Tensor) -> Tensor:
        """Return the weight, whatever the parameters are."""
        return self.weight


def with_weights(network: Network, weights: Mapping[str, Tensor]) -> Network:
    """Return a copy of a network with other weights.

    Args:
        network: The network.
        weights: All weights by the names of :func:`rnn_tasks.analysis.snapshots.effective_weights`.
    """
    copy = deepcopy(network)
    with torch.no_grad():
        for name, parameter in copy.named_parameters():
            if name in weights:
                parameter.copy_(weights[name])
    for path, module in copy.named_modules():
        if is_parametrized(module):
            assert isinstance(module.parametrizations, nn.ModuleDict)
            for name, maps in module.parametrizations.items():
                assert isinstance(maps, nn.ModuleList)
                maps[-1] = Fixed(weights[f"{path}.{name}".lstrip(".")].to(network.dtype))
    return copy
