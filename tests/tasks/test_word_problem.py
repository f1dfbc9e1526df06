import itertools
import math
import re
from collections.abc import Callable
from typing import get_args

import pytest
import torch
from torch import Tensor

from rnn_tasks.errors import UsageError
from rnn_tasks.spec import Batch
from rnn_tasks.tasks import WordProblem
from rnn_tasks.tasks.word_problem import SYMBOLS, GroupName, Permutation, group_of, word_problem
from tests.helpers.predictors import certain, check_score, uniform

GROUPS: dict[GroupName, tuple[int, int]] = {
    # elements, elements of the abelian quotient
    "s3": (6, 2),
    "a4_x_z5": (60, 15),
    "a5": (60, 1),
    "s5": (120, 2),
    "z60": (60, 60),
}


def is_even(permutation: Permutation) -> bool:
    """Return the sign from the cycles: each cycle of even length changes it."""
    unseen, even = set(range(len(permutation))), True
    while unseen:
        start = point = unseen.pop()
        while (point := permutation[point]) != start:
            unseen.remove(point)
            even = not even
    return even


def pairing_and_rotation(permutation: Permutation) -> int:
    """Return to which of three pairings of 0..3 the pairing {0, 3}, {1, 2} goes, and to which point 4 goes."""
    pairing = [{0, 3}, {1, 3}, {2, 3}, {1, 2}, {0, 2}, {0, 1}].index({permutation[0], permutation[3]}) % 3
    return pairing * 5 + permutation[4] - 4


def products_of_latest(table: Tensor, elements: Tensor, count: int) -> Tensor:
    """Return the product of the latest ``count`` elements at each step, or of all if there are fewer."""
    size, time = elements.shape
    products = torch.zeros(size, time, dtype=torch.long)
    for step in range(time):
        for element in elements[:, max(0, step + 1 - count) : step + 1].unbind(1):
            products[:, step] = table[products[:, step], element]
    return products


def knows_latest(task: WordProblem, count: int) -> Callable[[Batch], Tensor]:
    """Return a predictor that knows the first ``count`` products, and is uniform afterwards."""
    size = task.spec.output_size

    def predict(batch: Batch) -> Tensor:
        known = certain(products_of_latest(task.group.table, batch.inputs, count), size)
        known[:, count:] = 1 / size
        return known

    return predict


def knows_class(task: WordProblem, class_of: Callable[[Permutation], int]) -> Callable[[Batch], Tensor]:
    """Return a predictor that knows the first product, and of the others a class of elements."""
    classes = torch.tensor([class_of(element) for element in task.group.elements])

    def predict(batch: Batch) -> Tensor:
        known = (classes == classes[batch.targets][..., None]).double()
        known[:, 0] = certain(batch.inputs[:, 0], len(classes))
        return known / known.sum(-1, keepdim=True)

    return predict


def listed_score(task: WordProblem, known: Callable[[tuple[int, ...]], object]) -> tuple[float, float]:
    """Return loss and accuracy of the best predictor that knows something of each prefix, from all sequences."""
    inputs = task.group.transpositions.tolist() if task.transpositions_only else range(len(task.group.elements))
    every = list(itertools.product(inputs, repeat=task.length))
    targets = word_problem(task.group.table, torch.tensor(every)).tolist()
    tables: list[dict[object, Tensor]] = [{}, {}]
    for sequence, products in zip(every, targets, strict=True):
        for step, product in enumerate(products):
            for table, first in zip(tables, (0, 1), strict=True):
                if step >= first:
                    counts = table.setdefault(known(sequence[: step + 1]), torch.zeros(task.spec.output_size))
                    counts[product] += 1
    scored = torch.stack(list(tables[0].values())).double()
    counted = torch.stack(list(tables[1].values())).double()
    loss = torch.special.entr(scored / scored.sum(1, keepdim=True)).sum(1) @ scored.sum(1) / scored.sum()
    return loss.item(), (counted.amax(1).sum() / counted.sum()).item()


