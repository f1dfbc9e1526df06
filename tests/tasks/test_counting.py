import math
import re
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from itertools import pairwise, product
from typing import Any

import pytest
import torch
from scipy.stats import betabinom
from torch import Tensor

from rnn_tasks.errors import UsageError
from rnn_tasks.spec import NOT_SCORED, Batch
from rnn_tasks.tasks import Counting
from rnn_tasks.tasks.counting import (
    BETA_BINOMIAL,
    LANGUAGES,
    DistributionName,
    LanguageName,
    counting,
    generator_loss,
    number_probabilities,
)
from tests.helpers.predictors import check_score, uniform

STRINGS: dict[LanguageName, Callable[[int, int], str]] = {
    "an_bn": lambda n, m: "a" * n + "b" * n,
    "an_bn_cn": lambda n, m: "a" * n + "b" * n + "c" * n,
    "an_b2n": lambda n, m: "a" * n + "b" * n + "b" * n,
    "an_bm_cnm": lambda n, m: "a" * n + "b" * m + "c" * m + "c" * n,
}
# Steps of the loss of a predictor that knows P(n), as in the file of Lan et al. (2022).
NUMBERS = range(15, 1015)


def strings(language: LanguageName, low: int, high: int) -> list[str]:
    """Return all strings of a test: each n with each m, or each n alone if the language has no m."""
    ms = range(1, high + 1) if language == "an_bm_cnm" else (1,)
    return [STRINGS[language](n, m) for n, m in product(range(low, high + 1), ms)]


def texts(batch: Batch) -> Iterator[tuple[str, str, str]]:
    """Return inputs, targets and marks of the memory steps as text, without the steps that are not scored."""
    assert batch.memory is not None
    for inputs, targets, memory in zip(
        batch.inputs.tolist(), batch.targets.tolist(), batch.memory.tolist(), strict=True
    ):
        scored = [step for step, target in enumerate(targets) if target != NOT_SCORED]
        assert scored == list(range(len(scored)))
        assert not any(memory[len(scored) :])
        assert not any(inputs[len(scored) :])
        yield (
            "".join("#abc"[inputs[step]] for step in scored),
            "".join("#abc"[targets[step]] for step in scored),
            "".join(".^"[memory[step]] for step in scored),
        )


def test_counting_equals_the_diagram() -> None:
    batch = Batch(*counting(torch.tensor([[2, 2, 2]]), free=1))
    for name, text in zip(("inputs", "targets", "memory"), next(texts(batch)), strict=True):
        assert f"{name:10}{' '.join(text)}" in str(Counting.__doc__)


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("language", LANGUAGES)
def test_strings_are_those_of_the_language(language: LanguageName, split: str) -> None:
    batch = Counting(language, max_n=5).sample(200, split, torch.Generator().manual_seed(0))
    valid = set(strings(language, 1, 5))
    expected = {f"#{text}" for text in valid}
    found = set()
    assert batch.group is not None
    for (inputs, targets, _), n in zip(texts(batch), batch.group.flatten().tolist(), strict=True):
        assert targets == inputs[1:] + "#"
        assert n == inputs.count("a")
        found.add(inputs)
    assert found <= expected
    assert len(found) > 0.95 * len(expected)


@pytest.mark.parametrize("language", LANGUAGES)
def test_memory_marks_symbols_that_the_prefix_determines(language: LanguageName) -> None:
    """Except the first a, which every string has."""
    following: dict[str, set[str]] = {}
    for text in strings(language, 1, 12):  # longer than those of the batch, so that the longest can be continued
        for step in range(len(text) + 1):
            following.setdefault(text[:step], set()).add((text + "#")[step])
    for inputs, _, memory in texts(Counting(language, max_n=5).sample(60, "test", torch.Generator())):
        marks = "".join(".^"[len(following[inputs[1 : step + 1]]) == 1] for step in range(len(inputs)))
        assert memory == "." + marks[1:]


