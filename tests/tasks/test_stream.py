from itertools import islice

import numpy as np
import pytest
import torch
from torch import Tensor

from rnn_tasks.spec import Batch
from rnn_tasks.tasks.stream import SPLITS, Stream, generator_for


def numbered(index: int) -> Batch:
    """Return a batch that contains its index."""
    return Batch(torch.full((1, 1), index), torch.full((1, 1), index))


def numbers(stream: Stream, most: int = 100) -> list[int]:
    return [int(batch.inputs) for batch in islice(stream, most)]


def draw(seed: int, split: str, epoch: int, index: int) -> Tensor:
    return torch.rand(8, generator=generator_for(seed, split, epoch, index))


def test_generator_for_is_deterministic() -> None:
    torch.testing.assert_close(draw(1, "val", 2, 3), draw(1, "val", 2, 3), atol=0, rtol=0)


def test_generator_for_differs_in_seed_split_epoch_and_index() -> None:
    draws = [
        draw(seed, split, epoch, index)
        for seed in (0, 1, 2**40)
        for split in SPLITS
        for epoch in range(4)
        for index in range(4)
    ]
    assert len({tuple(values.tolist()) for values in draws}) == len(draws)


@pytest.mark.parametrize("seed", [0, 2**32 - 1, 2**32, 2**70])
def test_generator_for_uses_numpys_seed_sequence(seed: int) -> None:
    word = int(np.random.SeedSequence([seed, 1, 3, 5]).generate_state(1, np.uint64)[0]) >> 1
    assert torch.equal(draw(seed, "val", 3, 5), torch.rand(8, generator=torch.Generator().manual_seed(word)))


def test_consecutive_batches_are_uncorrelated() -> None:
    first, second = (torch.stack([draw(0, "train", 0, index) for index in range(low, low + 500)]) for low in (0, 1))
    correlation = torch.corrcoef(torch.stack([first.flatten(), second.flatten()]))[0, 1]
    assert abs(correlation) < 4 / 4000**0.5  # four standard deviations


def test_generator_for_raises_for_an_unknown_split() -> None:
    with pytest.raises(ValueError, match="not in"):
        generator_for(0, "validation", 0, 0)


def test_endless_stream_starts_at_first() -> None:
    assert numbers(Stream(numbered), 5) == [0, 1, 2, 3, 4]
    assert numbers(Stream(numbered, lambda: 7), 3) == [7, 8, 9]


@pytest.mark.parametrize(
    ("trained", "rest"), [(0, [0, 1, 2, 3]), (1, [1, 2, 3]), (3, [3]), (4, [4, 5, 6, 7]), (6, [6, 7])]
)
def test_stream_continues_to_the_end_of_the_epoch(trained: int, rest: list[int]) -> None:
    assert numbers(Stream(numbered, lambda: trained, length=4)) == rest


def test_each_iteration_calls_first() -> None:
    trained = iter([0, 2, 4])
    stream = Stream(numbered, lambda: next(trained), length=2)
    assert [numbers(stream) for _ in range(3)] == [[0, 1], [2, 3], [4, 5]]


def test_stream_makes_batches_lazily() -> None:
    made = []

    def make(index: int) -> Batch:
        made.append(index)
        return numbered(index)

    batches = iter(Stream(make))
    next(batches), next(batches)
    assert made == [0, 1]


def test_len_raises_for_an_endless_stream() -> None:
    assert len(Stream(numbered, length=6)) == 6
    with pytest.raises(TypeError, match="endless"):
        len(Stream(numbered))


def test_restored_stream_starts_at_first() -> None:
    stream = Stream(numbered, lambda: 2, length=4)
    other = Stream(numbered, lambda: 2, length=4)
    assert numbers(stream, 1) == [2]
    other.load_state_dict(stream.state_dict())
    assert numbers(other) == [2, 3]
