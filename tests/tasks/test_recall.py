import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from rnn_tasks.errors import UsageError
from rnn_tasks.spec import NOT_SCORED, Batch
from rnn_tasks.tasks import Recall
from rnn_tasks.tasks.recall import recall
from tests.helpers.predictors import certain, check_score, uniform

DIAGRAMS = [
    # pairs in the context, inputs, targets, lags
    (3, "b 1 d 4 a 1 ? ? d", "- - - - - - - - 4", "0 0 0 0 0 0 0 0 6"),
    (3, "b 1 d 4 b 7 ? ? d b", "- - - - - - - - 4 7", "0 0 0 0 0 0 0 0 6 5"),
    (2, "b 1 d 4 . . d . b .", "- - - - - - 4 - 1 -", "0 0 0 0 0 0 4 0 8 0"),
    (4, "b 1 d 4 b 1 b 1 d", "- - - - 1 - 1 - 4", "0 0 0 0 4 0 2 0 6"),
]
TASKS: dict[str, dict[str, Any]] = {
    "associative": {},
    "associative all queries": {"pairs": 3, "vocabulary": 20, "queries": 3},
    "associative updates": {"pairs": 3, "queries": 2, "updates": 2},
    "mqar": {"layout": "mqar"},
    "mqar updates": {"layout": "mqar", "pairs": 3, "vocabulary": 21, "queries": 2, "updates": 2, "length": 19},
    "mqar noise": {"layout": "mqar", "vocabulary": 12, "noise": 0.7, "length": 24},
    "mad": {"layout": "mad", "pairs": 8},
    "mad noise": {"layout": "mad", "pairs": 11, "vocabulary": 9, "noise": 0.4},
}


def make(name: str, **options: Any) -> Recall:
    return Recall(**TASKS[name], **options)


def context_steps(task: Recall) -> int:
    """Return the number of steps with pairs."""
    return task.num_steps - 1 if task.layout.repeats_keys else 2 * (task.pairs + task.updates)


def table(task: Recall, inputs: Tensor, first: bool = False) -> list[Tensor]:
    """Return the value of each key before each pair and after the last one (-1: not written), pair by pair.

    Args:
        task: The task.
        inputs: The inputs.
        first: Whether the first value of a key counts, instead of the last one.
    """
    known = torch.full((len(inputs), task.num_keys + 1), -1)  # the last column takes what is no key
    states = [known]
    for step in range(0, context_steps(task), 2):
        key = inputs[:, step].clamp(max=task.num_keys)[:, None]
        value = inputs[:, step + 1, None] - task.num_keys
        old = known.gather(1, key)
        known = known.scatter(1, key, torch.where((old >= 0) & first, old, value))
        states.append(known)
    return [state[:, :-1] for state in states]


def shares_of_values(task: Recall, batch: Batch) -> Tensor:
    """Return the share of each value among those written: by all pairs, or (mad) by all different keys so far."""
    steps = batch.inputs.shape[1]
    if task.layout.repeats_keys:
        states = table(task, batch.inputs)
        counts = torch.stack([functional.one_hot(s + 1, task.num_values + 1)[..., 1:].sum(1) for s in states], 1)
        counts = counts.repeat_interleave(2, 1)[:, :steps]
    else:
        values = batch.inputs[:, 1 : context_steps(task) : 2] - task.num_keys
        counts = functional.one_hot(values, task.num_values).sum(1, keepdim=True).expand(-1, steps, -1)
    return counts.double() / counts.sum(-1, keepdim=True).clamp(min=1)


@pytest.mark.parametrize(("pairs", "inputs", "targets", "lags"), DIAGRAMS)
def test_recall_equals_the_diagram(pairs: int, inputs: str, targets: str, lags: str) -> None:
    symbols = torch.tensor([["abcd01234567?.".index(letter) for letter in inputs.split()]])
    is_pair = torch.arange(symbols.shape[1]) < 2 * pairs
    is_key = symbols[0] < 4
    starts = torch.arange(0, symbols.shape[1], 2) if "?" not in inputs and "." not in inputs else None
    queries = (is_key & ~is_pair).nonzero()[:, 0] if starts is None else starts
    keys, values = symbols[:, 0 : 2 * pairs : 2], symbols[:, 1 : 2 * pairs : 2] - 4
    made = recall(symbols, keys, values, queries[None])
    assert " ".join("-" if target == NOT_SCORED else str(int(target)) for target in made[0][0]) == targets
    assert " ".join(str(int(lag)) for lag in made[1][0]) == lags
    for name, line in {"inputs": inputs, "targets": targets, "lags": lags}.items():
        assert f"{name:10}{line}" in str(recall.__doc__)


