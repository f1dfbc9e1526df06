"""Filters with a complex diagonal recurrence, as matrix products over chunks of steps.

Every channel has states of its own, which all read the channel's value. The states of all steps would take many times
the memory of the values, so only the states between chunks are computed.
"""

import torch
from torch import Tensor
from torch.nn import functional

from rnn_tasks.cores.linear_scan import linear_scan

CHUNK = 32
"""Steps of a chunk."""


def diagonal_filter(values: Tensor, rates: Tensor, weights: Tensor, start: Tensor) -> tuple[Tensor, Tensor]:
    """Return ``y_t = Re(sum over n of w_n h_{t,n})`` with ``h_t = exp(rate) h_{t-1} + u_t``, for each channel.

    Args:
        values: The values u, real, ``(time, batch, channels)`` with at least one step.
        rates: The logarithms of the factors, complex, ``(channels, states)``.
        weights: The weights w, complex, ``(channels, states)``.
        start: The states before the first step, complex, ``(batch, channels, states)``.

    Returns:
        The outputs, ``(time, batch, channels)``, and the states after the last step.

    Example:
        >>> rates, weights = torch.tensor([[0.5]]).log().cfloat(), torch.ones(1, 1).cfloat()
        >>> outputs, _ = diagonal_filter(torch.ones(3, 1, 1), rates, weights, torch.zeros(1, 1, 1).cfloat())
        >>> outputs.flatten()
        tensor([1.0000, 1.5000, 1.7500])
    """
    outputs = []
    for part in torch.split(values, [len(values) % CHUNK, len(values) - len(values) % CHUNK]):
        if len(part):
            filtered, start = filter_chunks(part, rates, weights, start, min(len(part), CHUNK))
            outputs.append(filtered)
    return torch.cat(outputs), start


def filter_chunks(values: Tensor, rates: Tensor, weights: Tensor, start: Tensor, length: int) -> tuple[Tensor, Tensor]:
    """Compute :func:`diagonal_filter` for a number of steps that is a multiple of ``length``."""
    (time, batch, channels), chunks, states = values.shape, len(values) // length, rates.shape[1]
    powers = torch.exp(rates[..., None] * torch.arange(length + 1, device=values.device))
    weighted = weights[..., None] * powers
    columns = values.view(chunks, length, batch, channels).permute(3, 1, 0, 2).flatten(2)

    # The states at the end of each chunk as if it started from zero, then the states from chunk to chunk.
    to_end = torch.view_as_real(powers[..., :-1].flip(-1)).transpose(2, 3).flatten(1, 2)
    ends = torch.complex(*(to_end @ columns).view(channels, states, 2, chunks, batch).unbind(2))
    after = linear_scan(powers[..., -1], ends.permute(2, 3, 0, 1).contiguous(), start)
    before = torch.cat([start[None], after[:-1]]).permute(2, 3, 0, 1).flatten(2)
    before = torch.stack([before.real, before.imag], 2).flatten(1, 2)

    # Row t and column s of the kernel's matrix hold the kernel at t - s, zero for t < s.
    kernel = functional.pad(weighted[..., :-1].real.sum(1), (length - 1, 0)).unfold(1, length, 1).flip(-1)
    of_start = torch.stack([weighted.real, -weighted.imag], 2)[..., 1:].flatten(1, 2).transpose(1, 2)
    outputs = torch.baddbmm(kernel @ columns, of_start, before)
    return outputs.view(channels, length, chunks, batch).permute(2, 1, 3, 0).reshape(time, batch, channels), after[-1]
