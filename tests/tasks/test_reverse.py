import math
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from rnn_tasks.errors import UsageError
from rnn_tasks.spec import Batch
from rnn_tasks.tasks import Reverse
from rnn_tasks.tasks.reverse import OPERATIONS, OperationName, duplicate, reverse, sort, stack, with_answers
from tests.helpers.predictors import Predict, check_score

DIAGRAMS: list[tuple[Callable[..., Any], str, str, int]] = [
    # function, string, answer, index of the marker
    (reverse, "abc", "cba", 5),
    (duplicate, "abc", "abcabc", 5),
    (sort, "badb", "abbd", 5),
]


def plain_answer(operation: OperationName, text: str, size: int) -> str:
    """Return the answer to a string, by Python's lists."""
    if operation == "reverse":
        return text[::-1]
    if operation == "duplicate":
        return text + text
    if operation == "sort":
        return "".join(sorted(text))
    contents: list[str] = []
    for letter in text:
        if letter == "-":
            contents = contents[:-1]
        elif letter.isdigit():
            contents.append(letter)
        else:
            contents.append("0123456789"["abcdefghij".index(letter)])
    answer = "".join(reversed(contents))
    return answer + "#" * (len(text) + 1 - len(answer))


def parts_of(task: Reverse, batch: Batch) -> list[tuple[str, str]]:
    """Return the string and the answer of each row, and check that the answer follows the string at once."""
    codec = task.spec.codec
    assert codec is not None
    parts = []
    for inputs, targets in zip(codec.decode(batch.inputs), codec.decode_outputs(batch.targets), strict=True):
        text = inputs.rstrip(":")
        assert ":" not in text
        assert targets[: len(text)] == " " * len(text)
        parts.append((text, targets[len(text) :].rstrip()))
    return parts


def position_predictor(task: Reverse, only_memory: bool = False) -> Predict:
    """Return a predictor that has counted the answers at each step of each length, on sequences of its own.

    Args:
        task: The task.
        only_memory: Whether it counted only the steps that count for accuracy.
    """
    counts = torch.zeros(task.lengths[1] + 1, 3 * task.lengths[1], task.spec.output_size).double()
    generator = torch.Generator().manual_seed(2)
    for _ in range(40):
        batch = task.sample(2500, "test", generator)
        ones = (batch.needs_memory if only_memory else batch.scored)[batch.scored].double()
        counts.index_put_((*keys_of(batch), batch.targets[batch.scored]), ones, accumulate=True)
    shares = counts / counts.sum(-1, True).clamp(min=1)

    def predict(batch: Batch) -> Tensor:
        probabilities = torch.zeros(*batch.targets.shape, task.spec.output_size).double()
        probabilities[batch.scored] = shares[keys_of(batch)]
        return probabilities

    return predict


def keys_of(batch: Batch) -> tuple[Tensor, Tensor]:
    """Return the length of the string and the step of the answer at each scored step."""
    assert batch.group is not None
    lengths = batch.group.expand(batch.targets.shape)
    return lengths[batch.scored], (torch.arange(batch.targets.shape[1]) - lengths)[batch.scored]


@pytest.mark.parametrize(("function", "text", "answer", "marker"), DIAGRAMS)
def test_answers_equal_the_diagrams(function: Callable[..., Any], text: str, answer: str, marker: int) -> None:
    symbols, lengths = torch.tensor([["abcd".index(letter) for letter in text]]), torch.tensor([len(text)])
    inputs, targets = with_answers(symbols, lengths, function(symbols, lengths), torch.tensor([len(answer)]), marker)
    lines = (
        "inputs    " + " ".join("abcd_:"[symbol] for symbol in inputs[0]),
        "targets   " + " ".join("abcd"[symbol] if symbol >= 0 else "." for symbol in targets[0]),
    )
    for line in lines:
        assert line in str(function.__doc__)
    assert answer in lines[1].replace(" ", "")


