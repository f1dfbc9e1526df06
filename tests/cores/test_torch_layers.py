from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from rnn_tasks.cores import GRU, LSTM, RNN, Core, Elman, GateBiases, Identity, Orthogonal
from rnn_tasks.errors import UsageError

Make = Callable[..., Core]
PAIRS: list[tuple[Make, Callable[..., nn.Module], dict[str, Any]]] = [
    (RNN, nn.RNN, {}),
    (RNN, nn.RNN, {"nonlinearity": "relu", "num_layers": 2}),
    (GRU, nn.GRU, {"num_layers": 2}),
    (LSTM, nn.LSTM, {"num_layers": 2}),
]
LAYERS: list[Make] = [RNN, GRU, LSTM]
GATES = [(GRU, ("reset", "update", "new")), (LSTM, ("input", "forget", "cell", "output"))]
GATED: list[Make] = [GRU, LSTM]


@pytest.mark.parametrize(("ours", "theirs", "options"), PAIRS)
def test_torch_layer_has_weights_and_outputs_of_its_parent(
    ours: Make, theirs: Callable[..., nn.Module], options: dict[str, Any]
) -> None:
    torch.manual_seed(1)
    layer = ours(3, 5, **options)
    torch.manual_seed(1)
    parent = theirs(3, 5, batch_first=True, **options)
    torch.testing.assert_close(layer.state_dict(), parent.state_dict(), atol=0, rtol=0)
    inputs = torch.randn(4, 6, 3)
    outputs, state = layer(inputs)
    torch.testing.assert_close((outputs, state), parent(inputs), atol=0, rtol=0)
    torch.testing.assert_close(layer(inputs, state), parent(inputs, state), atol=0, rtol=0)


@pytest.mark.parametrize("make", LAYERS)
def test_dropout_acts_between_layers_in_training_only(make: Make) -> None:
    layer, inputs = make(3, 5, num_layers=2, dropout=0.5), torch.randn(4, 6, 3)
    assert not torch.equal(layer(inputs)[0], layer(inputs)[0])
    layer.eval()
    torch.testing.assert_close(layer(inputs)[0], layer(inputs)[0], atol=0, rtol=0)


@pytest.mark.parametrize(("make", "gates"), GATES)
def test_recurrent_weights_follow_the_gate_order_of_torch(make: Make, gates: tuple[str, ...]) -> None:
    layer = make(3, 5, num_layers=2)
    blocks = layer.recurrent_weights()
    assert list(blocks) == [f"weight_hh_l{index}/{gate}" for index in (0, 1) for gate in gates]
    with torch.no_grad():
        for value, block in enumerate(blocks.values()):
            block.fill_(value)
    count = len(gates)
    for index in (0, 1):
        rows = layer.get_parameter(f"weight_hh_l{index}")[:, 0].tolist()
        assert rows == [index * count + gate for gate in range(count) for _ in range(5)]


def test_rnn_recurrent_weights_are_its_parameters() -> None:
    layer = RNN(3, 5, num_layers=2)
    assert layer.recurrent_weights()["weight_hh_l1"] is layer.weight_hh_l1


@pytest.mark.parametrize("make", LAYERS)
def test_recurrent_init_fills_each_gate_of_each_layer(make: Make) -> None:
    layer = make(3, 6, num_layers=2, recurrent_init=Orthogonal())
    blocks = layer.recurrent_weights()
    for weight in blocks.values():
        torch.testing.assert_close(weight.T @ weight, torch.eye(6), atol=1e-6, rtol=0)
    assert len({weight[0, 0].item() for weight in blocks.values()}) == len(blocks)  # all matrices differ


@pytest.mark.parametrize("make", LAYERS)
def test_input_scale_shrinks_input_weights_of_first_layer_only(make: Make) -> None:
    torch.manual_seed(2)
    plain = make(3, 6, num_layers=2).state_dict()
    torch.manual_seed(2)
    scaled = make(3, 6, num_layers=2, input_scale=0.125).state_dict()
    plain["weight_ih_l0"] = 0.125 * plain["weight_ih_l0"]
    torch.testing.assert_close(scaled, plain, atol=0, rtol=0)


