"""Random data that is counted, not drawn: batch ``i`` is a function of its number, so nothing needs to be stored."""

from collections.abc import Callable, Iterator

import numpy as np
import torch

from rnn_tasks.spec import Batch

SPLITS = ("train", "val", "test")


def generator_for(seed: int, split: str, epoch: int, index: int) -> torch.Generator:
    """Return the source of random numbers of one global batch, which depends on the arguments alone.

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
    words = np.random.SeedSequence([seed, SPLITS.index(split), epoch, index]).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(words[0]) >> 1)


class Stream:
    """The batches ``batch(first())``, ``batch(first() + 1)``, ... of one process.

    Iterating it starts where ``first`` says: at the number of batches that were trained on so far. So an epoch goes on
    after the one before, and a resumed run after the batch that it was killed in.

    Args:
        batch: Makes the batch of a number counted over all epochs.
        first: The number to start at.
        length: Batches in an epoch; None for an epoch without end.
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
            raise TypeError("this stream has no end")
        return self.length

    def state_dict(self) -> dict[str, int]:
        """Nothing: the trainer counts the batches. That the method is there tells Lightning that we can resume."""
        return {}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Nothing to restore."""