@pytest.mark.parametrize("name", TASKS)
def test_answers_are_the_last_values_of_their_keys(name: str) -> None:
    task = make(name, batch_size=60)
    batch, steps = task.train_batch(0), context_steps(make(name))
    assert batch.inputs.shape[1] == task.num_steps
    assert batch.group is not None
    for row in range(60):
        inputs, targets, lags = batch.inputs[row].tolist(), batch.targets[row].tolist(), batch.group[row].tolist()
        memory: dict[int, tuple[int, int]] = {}  # key: step, value
        scored = []
        for step, symbol in enumerate(inputs):
            is_known = symbol in memory
            is_query = is_known and step % 2 == 0 if task.layout.repeats_keys else step >= steps and is_known
            if targets[step] != NOT_SCORED:
                assert is_query
                assert targets[step] == memory[symbol][1]
                assert lags[step] == step - memory[symbol][0]
                scored.append(symbol)
            else:
                assert not is_query or ("noise" in name and not task.layout.repeats_keys)
                assert lags[step] == 0
            if step % 2 and step < steps and inputs[step - 1] < task.num_keys:
                memory[inputs[step - 1]] = (step - 1, symbol - task.num_keys)
        if not task.layout.repeats_keys:
            assert len(memory) == task.pairs
            assert len(scored) == len(set(scored)) == task.queries
        assert max(lags) < task.grouping.size
        assert max(inputs) < task.spec.input_size


def test_associative_sequences_have_the_published_form() -> None:
    task = make("associative", batch_size=200)
    batch, codec = task.train_batch(0), task.spec.codec
    assert task.spec.input_size == 26 + 10 + 1
    assert codec is not None
    for text in codec.decode(batch.inputs):
        letters, digits, end = text[0:8:2], text[1:8:2], text[8:]
        assert len(set(letters)) == 4
        assert letters.isalpha()
        assert digits.isdigit()
        assert end[:2] == "??"
        assert end[2:] in letters


def test_mqar_values_differ_and_the_rest_is_blank() -> None:
    task = make("mqar updates", batch_size=200)
    inputs, targets = task.train_batch(0).inputs, task.train_batch(0).targets
    values = inputs[:, 1:10:2]
    assert all(len(set(row)) == 5 for row in values.tolist())
    assert (task.num_keys, task.num_values, task.spec.input_size) == (9, 11, 21)
    assert ((inputs[:, 10:] == task.spec.blank) | (targets[:, 10:] != NOT_SCORED)).all()


def test_updated_keys_are_random() -> None:
    inputs = make("associative updates", batch_size=6000).train_batch(0).inputs
    again = (inputs[:, 6, None] == inputs[:, 0:6:2]).double().mean(0)
    assert ((again - 1 / 3).abs() < 4 * math.sqrt(2 / 9 / 6000)).all()


@pytest.mark.parametrize("name", ["associative", "associative updates"])
def test_asked_keys_are_random(name: str) -> None:
    task = make(name, batch_size=6000)
    inputs = task.train_batch(0).inputs
    asked = (inputs[:, -1, None] == inputs[:, 0 : 2 * task.pairs : 2]).double().mean(0)
    share = 1 / task.pairs
    assert ((asked - share).abs() < 4 * math.sqrt(share * (1 - share) / 6000)).all()


def test_mqar_gaps_follow_the_power_law() -> None:
    task = Recall("mqar", pairs=2, queries=1, length=12, batch_size=8000)
    steps = (task.train_batch(0).targets != NOT_SCORED).long().argmax(1)
    weights = [gap**-0.99 for gap in (1, 2, 3, 4)]
    for gap, weight in enumerate(weights):
        share = weight / sum(weights)
        assert abs((steps == 4 + 2 * gap).double().mean() - share) < 4 * math.sqrt(share * (1 - share) / 8000)


def test_mqar_noise_is_a_share_of_the_blanks() -> None:
    task = make("mqar noise", batch_size=2000)
    batch = task.train_batch(0)
    fillers = batch.inputs[:, 8:][~batch.scored[:, 8:]]
    blank = 1 - 0.7 * 11 / 12  # any of the 12 symbols can replace a blank, the blank too
    shares = torch.bincount(fillers, minlength=12).double() / len(fillers)
    expected = torch.full((12,), 0.7 / 12, dtype=torch.double)
    expected[task.special] = blank
    assert ((shares - expected).abs() < 4 * (expected * (1 - expected) / len(fillers)).sqrt()).all()


def test_mad_noise_spares_one_pair() -> None:
    inputs = Recall("mad", pairs=6, noise=1.0, batch_size=3000).train_batch(0).inputs
    is_key = inputs[:, 0:10:2] < 8
    assert (is_key.sum(1) == 1).all()
    assert ((is_key.double().mean(0) - 0.2).abs() < 4 * math.sqrt(0.16 / 3000)).all()
    noise = inputs[:, 0:10:2][~is_key]
    assert set(noise.tolist()) == set(range(16, 32))


def test_mad_sequences_have_the_published_sizes() -> None:
    task = Recall("mad", pairs=64)
    assert task.spec.input_size == 16
    assert task.spec.output_size == 8
    assert task.train_batch(0).inputs.shape[1] == 128 - 1  # the last value is a target only