def test_diagram_equals_the_products_of_permutations() -> None:
    doc = str(WordProblem.__doc__)
    lines = {name: re.search(rf"{name} +((?:\d ){{4}}\d)", doc) for name in ("inputs", "targets")}
    images = dict(re.findall(r"(\d) = (\d{3})", doc))
    assert lines["inputs"] is not None
    assert lines["targets"] is not None
    inputs = [int(symbol) for symbol in lines["inputs"][1].split()]
    group = group_of("s3")
    assert word_problem(group.table, torch.tensor([inputs]))[0].tolist() == [
        int(x) for x in lines["targets"][1].split()
    ]
    assert {str(index): "".join(map(str, element)) for index, element in enumerate(group.elements)} == images


@pytest.mark.parametrize("name", GROUPS)
def test_group_has_its_size_identity_and_quotient(name: GroupName) -> None:
    group, (size, quotient) = group_of(name), GROUPS[name]
    assert group.table.shape == (size, size)
    assert group.table[0].tolist() == group.table[:, 0].tolist() == list(range(size))
    assert list(group.elements) == sorted(set(group.elements))
    assert set(group.cosets.tolist()) == set(range(quotient))
    is_abelian = torch.equal(group.table, group.table.T)
    assert is_abelian == (name == "z60")
    # The cosets multiply like the elements, and commute.
    by_coset = group.cosets[group.table]
    assert torch.equal(by_coset, by_coset.T)


@pytest.mark.parametrize(("name", "class_of"), [("s3", is_even), ("s5", is_even), ("a4_x_z5", pairing_and_rotation)])
def test_cosets_equal_an_independent_definition(name: GroupName, class_of: Callable[[Permutation], int]) -> None:
    group = group_of(name)
    pairs = {(coset, class_of(element)) for coset, element in zip(group.cosets.tolist(), group.elements, strict=True)}
    assert len(pairs) == GROUPS[name][1]


@pytest.mark.parametrize(
    ("name", "transpositions_only"), [*((name, False) for name in GROUPS), ("s3", True), ("s5", True)]
)
def test_sequences_equal_moves_of_points(name: GroupName, transpositions_only: bool) -> None:
    task = WordProblem(name, 9, transpositions_only, batch_size=20)
    batch = task.train_batch(0)
    elements = task.group.elements
    for inputs, targets in zip(batch.inputs.tolist(), batch.targets.tolist(), strict=True):
        places = list(range(len(elements[0])))
        for element, product in zip(inputs, targets, strict=True):
            places = [elements[element][place] for place in places]
            assert elements[product] == tuple(places)
            if transpositions_only:
                assert not is_even(elements[element])
                assert sum(point == image for point, image in enumerate(elements[element])) == len(places) - 2
    assert len(set(batch.inputs.flatten().tolist())) > (2 if name == "s3" else 8)


def test_first_step_does_not_count_and_groups_are_lengths() -> None:
    batch = WordProblem(length=4, batch_size=3).train_batch(0)
    assert batch.group is not None
    assert batch.group.tolist() == [[1, 2, 3, 4]] * 3
    assert batch.scored.all()
    assert batch.needs_memory.tolist() == [[False, True, True, True]] * 3


