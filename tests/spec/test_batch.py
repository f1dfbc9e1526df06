import pytest
import torch
from torch import Tensor

from rnn_tasks.spec import NOT_SCORED, Batch
from rnn_tasks.spec.batch import joined
from rnn_tasks.tasks import Copy, VariableDelayEcho

COLUMNS = torch.arange(8).reshape(4, 2)
PLAIN = Batch(COLUMNS, COLUMNS + 10, COLUMNS > 3, condition=torch.arange(4), continues=True)


def numbered_batch(num_inputs: int = 4, k: int = 3) -> Batch:
    """Return a batch with the inputs 100, 101, ... and k sequences each; targets contain the sequence index."""
    index = torch.arange(num_inputs * k)
    return Batch(
        torch.arange(100, 100 + num_inputs)[:, None].repeat(1, 2),
        torch.stack([index, index + 50], 1),
        torch.stack([index % 2 == 0, index % 2 == 1], 1),
        index % k,
        continues=True,
        conditions_per_input=k,
    )


def sequences_of(batch: Batch) -> list[tuple[list[int], list[int], list[bool] | None, int | None]]:
    """Return input, target, memory and condition of each sequence, by plain indexing."""
    return [
        (
            batch.inputs[index // batch.conditions_per_input].tolist(),
            batch.targets[index].tolist(),
            None if batch.memory is None else batch.memory[index].tolist(),
            None if batch.condition is None else int(batch.condition[index]),
        )
        for index in range(len(batch.targets))
    ]


def is_consistent(batch: Batch) -> bool:
    """Return whether each field has one row per sequence, and ``inputs`` one row per k sequences (rounded up)."""
    fields = [field for field in (batch.targets, batch.memory, batch.condition) if field is not None]
    sizes = {len(field) for field in fields}
    return sizes == {batch.num_sequences} and len(batch.inputs) == -(-batch.num_sequences // batch.conditions_per_input)


def without_optional(batch: Batch) -> Batch:
    return batch._replace(memory=None, condition=None)


def test_only_targets_other_than_not_scored_are_scored() -> None:
    batch = Batch(torch.zeros(1, 3), torch.tensor([[NOT_SCORED, 0, 5]]))
    assert batch.scored.tolist() == [[False, True, True]]


@pytest.mark.parametrize(("batch", "count"), [(PLAIN, 4), (numbered_batch(4, 3), 12), (numbered_batch(2, 5), 10)])
def test_num_sequences_counts_each_condition(batch: Batch, count: int) -> None:
    assert batch.num_sequences == len(batch.scored) == count


# --- expanded ---------------------------------------------------------------------------------------------------------


def test_expanded_repeats_the_input_of_each_sequence() -> None:
    batch = numbered_batch()
    expanded = batch.expanded()
    assert expanded.conditions_per_input == 1
    assert expanded.inputs[:, 0].tolist() == [100] * 3 + [101] * 3 + [102] * 3 + [103] * 3
    assert sequences_of(expanded) == sequences_of(batch)
    assert expanded.continues


def test_expanded_returns_the_same_batch_when_k_is_one() -> None:
    assert PLAIN.expanded() is PLAIN


# --- rows -------------------------------------------------------------------------------------------------------------


def test_rows_slices_every_field() -> None:
    batch = PLAIN.rows(1, 3)
    assert batch.inputs.tolist() == [[2, 3], [4, 5]]
    assert batch.targets.tolist() == [[12, 13], [14, 15]]
    assert batch.memory is not None
    assert batch.memory.tolist() == [[False, False], [True, True]]
    assert batch.condition is not None
    assert batch.condition.tolist() == [1, 2]
    assert batch.continues


def test_rows_keeps_missing_fields_missing() -> None:
    batch = Batch(torch.zeros(3, 2), torch.zeros(3, 2)).rows(0, 1)
    assert (batch.memory, batch.condition, batch.continues) == (None, None, False)


@pytest.mark.parametrize("optional", [True, False])
@pytest.mark.parametrize("stop", range(1, 15))
@pytest.mark.parametrize("start", range(12))
def test_rows_returns_the_sequences_from_start_to_stop(start: int, stop: int, optional: bool) -> None:
    batch = numbered_batch() if optional else without_optional(numbered_batch())
    cut = batch.rows(start, stop)
    assert sequences_of(cut) == sequences_of(batch)[start:stop]
    assert is_consistent(cut)
    assert cut.continues
    assert (cut.memory is None, cut.condition is None) == (not optional, not optional)


@pytest.mark.parametrize(("start", "stop", "k"), [(0, 3, 3), (3, 9, 3), (6, 99, 3), (0, 4, 3), (1, 3, 1), (2, 12, 1)])
def test_rows_keeps_shared_inputs_when_start_is_a_multiple_of_k(start: int, stop: int, k: int) -> None:
    cut = numbered_batch().rows(start, stop)
    assert cut.conditions_per_input == k
    assert len(cut.inputs) == -(-(min(stop, 12) - start) // k)


@pytest.mark.parametrize("stop", range(1, 13))
def test_padded_condition_has_k_values_for_each_input(stop: int) -> None:
    batch = numbered_batch().rows(0, stop)
    padded = batch.padded_condition()
    assert padded is not None
    assert len(padded) == 3 * len(batch.inputs)
    assert padded[:stop].tolist() == [0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2][:stop]
    assert without_optional(batch).padded_condition() is None


@pytest.mark.parametrize("stop", [7, 8, 9])
def test_one_per_input_allows_an_incomplete_last_input(stop: int) -> None:
    result = numbered_batch().rows(0, stop).one_per_input()
    assert result.inputs[:, 0].tolist() == [100, 101, 102]
    assert result.targets[:, 0].tolist() == [0, 4, {7: 6, 8: 6, 9: 8}[stop]]
    assert is_consistent(result)


# --- selected ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("optional", [True, False])
@pytest.mark.parametrize("indices", [[0], [2, 3, 11], [11, 0, 0], []])
def test_selected_accepts_indices(indices: list[int], optional: bool) -> None:
    batch = numbered_batch() if optional else without_optional(numbered_batch())
    result = batch.selected(torch.tensor(indices, dtype=torch.long))
    assert result.conditions_per_input == 1
    assert sequences_of(result) == [sequences_of(batch)[index] for index in indices]
    assert is_consistent(result)
    assert result.continues


def test_selected_accepts_a_mask() -> None:
    chosen = torch.arange(12) % 5 == 1
    result = numbered_batch().selected(chosen)
    assert result.targets[:, 0].tolist() == [1, 6, 11]
    assert result.inputs[:, 0].tolist() == [100, 102, 103]


# --- one_per_input ----------------------------------------------------------------------------------------------------


def test_one_per_input_takes_each_input_once_and_rotates() -> None:
    result = numbered_batch().one_per_input()
    assert result.inputs.tolist() == [[100] * 2, [101] * 2, [102] * 2, [103] * 2]
    assert result.targets[:, 0].tolist() == [0, 4, 8, 9]
    assert result.condition is not None
    assert result.condition.tolist() == [0, 1, 2, 0]
    assert result.conditions_per_input == 1
    assert is_consistent(result)
    assert without_optional(numbered_batch()).one_per_input().memory is None


def test_one_per_input_keeps_all_sequences_when_inputs_are_few() -> None:
    batch = numbered_batch()
    assert len(batch.one_per_input(at_least=4).targets) == 4
    result = batch.one_per_input(at_least=5)
    assert result.conditions_per_input == 1
    assert sequences_of(result) == sequences_of(batch)


@pytest.mark.parametrize("at_least", [1, 100])
def test_one_per_input_returns_the_same_batch_when_k_is_one(at_least: int) -> None:
    assert PLAIN.one_per_input(at_least) is PLAIN


# --- to ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch", [PLAIN, numbered_batch()])
def test_to_moves_every_field(batch: Batch) -> None:
    assert batch.to("cpu") is batch
    moved = batch.to(torch.device("meta"))
    for part, before in zip(moved, batch, strict=True):
        if isinstance(before, Tensor):
            assert isinstance(part, Tensor)
            assert part.device.type == "meta"
            assert part.shape == before.shape
        else:
            assert part == before
    assert without_optional(batch).to("meta").condition is None


def test_joined_concatenates_rows() -> None:
    task = VariableDelayEcho(test_sequences=20)
    one, two = task.train_batch(0), task.train_batch(1)
    both = joined([one, two])
    assert torch.equal(both.rows(0, len(one.inputs)).targets, one.targets)
    assert both.condition is not None
    assert two.condition is not None
    assert torch.equal(both.condition[len(one.inputs) :], two.condition)
    copy = Copy().train_batch(0)
    assert joined([copy, copy]).memory is not None
    assert torch.equal(joined([copy]).inputs, copy.inputs)


def test_joined_concatenates_time_when_batches_continue() -> None:
    text = torch.arange(12).view(2, 6)
    parts = [Batch(text[:, i : i + 2], text[:, i : i + 2], continues=i > 0) for i in (0, 2, 4)]
    both = joined(parts)
    assert torch.equal(both.inputs, text)
    assert not both.continues


@pytest.mark.parametrize("k", [1, 3])
def test_joined_keeps_the_condition_of_each_sequence(k: int) -> None:
    parts = [numbered_batch(4, k), numbered_batch(2, 3)]
    both = joined([part._replace(continues=False) for part in parts])
    assert sequences_of(both) == [*sequences_of(parts[0]), *sequences_of(parts[1])]
    assert is_consistent(both)


def test_steps_with_nan_targets_are_not_scored() -> None:
    targets = torch.tensor([[[1.0, 2.0], [torch.nan, torch.nan]], [[torch.nan, torch.nan], [0.0, 0.0]]])
    batch = Batch(torch.rand(2, 2, 3), targets)
    assert batch.scored.tolist() == [[True, False], [False, True]]
    assert torch.equal(batch.needs_memory, batch.scored)


def test_needs_memory_is_the_part_of_memory_that_is_scored() -> None:
    targets = torch.tensor([[NOT_SCORED, 2, 3]])
    memory = torch.tensor([[True, True, False]])
    assert Batch(targets, targets, memory).needs_memory.tolist() == [[False, True, False]]


@pytest.mark.parametrize("width", [1, 2])
def test_group_follows_its_sequences(width: int) -> None:
    group = torch.arange(4 * width).reshape(4, width)
    batch = PLAIN._replace(group=group)
    for part, rows in ((batch.rows(1, 3), group[1:3]), (batch.selected(torch.tensor([3, 0])), group[[3, 0]])):
        assert part.group is not None
        assert torch.equal(part.group, rows)
    whole = joined([batch.rows(0, 1)._replace(continues=False), batch.rows(1, 4)._replace(continues=False)])
    assert whole.group is not None
    assert torch.equal(whole.group, group.expand(4, 2))
    assert batch.to("meta").group.is_meta  # type: ignore[union-attr]