SIMULATED = ["associative all queries", "associative updates", "mqar", "mqar updates", "mad", "mad noise"]


@pytest.mark.parametrize("name", ["associative all queries", "mqar", "mad"])
def test_baseline_equals_a_predictor_that_guesses(name: str) -> None:
    task = make(name)
    check_score(task, uniform(task), task.baseline.loss, task.baseline.accuracy)


@pytest.mark.parametrize("name", SIMULATED)
def test_plateau_equals_a_predictor_without_keys(name: str) -> None:
    task = make(name)
    plateau = task.plateaus[0]
    check_score(task, lambda batch: shares_of_values(task, batch), plateau.loss, plateau.accuracy)


@pytest.mark.parametrize("name", ["associative updates", "mqar updates"])
def test_plateau_equals_a_predictor_of_first_values(name: str) -> None:
    task = make(name)

    def predict(batch: Batch) -> Tensor:
        first = table(task, batch.inputs, first=True)[-1]
        return certain(first.gather(1, batch.inputs.clamp(max=task.num_keys - 1)), task.num_values)

    check_score(task, predict, None, task.plateaus[1].accuracy)


def test_plateaus_equal_known_values() -> None:
    assert make("associative").plateaus[0].accuracy == pytest.approx(0.3835, abs=1e-12)
    assert Recall(pairs=2).plateaus[0].accuracy == pytest.approx(0.55)
    assert make("mqar").plateaus[0][1:3] == pytest.approx((math.log(4), 0.25))
    assert Recall(pairs=1).plateaus == ()
    assert len(Recall(pairs=2, updates=2).plateaus) == 1


@pytest.mark.parametrize("name", ["associative", "associative updates", "mqar", "mqar updates"])
def test_encoded_text_equals_the_task_sequence(name: str) -> None:
    task = make(name, batch_size=30)
    batch, codec = task.train_batch(0), task.spec.codec
    assert codec is not None
    encoded = codec.encode(codec.decode(batch.inputs))
    assert torch.equal(encoded.inputs, batch.inputs)
    assert torch.equal(encoded.scored, batch.scored)


def test_answer_is_due_at_a_letter_without_digit() -> None:
    codec = make("associative").spec.codec
    assert codec is not None
    encoded = codec.encode(["a1b2c3??b"])
    assert encoded.scored[0].tolist() == [False] * 8 + [True]
    assert codec.decode_outputs(torch.tensor([[2]])) == ["2"]


@pytest.mark.parametrize("name", [name for name in TASKS if name != "mqar noise"])
def test_sample_text_asks_for_a_key(name: str) -> None:
    task = make(name)
    codec = task.spec.codec
    assert codec is not None
    assert len(codec.sample) == task.num_steps
    due = codec.encode([codec.sample]).scored[0].nonzero()[:, 0].tolist()
    assert len(due) == task.queries
    context = codec.sample[: context_steps(task)]
    assert all(codec.sample[step] in context[::2] for step in due)


def test_strings_that_cannot_show_a_query_have_no_codec() -> None:
    assert make("mqar noise").spec.codec is None
    assert Recall("mqar", vocabulary=64).spec.codec is None


def test_length_is_pairs_or_steps() -> None:
    assert Recall(eval_lengths=[9]).longer_tests[9].pairs == 9  # type: ignore[attr-defined]
    assert Recall("mad", pairs=8).at_length(20).train_batch(0).inputs.shape[1] == 39
    longer = Recall("mqar").at_length(60)
    assert longer.train_batch(0).inputs.shape[1] == longer.grouping.size == 60
    with pytest.raises(UsageError, match=r"pairs \(27\) .* need 27 keys"):
        Recall().at_length(27)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layout": "other"}, "layout must be one of associative, mqar, mad, got other"),
        ({"pairs": 0}, "pairs must be at least 1, got 0"),
        ({"layout": "mad", "pairs": 1}, "pairs must be at least 2, got 1"),
        ({"queries": 5}, r"queries must be in 1\.\.pairs \(4\), got 5"),
        ({"updates": 5}, r"updates must be in 0\.\.pairs \(4\), got 5"),
        ({"noise": 0.5}, "layout associative has no noise, got 0.5"),
        ({"layout": "mqar", "noise": 1.5}, r"noise must be in 0\.\.1, got 1.5"),
        ({"layout": "mad", "updates": 1}, "layout mad has no updates, got 1"),
        ({"layout": "mad", "queries": 1}, "layout mad asks for every repeated key: leave out queries, got 1"),
        ({"vocabulary": 14}, r"need 4 keys and 1 values, but vocabulary gives 3 and 10"),
        ({"layout": "mqar", "vocabulary": 8}, "need 4 keys and 4 values, but vocabulary gives 3 and 4"),
        ({"layout": "mqar", "length": 15}, r"length must be at least .* = 16, got 15"),
    ],
)
def test_value_out_of_bounds_raises(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Recall(**options)
