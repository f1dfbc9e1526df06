"""Lengths of sequences: random in training, rotating in validation and test."""

import torch
from torch import Tensor


def draw_lengths(
    low: int, high: int, num_sequences: int, split: str, generator: torch.Generator, one_per_batch: bool = False
) -> Tensor:
    """Return a length for each sequence of a batch, ``(num_sequences,)`` int64.

    Training lengths are uniform in ``low..high``. Validation and test lengths rotate (``low``, ``low + 1``, ...,
    ``high``, ``low``, ...), so that each length occurs equally often.

    Args:
        low: Shortest length.
        high: Longest length, ``>= low``.
        num_sequences: Number of sequences.
        split: ``train``, ``val`` or ``test``.
        generator: The source of random numbers.
        one_per_batch: Whether all sequences of a training batch have the same random length, so that none is padded.

    Example:
        >>> draw_lengths(2, 4, 5, "test", torch.Generator())
        tensor([2, 3, 4, 2, 3])
    """
    if split != "train":
        return low + torch.arange(num_sequences) % (high - low + 1)
    if one_per_batch:
        return torch.randint(low, high + 1, (1,), generator=generator).expand(num_sequences)
    return torch.randint(low, high + 1, (num_sequences,), generator=generator)
