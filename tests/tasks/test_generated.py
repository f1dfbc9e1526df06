from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from rnn_tasks.errors import UsageError
from rnn_tasks.spec import Batch
from rnn_tasks.tasks import Copy, Echo, GeneratedTask, VariableDelayEcho
from tests.helpers.trainers import trainer_of_rank


def every_delay(**options: Any) -> VariableDelayEcho:
    """Return a task with one input for the two delays of each string."""
    return VariableDelayEcho(max_delay=1, every_delay=True, **options)


TASKS = [Copy, Echo, VariableDelayEcho, every_delay]
# Not multiples of the batch sizes, so that the last batch of an epoch and of each split is smaller.
SIZES = {"epoch_sequences": 22, "val_sequences": 19, "test_sequences": 21, "eval_batch_size": 8}
Make = Callable[..., GeneratedTask]


def on_rank(task: GeneratedTask, rank: int = 0, world_size: int = 1, trained_batches: int = 0) -> GeneratedTask:
    """Attach a trainer of this rank to the task."""
    task.trainer = trainer_of_rank(rank, world_size, trained_batches)
    return task


def tensors(batch: Batch) -> list[Tensor]:
    return [field for field in batch if isinstance(field, Tensor)]


def same(left: Batch, right: Batch) -> bool:
    pairs = zip(tensors(left.expanded()), tensors(right.expanded()), strict=True)
    return left.continues == right.continues and all(torch.equal(one, other) for one, other in pairs)


def concatenated(batches: list[Batch]) -> Batch:
    """Concatenate the rows of all batches."""
    inputs, targets, memory, condition, continues, _, group = zip(*(part.expanded() for part in batches), strict=True)
    return Batch(
        torch.cat(inputs),
        torch.cat(targets),
        None if memory[0] is None else torch.cat(memory),
        None if condition[0] is None else torch.cat(condition),
        continues[0],
        group=None if group[0] is None else torch.cat(group),
    )


def sequences(batches: list[Batch]) -> set[tuple[int, ...]]:
    return {tuple(row) for batch in batches for row in batch.inputs.tolist()}


@pytest.mark.parametrize("make", TASKS)
def test_batch_depends_only_on_seed_and_index(make: Make) -> None:
    again = make(seed=3)
    again.train_batch(8)
    assert same(make(seed=3).train_batch(5), again.train_batch(5))


@pytest.mark.parametrize("make", TASKS)
def test_index_seed_and_epoch_change_the_sequences(make: Make) -> None:
    batches = [make(seed=seed, epoch_sequences=512, batch_size=128).train_batch(i) for seed in (0, 1) for i in range(8)]
    assert len(sequences(batches)) == sum(len(batch.inputs) for batch in batches)


@pytest.mark.parametrize("make", TASKS)
def test_splits_share_no_sequence(make: Make) -> None:
    task = make()
    val, test = sequences(list(task.val_dataloader())), sequences(list(task.predict_dataloader()))
    train = sequences([task.train_batch(index) for index in range(20)])
    assert not val & test
    # Compare the first steps, since training sequences may be shorter than those of the other splits.
    heads = [{row[:10] for row in rows} for rows in (train, val, test)]
    assert not heads[0] & heads[1]
    assert not heads[0] & heads[2]


@pytest.mark.parametrize("make", TASKS)
def test_global_random_state_is_neither_used_nor_changed(make: Make) -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    task = make()
    first = concatenated([task.train_batch(0)])
    list(task.val_dataloader())
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert same(concatenated([make().train_batch(0)]), first)


@pytest.mark.parametrize("make", TASKS)
def test_seed_none_equals_seed_0(make: Make) -> None:
    assert same(make(seed=None).train_batch(1), make(seed=0).train_batch(1))
    assert not same(make(seed=None).train_batch(1), make(seed=1).train_batch(1))