def test_stack_equals_the_diagram() -> None:
    symbols, lengths = torch.tensor([["01-ab".index(letter) for letter in "01b-"]]), torch.tensor([4])
    answers, heights = stack(symbols, lengths, 2)
    inputs, targets = with_answers(symbols, lengths, answers, lengths + 1, 5)
    assert "inputs    " + " ".join("01-ab:"[symbol] for symbol in inputs[0]) in str(stack.__doc__)
    assert "targets   " + " ".join("01#"[symbol] if symbol >= 0 else "." for symbol in targets[0]) in str(stack.__doc__)
    assert heights.tolist() == [2]


@pytest.mark.parametrize("one_length_per_batch", [False, True])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_targets_equal_a_plain_definition(operation: OperationName, one_length_per_batch: bool) -> None:
    task = Reverse(operation, 1, 5, 3, one_length_per_batch=one_length_per_batch)
    lengths = set()
    for index in range(30):
        parts = parts_of(task, task.train_batch(index))
        assert one_length_per_batch == (len({len(text) for text, _ in parts}) == 1)
        for text, answer in parts:
            assert answer == plain_answer(operation, text, 3)
            lengths.add(len(text))
    assert lengths == {1, 2, 3, 4, 5}


def test_stack_strings_begin_with_one_symbol_or_more() -> None:
    task = Reverse("stack", 1, 5, 2, batch_size=3000)
    starts: dict[int, Counter[int]] = {length: Counter() for length in range(1, 6)}
    for text, _ in parts_of(task, task.train_batch(0)):
        start = len(text) - len(text.lstrip("01"))
        assert set(text[start:]) <= set("-ab")
        starts[len(text)][start] += 1
    assert [set(counter) for counter in starts.values()] == [{1}, {1}, {1, 2}, {1, 2, 3}, {1, 2, 3, 4}]
    assert all(abs(count / starts[5].total() - 1 / 4) < 0.08 for count in starts[5].values())


def test_accuracy_of_stack_counts_up_to_the_first_end() -> None:
    task = Reverse("stack", 1, 9, 2)
    batch = task.train_batch(0)
    assert batch.memory is not None
    for row, (text, answer) in enumerate(parts_of(task, batch)):
        counted = [step for step, counts in enumerate(batch.memory[row].tolist()) if counts]
        assert counted == list(range(len(text), len(text) + answer.index("#") + 1))


@pytest.mark.parametrize("operation", OPERATIONS)
def test_group_is_the_length_of_the_string(operation: OperationName) -> None:
    task = Reverse(operation, 2, 6)
    (batch,) = task.val_dataloader()
    assert batch.group is not None
    assert batch.group[:, 0].tolist() == [len(text) for text, _ in parts_of(task, batch)]
    assert task.grouping.size == 7


@pytest.mark.parametrize(
    ("operation", "lengths", "size"),
    [
        ("reverse", (1, 5), 3),
        ("duplicate", (2, 5), 3),
        ("sort", (1, 5), 3),
        ("sort", (20, 20), 5),
        ("stack", (1, 5), 2),
        ("stack", (12, 12), 3),
    ],
)
def test_baseline_equals_score_of_counted_positions(
    operation: OperationName, lengths: tuple[int, int], size: int
) -> None:
    task = Reverse(operation, *lengths, size)
    check_score(task, position_predictor(task), task.baseline.loss, None)
    check_score(task, position_predictor(task, only_memory=True), None, task.baseline.accuracy)


def test_plateau_of_reverse_equals_knowing_the_last_symbol() -> None:
    task = Reverse("reverse", 1, 5, 3)

    def predict(batch: Batch) -> Tensor:
        probabilities = torch.full((*batch.targets.shape, 3), 1 / 3)
        assert batch.group is not None
        rows, lengths = torch.arange(len(batch.inputs)), batch.group[:, 0]
        probabilities[rows, lengths] = one_hot(batch.inputs[rows, lengths - 1], 3).float()
        return probabilities

    plateau = task.plateaus[0]
    assert plateau.name == "knows only the last symbol"
    check_score(task, predict, plateau.loss, plateau.accuracy)


