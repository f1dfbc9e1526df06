from typing import Literal

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from rnn_tasks.cores import Elman, Henaff, Normal, Orthogonal, RecurrentInit
from rnn_tasks.cores.elman import ACTIVATIONS, Activation
from rnn_tasks.errors import UsageError

Map = Literal["matrix_exp", "cayley", "householder"]
MAPS: tuple[Map, ...] = ("matrix_exp", "cayley", "householder")
FORMULAS = {
    "tanh": lambda z: (z.exp() - (-z).exp()) / (z.exp() + (-z).exp()),
    "relu": lambda z: z * (z > 0),
    "sigmoid": lambda z: 1 / (1 + (-z).exp()),
    "identity": lambda z: z,
}


def gradients(layer: nn.Module, outputs: Tensor, inputs: Tensor) -> dict[str, Tensor]:
    parameters = dict(layer.named_parameters())
    values = torch.autograd.grad((outputs**3).sum(), [inputs, *parameters.values()])
    return dict(zip(["inputs", *parameters], values, strict=True))


@pytest.mark.parametrize("nonlinearity", ["tanh", "relu"])
@pytest.mark.parametrize("with_state", [False, True])
def test_elman_equals_torch_in_outputs_state_and_gradients(
    nonlinearity: Literal["tanh", "relu"], with_state: bool
) -> None:
    ours = Elman(3, 5, activation=nonlinearity).double()
    theirs = nn.RNN(3, 5, nonlinearity=nonlinearity, batch_first=True).double()
    theirs.load_state_dict(ours.state_dict())
    inputs = torch.randn(4, 11, 3, dtype=torch.double, requires_grad=True)
    start = torch.randn(1, 4, 5, dtype=torch.double) if with_state else None
    (outputs, state), (expected, expected_state) = ours(inputs, start), theirs(inputs, start)
    torch.testing.assert_close(outputs, expected, atol=1e-12, rtol=1e-12)
    torch.testing.assert_close(state, expected_state, atol=1e-12, rtol=1e-12)
    torch.testing.assert_close(
        gradients(ours, outputs, inputs), gradients(theirs, expected, inputs), atol=1e-12, rtol=1e-12
    )


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_elman_follows_its_equation_for_each_activation(activation: Activation) -> None:
    core = Elman(2, 3, activation=activation).double()
    inputs = torch.randn(1, 6, 2, dtype=torch.double)
    weight_ih, weight_hh, bias_ih, bias_hh = (parameter.detach() for parameter in core.parameters())
    hidden = torch.zeros(3, dtype=torch.double)
    for step, output in enumerate(core(inputs)[0][0]):
        hidden = FORMULAS[activation](weight_ih @ inputs[0, step] + bias_ih + weight_hh @ hidden + bias_hh)
        torch.testing.assert_close(output, hidden, atol=1e-12, rtol=1e-12)


