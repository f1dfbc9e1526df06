from collections import namedtuple
from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from rnn_tasks.cores import Core, Foreign, map_state
from rnn_tasks.errors import UsageError
from rnn_tasks.networks import Network, TaggerNetwork
from rnn_tasks.networks.network import linear_readout
from rnn_tasks.networks.sequence_network import ConditionAt
from rnn_tasks.spec import TaskSpec
from tests.helpers.networks import (
    CONDITION_AT,
    CORES,
    ELMAN,
    TASKS,
    TEXT_CORES,
    language_network,
    tagger_network,
)


class CumulativeSumNetwork(Network):
    """A minimal network: a readout of the cumulative sum of the hidden states."""

    def __init__(self, core: Callable[[int], Core], spec: TaskSpec, embedding_size: int | None = None) -> None:
        super().__init__(core, spec, embedding_size)
        self.readout = nn.Linear(self.core.hidden_size, spec.output_size)

    def read_out(self, hidden: Tensor, condition: Tensor | None = None, scored: Tensor | None = None) -> Tensor:
        logits: Tensor = self.readout(hidden.cumsum(1))
        return logits


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("embedding_size", [None, 3])
def test_forward_encodes_runs_the_core_and_reads_out(core: str, embedding_size: int | None) -> None:
    network = CumulativeSumNetwork(CORES[core], TASKS["echo"].spec, embedding_size)
    inputs = torch.randint(0, 6, (3, 7))
    logits, state = network(inputs)
    hidden, expected_state = network.core(network.encode_inputs(inputs))
    torch.testing.assert_close(logits, network.readout(hidden.cumsum(1)))
    torch.testing.assert_close(state, expected_state)


@pytest.mark.parametrize("core", TEXT_CORES)
@pytest.mark.parametrize("cut", [1, 4, 6])
def test_language_network_continues_from_the_state_at_a_cut(core: str, cut: int) -> None:
    network = language_network(core, embedding_size=3).double()
    inputs = torch.randint(0, 5, (2, 7))
    whole, last = network(inputs)
    first, state = network(inputs[:, :cut])
    second, end = network(inputs[:, cut:], state=state)
    torch.testing.assert_close(torch.cat([first, second], 1), whole, atol=1e-12, rtol=0)
    torch.testing.assert_close(end, last, atol=1e-12, rtol=0)


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("condition_at", CONDITION_AT)
def test_tagger_network_continues_from_the_state_at_a_cut(core: str, condition_at: ConditionAt) -> None:
    """The two sequences have two conditions each."""
    network = tagger_network(core=CORES[core], condition_at=condition_at).double()
    inputs, condition = torch.randint(0, 6, (2, 7)), torch.tensor([0, 3, 1, 2])
    whole, last = network(inputs, condition)
    assert whole.shape == (4, 7, 6)
    first, state = network(inputs[:, :3], condition)
    second, end = network(inputs[:, 3:], condition, state)
    torch.testing.assert_close(torch.cat([first, second], 1), whole, atol=1e-12, rtol=0)
    torch.testing.assert_close(end, last, atol=1e-12, rtol=0)


def test_map_state_maps_tensors_in_nested_containers() -> None:
    pair = namedtuple("pair", "hidden cell")  # some layers of other packages return named tuples
    state = pair(torch.ones(1), [{"a": torch.ones(2)}, None, 3])
    assert map_state(state, torch.neg) == pair(-torch.ones(1), [{"a": pytest.approx([-1, -1])}, None, 3])


def test_device_and_dtype_are_those_of_the_weights() -> None:
    network = tagger_network()
    assert (network.device, network.dtype) == (torch.device("cpu"), torch.float32)
    assert network.double().dtype == torch.float64
    assert network.encode(torch.zeros(1, 2, dtype=torch.long), torch.tensor([0])).dtype == torch.float64
    assert network.to("meta").device == torch.device("meta")


def test_network_rejects_an_embedding_size_below_1() -> None:
    with pytest.raises(UsageError, match="embedding_size must be at least 1, got 0"):
        tagger_network(embedding_size=0)


@pytest.mark.parametrize("time_first", [False, True])
def test_linear_readout_equals_the_linear_layer(time_first: bool) -> None:
    readout, hidden = nn.Linear(5, 3), torch.randn(4, 7, 5)
    if time_first:
        hidden = hidden.transpose(0, 1).contiguous().transpose(0, 1)
    torch.testing.assert_close(linear_readout(readout, hidden), readout(hidden))


# zero_blank_weights


@pytest.mark.parametrize("core", CORES)
def test_zero_blank_weights_zeroes_only_the_blank_column(core: str) -> None:
    torch.manual_seed(1)
    default = tagger_network("copy", CORES[core])
    torch.manual_seed(1)
    zeroed = tagger_network("copy", CORES[core], zero_blank_weights=True)
    blank = TASKS["copy"].spec.blank
    assert blank == 5
    for weight, default_weight in zip(zeroed.core.input_weights(), default.core.input_weights(), strict=True):
        expected = default_weight.detach().clone()
        expected[:, blank] = 0
        assert default_weight[:, blank].abs().min() > 0
        torch.testing.assert_close(weight.detach(), expected, atol=0, rtol=0)
    for name, parameter in zeroed.named_parameters():
        if "weight_ih_l0" not in name:
            torch.testing.assert_close(parameter, default.get_parameter(name), atol=0, rtol=0)


def test_zero_blank_weights_zeroes_the_embedding_of_the_blank() -> None:
    network = tagger_network("copy", embedding_size=4, zero_blank_weights=True)
    assert network.symbol_embedding is not None
    assert (network.symbol_embedding.weight == 0).all(1).tolist() == [False] * 5 + [True, False]


def test_zero_blank_weights_has_no_effect_without_a_blank() -> None:
    network = TaggerNetwork(ELMAN, TaskSpec(5, 5, blank=None), zero_blank_weights=True)
    assert all((weight != 0).all() for weight in network.core.input_weights())


def test_zero_blank_weights_fails_when_input_weights_are_unknown() -> None:
    core = partial(Foreign, hidden_size=6, layer=nn.GRU, input="bias_ih_l0")  # no matrix
    with pytest.raises(UsageError, match="zero_blank_weights needs the input weights of the layer, and Foreign"):
        tagger_network("copy", core, zero_blank_weights=True)
