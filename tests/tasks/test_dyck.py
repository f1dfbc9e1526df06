from collections import Counter, defaultdict
from typing import Any

import pytest
import torch
from torch import Tensor

from rnn_tasks.errors import UsageError
from rnn_tasks.spec import NOT_SCORED, Batch
from rnn_tasks.tasks import Dyck
from rnn_tasks.tasks.dyck import CLOSING, OPENING, dyck, shuffle_dyck
from tests.helpers.predictors import certain, check_score, uniform

SIZES = [(2, 4, 40), (3, 2, 15), (8, 6, 21), (30, 3, 4)]
SHUFFLES = [(2, 4, 40), (1, 3, 9), (3, 2, 15)]


def as_text(symbols: list[int], characters: str) -> str:
    return "".join("." if symbol == NOT_SCORED else characters[symbol] for symbol in symbols)


def lines(inputs: Tensor, targets: Tensor, depth: Tensor, pairs: int, outputs: str) -> list[str]:
    """Return the lines of a diagram."""
    rows = {
        "inputs": as_text(inputs[0].tolist(), OPENING[:pairs] + CLOSING[:pairs]),
        "targets": as_text(targets[0].tolist(), outputs),
        "depth": "".join(map(str, depth[0].tolist())),
    }
    return [f"{name:10}{' '.join(row)}" for name, row in rows.items()]


def test_dyck_equals_the_diagram() -> None:
    moves = torch.tensor([[1, 1, -1, 1, -1, -1, 1, 1, -1]])
    types = torch.tensor([[0, 1, 0, 2, 0, 0, 1, 0, 2]])
    for line in lines(*dyck(moves, types, 3, 4), 3, CLOSING):
        assert line in str(Dyck.__doc__)


def test_shuffle_dyck_equals_the_diagram() -> None:
    moves = torch.tensor([[1, 1, -1, 1, 1, -1, -1, -1]])
    types = torch.tensor([[0, 1, 0, 0, 0, 1, 0, 0]])
    for line in lines(*shuffle_dyck(moves, types, 2, 4), 2, "+0"):
        assert line in str(Dyck.__doc__)


@pytest.mark.parametrize(("pairs", "max_depth", "length"), SIZES)
def test_targets_equal_those_of_a_stack(pairs: int, max_depth: int, length: int) -> None:
    batch = Dyck(pairs, max_depth, length).sample(60, "train", torch.Generator().manual_seed(0))
    assert batch.inputs.shape == batch.targets.shape == (60, length)
    assert batch.group is not None
    for inputs, targets, group in zip(batch.inputs.tolist(), batch.targets.tolist(), batch.group.tolist(), strict=True):
        stack: list[int] = []
        for step, symbol in enumerate(inputs):
            if symbol < pairs:
                stack.append(symbol)
            else:
                assert stack.pop() == symbol - pairs
            assert len(stack) <= max_depth
            assert group[step] == len(stack)
            is_scored = targets[step] != NOT_SCORED
            if step + 1 < length:
                assert is_scored == (inputs[step + 1] >= pairs)
            else:  # the bracket after the last one is not an input
                assert is_scored or len(stack) < max_depth
            assert not is_scored or targets[step] == stack[-1]


@pytest.mark.parametrize(("pairs", "max_depth", "length"), SHUFFLES)
def test_targets_of_shuffles_equal_those_of_counters(pairs: int, max_depth: int, length: int) -> None:
    batch = Dyck(pairs, max_depth, length, shuffle=True).sample(60, "train", torch.Generator().manual_seed(0))
    assert batch.inputs.shape == (60, length)
    assert batch.group is not None
    for inputs, targets, group in zip(batch.inputs.tolist(), batch.targets.tolist(), batch.group.tolist(), strict=True):
        counters = [0] * pairs
        for step, symbol in enumerate(inputs):
            before = counters[symbol % pairs]
            counters[symbol % pairs] += 1 if symbol < pairs else -1
            after = counters[symbol % pairs]
            assert 0 <= after <= max_depth
            assert group[step] == max(before, after)
            assert targets[step] == (NOT_SCORED if symbol < pairs else int(after == 0))


