from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from rnn_tasks.analysis import encoded, state_trajectory
from rnn_tasks.analysis.gates import carried, gate_activity, gate_values
from rnn_tasks.cores import GRU, LSTM, DeltaNet, MinGRU, MinLSTM, ScratchGRU, StackRNN
from rnn_tasks.errors import UsageError
from tests.helpers.layers import BATCH, GRUS, LSTMS, PLAIN, tagger


@pytest.mark.parametrize("with_state", [False, True])
@pytest.mark.parametrize("core", GRUS)
def test_gru_states_follow_from_the_gates(core: str, with_state: bool) -> None:
    network = tagger(GRUS[core])
    layers = 2 if core in ("GRU with two layers", "ScratchGRU before", "foreign GRU") else 1
    start = torch.randn(layers, 3, 5, dtype=torch.double) if with_state else None
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
def test_reset_gate_scales_the_candidate_state(reset: Any) -> None:
    """Compare with the equations; the tests of the states above do not depend on the reset gate."""
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


@pytest.mark.parametrize("with_state", [False, True])
@pytest.mark.parametrize("core", LSTMS)
def test_lstm_states_follow_from_the_gates(core: str, with_state: bool) -> None:
    network = tagger(LSTMS[core])
    layers = 2 if core == "LSTM with two layers" else 1
    start = tuple(torch.randn(2, layers, 3, 5, dtype=torch.double)) if with_state else None
    gates = gate_activity(network, BATCH, start)
    states = state_trajectory(network, BATCH, start).reshape(3, 7, 2, layers, 5)
    assert [name.split("/")[1] for name in gates] == layers * ["input", "forget", "cell", "output"]
    for layer in range(layers):
        memory = torch.zeros(3, 5).double() if start is None else start[1][layer]
        forget, input_gate = gates[f"layer{layer}/forget"], gates[f"layer{layer}/input"]
        for step in range(7):
            memory = forget[:, step] * memory + input_gate[:, step] * gates[f"layer{layer}/cell"][:, step]
            hidden = gates[f"layer{layer}/output"][:, step] * torch.tanh(memory)
            torch.testing.assert_close(memory, states[:, step, 1, layer], atol=1e-10, rtol=0)
            torch.testing.assert_close(hidden, states[:, step, 0, layer], atol=1e-10, rtol=0)


@pytest.mark.parametrize("core", [MinGRU, MinLSTM])
def test_minimal_states_follow_from_the_gates(core: Any) -> None:
    network = tagger(partial(core, hidden_size=5))
    gates, weights = gate_activity(network, BATCH), network.core.state_dict()
    new = encoded(network, BATCH) @ weights["linear.weight"][-5:].T + weights["linear.bias"][-5:]
    keep = gates["layer0/update"] if core is MinGRU else gates["layer0/forget"]
    write = 1 - keep if core is MinGRU else gates["layer0/input"]
    hidden = torch.zeros(3, 5).double()
    for step, state in enumerate(state_trajectory(network, BATCH).unbind(1)):
        hidden = keep[:, step] * hidden + write[:, step] * new[:, step]
        torch.testing.assert_close(hidden, state, atol=1e-10, rtol=0)
    assert gates.keys() == ({"layer0/update"} if core is MinGRU else {"layer0/forget", "layer0/input"})


@pytest.mark.parametrize("with_state", [False, True])
def test_stacks_follow_from_the_gates(with_state: bool) -> None:
    network = tagger(partial(StackRNN, hidden_size=5, num_stacks=2, stack_depth=4, cell_size=3))
    core: Any = network.core
    start: Any = (torch.randn(3, 5).double(), torch.randn(3, 2, 4, 3).double()) if with_state else None
    gates = {name.removeprefix("layer0/"): values for name, values in gate_activity(network, BATCH, start).items()}
    assert gates.keys() == {"push", "pop", "keep"}
    assert gates["push"].shape == (3, 7, 2)
    stack = torch.zeros(3, 2, 4, 3).double() if start is None else start[1]
    for step, state in enumerate(state_trajectory(network, BATCH, start).unbind(1)):
        values = core.values(state[:, :5]).view(3, 2, 1, 3)
        pushed, popped = torch.cat([values, stack[:, :, :-1]], 2), torch.cat([stack[:, :, 1:], 0 * values], 2)
        parts = {"push": pushed, "pop": popped, "keep": stack}
        stack = sum((gates[name][:, step, :, None, None] * part for name, part in parts.items()), 0 * stack)
        torch.testing.assert_close(stack.flatten(1), state[:, 5:], atol=1e-10, rtol=0)


