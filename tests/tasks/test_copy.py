import math

import pytest
import torch

from rnn_tasks.errors import UsageError
from rnn_tasks.spec import NOT_SCORED, Batch
from rnn_tasks.tasks import Copy
from rnn_tasks.tasks.copy import LAYOUTS, LayoutName, copy

DIAGRAMS: dict[LayoutName, tuple[int, str, str, str]] = {
    # layout: delay, inputs, targets, memory mask
    "plain": (1, "abc____", "____abc", "    ^^^"),
    "arjovsky": (2, "abc_:___", "_____abc", "     ^^^"),
    "exprnn": (2, "abc__:__", "_____abc", "     ^^^"),
    "recall": (2, "abc__:::", ".....abc", "     ^^^"),
}
WITH_MARKER: tuple[LayoutName, ...] = ("arjovsky", "exprnn", "recall")


def plain_copy(layout: LayoutName, symbols: list[int], delay: int, blank: int) -> tuple[list[int], list[int]]:
    """Return inputs and targets of one sequence, built part by part."""
    size, marker = len(symbols), blank + 1
    after_symbols = {
        "plain": [blank] * delay + [blank] * size,
        "arjovsky": [blank] * (delay - 1) + [marker] + [blank] * size,
        "exprnn": [blank] * delay + [marker] + [blank] * (size - 1),
        "recall": [blank] * delay + [marker] * size,
    }[layout]
    target_before_recall = NOT_SCORED if layout == "recall" else blank
    return symbols + after_symbols, [target_before_recall] * (size + delay) + symbols


def timing_only_score(batch: Batch, num_symbols: int) -> tuple[float, float]:
    """Return loss and accuracy of a predictor that knows the distribution of targets at each step."""
    assert batch.memory is not None
    losses: list[float] = []
    hits: list[float] = []
    starts = batch.memory.long().argmax(1)
    for start in set(starts.tolist()):
        targets, memory = batch.targets[starts == start], batch.memory[starts == start]
        for column in range(targets.shape[1]):
            if targets[0, column] == NOT_SCORED:
                continue
            share = torch.bincount(targets[:, column], minlength=num_symbols).double() / len(targets)
            losses += (-share[targets[:, column]].log()).tolist()
            if memory[0, column]:
                hits += [share.max().item()] * len(targets)
    return math.fsum(losses) / len(losses), math.fsum(hits) / len(hits)


@pytest.mark.parametrize("layout", DIAGRAMS)
def test_copy_equals_the_diagram_of_each_layout(layout: LayoutName) -> None:
    delay, inputs, targets, memory_marks = DIAGRAMS[layout]
    marker = 3 if layout == "plain" else 4
    batch = Batch(*copy(torch.tensor([[0, 1, 2]]), torch.tensor([delay]), LAYOUTS[layout], blank=3, marker=marker))
    assert "".join("abc_:"[symbol] for symbol in batch.inputs[0]) == inputs
    assert "".join("abc_"[symbol] if symbol >= 0 else "." for symbol in batch.targets[0]) == targets
    assert batch.memory is not None
    assert "".join(" ^"[step] for step in batch.memory[0].long()) == memory_marks
    for line in (inputs, targets):
        assert " ".join(line) in str(copy.__doc__)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("num_symbols", "delay"), [(1, 1), (1, 3), (2, 4), (3, 1), (10, 7)])
def test_training_sequences_equal_a_plain_definition(layout: LayoutName, num_symbols: int, delay: int) -> None:
    batch = Copy(layout, num_symbols, alphabet_size=5, delay=delay, batch_size=6).train_batch(0)
    assert batch.memory is not None
    for row in range(6):
        symbols = batch.inputs[row, :num_symbols].tolist()
        assert max(symbols) < 5
        assert (batch.inputs[row].tolist(), batch.targets[row].tolist()) == plain_copy(layout, symbols, delay, 5)
        assert batch.memory[row].tolist() == [False] * (num_symbols + delay) + [True] * num_symbols


@pytest.mark.parametrize("layout", WITH_MARKER)
def test_min_delay_gives_each_row_its_own_delay(layout: LayoutName) -> None:
    batch = Copy(layout, num_symbols=3, alphabet_size=5, delay=6, min_delay=2, batch_size=60).train_batch(0)
    assert batch.memory is not None
    delays = [int(row.long().argmax()) - 3 for row in batch.memory]
    assert set(delays) == {2, 3, 4, 5, 6}
    for row, delay in enumerate(delays):
        inputs, targets = plain_copy(layout, batch.inputs[row, :3].tolist(), delay, 5)
        missing = 6 - delay
        assert batch.inputs[row].tolist() == inputs + [5] * missing
        assert batch.targets[row].tolist() == targets + [NOT_SCORED] * missing
        assert batch.memory[row].tolist() == [False] * (3 + delay) + [True] * 3 + [False] * missing