@pytest.mark.parametrize("shuffle", [False, True])
def test_choices_have_the_stated_probabilities(shuffle: bool) -> None:
    """Within the bounds a bracket opens with probability 1/2; the type of an opening bracket is uniform."""
    pairs, max_depth = 3, 4
    batch = Dyck(pairs, max_depth, 60, shuffle).sample(2000, "train", torch.Generator().manual_seed(0))
    opened: Counter[int] = Counter()
    visits: Counter[int] = Counter()
    types: Counter[int] = Counter()
    for inputs in batch.inputs.tolist():
        counters: dict[int, int] = defaultdict(int)
        for symbol in inputs:
            kind = symbol % pairs if shuffle else 0
            visits[counters[kind]] += 1
            opened[counters[kind]] += symbol < pairs
            types[symbol] += 1
            counters[kind] += 1 if symbol < pairs else -1
    assert opened[0] == visits[0]
    assert opened[max_depth] == 0
    for depth in range(1, max_depth):
        assert abs(opened[depth] - visits[depth] / 2) < 4 * (visits[depth] / 4) ** 0.5
    total = sum(types[kind] for kind in range(pairs))
    for kind in range(pairs):
        assert abs(types[kind] - total / pairs) < 4 * (total * 2 / 9) ** 0.5


@pytest.mark.parametrize(("pairs", "max_depth", "length"), SIZES)
def test_baseline_and_plateau_equal_simulated_scores(pairs: int, max_depth: int, length: int) -> None:
    task = Dyck(pairs, max_depth, length)
    check_score(task, uniform(task), task.baseline.loss, task.baseline.accuracy)
    (plateau,) = task.plateaus

    def last_bracket(batch: Batch) -> Tensor:
        guess = torch.full((pairs,), 1 / pairs, dtype=torch.double)
        is_open = batch.inputs < pairs
        return torch.where(is_open[..., None], certain(batch.inputs % pairs, pairs), guess)

    check_score(task, last_bracket, plateau.loss, plateau.accuracy)


def test_plateau_equals_the_measured_accuracy() -> None:
    """Two types, depth 4, 40 steps: 0.829 in 4,000 strings of another program."""
    assert Dyck(2, 4, 40).plateaus[0].accuracy == pytest.approx(0.829, abs=0.003)


def zero_probabilities(pairs: int, max_depth: int, length: int) -> tuple[float, list[float]]:
    """Return the share of '0', in all and by whether the last bracket of the type opened, from all counters jointly."""
    states = {(((0, False),) * pairs): 1.0}  # of each type: the depth, and whether its last bracket opened
    closed, zero = [0.0, 0.0], [0.0, 0.0]
    for _ in range(length):
        following: dict[tuple[tuple[int, bool], ...], float] = defaultdict(float)
        for state, mass in states.items():
            for kind, (depth, last_opened) in enumerate(state):
                opening = 1.0 if depth == 0 else 0.0 if depth == max_depth else 0.5
                for change, share in ((1, opening), (-1, 1 - opening)):
                    if share:
                        part = mass * share / pairs
                        following[(*state[:kind], (depth + change, change > 0), *state[kind + 1 :])] += part
                        if change < 0:
                            closed[last_opened] += part
                            zero[last_opened] += part * (depth == 1)
        states = following
    return sum(zero) / sum(closed), [zero[i] / closed[i] if closed[i] else 0.0 for i in (0, 1)]


def zero_with(probability: Tensor) -> Tensor:
    return torch.stack([1 - probability, probability], -1)