@pytest.mark.parametrize("with_state", [False, True])
def test_eigenvalues_of_delta_net_follow_from_beta(with_state: bool) -> None:
    """A step multiplies the matrix of a head by ``I - beta k k^T``, whose smallest eigenvalue is ``1 - beta |k|^2``."""
    network = tagger(partial(DeltaNet, hidden_size=6, heads=3, max_beta=2.0))
    inputs = encoded(network, BATCH)
    start: Any = (torch.zeros(3, 3, 2, 2).double(), inputs[:, 0]) if with_state else None
    batch = BATCH if start is None else BATCH._replace(inputs=BATCH.inputs[:, 1:], targets=BATCH.targets[:, 1:])
    gates = gate_activity(network, batch, start)
    assert gates.keys() == {"layer0/beta"}
    smallest = network.core.eigenvalues(inputs)["transition"].real.view(3, 7, 3, 2).amin(-1)
    features = torch.cat([inputs, torch.cat([0 * inputs[:, :1], inputs[:, :-1]], 1)], 2)
    keys = nn.functional.silu(features @ network.core.state_dict()["key.weight"].T).view(3, 7, 3, 2)
    squares = keys.square().sum(-1)
    expected = 1 - gates["layer0/beta"] * (squares / (squares + 1e-6))[:, with_state:]
    torch.testing.assert_close(expected, smallest[:, with_state:], atol=1e-10, rtol=0)


def test_linear_attention_has_no_gates() -> None:
    assert gate_activity(tagger(partial(DeltaNet, hidden_size=6, delta=False)), BATCH) == {}


def test_update_gate_is_1_for_a_large_input() -> None:
    values = gate_values(
        ("update", "new"), torch.ones(1), torch.ones(1), torch.tensor([[40.0], [0.0]]), torch.zeros(2, 1)
    )
    assert values["update"].item() == 1


@pytest.mark.parametrize("core", PLAIN)
def test_gate_activity_is_empty_for_layers_without_gates(core: str) -> None:
    assert gate_activity(tagger(PLAIN[core]), BATCH) == {}


def test_carried_of_a_gru_is_the_share_that_its_gates_keep() -> None:
    """With recurrent weights of 0, candidates do not depend on the past, so only the gates keep a value."""
    network = tagger(partial(GRU, hidden_size=5))
    with torch.no_grad():
        network.core.recurrent_weights()["weight_hh_l0/new"].zero_()
        network.core.recurrent_weights()["weight_hh_l0/update"].zero_()
    gates = gate_activity(network, BATCH)
    states = state_trajectory(network, BATCH)
    share = carried(gates, 0, 3)
    assert share is not None
    assert share.shape == (3, 4, 5)
    new, z = gates["layer0/new"], gates["layer0/update"]
    for step in range(4):  # compute the states without the candidate of this step
        without = z[:, step] * (states[:, step - 1] if step else torch.zeros(3, 5).double())
        for later in range(step + 1, step + 4):
            without = (1 - z[:, later]) * new[:, later] + z[:, later] * without
        torch.testing.assert_close(states[:, step + 3] - without, share[:, step] * new[:, step])


def test_carried_of_an_lstm_is_the_product_of_its_gates() -> None:
    gates = gate_activity(tagger(partial(LSTM, hidden_size=5)), BATCH)
    share = carried(gates, 0, 2)
    assert share is not None
    input_gate, forget = gates["layer0/input"], gates["layer0/forget"]
    for step in range(5):
        torch.testing.assert_close(share[:, step], input_gate[:, step] * forget[:, step + 1] * forget[:, step + 2])


def test_carried_is_none_when_no_gate_keeps_the_state() -> None:
    assert carried(gate_activity(tagger(GRUS["ResetOnlyGRU before"]), BATCH), 0, 2) is None


@pytest.mark.parametrize("lag", [0, 7, -1])
def test_carried_raises_for_a_lag_outside_the_sequence(lag: int) -> None:
    with pytest.raises(UsageError, match=r"lag must be in 1\.\.6"):
        carried(gate_activity(tagger(GRUS["UpdateOnlyGRU"]), BATCH), 0, lag)
