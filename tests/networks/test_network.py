from collections import namedtuple
from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from rnn_tasks.cores import Core, Foreign, map_state
from rnn_tasks.errors import UsageError
from rnn_tasks.networks import Network, TaggerNetwork
from rnn_tasks.networks.network import read_linearly
from rnn_tasks.spec import TaskSpec
from tests.helpers.networks import CORES, ELMAN, PLACES, TASKS, TEXT_CORES, Place, tagger, writer


class Sum(Network):
    """The least that a network needs: a readout, and how it is read."""

    def __init__(self, core: Callable[[int], Core], spec: TaskSpec, embedding_size: int | None = None) -> None:
        super().__init__(core, spec, embedding_size)
        self.readout = nn.Linear(self.core.hidden_size, spec.output_size)

    def read_out(self, hidden: Tensor, condition: Tensor | None = None) -> Tensor:
        logits: Tensor = self.readout(hidden.cumsum(1))
        return logits


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("embedding_size", [None, 3])
def test_forward_encodes_runs_the_core_and_reads_out(core: str, embedding_size: int | None) -> None:
    network = Sum(CORES[core], TASKS["echo"].spec, embedding_size)
    inputs = torch.randint(0, 6, (3, 7))
    logits, state = network(inputs)
    hidden, expected_state = network.core(network.encode_symbols(inputs))
    torch.testing.assert_close(logits, network.readout(hidden.cumsum(1)))
    torch.testing.assert_close(state, expected_state)


@pytest.mark.parametrize("core", TEXT_CORES)
@pytest.mark.parametrize("cut", [1, 4, 6])
def test_language_network_continues_from_the_state_at_a_cut(core: str, cut: int) -> None:
    network = writer(core, embedding_size=3).double()
    inputs = torch.randint(0, 5, (2, 7))
    whole, last = network(inputs)
    first, state = network(inputs[:, :cut])
    second, end = network(inputs[:, cut:], state=state)
    torch.testing.assert_close(torch.cat([first, second], 1), whole, atol=1e-12, rtol=0)
    torch.testing.assert_close(end, last, atol=1e-12, rtol=0)


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("condition_at", PLACES)
def test_tagger_network_continues_from_the_state_at_a_cut(core: str, condition_at: Place) -> None:
    """Also with two conditions for each string."""
    network = tagger(core=CORES[core], condition_at=condition_at).double()
    inputs, condition = torch.randint(0, 6, (2, 7)), torch.tensor([0, 3, 1, 2])
    whole, last = network(inputs, condition)
    assert whole.shape == (4, 7, 6)
    first, state = network(inputs[:, :3], condition)
    second, end = network(inputs[:, 3:], condition, state)
    torch.testing.assert_close(torch.cat([first, second], 1), whole, atol=1e-12, rtol=0)
    torch.testing.assert_close(end, last, atol=1e-12, rtol=0)


def test_map_state_reaches_every_kind_of_state() -> None:
    pair = namedtuple("pair", "hidden cell")  # as layers of other packages return it
    state = pair(torch.ones(1), [{"a": torch.ones(2)}, None, 3])
    assert map_state(state, torch.neg) == pair(-torch.ones(1), [{"a": pytest.approx([-1, -1])}, None, 3])


def test_device_and_dtype_are_those_of_the_weights() -> None:
    network = tagger()
    assert (network.device, network.dtype) == (torch.device("cpu"), torch.float32)
    assert network.double().dtype == torch.float64
    assert network.encode(torch.zeros(1, 2, dtype=torch.long), torch.tensor([0])).dtype == torch.float64
    assert network.to("meta").device == torch.device("meta")


def test_embedding_size_below_1_is_refused() -> None:
    with pytest.raises(UsageError, match="embedding_size must be at least 1, got 0"):
        tagger(embedding_size=0)


@pytest.mark.parametrize("time_first", [False, True])
def test_read_linearly_equals_the_linear_layer(time_first: bool) -> None:
    readout, hidden = nn.Linear(5, 3), torch.randn(4, 7, 5)
    if time_first:
        hidden = hidden.transpose(0, 1).contiguous().transpose(0, 1)
    torch.testing.assert_close(read_linearly(readout, hidden), readout(hidden))


# A quiet blank


@pytest.mark.parametrize("core", CORES)
def test_zero_blank_weights_zeroes_its_input_weights_alone(core: str) -> None:
    torch.manual_seed(1)
    plain = tagger("copy", CORES[core])
    torch.manual_seed(1)
    quiet = tagger("copy", CORES[core], zero_blank_weights=True)
    blank = TASKS["copy"].spec.blank
    assert blank == 5
    for weight, before in zip(quiet.core.input_weights(), plain.core.input_weights(), strict=True):
        expected = before.detach().clone()
        expected[:, blank] = 0
        assert before[:, blank].abs().min() > 0
        torch.testing.assert_close(weight.detach(), expected, atol=0, rtol=0)
    for name, parameter in quiet.named_parameters():
        if "weight_ih_l0" not in name:
            torch.testing.assert_close(parameter, plain.get_parameter(name), atol=0, rtol=0)


def test_zero_blank_weights_zeroes_its_embedding() -> None:
    network = tagger("copy", embedding_size=4, zero_blank_weights=True)
    assert network.symbol_embedding is not None
    assert (network.symbol_embedding.weight == 0).all(1).tolist() == [False] * 5 + [True, False]


def test_zero_blank_weights_changes_nothing_when_the_task_has_no_blank() -> None:
    network = TaggerNetwork(ELMAN, TaskSpec(5, 5, blank=None), zero_blank_weights=True)
    assert all((weight != 0).all() for weight in network.core.input_weights())


def test_zero_blank_weights_is_refused_when_input_weights_are_unknown() -> None:
    unknown = partial(Foreign, hidden_size=6, layer=nn.GRU, input="other")
    with pytest.raises(UsageError, match="zero_blank_weights needs to know the layer's input weights"):
        tagger("copy", unknown, zero_blank_weights=True)
