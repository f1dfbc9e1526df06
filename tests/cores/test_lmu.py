import numpy as np
import pytest
import torch
from numpy.polynomial import legendre
from torch import Tensor

from rnn_tasks.cores import LMU
from rnn_tasks.errors import UsageError


def published(core: LMU, sequence: np.ndarray) -> np.ndarray:
    """Compute the equations with NumPy, step by step, for one sequence; each signal has a memory of its own."""
    value = {name: parameter.detach().numpy() for name, parameter in core.named_parameters()}
    signals, size = value["encoder_ih"].shape[0], value["weight_hh"].shape[0]
    order = value["weight_mh"].shape[1] // signals
    transition, drive = core.transition.numpy()[:order, :order], core.drive.numpy()[:order, 0]
    hidden, memory = np.zeros(size), np.zeros((signals, order))
    outputs = []
    for x in sequence:
        u = value["encoder_ih"] @ x + value["encoder_hh"] @ hidden + value["encoder_mh"] @ memory.ravel()
        memory = np.stack([transition @ memory[k] + drive * u[k] for k in range(signals)])
        hidden = np.tanh(value["weight_ih"] @ x + value["weight_hh"] @ hidden + value["weight_mh"] @ memory.ravel())
        outputs.append(hidden)
    return np.stack(outputs)


def random_layer(num_signals: int) -> LMU:
    core = LMU(3, 4, order=3, theta=5.0, num_signals=num_signals).double()
    with torch.no_grad():
        core.encoder_mh.normal_(std=0.3)
    return core


def naive(core: LMU, x: Tensor, h: Tensor, m: Tensor, *weights: Tensor) -> Tensor:
    """Compute the equations with plain torch operations."""
    w_x, w_h, w_m, e_x, e_h, e_m = weights
    outputs = []
    for time in range(x.shape[1]):
        u = x[:, time] @ e_x.T + h @ e_h.T + m @ e_m.T
        m = m @ core.transition.T + u @ core.drive.T
        h = torch.tanh(x[:, time] @ w_x.T + h @ w_h.T + m @ w_m.T)
        outputs.append(h)
    return torch.stack(outputs, 1)


def window_errors(order: int, theta: float, delays: list[float]) -> list[float]:
    """Return the root mean squared error of reading a slow signal at each delay, as a share of its size."""
    core = LMU(1, 1, order=order, theta=theta).double()
    with torch.no_grad():
        core.encoder_ih.fill_(1)
        core.encoder_hh.zero_()
    times = np.arange(400)

    def signal(times: np.ndarray) -> np.ndarray:
        values = sum(np.sin(times / period + phase) for period, phase in ((16.0, 0.0), (11.0, 1.0), (25.0, 2.0)))
        return np.asarray(values)

    memories, state = [], None
    for value in torch.from_numpy(signal(times)):
        _, state = core(value.view(1, 1, 1), state)
        memories.append(state[1][0].detach().numpy())
    memory = np.stack(memories)[200:]
    errors = []
    for delay in delays:
        readout = [legendre.legval(2 * delay / theta - 1, np.eye(order)[degree]) for degree in range(order)]
        # A step holds its value until the next step: at the end of the step the value is on average half a step old.
        expected = signal(times[200:] + 0.5 - delay)
        errors.append(float(np.sqrt(np.mean((memory @ readout - expected) ** 2) / np.mean(expected**2))))
    return errors