@pytest.mark.parametrize(("pairs", "max_depth", "length"), SHUFFLES)
def test_scores_of_shuffles_equal_simulated_scores(pairs: int, max_depth: int, length: int) -> None:
    task = Dyck(pairs, max_depth, length, shuffle=True)
    share, shares = zero_probabilities(pairs, max_depth, length)

    def constant(batch: Batch) -> Tensor:
        return zero_with(torch.full(batch.targets.shape, share, dtype=torch.double))

    check_score(task, constant, task.baseline.loss, task.baseline.accuracy)

    def last_two(batch: Batch) -> Tensor:
        rows: list[list[float]] = []
        for inputs in batch.inputs.tolist():
            opened = [False] * pairs
            rows.append([])
            for symbol in inputs:
                rows[-1].append(shares[opened[symbol % pairs]])
                opened[symbol % pairs] = symbol < pairs
        return zero_with(torch.tensor(rows, dtype=torch.double))

    drawn = task.sample(100_000, "train", torch.Generator().manual_seed(5))
    shares_by_step = (drawn.targets == 1).sum(0) / drawn.scored.sum(0).clamp(min=1)

    def number_of_brackets(batch: Batch) -> Tensor:
        return zero_with(shares_by_step.double().expand(batch.targets.shape))

    by_number, plateau = task.plateaus
    assert by_number.name == "knows only the number of brackets"
    check_score(task, number_of_brackets, by_number.loss, by_number.accuracy)
    check_score(task, last_two, plateau.loss, plateau.accuracy)


@pytest.mark.parametrize("shuffle", [False, True])
def test_at_length_changes_the_length_only(shuffle: bool) -> None:
    task = Dyck(3, 5, 20, shuffle).at_length(101)
    batch = task.sample(4, "test", torch.Generator())
    assert batch.inputs.shape == batch.targets.shape == (4, 101)
    assert task.spec == Dyck(3, 5, 20, shuffle).spec
    assert task.plateaus == Dyck(3, 5, 101, shuffle).plateaus


@pytest.mark.parametrize(("pairs", "sample", "marks"), [(2, "([][]", ".^.^^"), (30, "([][]", ".^.^^")])
def test_encoded_sample_marks_steps_before_closing(pairs: int, sample: str, marks: str) -> None:
    """And the last step, since the next bracket is not known."""
    task = Dyck(pairs)
    codec = task.spec.codec
    assert codec is not None
    assert codec.sample == sample
    assert codec.fits(task.spec.input_size, task.spec.output_size, 0)
    assert "".join(".^"[step] for step in codec.encode([sample]).scored[0].long()) == marks
    assert codec.decode(codec.encode([sample]).inputs) == [sample]


@pytest.mark.parametrize(("pairs", "sample", "marks"), [(1, "(())", "..^^"), (2, "(([))]", "...^^^")])
def test_encoded_sample_of_shuffles_marks_closing_steps(pairs: int, sample: str, marks: str) -> None:
    task = Dyck(pairs, shuffle=True)
    codec = task.spec.codec
    assert codec is not None
    assert codec.sample == sample
    assert codec.fits(task.spec.input_size, task.spec.output_size, 0)
    assert "".join(".^"[step] for step in codec.encode([sample]).scored[0].long()) == marks


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"pairs": 1}, r"pairs must be in 2\.\.30, got 1"),
        ({"pairs": 31}, r"pairs must be in 2\.\.30, got 31"),
        ({"pairs": 0, "shuffle": True}, r"pairs must be in 1\.\.30, got 0"),
        ({"max_depth": 1}, "max_depth must be at least 2, got 1"),
        ({"length": 1}, "length must be at least 2, got 1"),
    ],
)
def test_value_out_of_bounds_raises(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Dyck(**arguments)


def test_eval_length_below_2_raises() -> None:
    with pytest.raises(UsageError, match="eval_lengths must be at least 2, got 1"):
        Dyck(eval_lengths=[1]).longer_tests  # noqa: B018
