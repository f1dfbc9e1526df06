from functools import partial
from typing import cast

import pytest
import torch
from torch import nn

from rnn_tasks.cores import GRU, Elman
from rnn_tasks.errors import UsageError
from rnn_tasks.networks import TaggerNetwork
from rnn_tasks.networks.sequence_network import ConditionAt
from rnn_tasks.networks.tagger_network import RESPOND_STEPS
from rnn_tasks.spec import Batch, TaskSpec
from rnn_tasks.tasks import VariableDelayEcho
from tests.helpers.networks import CONDITION_AT, CORES, ELMAN, TASKS, tagger_network

# Encoding


@pytest.mark.parametrize("condition_at", CONDITION_AT)
@pytest.mark.parametrize("embedding_size", [None, 4])
def test_condition_changes_the_logits_wherever_it_enters(condition_at: ConditionAt, embedding_size: int | None) -> None:
    network = tagger_network(condition_at=condition_at, embedding_size=embedding_size)
    letters = torch.randint(0, 6, (1, 7)).expand(4, 7)
    logits, _ = network(letters, torch.arange(4))
    for first in range(4):
        for second in range(first):
            assert ((logits[first] - logits[second]).abs().amax(-1) > 1e-3).all()


@pytest.mark.parametrize("embedding_size", [None, 4])
def test_condition_at_the_readout_is_not_encoded(embedding_size: int | None) -> None:
    network = tagger_network(condition_at="readout", embedding_size=embedding_size)
    letters = torch.randint(0, 6, (2, 7))
    encoded = [network.encode(letters, torch.tensor(condition)) for condition in ([0, 1], [3, 2])]
    assert torch.equal(*encoded)
    assert encoded[0].shape[-1] == (embedding_size or 6)


def test_encode_concatenates_one_hot_symbol_and_condition() -> None:
    encoded = tagger_network().encode(torch.tensor([[2, 0], [5, 5]]), torch.tensor([1, 3]))
    expected = torch.zeros(2, 2, 6 + 4)
    for row, step, symbol, condition in [(0, 0, 2, 1), (0, 1, 0, 1), (1, 0, 5, 3), (1, 1, 5, 3)]:
        expected[row, step, symbol] = expected[row, step, 6 + condition] = 1
    torch.testing.assert_close(encoded, expected, atol=0, rtol=0)


def test_encode_concatenates_embedded_symbol_and_condition() -> None:
    network = tagger_network(embedding_size=4)
    assert network.symbol_embedding is not None
    assert network.condition_embedding is not None
    encoded = network.encode(torch.tensor([[2, 0]]), torch.tensor([3]))
    for step, symbol in enumerate([2, 0]):
        expected = torch.cat([network.symbol_embedding.weight[symbol], network.condition_embedding.weight[3]])
        torch.testing.assert_close(encoded[0, step], expected, atol=0, rtol=0)


def test_embedding_is_a_factor_of_the_input_weights() -> None:
    """An embedding E with input weights U equals one-hot symbols with input weights U E."""
    embedded, plain = tagger_network("echo", embedding_size=4), tagger_network("echo")
    assert embedded.symbol_embedding is not None
    weights = embedded.state_dict()
    weights["core.weight_ih_l0"] = weights["core.weight_ih_l0"] @ weights.pop("symbol_embedding.weight").T
    plain.load_state_dict(weights)
    letters = torch.randint(0, 6, (3, 7))
    torch.testing.assert_close(embedded(letters)[0], plain(letters)[0])


# Several conditions of one string


def batch_of_shared_strings(strings: int, per_string: int) -> Batch:
    """Return a batch with several random conditions for each string."""
    batch = VariableDelayEcho(max_delay=3, sequence_length=7, alphabet_size=5).train_batch(0)
    assert batch.condition is not None
    rows = torch.arange(strings).repeat_interleave(per_string)
    condition = batch.condition[: len(rows)]
    assert condition.diff().any()
    return Batch(batch.inputs[:strings], batch.targets[rows], condition=condition, conditions_per_input=per_string)


@pytest.mark.parametrize(("strings", "per_string"), [(3, 4), (1, 12), (12, 1)])
@pytest.mark.parametrize("embedding_size", [None, 4])
@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("condition_at", CONDITION_AT)
def test_core_reads_a_string_once_when_condition_is_at_readout(
    condition_at: ConditionAt, core: str, embedding_size: int | None, strings: int, per_string: int
) -> None:
    """Logits and gradients equal those of twelve separate sequences."""
    network = tagger_network(core=CORES[core], condition_at=condition_at, embedding_size=embedding_size).double()
    batch = batch_of_shared_strings(strings, per_string)
    rows = batch.expanded()
    core_batch_sizes: list[int] = []
    network.core.register_forward_pre_hook(lambda core, arguments: core_batch_sizes.append(len(arguments[0])))
    separate = [network(rows.inputs[row : row + 1], rows.condition[row : row + 1])[0] for row in range(12)]  # type: ignore[index]
    weights = list(network.parameters())
    expected = torch.cat(separate)
    scale = torch.linspace(-1, 1, expected.numel()).view_as(expected)
    expected_gradients = torch.autograd.grad((expected * scale).sum(), weights, allow_unused=True)
    for form in (batch, rows):
        core_batch_sizes.clear()
        logits, _ = network(form.inputs, form.condition)
        assert core_batch_sizes == [len(form.inputs) if condition_at == "readout" else 12]
        torch.testing.assert_close(logits, expected, atol=1e-12, rtol=0)
        gradients = torch.autograd.grad((logits * scale).sum(), weights, allow_unused=True)
        for gradient, expected_gradient in zip(gradients, expected_gradients, strict=True):
            torch.testing.assert_close(gradient, expected_gradient, atol=1e-11, rtol=0)


