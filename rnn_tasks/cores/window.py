"""The last few inputs of every time step."""

import torch
from torch import Tensor


def last_inputs(inputs: Tensor, past: Tensor | None, window: int) -> tuple[Tensor, Tensor]:
    """Return for each step the input x_t and the ``window - 1`` inputs before it, newest first.

    Args:
        inputs: ``(batch, time, input_size)``.
        past: The ``window - 1`` inputs before the first step, oldest first, ``(batch, (window - 1) * input_size)``;
            None for zeros.
        window: Number of inputs, ``>= 1``.

    Returns:
        The inputs of each step, ``(batch, time, window * input_size)``, and the inputs before the next step, in the
        shape of ``past``.

    Example:
        >>> last_inputs(torch.tensor([[[1.0], [2.0], [3.0]]]), None, window=2)
        (tensor([[[1., 0.],
                 [2., 1.],
                 [3., 2.]]]), tensor([[3.]]))
    """
    batch, time, size = inputs.shape
    if window == 1:
        return inputs.contiguous(), inputs.new_zeros(batch, 0)
    shape = (batch, window - 1, size)
    past = inputs.new_zeros(shape) if past is None else past.view(shape).to(inputs.dtype)
    inputs = torch.cat([past, inputs], 1)
    shifted = [inputs[:, start : start + time] for start in reversed(range(window))]
    return torch.cat(shifted, 2), inputs[:, time:].flatten(1)
