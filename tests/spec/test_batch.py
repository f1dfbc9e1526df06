import pytest
import torch
from torch import Tensor

from rnn_tasks.spec import NOT_SCORED, Batch
from rnn_tasks.spec.batch import joined
from rnn_tasks.tasks import Copy, VariableDelayEcho

COLUMNS = torch.arange(8).reshape(4, 2)
PLAIN = Batch(COLUMNS, COLUMNS + 10, COLUMNS > 3, condition=torch.arange(4), continues=True)


def several(num_inputs: int = 4, k: int = 3) -> Batch:
    """Inputs 100, 101, ... with k sequences each; targets and conditions count the sequences."""
    number = torch.arange(num_inputs * k)
    return Batch(
        torch.arange(100, 100 + num_inputs)[:, None].repeat(1, 2),
        torch.stack([number, number + 50], 1),
        torch.stack([number % 2 == 0, number % 2 == 1], 1),
        number % k,
        continues=True,
        conditions_per_input=k,
    )


def one_by_one(batch: Batch) -> list[tuple[list[int], list[int], list[bool] | None, int | None]]:
    """Input, target, memory and condition of each sequence, by plain indexing."""
    return [
        (
            batch.inputs[number // batch.conditions_per_input].tolist(),
            batch.targets[number].tolist(),
            None if batch.memory is None else batch.memory[number].tolist(),
            None if batch.condition is None else int(batch.condition[number]),
        )
        for number in range(len(batch.targets))
    ]


def is_consistent(batch: Batch) -> bool:
    """Each field has a row for each sequence, and inputs one for each k of them, the last perhaps for fewer."""
    fields = [field for field in (batch.targets, batch.memory, batch.condition) if field is not None]
    sizes = {len(field) for field in fields}
    return sizes == {batch.num_sequences} and len(batch.inputs) == -(-batch.num_sequences // batch.conditions_per_input)


def without_optional(batch: Batch) -> Batch:
    return batch._replace(memory=None, condition=None)


def test_only_targets_other_than_not_scored_are_scored() -> None:
    batch = Batch(torch.zeros(1, 3), torch.tensor([[NOT_SCORED, 0, 5]]))
    assert batch.scored.tolist() == [[False, True, True]]


@pytest.mark.parametrize(("batch", "count"), [(PLAIN, 4), (several(4, 3), 12), (several(2, 5), 10)])
def test_num_sequences_counts_each_condition(batch: Batch, count: int) -> None:
    assert batch.num_sequences == len(batch.scored) == count


# --- expanded ---------------------------------------------------------------------------------------------------------


def test_expanded_repeats_the_input_of_each_sequence() -> None:
    batch = several()
    expanded = batch.expanded()
    assert expanded.conditions_per_input == 1
    assert expanded.inputs[:, 0].tolist() == [100] * 3 + [101] * 3 + [102] * 3 + [103] * 3
    assert one_by_one(expanded) == one_by_one(batch)
    assert expanded.continues


def test_expanded_returns_the_same_batch_when_k_is_one() -> None:
    assert PLAIN.expanded() is PLAIN


# --- rows -------------------------------------------------------------------------------------------------------------


def test_rows_cuts_every_field() -> None:
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
def test_rows_are_the_sequences_between_start_and_stop(start: int, stop: int, optional: bool) -> None:
    batch = several() if optional else without_optional(several())
    cut = batch.rows(start, stop)
    assert one_by_one(cut) == one_by_one(batch)[start:stop]
    assert is_consistent(cut)
    assert cut.continues
    assert (cut.memory is None, cut.condition is None) == (not optional, not optional)


@pytest.mark.parametrize(("start", "stop", "k"), [(0, 3, 3), (3, 9, 3), (6, 99, 3), (0, 4, 3), (1, 3, 1), (2, 12, 1)])
def test_rows_keeps_inputs_unrepeated_from_multiples_of_k(start: int, stop: int, k: int) -> None:
    cut = several().rows(start, stop)
    assert cut.conditions_per_input == k
    assert len(cut.inputs) == -(-(min(stop, 12) - start) // k)


@pytest.mark.parametrize("stop", range(1, 13))
def test_filled_condition_has_k_values_for_each_input(stop: int) -> None:
    batch = several().rows(0, stop)
    filled = batch.filled_condition()
    assert filled is not None
    assert len(filled) == 3 * len(batch.inputs)
    assert filled[:stop].tolist() == [0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2][:stop]
    assert without_optional(batch).filled_condition() is None


@pytest.mark.parametrize("stop", [7, 8, 9])
def test_one_per_input_takes_what_the_last_input_has(stop: int) -> None:
    found = several().rows(0, stop).one_per_input()
    assert found.inputs[:, 0].tolist() == [100, 101, 102]
    assert found.targets[:, 0].tolist() == [0, 4, {7: 6, 8: 6, 9: 8}[stop]]
    assert is_consistent(found)


# --- selected ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("optional", [True, False])
@pytest.mark.parametrize("numbers", [[0], [2, 3, 11], [11, 0, 0], []])
def test_selected_takes_sequences_by_number(numbers: list[int], optional: bool) -> None:
    batch = several() if optional else without_optional(several())
    found = batch.selected(torch.tensor(numbers, dtype=torch.long))
    assert found.conditions_per_input == 1
    assert one_by_one(found) == [one_by_one(batch)[number] for number in numbers]
    assert is_consistent(found)
    assert found.continues


def test_selected_takes_sequences_by_truth_values() -> None:
    chosen = torch.arange(12) % 5 == 1
    found = several().selected(chosen)
    assert found.targets[:, 0].tolist() == [1, 6, 11]
    assert found.inputs[:, 0].tolist() == [100, 102, 103]


# --- one_per_input ----------------------------------------------------------------------------------------------------


def test_one_per_input_takes_each_input_once_and_rotates() -> None:
    found = several().one_per_input()
    assert found.inputs.tolist() == [[100] * 2, [101] * 2, [102] * 2, [103] * 2]
    assert found.targets[:, 0].tolist() == [0, 4, 8, 9]
    assert found.condition is not None
    assert found.condition.tolist() == [0, 1, 2, 0]
    assert found.conditions_per_input == 1
    assert is_consistent(found)
    assert without_optional(several()).one_per_input().memory is None


def test_one_per_input_keeps_all_sequences_when_inputs_are_few() -> None:
    batch = several()
    assert len(batch.one_per_input(at_least=4).targets) == 4
    found = batch.one_per_input(at_least=5)
    assert found.conditions_per_input == 1
    assert one_by_one(found) == one_by_one(batch)


@pytest.mark.parametrize("at_least", [1, 100])
def test_one_per_input_returns_the_same_batch_when_k_is_one(at_least: int) -> None:
    assert PLAIN.one_per_input(at_least) is PLAIN


# --- to ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch", [PLAIN, several()])
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


def test_joined_batches_stand_one_below_the_other() -> None:
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


def test_joined_batches_that_continue_are_one_text() -> None:
    text = torch.arange(12).view(2, 6)
    parts = [Batch(text[:, i : i + 2], text[:, i : i + 2], continues=i > 0) for i in (0, 2, 4)]
    both = joined(parts)
    assert torch.equal(both.inputs, text)
    assert not both.continues


@pytest.mark.parametrize("k", [1, 3])
def test_joined_batches_keep_the_condition_of_each_input(k: int) -> None:
    parts = [several(4, k), several(2, 3)]
    both = joined([part._replace(continues=False) for part in parts])
    assert one_by_one(both) == [*one_by_one(parts[0]), *one_by_one(parts[1])]
    assert is_consistent(both)
