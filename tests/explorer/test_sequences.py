from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from rnn_tasks.errors import UsageError
from rnn_tasks.explorer.arrays import decoded
from rnn_tasks.explorer.sequences import (
    answers_are_letters,
    answers_are_next,
    sequence_values,
    validation_sequences,
)
from rnn_tasks.spec import NOT_SCORED, Batch, Codec
from rnn_tasks.tasks import (
    Adding,
    Copy,
    Echo,
    ElmanGrammar,
    ElmanXor,
    FlipFlop,
    GeneratedTask,
    Reber,
    Reverse,
    VariableDelayEcho,
)
from tests.helpers.explorer_runs import GENERATED_TASKS, small_grammar


def first_batch(task: GeneratedTask) -> Batch:
    return next(iter(task.val_dataloader())).expanded()


def test_sequences_are_the_first_of_the_validation() -> None:
    task = Echo(val_sequences=500, eval_batch_size=70)
    batch, source = validation_sequences(task)
    whole = torch.cat([part.inputs for part in task.val_dataloader()])
    assert source == "the first 200 validation sequences"
    assert torch.equal(batch.inputs, whole[:200])
    assert batch.targets.shape == whole[:200].shape


def test_sequences_are_all_if_there_are_few() -> None:
    task = VariableDelayEcho(max_delay=2, val_sequences=7, every_delay=True)
    batch, source = validation_sequences(task)
    assert source == "the first 7 validation sequences"
    assert len(batch.inputs) == len(batch.targets) == 7
    assert batch.condition is not None
    assert batch.condition.tolist() == [0, 1, 2, 0, 1, 2, 0]


@pytest.mark.parametrize(("delay", "count"), [(1000, 73), (10_000, 20)])
def test_fewer_long_sequences_are_stored(delay: int, count: int) -> None:
    batch, source = validation_sequences(Copy(delay=delay, val_sequences=100))
    assert batch.inputs.shape == (count, delay + 20)
    assert source == f"the first {count} validation sequences"


def test_sequences_of_a_text_are_consecutive_pieces() -> None:
    task = small_grammar()
    batch, source = validation_sequences(task)
    symbols = task.symbols("val").long()
    assert source == "the first 59 pieces of 50 characters of the validation text"
    assert torch.equal(batch.inputs.flatten(), symbols[: 59 * 50])
    assert torch.equal(batch.targets.flatten(), symbols[1 : 59 * 50 + 1])


def test_sequences_of_a_short_text_are_shorter() -> None:
    batch, source = validation_sequences(ElmanGrammar(val_characters=12, test_characters=9, sequence_length=2))
    assert (batch.inputs.shape, source) == ((1, 11), "the first 1 pieces of 11 characters of the validation text")


def test_sequences_of_an_empty_validation_are_refused() -> None:
    class Empty(Echo):
        def val_dataloader(self) -> list[Batch]:  # type: ignore[override]
            return []

    with pytest.raises(UsageError, match="no validation sequences"):
        validation_sequences(Empty())


@pytest.mark.parametrize("task", GENERATED_TASKS.values(), ids=GENERATED_TASKS.keys())
def test_sequence_values_equal_the_batch(task: GeneratedTask) -> None:
    sequences = validation_sequences(task)
    values, batch = sequence_values(sequences), sequences.batch
    assert decoded(values["inputs"]).tolist() == batch.inputs.tolist()
    assert decoded(values["targets"]).tolist() == batch.targets.tolist()
    memory = batch.scored if batch.memory is None else batch.memory
    assert decoded(values["memory"]).tolist() == memory.long().tolist()
    if batch.condition is None:
        assert values["conditions"] is None
    else:
        assert decoded(values["conditions"]).tolist() == batch.condition.tolist()


@pytest.mark.parametrize("task", GENERATED_TASKS.values(), ids=GENERATED_TASKS.keys())
def test_answers_are_letters_in_the_tasks_of_the_package(task: GeneratedTask) -> None:
    assert task.spec.codec is not None
    assert answers_are_letters(task.spec.codec, first_batch(task))


@pytest.mark.parametrize("layout", ["plain", "arjovsky", "exprnn", "recall"])
def test_answers_are_letters_in_all_layouts_of_copy(layout: str) -> None:
    task = Copy(layout, delay=3, val_sequences=10)  # type: ignore[arg-type]
    assert task.spec.codec is not None
    assert answers_are_letters(task.spec.codec, first_batch(task))


def reversed_batch() -> Batch:
    """Return sequences whose answers are the letters in reverse order."""
    letters = torch.randint(1, 4, (5, 3))
    inputs, targets = functional.pad(letters, (0, 3)), functional.pad(letters.flip(1), (3, 0), value=NOT_SCORED)
    return Batch(inputs, targets)


def test_answers_are_not_letters_in_another_order() -> None:
    codec = Codec(" abc", "abc", answer_per_letter=1, num_letters=3)
    batch = reversed_batch()
    assert not answers_are_letters(codec, batch)


@pytest.mark.parametrize("change", ["input", "target", "delay", "condition", "extra"])
def test_answers_are_not_letters_after_one_change(change: str) -> None:
    task = GENERATED_TASKS["variable_delay_echo"]
    assert isinstance(task, VariableDelayEcho)
    codec, batch = task.spec.codec, first_batch(task)
    assert codec is not None
    assert batch.condition is not None
    if change == "input":
        batch.inputs[3, 2] = 0
    elif change == "target":
        batch.targets[3, 5] = batch.targets[3, 5] % 4 + 1
    elif change == "delay":
        codec = Codec(codec.symbols, codec.letters, max_delay=2, conditional=True)
    elif change == "condition":
        batch.condition[3] = 0
    else:
        batch.targets[3, 0] = 1
    assert not answers_are_letters(codec, batch)


def test_sequence_values_of_real_numbers_are_exact() -> None:
    sequences = validation_sequences(Adding(length=12, val_sequences=30))
    values, batch = sequence_values(sequences), sequences.batch
    assert decoded(values["inputs"]).tolist() == batch.inputs.tolist()
    targets = torch.from_numpy(decoded(values["targets"])).float()
    torch.testing.assert_close(targets, batch.targets, rtol=0, atol=0, equal_nan=True)
    assert decoded(values["memory"]).sum() == 30


def test_fewer_sequences_of_many_real_numbers_are_stored() -> None:
    batch, _ = validation_sequences(Adding(length=1000, val_sequences=100))
    assert batch.inputs.shape == (50, 1000, 2)


@pytest.mark.parametrize("task", [ElmanXor(), Reber()], ids=lambda task: task.name)
def test_answers_are_the_next_symbols_of_streams(task: GeneratedTask) -> None:
    assert task.spec.codec is not None
    assert answers_are_next(task.spec.codec, first_batch(task))
    assert not answers_are_letters(task.spec.codec, first_batch(task))


@pytest.mark.parametrize("task", [Reverse(), FlipFlop(), *GENERATED_TASKS.values()], ids=lambda task: task.name)
def test_answers_of_other_tasks_are_not_the_next_symbols(task: GeneratedTask) -> None:
    assert task.spec.codec is not None
    assert not answers_are_next(task.spec.codec, first_batch(task))


def test_answers_are_not_letters_with_other_characters() -> None:
    task = Echo(delay=2, alphabet_size=4)
    codec, batch = task.spec.codec, first_batch(task)
    assert codec is not None
    assert answers_are_letters(replace(codec, output_symbols=codec.symbols), batch)
    assert not answers_are_letters(replace(codec, output_symbols=" ABCD"), batch)
