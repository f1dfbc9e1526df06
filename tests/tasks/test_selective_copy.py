import math
from collections import Counter
from typing import Any

import pytest
import torch
from torch import Tensor

from rnn_tasks.errors import UsageError
from rnn_tasks.spec import NOT_SCORED, Batch
from rnn_tasks.tasks import SelectiveCopy
from rnn_tasks.tasks.selective_copy import LAYOUTS, LayoutName, selective_copy
from tests.helpers.predictors import certain, check_score

DIAGRAMS: dict[LayoutName, tuple[str, str]] = {
    # layout: inputs, targets
    "s4_variable": (". b . a . : :", "- - - - - b a"),
    "mad": (". b . . a : . .", "- - - - - - b a"),
    "denoise": (". b . a . : . .", ". . . . . . b a"),
    "noisy": ("c B a A c : . .", "- - - - - - b a"),
}
SIZES = ({"num_symbols": 3, "alphabet_size": 4, "length": 8}, {"num_symbols": 5, "alphabet_size": 2, "length": 5})


def plain_selective_copy(layout: LayoutName, text: str, count: int) -> tuple[str, str, list[int]]:
    """Return the whole input, the target and the lags of a text, by reading it letter by letter."""
    is_kept = str.isupper if layout == "noisy" else str.islower
    kept = [(step, letter.lower()) for step, letter in enumerate(text) if is_kept(letter)]
    assert len(kept) == count
    cue = ":" * count if layout == "s4_variable" else ":" + "." * count
    inputs = text + cue
    waiting = "." if layout == "denoise" else "-"
    start = len(inputs) - count
    targets = waiting * start + "".join(letter for _, letter in kept)
    return inputs, targets, [0] * start + [start + index - step for index, (step, _) in enumerate(kept)]


def show(task: SelectiveCopy, symbols: Tensor) -> list[str]:
    """Return one string per row of symbols, with '-' for steps that are not scored."""
    codec = task.spec.codec
    assert codec is not None
    return [text.replace(" ", "-") for text in codec.decode(symbols)]


def shares(task: SelectiveCopy, batch: Batch) -> Tensor:
    """Return, at the steps of the answer, the share of each symbol among the symbols to remember."""
    first = task.spec.input_size - task.alphabet_size if task.layout.noise else 0  # marked letters are the last inputs
    kept = first + torch.arange(task.alphabet_size)
    counts = (batch.inputs[:, : task.length, None] == kept).sum(1)
    predicted = torch.zeros(*batch.targets.shape, task.spec.output_size, dtype=torch.double)
    predicted[:, -task.num_symbols :, : task.alphabet_size] = counts[:, None] / task.num_symbols
    if task.layout.scores_blanks:
        predicted[:, : -task.num_symbols, task.blank] = 1
    return predicted


@pytest.mark.parametrize("layout", LAYOUTS)
def test_selective_copy_equals_the_diagram(layout: LayoutName) -> None:
    alphabet = "abc.:ABC"
    inputs, targets = DIAGRAMS[layout]
    text = inputs.replace(" ", "")[:5]
    is_kept = str.isupper if layout == "noisy" else str.islower
    places = [step for step, letter in enumerate(text) if is_kept(letter)]
    background = [alphabet.index(letter) if layout == "noisy" else 3 for letter in text]
    made = selective_copy(
        torch.tensor([background]),
        torch.tensor([[1, 0]]),
        torch.tensor([places]),
        LAYOUTS[layout],
        blank=3,
        marked=5 if layout == "noisy" else 0,
    )
    assert " ".join(alphabet[symbol] for symbol in made[0][0]) == inputs
    assert " ".join("-" if symbol == NOT_SCORED else alphabet[symbol] for symbol in made[1][0]) == targets
    assert made[2][0].tolist() == [False] * (len(text) + (layout != "s4_variable")) + [True] * 2
    for line in DIAGRAMS[layout]:
        assert line in str(selective_copy.__doc__)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("sizes", SIZES)
def test_sequences_equal_a_plain_definition(layout: LayoutName, sizes: dict[str, int]) -> None:
    task = SelectiveCopy(layout, **sizes, batch_size=40)
    batch = task.train_batch(0)
    assert batch.group is not None
    assert batch.memory is not None
    codec, count = task.spec.codec, sizes["num_symbols"]
    assert codec is not None
    for row, text in enumerate(codec.decode(batch.inputs[:, : task.length])):
        inputs, targets, lags = plain_selective_copy(layout, text, count)
        assert show(task, batch.inputs)[row] == inputs
        assert show(task, batch.targets)[row] == targets
        assert batch.group[row].tolist() == lags
        assert batch.memory[row].tolist() == [lag > 0 for lag in lags]
        assert max(lags) < task.grouping.size


