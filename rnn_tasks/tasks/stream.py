"""Deterministic batches: batch ``i`` depends only on (seed, split, epoch, ``i``), so no batch needs to be stored."""

from collections.abc import Callable, Iterator

import numpy as np
import torch

from rnn_tasks.spec import Batch

SPLITS = ("train", "val", "test")


def generator_for(seed: int, split: str, epoch: int, index: int) -> torch.Generator:
    """Return the random generator of one global batch, which depends on these arguments only.

    Args:
        seed: The task's seed, ``>= 0``.
        split: One of ``SPLITS``; each split has its own random numbers.
        epoch: Epoch of the batch, ``>= 0``.
        index: Batch within the epoch, ``>= 0``.

    Example:
        >>> draw = lambda index: torch.rand((), generator=generator_for(0, "train", 0, index)).item()
        >>> draw(3) == draw(3), draw(3) == draw(4)
        (True, False)
    """
    state = np.random.SeedSequence([seed, SPLITS.index(split), epoch, index]).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(state[0]) >> 1)


class Stream:
    """A data loader of one process: iterates ``batch(first())``, ``batch(first() + 1)``, ... to the end of the epoch.

    ``first`` is called at the start of each iteration. Training passes the number of batches trained on so far: each
    epoch then follows the previous one, and a resumed run continues after its last batch.

    Args:
        batch: Returns the batch with a number, counted over all epochs.
        first: Returns the number of the first batch.
        length: Batches per epoch; None for an endless epoch.
    """

    def __init__(
        self, batch: Callable[[int], Batch], first: Callable[[], int] = int, length: int | None = None
    ) -> None:
        self.batch = batch
        self.first = first
        self.length = length

    def __iter__(self) -> Iterator[Batch]:
        index = self.first()
        end = None if self.length is None else index - index % self.length + self.length
        while end is None or index < end:
            yield self.batch(index)
            index += 1

    def __len__(self) -> int:
        if self.length is None:
            raise TypeError("this stream is endless, so it has no length")
        return self.length

    def state_dict(self) -> dict[str, int]:
        """Return no state: the trainer counts the batches. Lightning resumes within an epoch only if this exists."""
        return {}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Restore nothing."""
