"""The state of a recurrent layer: tensors, in tuples, lists and dictionaries that only the layer looks into."""

from collections.abc import Callable
from typing import Any

from torch import Tensor

State = Tensor | tuple[Tensor, ...] | Any
"""What a layer carries from one call to the next."""


def map_state(state: State, function: Callable[[Tensor], Tensor]) -> State:
    """Apply a function to all tensors of a state.

    Args:
        state: Tensors, in tuples, lists and dictionaries, nested as they like; anything else stays as it is.
        function: From a tensor to a tensor.

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