@pytest.mark.parametrize("layout", ["s4_variable", "denoise", "noisy"])
def test_all_places_are_equally_likely(layout: LayoutName) -> None:
    batch = SelectiveCopy(layout, num_symbols=2, alphabet_size=3, length=4, batch_size=6000).train_batch(0)
    inputs = batch.inputs[:, :4]
    is_symbol = inputs >= 5 if layout == "noisy" else inputs < 3
    patterns = Counter(tuple(row) for row in is_symbol.tolist())
    assert len(patterns) == 6
    assert all(abs(count / 6000 - 1 / 6) < 4 * math.sqrt(5 / 36 / 6000) for count in patterns.values())


def test_mad_inserts_each_blank_before_a_random_symbol() -> None:
    inputs = (
        SelectiveCopy("mad", num_symbols=2, alphabet_size=3, length=5, batch_size=8000).train_batch(0).inputs[:, :5]
    )
    assert (inputs[:, 4] < 3).all()
    first = (inputs < 3).long().argmax(1)  # the number of blanks before the first symbol: binomial with 3 and 1/2
    for blanks in range(4):
        share = math.comb(3, blanks) / 8
        assert abs((first == blanks).double().mean() - share) < 4 * math.sqrt(share * (1 - share) / 8000)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_baseline_equals_a_predictor_that_guesses(layout: LayoutName) -> None:
    task = SelectiveCopy(layout, num_symbols=5, alphabet_size=3, length=9)
    size = task.spec.output_size

    def answer(batch: Batch, probabilities: Tensor) -> Tensor:
        waiting = certain(torch.full_like(batch.targets, size - 1), size)
        return torch.where(batch.group[..., None] > 0, probabilities, waiting)  # type: ignore[index]

    equal = torch.zeros(size, dtype=torch.double)
    equal[:3] = 1 / 3
    check_score(task, lambda batch: answer(batch, equal), task.baseline.loss, task.baseline.accuracy)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_plateau_equals_a_predictor_without_order(layout: LayoutName) -> None:
    task = SelectiveCopy(layout, num_symbols=5, alphabet_size=3, length=9)
    (plateau,) = task.plateaus
    check_score(task, lambda batch: shares(task, batch), plateau.loss, plateau.accuracy)


def test_one_symbol_has_no_order() -> None:
    assert SelectiveCopy(num_symbols=1).plateaus == ()


def test_denoise_baseline_equals_the_published_formula() -> None:
    task = SelectiveCopy("denoise", num_symbols=10, alphabet_size=9, length=200 + 9)  # a delay T of 200
    assert task.baseline.loss == pytest.approx(10 * math.log(9) / (200 + 20))
    assert task.train_batch(0).inputs.shape[1] == 200 + 20


@pytest.mark.parametrize("layout", LAYOUTS)
def test_encoded_text_equals_the_task_sequence(layout: LayoutName) -> None:
    task = SelectiveCopy(layout, num_symbols=3, alphabet_size=4, length=8, batch_size=8)
    batch, codec = task.train_batch(0), task.spec.codec
    assert codec is not None
    encoded = codec.encode(codec.decode(batch.inputs[:, :8]))
    assert torch.equal(encoded.inputs, batch.inputs)
    assert batch.memory is not None
    assert torch.equal(encoded.scored, batch.memory)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_sample_text_is_a_sequence_of_the_task(layout: LayoutName) -> None:
    codec = SelectiveCopy(layout, num_symbols=3, alphabet_size=4, length=8).spec.codec
    assert codec is not None
    inputs, targets, _ = plain_selective_copy(layout, codec.sample, 3)
    encoded = codec.encode([codec.sample])
    assert codec.decode(encoded.inputs) == [inputs]
    assert encoded.scored[0].tolist() == [False] * (len(targets) - 3) + [True] * 3


@pytest.mark.parametrize("layout", LAYOUTS)
def test_alphabet_beyond_the_characters_has_no_codec(layout: LayoutName) -> None:
    most = 26 if layout == "noisy" else 62
    assert SelectiveCopy(layout, alphabet_size=most).spec.codec is not None
    large = SelectiveCopy(layout, alphabet_size=most + 1, batch_size=500)
    assert large.spec.codec is None
    batch = large.train_batch(0)
    assert int(batch.inputs.max()) < large.spec.input_size
    assert int(batch.targets.max()) < large.spec.output_size


def test_longer_test_has_more_steps_before_the_marker() -> None:
    task = SelectiveCopy(num_symbols=3, length=6, eval_lengths=[9])
    longer = task.longer_tests[9]
    assert longer.train_batch(0).inputs.shape[1] == 12
    assert longer.baseline == task.baseline
    with pytest.raises(UsageError, match=r"eval_lengths must be at least num_symbols \(3\), got 2"):
        task.at_length(2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layout": "other"}, "layout must be one of s4_variable, mad, denoise, noisy, got other"),
        ({"num_symbols": 0}, "num_symbols must be at least 1, got 0"),
        ({"alphabet_size": 1}, "alphabet_size must be at least 2, got 1"),
        ({"num_symbols": 5, "length": 4}, r"length must be at least num_symbols \(5\), got 4"),
    ],
)
def test_value_out_of_bounds_raises(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        SelectiveCopy(**options)