@pytest.mark.parametrize("num_signals", [1, 2])
def test_lmu_follows_its_equations(num_signals: int) -> None:
    core = random_layer(num_signals)
    inputs = torch.randn(2, 9, 3).double()
    expected = np.stack([published(core, sequence) for sequence in inputs.numpy()])
    np.testing.assert_allclose(core(inputs)[0].detach().numpy(), expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("num_signals", [1, 2])
def test_lmu_gradients_equal_those_of_a_naive_loop(num_signals: int) -> None:
    core = random_layer(num_signals)
    inputs = torch.randn(2, 9, 3).double().requires_grad_()
    hidden = torch.randn(2, 4).double().requires_grad_()
    memory = torch.randn(2, 3 * num_signals).double().requires_grad_()
    leaves = [inputs, hidden, memory, *core.parameters()]
    ours = torch.autograd.grad((core(inputs, (hidden, memory))[0] ** 3).sum(), leaves)
    expected = torch.autograd.grad((naive(core, *leaves) ** 3).sum(), leaves)
    torch.testing.assert_close(ours, expected, rtol=1e-8, atol=1e-8)


def test_memory_matrices_equal_small_euler_steps() -> None:
    order, theta, parts = 4, 7.0, 20_000
    core = LMU(1, 1, order=order, theta=theta)
    continuous, drive = np.zeros((order, order)), np.zeros(order)
    for i in range(order):
        drive[i] = (2 * i + 1) * (-1) ** i / theta
        for j in range(order):
            continuous[i, j] = (2 * i + 1) / theta * (-1 if i < j else (-1) ** (i - j + 1))
    step = np.eye(order) + continuous / parts
    transition = np.linalg.matrix_power(step, parts)
    response = np.linalg.solve(continuous, (transition - np.eye(order)) @ drive)
    np.testing.assert_allclose(core.transition.numpy(), transition, atol=1e-3)
    np.testing.assert_allclose(core.drive.numpy()[:, 0], response, atol=1e-3)


def test_memory_reads_every_delay_up_to_theta() -> None:
    delays = [float(delay) for delay in range(0, 65, 8)]
    assert max(window_errors(12, 64.0, delays)) < 0.02


def test_memory_does_not_read_delays_beyond_theta() -> None:
    assert window_errors(12, 64.0, [96.0])[0] > 1


def test_memory_of_low_order_is_too_coarse() -> None:
    assert max(window_errors(3, 64.0, [0.0, 32.0, 64.0])) > 0.3


def test_memory_keeps_a_constant_signal_as_its_mean() -> None:
    core = LMU(1, 1, order=6, theta=10.0).double()
    with torch.no_grad():
        core.encoder_ih.fill_(1)
        core.encoder_hh.zero_()
    _, (_, memory) = core(torch.full((1, 200, 1), 0.7).double())
    torch.testing.assert_close(memory[0], torch.tensor([0.7, 0, 0, 0, 0, 0]).double(), atol=1e-6, rtol=0)


def test_lmu_starts_as_in_the_authors_code() -> None:
    core = LMU(40, 60, order=50)
    assert not core.encoder_mh.any()
    assert 0.9 < core.encoder_hh.abs().max() / (3 / 60) ** 0.5 <= 1
    assert core.encoder_ih.var().item() == pytest.approx(1 / 40, rel=0.4)
    for weight in (core.weight_ih, core.weight_hh, core.weight_mh):
        assert weight.var().item() == pytest.approx(2 / sum(weight.shape), rel=0.15)


def test_lmu_eigenvalues_include_those_of_the_memory() -> None:
    core = random_layer(2)
    values = core.eigenvalues(torch.zeros(1, 1, 3))
    assert values["memory"].shape == (6,)
    expected = torch.linalg.eigvals(core.transition + core.drive @ core.encoder_mh)
    torch.testing.assert_close(values["memory"].abs().sort().values, expected.abs().sort().values)
    assert values["weight_hh"].shape == (4,)
    assert LMU(3, 4).eigenvalues(torch.zeros(1, 1, 3))["memory"].abs().max() < 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"order": 0}, "order must be at least 1, got 0"),
        ({"theta": 0.0}, r"theta must be above 0, got 0\.0"),
        ({"num_signals": 0}, "num_signals must be at least 1, got 0"),
    ],
)
def test_lmu_rejects_values_outside_their_bounds(options: dict[str, int], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        LMU(3, 4, **options)
