from functools import partial
from typing import Any

import numpy as np
import pytest
import torch

from rnn_tasks.analysis import encoded, state_trajectory
from rnn_tasks.analysis.gates import carried, gate_activity, gate_values
from rnn_tasks.cores import GRU, LSTM, ScratchGRU
from rnn_tasks.errors import UsageError
from tests.helpers.layers import BATCH, GRUS, LSTMS, PLAIN, tagger


@pytest.mark.parametrize("given", [False, True])
@pytest.mark.parametrize("core", GRUS)
def test_the_gates_of_a_gru_make_its_states(core: str, given: bool) -> None:
    network = tagger(GRUS[core])
    layers = 2 if core in ("GRU of two layers", "ScratchGRU before", "foreign GRU") else 1
    start = torch.randn(layers, 3, 5, dtype=torch.double) if given else None
    gates = gate_activity(network, BATCH, start)
    states = state_trajectory(network, BATCH, start).reshape(3, 7, layers, 5)
    assert len({name.split("/")[0] for name in gates}) == layers
    for layer in range(layers):
        hidden = torch.zeros(3, 5).double() if start is None else start[layer]
        new = gates[f"layer{layer}/new"]
        update = gates.get(f"layer{layer}/update", torch.zeros_like(new))
        for step in range(7):
            hidden = (1 - update[:, step]) * new[:, step] + update[:, step] * hidden
            torch.testing.assert_close(hidden, states[:, step, layer], atol=1e-10, rtol=0)
    for name, values in gates.items():
        assert values.shape == (3, 7, 5)
        assert not values.requires_grad
        assert values.min() > (-1 if name.endswith("/new") else 0)
        assert values.max() < 1


@pytest.mark.parametrize("reset", ["after", "before"])
def test_the_reset_gate_acts_in_the_candidate_state(reset: Any) -> None:
    """As the equations say, by unit; the states above are made without it."""
    network = tagger(partial(ScratchGRU, hidden_size=5, reset=reset))
    gates, weights = gate_activity(network, BATCH), network.core.state_dict()
    inputs, states = encoded(network, BATCH).numpy(), state_trajectory(network, BATCH).numpy()
    w, c = weights["weight_hh_l0"][10:].numpy(), weights["bias_hh_l0"][10:].numpy()
    u, b = weights["weight_ih_l0"][10:].numpy(), weights["bias_ih_l0"][10:].numpy()
    r, x, h = gates["layer0/reset"][1, 4].numpy(), inputs[1, 4], states[1, 3]
    expected = np.tanh(u @ x + b + (r * (w @ h + c) if reset == "after" else w @ (r * h) + c))
    np.testing.assert_allclose(gates["layer0/new"][1, 4].numpy(), expected, atol=1e-12)
    w_r, u_r = weights["weight_hh_l0"][:5].numpy(), weights["weight_ih_l0"][:5].numpy()
    both = (weights["bias_hh_l0"][:5] + weights["bias_ih_l0"][:5]).numpy()
    np.testing.assert_allclose(r, 1 / (1 + np.exp(-(u_r @ x + w_r @ h + both))), atol=1e-12)


@pytest.mark.parametrize("given", [False, True])
@pytest.mark.parametrize("core", LSTMS)
def test_the_gates_of_an_lstm_make_its_states(core: str, given: bool) -> None:
    network = tagger(LSTMS[core])
    layers = 2 if core == "LSTM of two layers" else 1
    start = tuple(torch.randn(2, layers, 3, 5, dtype=torch.double)) if given else None
    gates = gate_activity(network, BATCH, start)
    states = state_trajectory(network, BATCH, start).reshape(3, 7, 2, layers, 5)
    assert [name.split("/")[1] for name in gates] == layers * ["input", "forget", "cell", "output"]
    for layer in range(layers):
        memory = torch.zeros(3, 5).double() if start is None else start[1][layer]
        forget, enter = gates[f"layer{layer}/forget"], gates[f"layer{layer}/input"]
        for step in range(7):
            memory = forget[:, step] * memory + enter[:, step] * gates[f"layer{layer}/cell"][:, step]
            hidden = gates[f"layer{layer}/output"][:, step] * torch.tanh(memory)
            torch.testing.assert_close(memory, states[:, step, 1, layer], atol=1e-10, rtol=0)
            torch.testing.assert_close(hidden, states[:, step, 0, layer], atol=1e-10, rtol=0)


def test_an_open_update_gate_keeps_the_state() -> None:
    values = gate_values(
        ("update", "new"), torch.ones(1), torch.ones(1), torch.tensor([[40.0], [0.0]]), torch.zeros(2, 1)
    )
    assert values["update"].item() == 1


@pytest.mark.parametrize("core", PLAIN)
def test_layers_without_gates_have_none(core: str) -> None:
    assert gate_activity(tagger(PLAIN[core]), BATCH) == {}


def test_carried_of_a_gru_is_what_its_gates_alone_keep() -> None:
    """With recurrent weights of 0 a unit's candidate does not depend on its past: only its gates carry it."""
    network = tagger(partial(GRU, hidden_size=5))
    with torch.no_grad():
        network.core.recurrent_weights()["weight_hh_l0/new"].zero_()
        network.core.recurrent_weights()["weight_hh_l0/update"].zero_()
    gates = gate_activity(network, BATCH)
    states = state_trajectory(network, BATCH)
    left = carried(gates, 0, 3)
    assert left is not None
    assert left.shape == (3, 4, 5)
    new, z = gates["layer0/new"], gates["layer0/update"]
    for step in range(4):  # the same sequences, but nothing was taken in at this step
        without = z[:, step] * (states[:, step - 1] if step else torch.zeros(3, 5).double())
        for later in range(step + 1, step + 4):
            without = (1 - z[:, later]) * new[:, later] + z[:, later] * without
        torch.testing.assert_close(states[:, step + 3] - without, left[:, step] * new[:, step])


def test_carried_of_an_lstm_is_the_product_of_its_gates() -> None:
    gates = gate_activity(tagger(partial(LSTM, hidden_size=5)), BATCH)
    left = carried(gates, 0, 2)
    assert left is not None
    enter, forget = gates["layer0/input"], gates["layer0/forget"]
    for step in range(5):
        torch.testing.assert_close(left[:, step], enter[:, step] * forget[:, step + 1] * forget[:, step + 2])


def test_carried_is_none_when_no_gate_keeps_the_state() -> None:
    assert carried(gate_activity(tagger(GRUS["ResetOnlyGRU before"]), BATCH), 0, 2) is None


@pytest.mark.parametrize("lag", [0, 7, -1])
def test_carried_refuses_a_lag_outside_the_sequence(lag: int) -> None:
    with pytest.raises(UsageError, match=r"lag must be in 1\.\.6"):
        carried(gate_activity(tagger(GRUS["UpdateOnlyGRU"]), BATCH), 0, lag)