@pytest.mark.parametrize("operation", ["reverse", "duplicate"])
def test_plateau_equals_knowing_which_symbols_occurred(operation: OperationName) -> None:
    task = Reverse(operation, 1, 5, 3)

    def predict(batch: Batch) -> Tensor:
        counts = one_hot(batch.inputs, 4)[..., :3].sum(1, keepdim=True)
        return (counts / counts.sum(-1, keepdim=True)).expand(*batch.targets.shape, 3)

    plateau = task.plateaus[-1]
    assert plateau.name == "knows which symbols, not their order"
    check_score(task, predict, plateau.loss, plateau.accuracy)


@pytest.mark.parametrize(("lengths", "size"), [((1, 5), 2), ((9, 9), 3)])
def test_plateau_of_stack_equals_knowing_the_height(lengths: tuple[int, int], size: int) -> None:
    task = Reverse("stack", *lengths, size)

    def predict(batch: Batch) -> Tensor:
        probabilities = torch.full((*batch.targets.shape, size + 1), 1 / size)
        probabilities[..., size] = 0
        probabilities[batch.targets == size] = torch.tensor([0.0] * size + [1.0])
        return probabilities

    (plateau,) = task.plateaus
    check_score(task, predict, plateau.loss, plateau.accuracy)


def test_position_tells_most_of_a_long_sorted_string() -> None:
    accuracies = [Reverse("sort", length, length, 5).baseline.accuracy for length in (10, 100, 500)]
    assert accuracies == sorted(accuracies)
    assert accuracies[-1] == pytest.approx(0.936, abs=1e-3)


def test_baseline_and_plateau_follow_at_length() -> None:
    task = Reverse("reverse", 1, 4, 4, eval_lengths=[8], length_sequences=20)
    longer = task.longer_tests[8]
    batch = longer.sample(7, "test", torch.Generator())
    assert batch.inputs.shape == (7, 16)
    assert longer.plateaus[0].accuracy == (1 + 7 / 4) / 8
    assert longer.baseline.loss == pytest.approx(math.log(4))


@pytest.mark.parametrize("operation", OPERATIONS)
def test_encoded_text_equals_a_training_sequence(operation: OperationName) -> None:
    task = Reverse(operation, 1, 6, 3)
    batch, codec = task.train_batch(0), task.spec.codec
    assert codec is not None
    for row, (text, _) in enumerate(parts_of(task, batch)):
        encoded = codec.encode([text])
        width = encoded.inputs.shape[1]
        assert torch.equal(encoded.inputs[0], batch.inputs[row, :width])
        assert torch.equal(encoded.scored[0], batch.scored[row, :width])
        assert not batch.scored[row, width:].any()
    assert len(codec.sample) == 6
    assert codec.encode([codec.sample]).scored.any()


@pytest.mark.parametrize("operation", OPERATIONS)
def test_spec_sizes_equal_the_number_of_symbols(operation: OperationName) -> None:
    task = Reverse(operation, 8, 12, 3, batch_size=500)
    batch = task.train_batch(0)
    assert task.spec.input_size == int(batch.inputs.max()) + 1
    assert task.spec.output_size == int(batch.targets.max()) + 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"operation": "other"}, "operation must be one of reverse, duplicate, sort, stack, got other"),
        ({"min_length": 0}, "min_length must be at least 1, got 0"),
        ({"min_length": 5, "max_length": 4}, r"max_length must be at least min_length \(5\), got 4"),
        ({"alphabet_size": 1}, r"alphabet_size must be in 2\.\.62, got 1"),
        ({"operation": "stack", "alphabet_size": 11}, r"alphabet_size must be in 2\.\.10, got 11"),
    ],
)
def test_value_out_of_bounds_raises(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Reverse(**arguments)