@pytest.mark.parametrize(
    ("task", "class_of"),
    [
        (WordProblem("s3", 12), is_even),
        (WordProblem("s3", 12).at_length(30), is_even),
        (WordProblem("a4_x_z5", 8), pairing_and_rotation),
        (WordProblem("a5", 2), None),
        (WordProblem("z60", 8), None),
        (WordProblem("s5", 9), is_even),
    ],
    ids=["s3", "s3 at length 30", "a4_x_z5", "a5", "z60", "s5"],
)
def test_scores_equal_those_of_simulated_predictors(
    task: WordProblem, class_of: Callable[[Permutation], int] | None
) -> None:
    check_score(task, uniform(task), task.baseline.loss, task.baseline.accuracy)
    plateaus = {plateau.name: plateau for plateau in task.plateaus}
    predictors = {
        "knows only the latest element": knows_latest(task, 1),
        "knows only the latest two elements": knows_latest(task, 2),
    }
    if task.length == 2:
        del predictors["knows only the latest two elements"]  # this is the solution
    if class_of is not None:
        name = "abelian quotient" if task.group_name == "a4_x_z5" else "sign"
        predictors[f"knows only the {name}"] = knows_class(task, class_of)
    assert predictors.keys() == plateaus.keys()
    for name, predict in predictors.items():
        check_score(task, predict, plateaus[name].loss, plateaus[name].accuracy)


def test_scores_of_s3_equal_closed_forms() -> None:
    task = WordProblem("s3", length=12)
    assert task.baseline[:2] == pytest.approx((math.log(6), 1 / 6))
    assert task.baseline.learning_loss == pytest.approx(0.95 * 11 / 12 * math.log(6))
    assert task.plateaus[-1][1:3] == pytest.approx((11 / 12 * math.log(3), 1 / 3))


@pytest.mark.parametrize(("name", "length"), [("s3", 5), ("s5", 3)])
def test_scores_of_transpositions_equal_those_of_a_list(name: GroupName, length: int) -> None:
    task = WordProblem(name, length, transpositions_only=True)
    group = task.group

    def sign_of(prefix: tuple[int, ...]) -> object:
        product = int(word_problem(group.table, torch.tensor([prefix]))[0, -1])
        return prefix if len(prefix) == 1 else is_even(group.elements[product])

    expected = {
        "chance": listed_score(task, lambda prefix: None),
        "knows only the latest element": listed_score(task, lambda prefix: (prefix[-1], len(prefix) == 1)),
        "knows only the latest two elements": listed_score(task, lambda prefix: (prefix[-2:], len(prefix) <= 2)),
        "knows only the sign": listed_score(task, sign_of),
    }
    found = {plateau.name: (plateau.loss, plateau.accuracy) for plateau in task.plateaus}
    found["chance"] = (task.baseline.loss, task.baseline.accuracy)
    assert found.keys() == expected.keys()
    for key, score in expected.items():
        assert found[key] == pytest.approx(score, abs=1e-9)


def test_at_length_counts_the_last_product_only() -> None:
    task = WordProblem("s3", eval_lengths=[40], length_sequences=5).longer_tests[40]
    batch = task.sample(5, "test", torch.Generator())
    assert batch.needs_memory.nonzero().tolist() == [[row, 39] for row in range(5)]
    assert task.grouping is not None
    assert task.grouping.size == 41


@pytest.mark.parametrize("name", GROUPS)
def test_encoded_text_equals_the_task_sequence(name: GroupName) -> None:
    task = WordProblem(name, length=5, batch_size=3)
    codec, batch = task.spec.codec, task.train_batch(0)
    if name == "s5":
        assert codec is None  # more elements than characters
        assert len(task.group.elements) > len(SYMBOLS)
        return
    assert codec is not None
    encoded = codec.encode(codec.decode(batch.inputs))
    assert torch.equal(encoded.inputs, batch.inputs)
    assert encoded.scored.all()
    assert set(codec.example()) <= set(codec.letters)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"group": "s4"}, f"group must be one of {', '.join(get_args(GroupName))}, got s4"),
        ({"length": 1}, "length must be at least 2, got 1"),
        ({"group": "a5", "transpositions_only": True}, "a5 has no transpositions: leave out transpositions_only"),
    ],
)
def test_value_out_of_bounds_raises(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        WordProblem(**arguments)  # type: ignore[arg-type]


def test_eval_length_below_2_raises() -> None:
    with pytest.raises(UsageError, match="eval_lengths must be at least 2, got 1"):
        _ = WordProblem(eval_lengths=[1]).longer_tests