def test_modrelu_network_follows_its_equation() -> None:
    core = Elman(2, 3, activation="modrelu", num_layers=2).double()
    inputs = torch.randn(1, 6, 2, dtype=torch.double)
    expected = inputs[0].numpy()
    for layer in range(2):
        names = (f"{name}_l{layer}" for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
        weight_ih, weight_hh, bias, modrelu_bias = (core.get_parameter(name).detach().numpy() for name in names)
        hidden, outputs = np.zeros(3), []
        for x in expected:
            total = weight_ih @ x + bias + weight_hh @ hidden
            hidden = np.sign(total) * np.maximum(np.abs(total) + modrelu_bias, 0)
            outputs.append(hidden)
        expected = np.stack(outputs)
    np.testing.assert_allclose(core(inputs)[0][0].detach().numpy(), expected, rtol=1e-12, atol=1e-12)


def test_modrelu_gradients_equal_those_of_a_naive_loop() -> None:
    core = Elman(2, 5, activation="modrelu").double()
    with torch.no_grad():
        core.bias_hh_l0.uniform_(-0.5, 0.5)
    inputs = torch.randn(2, 9, 2, dtype=torch.double, requires_grad=True)
    hidden, outputs = torch.zeros(2, 5).double(), []
    for time in range(9):
        total = inputs[:, time] @ core.weight_ih_l0.T + core.bias_ih_l0 + hidden @ core.weight_hh_l0.T
        bias = core.bias_hh_l0
        hidden = torch.where(total > 0, (total + bias).clamp_min(0), (total - bias).clamp_max(0))
        outputs.append(hidden)
    expected = gradients(core, torch.stack(outputs, 1), inputs)
    torch.testing.assert_close(gradients(core, core(inputs)[0], inputs), expected, rtol=1e-8, atol=1e-8)


def test_modrelu_bias_starts_near_zero() -> None:
    core = Elman(3, 200, activation="modrelu", zero_bias=True)
    assert 0.0095 < core.bias_hh_l0.abs().max() <= 0.01
    assert not core.bias_ih_l0.any()


def test_modrelu_network_needs_its_bias() -> None:
    with pytest.raises(UsageError, match="activation modrelu has a bias of its own: set single_bias to false"):
        Elman(3, 4, activation="modrelu", single_bias=True)


def test_modrelu_with_zero_bias_and_a_rotation_keeps_the_norm() -> None:
    core = Elman(3, 8, activation="modrelu", orthogonal_map="matrix_exp", zero_bias=True).double()
    with torch.no_grad():
        core.bias_hh_l0.zero_()
    start = torch.randn(1, 2, 8).double()
    outputs, _ = core(torch.zeros(2, 300, 3).double(), start)
    # The start is orthogonal to single precision, which limits how well 300 steps keep the norm.
    torch.testing.assert_close(outputs.norm(dim=2), start[0].norm(dim=1)[:, None].expand(2, 300), rtol=1e-4, atol=0)


@pytest.mark.parametrize("orthogonal_map", [None, "matrix_exp"])
def test_elman_gradients_equal_finite_differences(orthogonal_map: Map | None) -> None:
    core = Elman(2, 3, orthogonal_map=orthogonal_map).double()
    inputs = torch.randn(2, 3, 2, dtype=torch.double, requires_grad=True)
    state = torch.randn(1, 2, 3, dtype=torch.double, requires_grad=True)
    parameters = [parameter.detach().requires_grad_() for parameter in core.parameters()]
    names = [name for name, _ in core.named_parameters()]

    def run(inputs: Tensor, state: Tensor, *values: Tensor) -> Tensor:
        outputs, _ = torch.func.functional_call(core, dict(zip(names, values, strict=True)), (inputs, state))
        assert isinstance(outputs, Tensor)
        return outputs

    assert torch.autograd.gradcheck(run, (inputs, state, *parameters))


@pytest.mark.parametrize("orthogonal_map", MAPS)
@pytest.mark.parametrize("hidden_size", [4, 7])
def test_orthogonal_map_keeps_w_orthogonal_in_training(orthogonal_map: Map, hidden_size: int) -> None:
    core = Elman(3, hidden_size, orthogonal_map=orthogonal_map)
    optimizer = torch.optim.SGD(core.parameters(), lr=0.1)
    start = core.weight_hh_l0.detach().clone()
    inputs, targets = torch.randn(8, 6, 3), torch.randn(8, 6, hidden_size)
    losses = []
    for _ in range(10):
        optimizer.zero_grad()
        loss = ((core(inputs)[0] - targets) ** 2).mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        weight = core.weight_hh_l0
        torch.testing.assert_close(weight.T @ weight, torch.eye(hidden_size), atol=1e-6, rtol=0)
    assert losses[-1] < losses[0]
    assert not torch.allclose(core.weight_hh_l0, start, atol=1e-3)


@pytest.mark.parametrize("orthogonal_map", MAPS)
@pytest.mark.parametrize("init", [Orthogonal(), Henaff()])
def test_orthogonal_map_starts_at_recurrent_init(orthogonal_map: Map, init: RecurrentInit) -> None:
    torch.manual_seed(4)
    free = Elman(3, 6, recurrent_init=init)
    torch.manual_seed(4)
    mapped = Elman(3, 6, recurrent_init=init, orthogonal_map=orthogonal_map)
    torch.testing.assert_close(mapped.weight_hh_l0, free.weight_hh_l0, atol=1e-5, rtol=0)


def test_orthogonal_map_starts_at_a_random_orthogonal_matrix() -> None:
    torch.manual_seed(5)
    mapped = Elman(3, 50, orthogonal_map="cayley").weight_hh_l0
    torch.manual_seed(5)
    free = Elman(3, 50, recurrent_init=Orthogonal()).weight_hh_l0
    torch.testing.assert_close(mapped, free, atol=1e-5, rtol=0)


def test_elman_starts_at_the_weights_of_torch() -> None:
    torch.manual_seed(5)
    ours = Elman(3, 50).state_dict()
    torch.manual_seed(5)
    torch.testing.assert_close(ours, nn.RNN(3, 50).state_dict(), atol=0, rtol=0)


def test_elman_converts_a_state_of_another_precision() -> None:
    core, inputs, state = Elman(3, 8).double(), torch.randn(2, 5, 3).double(), torch.randn(1, 2, 8)
    torch.testing.assert_close(core(inputs, state), core(inputs, state.double()), atol=0, rtol=0)


def test_elman_applies_recurrent_init_and_input_scale() -> None:
    torch.manual_seed(6)
    default = Elman(3, 40)
    torch.manual_seed(6)
    core = Elman(3, 40, recurrent_init=Normal(0.5), input_scale=0.25)
    torch.testing.assert_close(core.weight_ih_l0, 0.25 * default.weight_ih_l0)
    assert core.weight_hh_l0.std().item() == pytest.approx(0.5, rel=0.1)
    torch.testing.assert_close(core.bias_ih_l0, default.bias_ih_l0)


@pytest.mark.parametrize("orthogonal_map", [None, *MAPS])
def test_elman_under_autocast_is_close_to_full_precision(orthogonal_map: Map | None) -> None:
    core, inputs = Elman(3, 8, orthogonal_map=orthogonal_map), torch.randn(2, 5, 3)
    with torch.autocast("cpu", torch.bfloat16):
        outputs, state = core(inputs)
        continued, _ = core(inputs, state.float())
    assert outputs.dtype == torch.bfloat16
    torch.testing.assert_close(outputs.float(), core(inputs)[0], atol=0.03, rtol=0.03)
    assert continued.dtype == torch.bfloat16
    assert all(gradient.isfinite().all() for gradient in torch.autograd.grad(outputs.sum(), [*core.parameters()]))


@pytest.mark.parametrize(
    ("hidden_size", "input_scale", "message"),
    [
        (0, 1.0, "hidden_size must be at least 1, got 0"),
        (4, 0.0, r"input_scale must be above 0, got 0\.0"),
        (4, -2.0, r"input_scale must be above 0, got -2\.0"),
    ],
)
def test_elman_rejects_values_outside_their_bounds(hidden_size: int, input_scale: float, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Elman(3, hidden_size, input_scale=input_scale)


@pytest.mark.parametrize("orthogonal_map", MAPS)
def test_orthogonal_map_applies_to_every_layer(orthogonal_map: Map) -> None:
    core = Elman(3, 6, num_layers=3, orthogonal_map=orthogonal_map)
    with torch.no_grad():
        for name, parameter in core.named_parameters():
            if "original" in name:
                parameter.add_(0.3 * torch.randn(6, 6).tril(-1))
    weights = core.recurrent_weights()
    assert list(weights) == ["weight_hh_l0", "weight_hh_l1", "weight_hh_l2"]
    for weight in weights.values():
        torch.testing.assert_close(weight.T @ weight, torch.eye(6), atol=1e-5, rtol=0)
    free = Elman(3, 6, num_layers=3)
    names = [name for name in free.state_dict() if "weight_hh" not in name]
    free.load_state_dict(weights | {name: core.get_parameter(name) for name in names})
    inputs = torch.randn(2, 5, 3)
    torch.testing.assert_close(core(inputs), free(inputs))


@pytest.mark.parametrize("orthogonal_map", MAPS)
def test_frozen_orthogonal_matrix_is_not_trained(orthogonal_map: Map) -> None:
    core = Elman(3, 6, num_layers=2, orthogonal_map=orthogonal_map, freeze_recurrent=True)
    start = {name: weight.clone() for name, weight in core.recurrent_weights().items()}
    frozen = {name for name, parameter in core.named_parameters() if not parameter.requires_grad}
    assert frozen == {f"parametrizations.weight_hh_l{layer}.original" for layer in (0, 1)}
    optimizer = torch.optim.SGD([p for p in core.parameters() if p.requires_grad], lr=0.1)
    for _ in range(2):
        core(torch.randn(2, 5, 3))[0].square().sum().backward()
        optimizer.step()
    assert all(core.get_parameter(name).grad is None for name in frozen)
    assert all(p.grad is not None and p.grad.any() for p in core.parameters() if p.requires_grad)
    torch.testing.assert_close(core.recurrent_weights(), start, atol=0, rtol=0)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_orthogonal_map_rejects_half_precision(dtype: torch.dtype) -> None:
    core = Elman(3, 6, orthogonal_map="cayley").to(dtype)
    with pytest.raises(UsageError, match=f"orthogonal_map needs weights of at least 32 bits, got {dtype}"):
        core(torch.zeros(2, 5, 3, dtype=dtype))
    assert Elman(3, 6).to(dtype)(torch.zeros(2, 5, 3, dtype=dtype))[0].dtype == dtype
