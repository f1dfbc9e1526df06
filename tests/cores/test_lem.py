import numpy as np
import pytest
import torch
from torch import Tensor, nn

from rnn_tasks.cores import LEM
from rnn_tasks.errors import UsageError


def logistic(values: np.ndarray) -> np.ndarray:
    result: np.ndarray = 1 / (1 + np.exp(-values))
    return result


def published(core: LEM, sequence: np.ndarray) -> np.ndarray:
    """Compute the equations of the paper with NumPy, step by step, for one sequence."""
    values = {name: parameter.detach().numpy() for name, parameter in core.named_parameters()}
    v_1, v_2, v_z, v_y = np.split(values["weight_ih_l0"], 4)
    w_1, w_2, w_z, w_y = np.split(values["weight_hh_l0"], 4)
    b_1, b_2, b_z, b_y = np.split(values["bias_ih_l0"] + values["bias_hh_l0"], 4)
    y = z = np.zeros(core.hidden_size)
    outputs = []
    for u in sequence:
        dt_n = core.dt * logistic(w_1 @ y + v_1 @ u + b_1)
        dt_bar = core.dt * logistic(w_2 @ y + v_2 @ u + b_2)
        z = (1 - dt_bar) * z + dt_bar * np.tanh(w_z @ y + v_z @ u + b_z)
        y = (1 - dt_n) * y + dt_n * np.tanh(w_y @ z + v_y @ u + b_y)
        outputs.append(y)
    return np.stack(outputs)


def naive(dt: float, x: Tensor, y: Tensor, z: Tensor, v: Tensor, w: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """Compute the equations with plain torch operations; v, w, b and c are stacked."""
    d, outputs = y.shape[1], []
    for time in range(x.shape[1]):
        terms = x[:, time] @ v.T + b + c
        old = terms[:, : 3 * d] + y @ w[: 3 * d].T
        step_y, step_z = dt / (1 + torch.exp(-old[:, :d])), dt / (1 + torch.exp(-old[:, d : 2 * d]))
        z = z + step_z * (torch.tanh(old[:, 2 * d :]) - z)
        y = y + step_y * (torch.tanh(terms[:, 3 * d :] + z @ w[3 * d :].T) - y)
        outputs.append(y)
    return torch.stack(outputs, 1)


def opened(hidden_size: int) -> LEM:
    """Return a layer whose steps are 1, and whose y and z have the same weights."""
    core = LEM(3, hidden_size).double()
    with torch.no_grad():
        for name in ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"):
            step_y, step_z, z, y = core.get_parameter(name).chunk(4)
            y.copy_(z)
            step_y.zero_()
            step_z.zero_()
        core.bias_ih_l0[: 2 * hidden_size] = 1e3
    return core


@pytest.mark.parametrize("dt", [1.0, 0.0242])
def test_lem_follows_its_equations(dt: float) -> None:
    core = LEM(3, 4, dt=dt).double()
    inputs = 3 * torch.randn(2, 9, 3).double()
    expected = np.stack([published(core, sequence) for sequence in inputs.numpy()])
    np.testing.assert_allclose(core(inputs)[0].detach().numpy(), expected, rtol=1e-12, atol=1e-12)


def test_lem_gradients_equal_those_of_a_naive_loop() -> None:
    core = LEM(3, 4, dt=0.7).double()
    inputs = torch.randn(2, 9, 3).double().requires_grad_()
    y, z = (torch.randn(2, 4).double().requires_grad_() for _ in range(2))
    leaves = [inputs, y, z, core.weight_ih_l0, core.weight_hh_l0, core.bias_ih_l0, core.bias_hh_l0]
    ours = torch.autograd.grad((core(inputs, (y[None], z[None]))[0] ** 3).sum(), leaves)
    expected = torch.autograd.grad((naive(0.7, *leaves) ** 3).sum(), leaves)
    torch.testing.assert_close(ours, expected, rtol=1e-8, atol=1e-8)


def test_lem_starts_uniform_as_in_the_authors_code() -> None:
    for parameter in LEM(3, 400).parameters():
        assert 0.99 / 20 < parameter.abs().max() <= 1 / 20
        assert abs(parameter.mean().item()) < 0.003


def test_lem_states_stay_between_minus_1_and_1() -> None:
    core = LEM(3, 16)
    with torch.no_grad():
        for parameter in core.parameters():
            parameter.mul_(30)
    outputs, (y, z) = core(10 * torch.randn(8, 200, 3))
    assert outputs.abs().max() <= 1
    assert z.abs().max() <= 1
    assert torch.equal(outputs[:, -1], y[0])


def test_lem_with_open_gates_is_torch_rnn_at_half_steps() -> None:
    core = opened(5)
    rnn = nn.RNN(3, 5, batch_first=True).double()
    rnn.load_state_dict({name: parameter.chunk(4)[2] for name, parameter in core.named_parameters()})
    inputs = torch.randn(2, 8, 3).double()
    expected = rnn(inputs.repeat_interleave(2, dim=1))[0][:, 1::2]
    torch.testing.assert_close(core(inputs)[0], expected, rtol=1e-10, atol=1e-10)


def test_lem_with_closed_gates_keeps_its_state() -> None:
    core = opened(5)
    with torch.no_grad():
        core.bias_ih_l0[:10] = -1e3
    state = (torch.randn(1, 2, 5).double(), torch.randn(1, 2, 5).double())
    torch.testing.assert_close(core(torch.randn(2, 100, 3).double(), state)[1], state, rtol=0, atol=0)


def test_lem_gradient_over_time_grows_with_a_smaller_dt() -> None:
    """A small dt keeps gradients: the published reason for dt = 0.0242 in the adding task of 2,000 steps."""
    sizes = []
    for dt in (1.0, 0.0242):
        torch.manual_seed(0)
        inputs = torch.rand(4, 200, 2, requires_grad=True)
        LEM(2, 32, dt=dt)(inputs)[0][:, -1].sum().backward()
        by_step = inputs.grad.norm(dim=(0, 2))  # type: ignore[union-attr]
        sizes.append((by_step[0] / by_step[-1]).item())
    assert sizes[0] < 1e-6 < 1e-2 < sizes[1]


def test_lem_rejects_a_time_step_of_zero() -> None:
    with pytest.raises(UsageError, match=r"dt must be above 0, got 0\.0"):
        LEM(3, 4, dt=0.0)


def test_lem_with_small_steps_is_exact_in_mixed_precision() -> None:
    torch.manual_seed(0)
    core, inputs = LEM(3, 4, dt=0.005), torch.randn(2, 1_000, 3)
    expected, _ = core(inputs)
    with torch.autocast("cpu", torch.bfloat16):
        outputs, state = core(inputs)
    assert (outputs.dtype, state[0].dtype) == (torch.bfloat16, torch.float32)
    assert (outputs.float() - expected).norm() < 0.02 * expected.norm()