def test_strings_match_a_regular_expression_of_blocks() -> None:
    for inputs, _, _ in texts(Counting("an_bm_cnm", max_n=7).train_batch(3)):
        blocks = re.fullmatch("#(a+)(b+)(c+)", inputs)
        assert blocks is not None
        n, m, total = map(len, blocks.groups())
        assert total == n + m


def last_symbol_predictor(language: LanguageName, low: int, high: int) -> Callable[[Batch], Tensor]:
    """Return a predictor with the frequencies of pairs of symbols in all strings of the test."""
    counts = Counter(pair for text in strings(language, low, high) for pair in pairwise(f"#{text}#"))
    size = len(set("".join(strings(language, low, high)))) + 1
    table = torch.tensor([[counts["#abc"[i], "#abc"[j]] for j in range(size)] for i in range(size)], dtype=torch.double)
    return lambda batch: (table / table.sum(1, keepdim=True))[batch.inputs]


def best_predictor(language: LanguageName, low: int, high: int) -> Callable[[Batch], Tensor]:
    """Return a predictor that knows the whole prefix and all strings of the test."""
    following: dict[str, Counter[int]] = {}
    for text in strings(language, low, high):
        for step in range(len(text) + 1):
            following.setdefault("#" + text[:step], Counter())["#abc".index((text + "#")[step])] += 1
    size = len(set("".join(strings(language, low, high)))) + 1

    @cache
    def probabilities(inputs: str) -> list[list[float]]:
        counts = [following.get(inputs[: step + 1], Counter({0: 1})) for step in range(len(inputs))]
        return [[part[symbol] / part.total() for symbol in range(size)] for part in counts]

    def predict(batch: Batch) -> Tensor:
        rows = ["".join("#abc"[symbol] for symbol in inputs) for inputs in batch.inputs.tolist()]
        return torch.tensor([probabilities(row) for row in rows], dtype=torch.double)

    return predict


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(("low", "high"), [(1, 20), (1, 2), (9, 9)])
def test_baseline_and_plateau_equal_simulated_scores(language: LanguageName, low: int, high: int) -> None:
    task = Counting(language, max_n=20).changed(numbers=(low, high))
    check_score(task, uniform(task), task.baseline.loss, task.baseline.accuracy)
    (plateau,) = task.plateaus
    check_score(task, last_symbol_predictor(language, low, high), plateau.loss, plateau.accuracy)


@pytest.mark.parametrize("language", LANGUAGES)
def test_floor_equals_loss_of_the_best_predictor(language: LanguageName) -> None:
    task = Counting(language, max_n=20)
    check_score(task, best_predictor(language, 1, 20), task.baseline.floor, 1.0)


def test_floor_of_one_n_is_zero() -> None:
    assert Counting("an_bn_cn").at_length(30).baseline.floor == 0


@pytest.mark.parametrize(
    ("language", "bits", "decimals"), [("an_bn", 0.258223582, 9), ("an_bn_cn", 0.1722, 4), ("an_b2n", 0.1722, 4)]
)
def test_generator_loss_equals_published_optima(language: LanguageName, bits: float, decimals: int) -> None:
    """The optima on n = 15..1014 in the file stats/tacl_stats.json of github.com/taucompling/mdlrnn."""
    n = torch.tensor(NUMBERS)
    lengths = LANGUAGES[language].lengths(n, n)
    loss = generator_loss(lengths, 1, lambda number: (number - 1) * math.log(0.7) + math.log(0.3))
    assert loss / math.log(2) == pytest.approx(bits, abs=0.5 * 10.0**-decimals)


@pytest.mark.parametrize(("language", "published"), [("an_bn", 0.99806), ("an_bn_cn", 0.99806), ("an_b2n", 0.99903)])
def test_plateau_equals_published_accuracy(language: LanguageName, published: float) -> None:
    """The authors also count the first a, at which this predictor is right, and every string is wrong."""
    task = Counting(language).changed(numbers=(NUMBERS[0], NUMBERS[-1]))
    determined = sum(len(STRINGS[language](n, n)) - n for n in NUMBERS)
    right = task.plateaus[0].accuracy * determined + len(NUMBERS)  # type: ignore[operator]
    assert round(right / (determined + len(NUMBERS)), 5) == published