@pytest.mark.parametrize("make", TASKS)
def test_two_processes_equal_one_with_twice_the_batch_size(make: Make) -> None:
    ranks = [on_rank(make(batch_size=4, **SIZES), rank, 2) for rank in (0, 1)]
    alone = make(batch_size=8, **SIZES)
    for index in range(7):
        halves = [task.train_batch(index) for task in ranks]
        assert same(concatenated(halves), alone.train_batch(index))
        assert abs(halves[0].num_sequences - halves[1].num_sequences) <= 1


@pytest.mark.parametrize("make", TASKS)
@pytest.mark.parametrize("split", ["val", "test"])
def test_processes_split_the_rows_of_evaluation_batches(make: Make, split: str) -> None:
    def batches(task: GeneratedTask) -> list[Batch]:
        return list(task.val_dataloader() if split == "val" else task.predict_dataloader())

    whole = batches(make(**SIZES))
    assert sum(batch.num_sequences for batch in whole) == SIZES[f"{split}_sequences"]
    parts = [batches(on_rank(make(**SIZES), rank, 3)) for rank in range(3)]
    for shares, batch in zip(zip(*parts, strict=True), whole, strict=True):
        assert same(concatenated(list(shares)), batch)


def test_batch_with_fewer_rows_than_processes_raises() -> None:
    task = on_rank(Echo(batch_size=4, epoch_sequences=9), 0, 2)
    task.train_batch(0)
    with pytest.raises(UsageError, match="a batch of 1 sequences cannot be split over 2 processes"):
        task.train_batch(1)


@pytest.mark.parametrize("make", TASKS)
def test_each_epoch_has_epoch_sequences_new_sequences(make: Make) -> None:
    task = on_rank(make(batch_size=8, **SIZES))
    first = list(task.train_dataloader())
    assert len(first) == len(task.train_dataloader()) == 3
    assert [batch.num_sequences for batch in first] == [8, 8, 6]
    second = list(on_rank(task, trained_batches=3).train_dataloader())
    assert [batch.num_sequences for batch in second] == [8, 8, 6]
    assert not sequences(first) & sequences(second)


@pytest.mark.parametrize("make", TASKS)
def test_training_resumes_in_the_middle_of_an_epoch(make: Make) -> None:
    second = list(on_rank(make(batch_size=8, **SIZES), trained_batches=3).train_dataloader())
    rest = list(on_rank(make(batch_size=8, **SIZES), trained_batches=4).train_dataloader())
    assert len(rest) == 2
    assert all(same(left, right) for left, right in zip(rest, second[1:], strict=True))


def test_training_resumes_in_an_endless_epoch() -> None:
    stream = on_rank(Echo(), trained_batches=1000).train_dataloader()
    assert same(next(iter(stream)), Echo().train_batch(1000))


@pytest.mark.parametrize("make", TASKS)
def test_evaluation_sets_are_equal_for_every_batch_size(make: Make) -> None:
    task, other = make(**SIZES), make(**{**SIZES, "eval_batch_size": 5})
    first = concatenated(list(task.val_dataloader()))
    task.train_batch(0)
    assert same(concatenated(list(task.val_dataloader())), first)
    assert same(concatenated(list(other.val_dataloader())), first)
    assert same(concatenated(list(task.predict_dataloader())), concatenated(list(other.predict_dataloader())))


@pytest.mark.parametrize("make", TASKS)
@pytest.mark.parametrize(
    "name", ["batch_size", "epoch_sequences", "val_sequences", "test_sequences", "eval_batch_size"]
)
def test_size_below_1_raises(make: Make, name: str) -> None:
    with pytest.raises(UsageError, match=f"{name} must be at least 1, got 0"):
        make(**{name: 0})


@pytest.mark.parametrize("make", TASKS)
def test_negative_seed_raises(make: Make) -> None:
    with pytest.raises(UsageError, match="seed must be at least 0, got -1"):
        make(seed=-1)
