from itertools import islice

import numpy as np
import pytest
import torch
from torch import Tensor

from rnn_tasks.spec import Batch
from rnn_tasks.tasks.stream import SPLITS, Stream, generator_for


def numbered(index: int) -> Batch:
    """A batch that says which one it is."""
    return Batch(torch.full((1, 1), index), torch.full((1, 1), index))


def numbers(stream: Stream, most: int = 100) -> list[int]:
    return [int(batch.inputs) for batch in islice(stream, most)]


def draw(seed: int, split: str, epoch: int, index: int) -> Tensor:
    return torch.rand(8, generator=generator_for(seed, split, epoch, index))


def test_the_same_numbers_come_again() -> None:
    torch.testing.assert_close(draw(1, "val", 2, 3), draw(1, "val", 2, 3), atol=0, rtol=0)


def test_any_other_seed_split_epoch_or_index_gives_other_numbers() -> None:
    draws = [
        draw(seed, split, epoch, index)
        for seed in (0, 1, 2**40)
        for split in SPLITS
        for epoch in range(4)
        for index in range(4)
    ]
    assert len({tuple(values.tolist()) for values in draws}) == len(draws)


@pytest.mark.parametrize("seed", [0, 2**32 - 1, 2**32, 2**70])
def test_the_numbers_are_those_of_numpys_seed_sequence(seed: int) -> None:
    word = int(np.random.SeedSequence([seed, 1, 3, 5]).generate_state(1, np.uint64)[0]) >> 1
    assert torch.equal(draw(seed, "val", 3, 5), torch.rand(8, generator=torch.Generator().manual_seed(word)))


def test_neighbouring_batches_are_independent() -> None:
    first, second = (torch.stack([draw(0, "train", 0, index) for index in range(low, low + 500)]) for low in (0, 1))
    correlation = torch.corrcoef(torch.stack([first.flatten(), second.flatten()]))[0, 1]
    assert abs(correlation) < 4 / 4000**0.5  # four standard deviations


def test_an_unknown_split_has_no_numbers() -> None:
    with pytest.raises(ValueError, match="not in"):
        generator_for(0, "validation", 0, 0)


def test_a_stream_without_length_goes_on_from_its_first_batch() -> None:
    assert numbers(Stream(numbered), 5) == [0, 1, 2, 3, 4]
    assert numbers(Stream(numbered, lambda: 7), 3) == [7, 8, 9]


@pytest.mark.parametrize(
    ("trained", "rest"), [(0, [0, 1, 2, 3]), (1, [1, 2, 3]), (3, [3]), (4, [4, 5, 6, 7]), (6, [6, 7])]
)
def test_epoch_continues_from_its_middle_to_its_end(trained: int, rest: list[int]) -> None:
    assert numbers(Stream(numbered, lambda: trained, length=4)) == rest


def test_each_reading_asks_anew_where_to_start() -> None:
    trained = iter([0, 2, 4])
    stream = Stream(numbered, lambda: next(trained), length=2)
    assert [numbers(stream) for _ in range(3)] == [[0, 1], [2, 3], [4, 5]]


def test_batches_are_made_when_they_are_asked_for() -> None:
    made = []

    def make(index: int) -> Batch:
        made.append(index)
        return numbered(index)

    batches = iter(Stream(make))
    next(batches), next(batches)
    assert made == [0, 1]


def test_only_an_epoch_with_an_end_has_a_length() -> None:
    assert len(Stream(numbered, length=6)) == 6
    with pytest.raises(TypeError, match="no end"):
        len(Stream(numbered))


def test_restored_stream_starts_where_first_says() -> None:
    stream = Stream(numbered, lambda: 2, length=4)
    other = Stream(numbered, lambda: 2, length=4)
    assert numbers(stream, 1) == [2]
    other.load_state_dict(stream.state_dict())
    assert numbers(other) == [2, 3]