@pytest.mark.parametrize("distribution", BETA_BINOMIAL)
def test_beta_binomial_probabilities_equal_those_of_scipy(distribution: DistributionName) -> None:
    expected = torch.tensor(betabinom.pmf(range(50), 49, *BETA_BINOMIAL[distribution]))
    torch.testing.assert_close(number_probabilities(distribution, 50), expected)


@pytest.mark.parametrize("distribution", ["uniform", "geometric", *BETA_BINOMIAL])
def test_training_numbers_have_the_distribution(distribution: DistributionName) -> None:
    group = Counting("an_bn", 6, distribution).sample(20_000, "train", torch.Generator().manual_seed(0)).group
    assert group is not None
    shares = torch.bincount(group.flatten(), minlength=7)[1:].double() / len(group)
    expected = number_probabilities(distribution, 6)
    errors = (expected * (1 - expected) / len(group)).sqrt()
    assert ((shares - expected).abs() < 4 * errors).all()
    if distribution == "geometric":
        assert expected[1:] / expected[:-1] == pytest.approx([0.7] * 5)


def test_tails_are_on_the_side_of_their_name() -> None:
    right, left = (number_probabilities(name, 50) for name in ("right_tailed", "left_tailed"))
    assert right.argmax() == 0
    assert left.argmax() == 49


def test_one_length_per_batch_pads_no_string() -> None:
    batches = [Counting("an_bm_cnm", one_length_per_batch=True).train_batch(index) for index in range(9)]
    assert all(batch.scored.all() for batch in batches)
    assert len({batch.inputs.shape[1] for batch in batches}) > 3


def test_numbers_rotate_in_the_test() -> None:
    group = Counting(max_n=7, test_sequences=21).sample(21, "test", torch.Generator()).group
    assert group is not None
    assert group.flatten().tolist() == 3 * [*range(1, 8)]


@pytest.mark.parametrize("language", LANGUAGES)
def test_at_length_gives_strings_of_one_n(language: LanguageName) -> None:
    task = Counting(language, max_n=4).at_length(9)
    batch = task.sample(80, "test", torch.Generator().manual_seed(0))
    found = {inputs[1:] for inputs, _, _ in texts(batch)}
    assert found <= set(strings(language, 9, 9))
    assert len(found) == (9 if language == "an_bm_cnm" else 1)
    assert task.grouping.size == 10


def test_solved_needs_strings_without_an_error() -> None:
    assert Counting().solved({"val/exact_match": 0.99, "val/worst_accuracy": 0.5})
    assert not Counting().solved({"val/exact_match": 0.98, "val/worst_accuracy": 0.999})
    assert not Counting().solved({"val/exact_match": 1.0}, "test")


@pytest.mark.parametrize("language", LANGUAGES)
def test_encoded_sample_marks_the_determined_steps(language: LanguageName) -> None:
    task = Counting(language)
    codec = task.spec.codec
    assert codec is not None
    assert codec.sample[1:] == STRINGS[language](3, 2)
    assert codec.fits(task.spec.input_size, task.spec.output_size, 0)
    encoded = codec.encode([codec.sample])
    lengths = LANGUAGES[language].lengths(torch.tensor([3]), torch.tensor([2]))
    inputs, _, memory = counting(lengths, LANGUAGES[language].free)
    assert torch.equal(encoded.inputs, inputs)
    assert torch.equal(encoded.scored, memory)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"language": "anbn"}, "language must be one of an_bn, an_bn_cn, an_b2n, an_bm_cnm, got anbn"),
        ({"max_n": 1}, "max_n must be at least 2, got 1"),
        ({"distribution": "normal"}, "distribution must be one of uniform, geometric, u_shaped, .*, got normal"),
        ({"eval_lengths": [0]}, "eval_lengths must be at least 1, got 0"),
    ],
)
def test_value_out_of_bounds_raises(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Counting(**arguments)
