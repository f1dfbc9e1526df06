"""The state of a recurrent layer: tensors, possibly nested in tuples, lists and dictionaries."""

from collections.abc import Callable
from typing import Any

from torch import Tensor

State = Tensor | tuple[Tensor, ...] | Any
"""The state that a layer returns after a sequence and takes before the next one; only the layer interprets it."""


def map_state(state: State, function: Callable[[Tensor], Tensor]) -> State:
    """Apply a function to every tensor of a state; return a state of the same structure.

    Args:
        state: Tensors in tuples, named tuples, lists and dictionaries, nested to any depth; other objects are kept.
        function: Maps a tensor to a tensor.

    Example:
        >>> import torch
        >>> map_state((torch.zeros(1), [torch.ones(1)]), torch.neg)
        (tensor([-0.]), [tensor([-1.])])
    """
    if isinstance(state, Tensor):
        return function(state)
    if isinstance(state, dict):
        return {name: map_state(value, function) for name, value in state.items()}
    if isinstance(state, tuple) and hasattr(state, "_fields"):
        return type(state)(*(map_state(value, function) for value in state))
    if isinstance(state, tuple):
        return tuple(map_state(value, function) for value in state)
    if isinstance(state, list):
        return [map_state(value, function) for value in state]
    return state


def state_numbers(state: State) -> int:
    """Return how many numbers the tensors of a state hold; a complex number counts as two.

    Args:
        state: As in :func:`map_state`.

    Example:
        >>> import torch
        >>> state_numbers((torch.zeros(1, 3), [torch.ones(1, 2, dtype=torch.complex64)]))
        7
    """
    total = 0

    def count(values: Tensor) -> Tensor:
        nonlocal total
        total += values.numel() * (2 if values.is_complex() else 1)
        return values

    map_state(state, count)
    return total
