from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from rnn_tasks.analysis.flow import hidden_states, state_trajectory
from rnn_tasks.analysis.gates import gate_activity
from rnn_tasks.cores import Core, Foreign
from rnn_tasks.errors import UsageError
from rnn_tasks.explorer import recordings
from rnn_tasks.explorer.live import StatePart
from rnn_tasks.explorer.recordings import record
from tests.helpers.explorer_runs import GENERATED_TASKS, RECORDED_CORES, decoded_tensors, small_network

TASK = GENERATED_TASKS["variable_delay_echo"]
BATCH = next(iter(TASK.val_dataloader())).rows(0, 30).expanded()


class Odd(nn.Module):
    """A layer whose state is not only tensors, and that names no recurrent matrix."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.read = nn.Linear(input_size + hidden_size, hidden_size)

    def forward(self, inputs: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        hidden, name = state or (inputs.new_zeros(len(inputs), self.read.out_features), "x")
        outputs = []
        for now in inputs.unbind(1):
            hidden = torch.tanh(self.read(torch.cat([now, hidden], 1)))
            outputs.append(hidden)
        return torch.stack(outputs, 1), (hidden, name)


class Whole(nn.GRU):
    """A layer that reads whole sequences only."""

    def forward(self, inputs: Tensor, state: Any = None) -> Any:  # type: ignore[override]
        if inputs.shape[1] == 1:
            raise IndexError("needs two steps")
        return super().forward(inputs, state)


def assert_equal_traces(stored: dict[str, Any], expected: Tensor) -> None:
    """Check that a stored trace equals another one, up to the rounding to 16 bits."""
    (values,) = decoded_tensors({"": stored}).values()
    torch.testing.assert_close(values, expected.double(), atol=float(expected.abs().max()) / 65000, rtol=0)


@pytest.mark.parametrize("core", RECORDED_CORES.values(), ids=RECORDED_CORES.keys())
def test_recordings_equal_the_analysis(core: Callable[[int], Core]) -> None:
    network, first = small_network(TASK, core), BATCH.rows(0, 20)
    recording = record(network, BATCH)
    assert recording.sequences == 20
    one, two = [StatePart("state", 0, 10)], [StatePart("state 1", 0, 5), StatePart("state 2", 5, 5)]
    assert recording.parts == (two if "LSTM" in str(network.core) else one)
    assert_equal_traces(recording.values["states"], state_trajectory(network, first))
    assert_equal_traces(recording.values["outputs"], network(first.inputs, first.condition)[0].detach())
    gates = gate_activity(network, first)
    assert list(recording.values["gates"]) == list(gates)
    for name, gate in gates.items():
        assert_equal_traces(recording.values["gates"][name], gate)


def test_outputs_are_recorded_if_the_state_is_not_tensors() -> None:
    network = small_network(TASK, partial(Foreign, hidden_size=4, layer=Odd))
    recording = record(network, BATCH)
    assert recording.parts == [StatePart("output", 0, 4)]
    assert_equal_traces(recording.values["states"], hidden_states(network, BATCH.rows(0, 20)))
    assert recording.values["gates"] == {}


def test_outputs_are_recorded_if_single_steps_fail() -> None:
    network = small_network(TASK, partial(Foreign, hidden_size=4, layer=Whole, options={"batch_first": True}))
    recording, first = record(network, BATCH), BATCH.rows(0, 20)
    assert (recording.parts, recording.sequences) == ([StatePart("output", 0, 4)], 20)
    assert_equal_traces(recording.values["states"], hidden_states(network, first))
    assert_equal_traces(recording.values["outputs"], network(first.inputs, first.condition)[0].detach())
    assert recording.values["gates"] == {}


def test_fewer_long_sequences_are_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    network = small_network(TASK, RECORDED_CORES["foreign LSTM"])
    whole = record(network, BATCH)
    monkeypatch.setattr(recordings, "MAX_BYTES", 6000)
    part = record(network, BATCH)
    assert 1 <= part.sequences < 20
    assert part.values["states"]["shape"] == [part.sequences, *whole.values["states"]["shape"][1:]]


def test_outputs_are_recorded_if_states_are_large(monkeypatch: pytest.MonkeyPatch) -> None:
    network = small_network(TASK, RECORDED_CORES["foreign LSTM"])
    monkeypatch.setattr(recordings, "MAX_BYTES", 1)
    recording = record(network, BATCH)
    assert (recording.parts, recording.sequences) == ([StatePart("output", 0, 5)], 1)
    assert_equal_traces(recording.values["states"], hidden_states(network, BATCH.rows(0, 1)))


def test_states_that_are_not_finite_are_refused() -> None:
    network = small_network(TASK, RECORDED_CORES["foreign LSTM"])
    with torch.no_grad():
        network.readout.bias.fill_(float("inf"))  # type: ignore[operator]
    with pytest.raises(UsageError, match="not finite"):
        record(network, BATCH)