def test_all_symbols_are_equally_likely() -> None:
    symbols = Copy(num_symbols=10, alphabet_size=4, batch_size=2000).train_batch(0).inputs[:, :10]
    shares = torch.bincount(symbols.flatten(), minlength=4) / symbols.numel()
    torch.testing.assert_close(shares, torch.full((4,), 0.25), atol=0.02, rtol=0)


@pytest.mark.parametrize(
    "task",
    [
        Copy("plain", batch_size=4000),
        Copy("arjovsky", num_symbols=4, alphabet_size=3, delay=9, batch_size=4000),
        Copy("exprnn", num_symbols=4, alphabet_size=3, delay=9, min_delay=3, batch_size=8000),
        Copy("recall", num_symbols=5, alphabet_size=2, delay=4, min_delay=1, batch_size=8000),
    ],
    ids=["plain", "arjovsky", "exprnn", "recall"],
)
def test_baseline_equals_score_of_predictor_that_knows_timing(task: Copy) -> None:
    loss, accuracy = timing_only_score(task.train_batch(0), task.alphabet_size)
    assert task.baseline.loss == pytest.approx(loss, rel=0.01)
    assert task.baseline.accuracy == pytest.approx(accuracy, abs=0.02)


@pytest.mark.parametrize(
    ("delay", "published"), [(100, 0.1733), (200, 0.0945), (500, 0.04), (1000, 0.0204), (2000, 0.0103)]
)
def test_baseline_equals_published_values(delay: int, published: float) -> None:
    assert Copy("arjovsky", delay=delay).baseline.loss == pytest.approx(published, abs=5e-5)
    assert Copy("exprnn", delay=delay).baseline == Copy("arjovsky", delay=delay).baseline


def test_default_baseline_equals_published_value() -> None:
    assert Copy().baseline.loss == pytest.approx(0.990, abs=5e-4)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("num_symbols", [1, 4])
def test_encoded_text_equals_the_task_sequence(layout: LayoutName, num_symbols: int) -> None:
    task = Copy(layout, num_symbols, alphabet_size=5, delay=3, batch_size=8)
    batch, codec = task.train_batch(0), task.spec.codec
    assert codec is not None
    encoded = codec.encode(codec.decode(batch.inputs[:, :num_symbols]))
    assert torch.equal(encoded.inputs, batch.inputs)
    assert torch.equal(encoded.scored, batch.memory if batch.memory is not None else batch.scored)
    assert encoded.condition is None


@pytest.mark.parametrize("layout", WITH_MARKER)
def test_encoded_text_equals_the_task_sequence_at_each_delay(layout: LayoutName) -> None:
    task = Copy(layout, num_symbols=3, alphabet_size=5, delay=4, min_delay=1, batch_size=20)
    batch, codec = task.train_batch(0), task.spec.codec
    assert codec is not None
    assert batch.memory is not None
    for row, text in enumerate(codec.decode(batch.inputs[:, :3])):
        delay = int(batch.memory[row].long().argmax()) - 3
        encoded = codec.encode([text], delay)
        length = encoded.inputs.shape[1]
        assert length == 6 + delay
        assert torch.equal(encoded.inputs[0], batch.inputs[row, :length])
        assert torch.equal(encoded.scored[0], batch.memory[row, :length])


@pytest.mark.parametrize(
    ("layout", "cue"), [("plain", "    "), ("arjovsky", ":   "), ("exprnn", " :  "), ("recall", " :::")]
)
def test_decode_shows_blank_and_marker_as_characters(layout: LayoutName, cue: str) -> None:
    codec = Copy(layout, num_symbols=3, alphabet_size=12).spec.codec
    assert codec is not None
    assert codec.decode(codec.encode(["0ba"]).inputs) == ["0ba" + cue]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_spec_sizes_equal_the_number_of_symbols(layout: LayoutName) -> None:
    task = Copy(layout, alphabet_size=5, delay=3, batch_size=50)
    batch = task.train_batch(0)
    assert task.spec.input_size == int(batch.inputs.max()) + 1
    assert task.spec.output_size - 1 == task.spec.blank == 5
    assert int(batch.targets.max()) <= 5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"layout": "other"}, "layout must be one of plain, arjovsky, exprnn, recall, got other"),
        ({"num_symbols": 0}, "num_symbols must be at least 1, got 0"),
        ({"alphabet_size": 1}, r"alphabet_size must be in 2\.\.62, got 1"),
        ({"alphabet_size": 63}, r"alphabet_size must be in 2\.\.62, got 63"),
        ({"delay": 0}, "delay must be at least 1, got 0"),
        ({"layout": "recall", "delay": 3, "min_delay": 4}, r"min_delay must be in 1\.\.delay \(3\), got 4"),
        ({"layout": "recall", "delay": 3, "min_delay": 0}, r"min_delay must be in 1\.\.delay \(3\), got 0"),
        (
            {"layout": "plain", "delay": 3, "min_delay": 2},
            "layout plain has no marker .*: leave out min_delay, or choose layout arjovsky, exprnn or recall",
        ),
    ],
)
def test_value_out_of_bounds_raises(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Copy(**arguments)  # type: ignore[arg-type]
