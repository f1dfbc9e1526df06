"""Tests of what the layers from scratch share: parameters, initialisation, several layers, precision."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrizations, parametrize

from rnn_tasks.cores import (
    Cayley,
    Elman,
    GateBiases,
    Henaff,
    Identity,
    Normal,
    Orthogonal,
    RecurrentInit,
    ResetOnlyGRU,
    ScratchGRU,
    ScratchLSTM,
    Unrolled,
    UpdateOnlyGRU,
    Xavier,
)
from rnn_tasks.cores.unrolled import Blocks, States, affine
from rnn_tasks.errors import UsageError

Make = Callable[..., Unrolled]
LAYERS: dict[str, Make] = {
    "Elman": Elman,
    "ScratchGRU": ScratchGRU,
    "ScratchGRU, before": partial(ScratchGRU, reset="before"),
    "ResetOnlyGRU": ResetOnlyGRU,
    "ResetOnlyGRU, before": partial(ResetOnlyGRU, reset="before"),
    "UpdateOnlyGRU": UpdateOnlyGRU,
    "ScratchLSTM": ScratchLSTM,
}
GATED = [name for name in LAYERS if name != "Elman"]
PAIRS: dict[str, tuple[Make, Callable[..., nn.Module]]] = {
    "tanh": (Elman, nn.RNN),
    "relu": (partial(Elman, activation="relu"), partial(nn.RNN, nonlinearity="relu")),
    "GRU": (ScratchGRU, nn.GRU),
    "LSTM": (ScratchLSTM, nn.LSTM),
}


class Leaky(Unrolled):
    """A custom layer, ``h_t = (h_{t-1} + tanh(U x_t + b + W h_{t-1} + c)) / 2``."""

    gates = ("hidden",)

    def step(self, input_terms: Blocks, state: States, weight: Blocks, bias: Blocks) -> States:
        (x,), (hidden,), (w,) = input_terms, state, weight
        return ((hidden + torch.tanh(x + hidden @ w)) / 2,)


@pytest.fixture(params=LAYERS)
def make(request: pytest.FixtureRequest) -> Make:
    return LAYERS[request.param]


@pytest.fixture(params=GATED)
def make_gated(request: pytest.FixtureRequest) -> Make:
    return LAYERS[request.param]


def tensors(state: Any) -> tuple[Tensor, ...]:
    return (state,) if isinstance(state, Tensor) else tuple(state)


def results(layer: nn.Module, inputs: Tensor, state: Any) -> dict[str, Tensor]:
    """Return outputs, final state, and gradients of a loss of both with respect to inputs, state and parameters."""
    outputs, end = layer(inputs, state)
    start = () if state is None else tensors(state)
    loss = (outputs**3).sum() + sum((part**2).sum() for part in tensors(end))
    parameters = dict(layer.named_parameters())
    gradients = torch.autograd.grad(loss, [inputs, *start, *parameters.values()])
    names = ["inputs", *(f"state {index}" for index in range(len(start))), *parameters]
    ends = {f"end {index}": part for index, part in enumerate(tensors(end))}
    return {"outputs": outputs, **ends, **dict(zip(names, gradients, strict=True))}


@pytest.mark.parametrize("num_layers", [1, 2])
@pytest.mark.parametrize("with_state", [False, True])
@pytest.mark.parametrize("pair", PAIRS)
def test_scratch_layer_equals_torch_with_gradients(pair: str, with_state: bool, num_layers: int) -> None:
    make_ours, make_theirs = PAIRS[pair]
    ours = make_ours(3, 5, num_layers=num_layers).double()
    theirs = make_theirs(3, 5, num_layers=num_layers, batch_first=True).double()
    theirs.load_state_dict(ours.state_dict())
    inputs = torch.randn(4, 11, 3, dtype=torch.double, requires_grad=True)
    state: Any = None
    if with_state:
        parts = [torch.randn(num_layers, 4, 5, dtype=torch.double, requires_grad=True) for _ in range(2)]
        state = tuple(parts) if pair == "LSTM" else parts[0]
    actual, expected = results(ours, inputs, state), results(theirs, inputs, state)
    assert len(actual) == 2 + with_state + 1 + 4 * num_layers + (1 + with_state) * (pair == "LSTM")
    torch.testing.assert_close(actual, expected, atol=1e-10, rtol=1e-10)


@pytest.mark.parametrize("pair", PAIRS)
def test_scratch_layer_starts_at_the_weights_of_torch(pair: str) -> None:
    ours, theirs = PAIRS[pair]
    torch.manual_seed(1)
    layer = ours(3, 50, num_layers=2)
    torch.manual_seed(1)
    torch.testing.assert_close(layer.state_dict(), theirs(3, 50, num_layers=2).state_dict(), atol=0, rtol=0)


def test_parameters_have_one_block_for_each_gate(make: Make) -> None:
    core = make(3, 5, num_layers=2)
    count = len(core.gates)
    assert {name: tuple(parameter.shape) for name, parameter in core.named_parameters()} == {
        "weight_ih_l0": (5 * count, 3),
        "weight_hh_l0": (5 * count, 5),
        "bias_ih_l0": (5 * count,),
        "bias_hh_l0": (5 * count,),
        "weight_ih_l1": (5 * count, 5),
        "weight_hh_l1": (5 * count, 5),
        "bias_ih_l1": (5 * count,),
        "bias_hh_l1": (5 * count,),
    }
    assert all(parameter.abs().max() <= 5**-0.5 for parameter in core.parameters())


@pytest.mark.parametrize("num_layers", [1, 2])
def test_scratch_layer_continues_from_the_state_at_a_cut(make: Make, num_layers: int) -> None:
    core, inputs = make(3, 5, num_layers=num_layers).double(), torch.randn(4, 9, 3).double()
    whole, end = core(inputs)
    first, state = core(inputs[:, :1])
    second, state = core(inputs[:, 1:6], state)
    third, state = core(inputs[:, 6:], state)
    torch.testing.assert_close(torch.cat([first, second, third], 1), whole, atol=1e-12, rtol=1e-12)
    torch.testing.assert_close(state, end, atol=1e-12, rtol=1e-12)
    assert not torch.allclose(core(inputs[:, 6:])[0], third)


def test_state_has_the_shape_of_torch_and_the_last_output(make: Make) -> None:
    core = make(3, 5, num_layers=2)
    outputs, state = core(torch.randn(4, 7, 3))
    assert [part.shape for part in tensors(state)] == [(2, 4, 5)] * core.num_state_tensors
    torch.testing.assert_close(tensors(state)[0][1], outputs[:, -1], atol=0, rtol=0)
    assert isinstance(state, tuple) == (core.num_state_tensors > 1)


def test_second_layer_reads_the_outputs_of_the_first(make: Make) -> None:
    core = make(3, 5, num_layers=2)
    first, second = make(3, 5), make(5, 5)
    first.load_state_dict({name: core.get_parameter(name) for name in first.state_dict()})
    second.load_state_dict({name: core.get_parameter(name.replace("_l0", "_l1")) for name in second.state_dict()})
    inputs = torch.randn(4, 7, 3)
    torch.testing.assert_close(core(inputs)[0], second(first(inputs)[0])[0])
    torch.manual_seed(3)
    core.dropout = 0.6
    outputs = core(inputs)[0]
    torch.manual_seed(3)
    dropped = functional.dropout(first(inputs)[0], 0.6)  # scales the outputs that remain by 1 / 0.4
    torch.testing.assert_close(outputs, second(dropped)[0])
    assert not torch.allclose(outputs, core(inputs)[0])
    core.eval()
    torch.testing.assert_close(core(inputs)[0], second(first(inputs)[0])[0])


def test_dropout_skips_the_outputs_of_the_last_layer() -> None:
    core = Elman(3, 5, activation="identity", num_layers=1, dropout=0.9)
    inputs = torch.randn(4, 7, 3)
    torch.testing.assert_close(core(inputs), core(inputs), atol=0, rtol=0)
    assert (core(inputs)[0] != 0).all()


def test_dropout_scales_the_outputs_that_remain() -> None:
    """The first layer outputs ones, and the second layer is the identity."""
    core = Elman(1, 400, activation="identity", num_layers=2, dropout=0.75)
    with torch.no_grad():
        for name, parameter in core.named_parameters():
            parameter.zero_()
            if name == "bias_ih_l0":
                parameter.fill_(1)
            if name == "weight_ih_l1":
                parameter.copy_(torch.eye(400))
    outputs = core(torch.zeros(5, 10, 1))[0]
    assert set(outputs.unique().tolist()) == {0.0, 4.0}
    assert outputs.mean().item() == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("num_layers", [1, 2])
def test_freeze_recurrent_stops_only_recurrent_gradients(make: Make, num_layers: int) -> None:
    torch.manual_seed(1)
    core = make(3, 5, num_layers=num_layers, freeze_recurrent=True)
    torch.manual_seed(1)
    free = make(3, 5, num_layers=num_layers)
    inputs = torch.randn(4, 7, 3)
    torch.testing.assert_close(core(inputs), free(inputs), atol=0, rtol=0)
    core(inputs)[0].sum().backward()
    free(inputs)[0].sum().backward()
    frozen = {name for name, parameter in core.named_parameters() if not parameter.requires_grad}
    assert frozen == {f"weight_hh_l{layer}" for layer in range(num_layers)}
    for name, parameter in core.named_parameters():
        gradient = free.get_parameter(name).grad
        assert gradient is not None
        if name in frozen:
            assert parameter.grad is None
            assert gradient.any()
        else:
            torch.testing.assert_close(parameter.grad, gradient)


def test_frozen_recurrent_weights_can_be_overwritten(make: Make) -> None:
    core = make(3, 5, freeze_recurrent=True)
    for weight in core.recurrent_weights().values():
        with torch.no_grad():
            weight.fill_(7)
    assert (core.weight_hh_l0 == 7).all()


def test_single_bias_equals_two_biases_when_one_is_zero(make: Make) -> None:
    core = make(3, 5, num_layers=2, single_bias=True).double()
    assert not [name for name in core.state_dict() if "bias_hh" in name]
    double = make(3, 5, num_layers=2, zero_bias=True).double()
    assert all(not parameter.any() for name, parameter in double.named_parameters() if name.startswith("bias"))
    double.load_state_dict(core.state_dict(), strict=False)
    inputs = torch.randn(4, 7, 3).double()
    torch.testing.assert_close(core(inputs), double(inputs), atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize("single_bias", [False, True])
def test_zero_bias_changes_only_the_biases(make: Make, single_bias: bool) -> None:
    torch.manual_seed(1)
    default = make(3, 5, num_layers=2, single_bias=single_bias).state_dict()
    torch.manual_seed(1)
    zero = make(3, 5, num_layers=2, single_bias=single_bias, zero_bias=True).state_dict()
    assert len(zero) == (6 if single_bias else 8)
    expected = {name: value * (not name.startswith("bias")) for name, value in default.items()}
    torch.testing.assert_close(zero, expected, atol=0, rtol=0)


@pytest.mark.parametrize("single_bias", [False, True])
@pytest.mark.parametrize("zero_bias", [False, True])
def test_gate_bias_is_the_initial_sum_of_all_biases(make_gated: Make, single_bias: bool, zero_bias: bool) -> None:
    torch.manual_seed(3)
    plain = make_gated(3, 5, num_layers=2, single_bias=single_bias)
    torch.manual_seed(3)
    gate = plain.gates[1]
    options = {"single_bias": single_bias, "zero_bias": zero_bias}
    core = make_gated(3, 5, num_layers=2, gate_bias=GateBiases({gate: -2.5}), **options)
    for layer in (0, 1):
        total, torchs = (
            sum(parameter for name, parameter in each.named_parameters() if "bias" in name and f"_l{layer}" in name)
            for each in (core, plain)
        )
        assert isinstance(total, Tensor)
        assert isinstance(torchs, Tensor)
        torch.testing.assert_close(total[5:10], torch.full((5,), -2.5))
        others = torch.ones(len(total), dtype=torch.bool)
        others[5:10] = False
        torch.testing.assert_close(total[others], torchs[others] * (not zero_bias))


def test_scratch_layer_rejects_the_bias_of_an_unknown_gate(make_gated: Make) -> None:
    with pytest.raises(UsageError, match="this layer has no gate 'peephole'; its gates are"):
        make_gated(3, 4, gate_bias=GateBiases({"peephole": 1.0}))


def test_inits_fill_each_gate_of_each_layer(make: Make) -> None:
    core = make(3, 6, num_layers=2, recurrent_init=Orthogonal(), input_init=Orthogonal(gain=2.0))
    recurrent = list(core.recurrent_weights().values())
    assert len(recurrent) == 2 * len(core.gates)
    for block in recurrent:
        torch.testing.assert_close(block.T @ block, torch.eye(6), atol=1e-6, rtol=0)
    for layer, columns in ((0, 3), (1, 6)):
        for block in core.get_parameter(f"weight_ih_l{layer}").chunk(len(core.gates)):
            torch.testing.assert_close(block.T @ block, 4 * torch.eye(columns), atol=1e-5, rtol=0)
    blocks = [*recurrent, *core.input_weights()[0].chunk(len(core.gates))]
    assert len({block[0, 0].item() for block in blocks}) == len(blocks)  # all matrices differ


def test_input_scale_acts_on_input_init_of_first_layer_only(make: Make) -> None:
    torch.manual_seed(2)
    plain = make(3, 6, num_layers=2, input_init=Normal(0.5)).state_dict()
    torch.manual_seed(2)
    scaled = make(3, 6, num_layers=2, input_init=Normal(0.5), input_scale=0.125).state_dict()
    plain["weight_ih_l0"] = 0.125 * plain["weight_ih_l0"]
    torch.testing.assert_close(scaled, plain, atol=0, rtol=0)


@pytest.mark.parametrize("init", [Normal(0.5), Xavier(), Orthogonal()])
def test_input_init_fills_matrices_that_are_not_square(make: Make, init: RecurrentInit) -> None:
    for size in (2, 9):
        torch.manual_seed(2)
        plain = make(size, 4)
        torch.manual_seed(2)
        core = make(size, 4, input_init=init)
        assert core.weight_ih_l0.shape == plain.weight_ih_l0.shape
        assert not torch.isclose(core.weight_ih_l0, plain.weight_ih_l0).any()
        torch.testing.assert_close(core.weight_hh_l0, plain.weight_hh_l0, atol=0, rtol=0)


@pytest.mark.parametrize("init", [Identity(), Henaff(), Cayley()])
def test_input_init_rejects_a_matrix_that_must_be_square(make: Make, init: RecurrentInit) -> None:
    message = f"{type(init).__name__} fills square matrices only, got 4 rows and 3 columns"
    with pytest.raises(UsageError, match=message):
        make(3, 4, input_init=init)
    make(4, 4, input_init=init)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"hidden_size": 0}, "hidden_size must be at least 1, got 0"),
        ({"num_layers": 0}, "num_layers must be at least 1, got 0"),
        ({"dropout": -0.5}, r"dropout must be at least 0 and below 1, got -0\.5"),
        ({"dropout": 1.0}, r"dropout must be at least 0 and below 1, got 1\.0"),
        ({"input_scale": 0.0}, r"input_scale must be above 0, got 0\.0"),
        ({"input_scale": -2.0}, r"input_scale must be above 0, got -2\.0"),
    ],
)
def test_scratch_layer_rejects_values_outside_their_bounds(make: Make, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        make(**{"input_size": 3, "hidden_size": 4, **arguments})


@pytest.mark.parametrize("single_bias", [False, True])
def test_autocast_is_close_to_full_precision(make: Make, single_bias: bool) -> None:
    core, inputs = make(3, 8, num_layers=2, single_bias=single_bias), torch.randn(2, 5, 3)
    with torch.autocast("cpu", torch.bfloat16):
        outputs, state = core(inputs)
        single = tuple(part.float() for part in tensors(state))
        continued, _ = core(inputs, single if core.num_state_tensors > 1 else single[0])
    assert {outputs.dtype, continued.dtype, *(part.dtype for part in tensors(state))} == {torch.bfloat16}
    torch.testing.assert_close(outputs.float(), core(inputs)[0], atol=0.03, rtol=0.03)
    gradients = torch.autograd.grad(outputs.sum(), [*core.parameters()])
    assert all(gradient.isfinite().all() and gradient.any() for gradient in gradients)


def test_scratch_layer_converts_a_state_of_another_precision(make: Make) -> None:
    core, inputs = make(3, 8).double(), torch.randn(2, 5, 3).double()
    parts = tuple(torch.randn(1, 2, 8) for _ in range(core.num_state_tensors))
    single, double = (
        p if core.num_state_tensors > 1 else p[0] for p in (parts, tuple(part.double() for part in parts))
    )
    torch.testing.assert_close(core(inputs, single), core(inputs, double), atol=0, rtol=0)


class Halved(nn.Module):
    """A parametrization that halves a matrix by a product and records the precision of each result."""

    def __init__(self) -> None:
        super().__init__()
        self.dtypes: list[torch.dtype] = []

    def forward(self, weight: Tensor) -> Tensor:
        half = weight @ torch.eye(weight.shape[1], dtype=weight.dtype) / 2
        self.dtypes.append(half.dtype)
        return half


def test_recurrent_weight_may_be_parametrized(make: Make) -> None:
    core, plain, inputs = make(3, 5, num_layers=2), make(3, 5, num_layers=2), torch.randn(2, 6, 3)
    plain.load_state_dict(core.state_dict())
    halved = Halved()
    parametrize.register_parametrization(core, "weight_hh_l1", halved)
    with torch.no_grad():
        plain.get_parameter("weight_hh_l1").mul_(0.5)
    torch.testing.assert_close(core(inputs), plain(inputs))
    torch.testing.assert_close(core.recurrent_weights(), plain.recurrent_weights())
    halved.dtypes.clear()
    with torch.autocast("cpu", torch.bfloat16):
        core(inputs)
    assert halved.dtypes == [torch.float32]


def test_weight_norm_of_torch_applies_to_all_weights(make: Make) -> None:
    core, plain = make(3, 5), make(3, 5)
    for name in ("weight_ih_l0", "weight_hh_l0"):
        parametrizations.weight_norm(core, name)
    with torch.no_grad():
        for name, parameter in core.named_parameters():
            if "original0" in name:  # the norms
                parameter.mul_(3)
    plain.load_state_dict({name: getattr(core, name).detach() for name in plain.state_dict()})
    inputs = torch.randn(2, 6, 3)
    torch.testing.assert_close(core(inputs), plain(inputs))


def test_custom_layer_is_defined_by_its_step() -> None:
    core = Leaky(3, 5, num_layers=2, recurrent_init=Orthogonal()).double()
    weights = core.state_dict()
    inputs = torch.randn(1, 6, 3).double()
    outputs, _ = core(inputs)
    sequence = list(inputs[0])
    for layer in (0, 1):
        hidden, layer_inputs = torch.zeros(5).double(), sequence
        sequence = []
        for x in layer_inputs:
            total = weights[f"weight_ih_l{layer}"] @ x + weights[f"bias_ih_l{layer}"]
            total = total + weights[f"weight_hh_l{layer}"] @ hidden + weights[f"bias_hh_l{layer}"]
            hidden = 0.5 * hidden + 0.5 * torch.tanh(total)
            sequence.append(hidden)
    torch.testing.assert_close(outputs[0], torch.stack(sequence), atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize("name", LAYERS)
def test_outputs_are_empty_when_the_batch_is_empty(name: str) -> None:
    outputs, _ = LAYERS[name](3, 5)(torch.zeros(0, 4, 3))
    assert outputs.shape == (0, 4, 5)


def test_affine_equals_linear_with_gradients() -> None:
    inputs, weight, bias = (
        torch.randn(size, dtype=torch.float64, requires_grad=True) for size in ((40, 3), (5, 3), (5,))
    )
    outputs, expected = affine(inputs, weight, bias), functional.linear(inputs, weight, bias)
    torch.testing.assert_close(outputs, expected)
    scale = torch.randn_like(outputs)
    gradients = [torch.autograd.grad((values * scale).sum(), (inputs, weight, bias)) for values in (outputs, expected)]
    torch.testing.assert_close(*gradients, rtol=1e-12, atol=1e-12)
