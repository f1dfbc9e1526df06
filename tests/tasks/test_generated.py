import math
from collections.abc import Callable
from itertools import combinations

import pytest
import torch
from torch import Tensor

from rnn_tasks.errors import UsageError
from rnn_tasks.spec import Batch
from rnn_tasks.tasks import Copy, Counting, Echo, GeneratedTask, VariableDelayEcho
from rnn_tasks.tasks.stream import Stream
from tests.helpers.tasks import GENERATED
from tests.helpers.trainers import trainer_of_rank

TASKS = [pytest.param(make, id=name) for name, make in GENERATED.items()]
# Not multiples of the batch sizes, so that the last batch of an epoch and of each split is smaller.
SIZES = {"epoch_sequences": 22, "val_sequences": 19, "test_sequences": 21, "eval_batch_size": 8}
Make = Callable[..., GeneratedTask]


def on_rank(task: GeneratedTask, rank: int = 0, world_size: int = 1, trained_batches: int = 0) -> GeneratedTask:
    """Attach a trainer of this rank to the task."""
    task.trainer = trainer_of_rank(rank, world_size, trained_batches)
    return task


def tensors(batch: Batch) -> list[Tensor]:
    return [field for field in batch if isinstance(field, Tensor)]


def equal(one: Tensor, other: Tensor) -> bool:
    """Return whether two tensors are equal, with NaN equal to NaN."""
    return one.shape == other.shape and bool(((one == other) | (one.isnan() & other.isnan())).all())


def same(left: Batch, right: Batch) -> bool:
    pairs = zip(tensors(left.expanded()), tensors(right.expanded()), strict=True)
    return left.continues == right.continues and all(equal(one, other) for one, other in pairs)


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


def sequences(batches: list[Batch]) -> set[tuple[float, ...]]:
    return {tuple(row.flatten().tolist()) for batch in batches for row in batch.inputs}


@pytest.mark.parametrize("make", TASKS)
def test_batch_depends_only_on_seed_and_index(make: Make) -> None:
    again = make(seed=3)
    again.train_batch(8)
    assert same(make(seed=3).train_batch(5), again.train_batch(5))


def streams(task: GeneratedTask) -> list[Stream]:
    """Return the batches of the test, and of each longer length."""
    loaders = task.test_dataloader()
    assert isinstance(loaders, list)
    return loaders


@pytest.mark.parametrize("make", TASKS)
def test_index_seed_and_epoch_change_the_batch(make: Make) -> None:
    # Two batches per epoch, so that the last two batches of each seed belong to another epoch.
    tasks = [make(seed=seed, epoch_sequences=80, batch_size=40) for seed in (0, 1)]
    batches = [task.train_batch(index) for task in tasks for index in range(4)]
    for one, other in combinations(batches, 2):
        assert not equal(one.inputs, other.inputs)


@pytest.mark.parametrize("make", [Copy, Echo, VariableDelayEcho])
def test_no_sequence_is_repeated_where_there_are_many(make: Make) -> None:
    task = make(val_sequences=500, test_sequences=500)
    val, test = sequences(list(task.val_dataloader())), sequences(list(task.predict_dataloader()))
    batches = [task.train_batch(index) for index in range(8)]
    train = sequences(batches)
    assert len(train) == sum(len(batch.inputs) for batch in batches)
    assert not val & test
    # Compare the first steps, since training sequences may be shorter than those of the other splits.
    heads = [{row[:10] for row in rows} for rows in (train, val, test)]
    assert not heads[0] & heads[1]
    assert not heads[0] & heads[2]


# The strings a^n b^n c^n of validation and test are the same: one for each n.
@pytest.mark.parametrize("make", [task for task in TASKS if task.id != "counting"])
def test_splits_differ(make: Make) -> None:
    task = make(batch_size=40, val_sequences=40, test_sequences=40)
    val, test = (concatenated(list(stream)) for stream in (task.val_dataloader(), task.predict_dataloader()))
    pairs = [(task.train_batch(0), val), (task.train_batch(0), test), (val, test)]
    if isinstance(task, Counting) and task.language.free == 1:  # has one string for each n, all of them in a split
        del pairs[2]
    for one, other in pairs:
        assert not equal(one.inputs, other.inputs)