@pytest.mark.parametrize(("make", "gates"), GATES)
def test_gate_bias_is_the_sum_of_both_torch_biases(make: Make, gates: tuple[str, ...]) -> None:
    torch.manual_seed(3)
    plain = make(3, 5, num_layers=2)
    torch.manual_seed(3)
    layer = make(3, 5, num_layers=2, gate_bias=GateBiases({gates[0]: 3, gates[1]: -2.5}))
    for index in (0, 1):
        total, torchs = (
            core.get_parameter(f"bias_ih_l{index}") + core.get_parameter(f"bias_hh_l{index}") for core in (layer, plain)
        )
        torch.testing.assert_close(total[:5], torch.full((5,), 3.0))
        torch.testing.assert_close(total[5:10], torch.full((5,), -2.5))
        torch.testing.assert_close(total[10:], torchs[10:])


def test_gru_equals_elman_when_reset_is_1_and_update_is_0() -> None:
    gru = GRU(3, 5, gate_bias=GateBiases({"reset": 30, "update": -30})).double()
    elman = Elman(3, 5).double()
    with torch.no_grad():
        elman.weight_hh_l0.copy_(gru.recurrent_weights()["weight_hh_l0/new"])
        for name in ("weight_ih_l0", "bias_ih_l0", "bias_hh_l0"):
            elman.get_parameter(name).copy_(gru.get_parameter(name)[10:])
    inputs = torch.randn(4, 12, 3, dtype=torch.double)
    torch.testing.assert_close(gru(inputs)[0], elman(inputs)[0], atol=1e-10, rtol=0)


def test_gru_keeps_its_state_when_update_gate_is_1() -> None:
    gru = GRU(3, 5, gate_bias=GateBiases({"update": 30})).double()
    state = torch.randn(1, 4, 5, dtype=torch.double)
    outputs, _ = gru(torch.randn(4, 12, 3, dtype=torch.double), state)
    torch.testing.assert_close(outputs, state[0][:, None].expand_as(outputs), atol=1e-9, rtol=0)


def test_lstm_equals_elman_of_tanh_tanh_when_forget_gate_is_0() -> None:
    lstm = LSTM(3, 5, gate_bias=GateBiases({"input": 30, "forget": -30, "output": 30})).double()
    inputs = torch.randn(4, 12, 3, dtype=torch.double)
    weight = lstm.recurrent_weights()["weight_hh_l0/cell"]
    bias = (lstm.get_parameter("bias_ih_l0") + lstm.get_parameter("bias_hh_l0"))[10:15]
    input_weight = lstm.get_parameter("weight_ih_l0")[10:15]
    hidden = torch.zeros(4, 5, dtype=torch.double)
    for step, output in enumerate(lstm(inputs)[0].unbind(1)):
        hidden = torch.tanh(torch.tanh(inputs[:, step] @ input_weight.T + hidden @ weight.T + bias))
        torch.testing.assert_close(output, hidden, atol=1e-10, rtol=0)


@pytest.mark.parametrize("make", LAYERS)
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"hidden_size": 0}, "hidden_size must be at least 1, got 0"),
        ({"num_layers": 0}, "num_layers must be at least 1, got 0"),
        ({"dropout": -0.5, "num_layers": 2}, r"dropout must be at least 0 and below 1, got -0\.5"),
        ({"dropout": 1.0, "num_layers": 2}, r"dropout must be at least 0 and below 1, got 1\.0"),
        ({"input_scale": 0.0}, r"input_scale must be above 0, got 0\.0"),
    ],
)
def test_torch_layer_rejects_values_outside_their_bounds(make: Make, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        make(**{"input_size": 3, "hidden_size": 4, **arguments})


@pytest.mark.parametrize("make", GATED)
def test_torch_layer_rejects_the_bias_of_an_unknown_gate(make: Make) -> None:
    with pytest.raises(UsageError, match="this layer has no gate 'peephole'"):
        make(3, 4, recurrent_init=Identity(), gate_bias=GateBiases({"peephole": 1.0}))


@pytest.mark.parametrize("core", [RNN, GRU, LSTM])
def test_torch_layer_continues_from_its_state_under_autocast(core: Any) -> None:
    layer = core(3, 8, num_layers=2)
    inputs = torch.randn(2, 6, 3)
    expected, _ = layer(inputs)
    with torch.autocast("cpu", torch.bfloat16):
        first, state = layer(inputs[:, :4])
        second, _ = layer(inputs[:, 4:], state)
    torch.testing.assert_close(torch.cat([first, second], 1).float(), expected, atol=0.05, rtol=0.05)
