"""Functions of torch.linalg on devices that lack some of them, such as Apple's GPU."""

from collections.abc import Callable
from typing import Any

from torch import Tensor

from rnn_tasks.cores.state import map_state


def with_cpu_fallback(function: Callable[..., Any], *tensors: Tensor) -> Any:
    """Call a function; if the device of the tensors lacks an operation, call it on the CPU.

    Gradients flow through both ways.

    Args:
        function: Takes the tensors, and returns a tensor or a tuple of tensors.
        tensors: At least one tensor, all on the same device.

    Returns:
        What the function returns, on the device of the tensors.

    Raises:
        NotImplementedError: The CPU lacks the operation too.

    Example:
        >>> import torch
        >>> with_cpu_fallback(torch.linalg.svdvals, torch.diag(torch.tensor([2.0, -3.0])))
        tensor([3., 2.])
    """
    try:
        return function(*tensors)
    except NotImplementedError:  # torch's error for an operation that a device lacks
        device = tensors[0].device
        return map_state(function(*(tensor.cpu() for tensor in tensors)), lambda result: result.to(device))