@pytest.mark.parametrize("make", TASKS)
@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_batch_fits_the_spec_and_the_grouping(make: Make, split: str) -> None:
    task = make()
    batch = task.sample(60, split, torch.Generator().manual_seed(3)).expanded()
    spec, targets = task.spec, batch.targets[batch.scored]
    assert batch.num_sequences == 60
    assert batch.inputs.shape[:2] == batch.targets.shape[:2]
    if spec.real_inputs:
        assert batch.inputs.dtype == torch.float32
        assert batch.inputs.shape[2:] == (spec.input_size,)
        assert batch.inputs.isfinite().all()
    else:
        assert batch.inputs.dtype == torch.int64
        assert int(batch.inputs.min()) >= 0
        assert int(batch.inputs.max()) < spec.input_size
    if spec.real_targets:
        assert batch.targets.dtype == torch.float32
        assert batch.targets.shape[2:] == (spec.output_size,)
        assert targets.isfinite().all()
    else:
        assert int(targets.min()) >= 0
        assert int(targets.max()) < spec.output_size
        assert batch.needs_memory.any()
    if task.grouping is None:
        return
    assert batch.group is not None
    assert batch.group.shape in {(60, 1), tuple(batch.targets.shape[:2])}
    groups = batch.group.expand(batch.targets.shape[:2])[batch.needs_memory]
    assert int(groups.min()) >= 0
    assert int(groups.max()) < task.grouping.size
    assert split != "test" or len(set(groups.tolist())) > 1


@pytest.mark.parametrize("make", TASKS)
def test_plateaus_are_better_than_the_baseline(make: Make) -> None:
    task = make()
    baseline = task.baseline
    floor = -math.inf if baseline.floor is None else baseline.floor
    assert floor < baseline.loss
    for plateau in task.plateaus:
        assert plateau.loss is not None or plateau.accuracy is not None
        assert plateau.loss is None or floor - 1e-9 <= plateau.loss
        if not task.spec.real_targets and plateau.accuracy is not None:
            assert baseline.accuracy - 1e-9 <= plateau.accuracy <= 1
    names = [plateau.name for plateau in task.plateaus]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("make", TASKS)
def test_tests_at_longer_lengths_are_other_sequences(make: Make) -> None:
    if type(make()).at_length is GeneratedTask.at_length:  # the task has no length
        with pytest.raises(UsageError, match="leave out eval_lengths"):
            make().at_length(40)
        return
    longest = make().training_length
    assert longest > 0
    with pytest.raises(UsageError, match=f"eval_lengths must be above {longest}, the largest length of training"):
        _ = make(eval_lengths=[longest]).longer_tests
    task = make(eval_lengths=[longest + 30, longest + 10], length_sequences=20, test_sequences=30)
    main, *longer = streams(task)
    assert same(concatenated(list(main)), concatenated(list(make(test_sequences=30).predict_dataloader())))
    assert list(task.longer_tests) == [longest + 10, longest + 30]
    short, long = (concatenated(list(stream)) for stream in longer)
    assert short.num_sequences == long.num_sequences == 20
    assert short.targets.shape[1] < long.targets.shape[1]
    for length, other in task.longer_tests.items():
        assert other.baseline.loss > 0
        assert other.spec.input_size == task.spec.input_size
        assert other.spec.output_size == task.spec.output_size
        assert not other.longer_tests, length


def test_longer_lengths_are_shared_by_processes() -> None:
    whole = Echo(eval_lengths=[40], length_sequences=21)
    parts = [on_rank(Echo(eval_lengths=[40], length_sequences=21), rank, 2) for rank in (0, 1)]
    halves = [streams(task)[1] for task in parts]
    assert same(
        concatenated([concatenated(list(half)) for half in halves]),
        concatenated(list(streams(whole)[1])),
    )


@pytest.mark.parametrize(("lengths", "message"), [([0], "must be at least 1, got 0"), ([30, 30], "has a length twice")])
def test_wrong_eval_lengths_raise(lengths: list[int], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Echo(eval_lengths=lengths)


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
    assert sequences([make(seed=None).train_batch(1)]) != sequences([make(seed=1).train_batch(1)])


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
    assert sequences(first) != sequences(second)


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
    "name",
    ["batch_size", "epoch_sequences", "val_sequences", "test_sequences", "eval_batch_size", "length_sequences"],
)
def test_size_below_1_raises(make: Make, name: str) -> None:
    with pytest.raises(UsageError, match=f"{name} must be at least 1, got 0"):
        make(**{name: 0})


@pytest.mark.parametrize("make", TASKS)
def test_negative_seed_raises(make: Make) -> None:
    with pytest.raises(UsageError, match="seed must be at least 0, got -1"):
        make(seed=-1)