# Respond


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("task", TASKS)
def test_respond_equals_a_forward_pass_by_hand(task: str, core: str) -> None:
    network, spec = tagger_network(task, CORES[core]), TASKS[task].spec
    assert spec.codec is not None
    delay = 2
    batch = spec.codec.encode(["ecabd" if task != "copy" else "412"], delay)
    with torch.no_grad():
        symbols = network(batch.inputs, batch.condition)[0].argmax(-1)[0]
    scored = batch.scored[0].tolist()
    text = "".join(spec.codec.symbols[s] if is_scored else " " for s, is_scored in zip(symbols, scored, strict=True))
    assert network.respond("ecabd" if task != "copy" else "412", delay) == text


@pytest.mark.parametrize("task", TASKS)
def test_respond_answers_a_list_like_single_texts(task: str) -> None:
    letters = "abcde" if task != "copy" else "01234"
    texts = [letters, letters[0], letters[::-1] * 3, letters[1:3]]
    network = tagger_network(task)
    assert network.respond(texts, delay=2) == [network.respond(text, delay=2) for text in texts]


def test_respond_is_blank_at_steps_that_are_not_scored() -> None:
    for task, text, length, waiting in [
        ("echo", "abcde", 5, 2),
        ("variable_delay_echo", "ab", 2, 2),
        ("copy", "012", 8, 5),
    ]:
        answer = tagger_network(task).respond(text, delay=2)
        assert isinstance(answer, str)
        assert len(answer) == length
        assert not answer[:waiting].strip()


def test_respond_echoes_when_the_layer_is_a_shift_register() -> None:
    """Weights set by hand shift each letter through three blocks of units; the readout reads the third block."""
    network = TaggerNetwork(partial(Elman, hidden_size=18, activation="identity"), TASKS["echo"].spec)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        core = network.core
        core.get_parameter("weight_ih_l0")[:6] = torch.eye(6)
        core.get_parameter("weight_hh_l0")[6:, :12] = torch.eye(12)
        cast(nn.Linear, network.readout).weight[:, 12:] = torch.eye(6)
    assert network.respond("abacaba") == "  abaca"
    assert network.respond(["edcba", "a"]) == ["  edc", " "]


def test_respond_leaves_the_mode_and_the_gradients_unchanged() -> None:
    network = tagger_network("echo", partial(GRU, hidden_size=6, num_layers=2, dropout=0.5))
    with torch.no_grad():
        network.get_parameter("readout.weight").mul_(100)  # makes dropout change the answers
    assert network.training
    assert len({str(network.respond("abcdeabcde")) for _ in range(5)}) == 1  # respond does not use dropout
    assert network.training
    network.core.eval()  # the other modules stay in training mode
    modes = [module.training for module in network.modules()]
    network.respond("abc")
    assert [module.training for module in network.modules()] == modes
    network.eval()
    network.respond("abc")
    assert not network.training
    assert all(parameter.grad is None for parameter in network.parameters())


def test_respond_fails_when_the_task_has_no_strings() -> None:
    with pytest.raises(UsageError, match="no strings to respond to"):
        TaggerNetwork(ELMAN, TaskSpec(5, 5)).respond("abc")


def test_respond_rejects_an_unknown_letter_or_delay() -> None:
    with pytest.raises(UsageError, match="'z'"):
        tagger_network("echo").respond("abz")
    with pytest.raises(UsageError, match="delay 4"):
        tagger_network().respond("abc", delay=4)


@pytest.mark.parametrize("core", [core for core in CORES if core != "matrix_exp"])
@pytest.mark.parametrize("condition_at", CONDITION_AT)
def test_tagger_network_works_in_bfloat16(core: str, condition_at: ConditionAt) -> None:
    network = tagger_network(core=CORES[core], condition_at=condition_at).to(torch.bfloat16)
    batch = batch_of_shared_strings(strings=3, per_string=4)
    logits, _ = network(batch.inputs, batch.condition)
    assert logits.dtype == torch.bfloat16
    assert logits.isfinite().all()
    assert len(network.respond("abcde", delay=1)) == 5


@pytest.mark.parametrize("task", TASKS)
def test_respond_needs_memory_for_the_longest_text_only(task: str) -> None:
    """A thousand short texts are not padded to the length of a long one."""
    network = tagger_network(task)
    steps: list[int] = []
    network.core.register_forward_pre_hook(lambda core, inputs: steps.append(inputs[0].shape[0] * inputs[0].shape[1]))
    letters = network.spec.codec.letters  # type: ignore[union-attr]
    texts = [letters[:3]] * 999 + [letters * 800] + [letters[-1]]
    delay = None if task == "echo" else 2
    answers = network.respond(texts, delay)
    assert max(steps) <= RESPOND_STEPS
    assert [len(answer) for answer in answers] == network.spec.codec.lengths(texts, delay)  # type: ignore[union-attr]
    for index in (0, 998, 999, 1000):
        assert answers[index] == network.respond(texts[index], delay)


def test_respond_raises_without_texts() -> None:
    with pytest.raises(UsageError, match="empty"):
        tagger_network("echo").respond([])
