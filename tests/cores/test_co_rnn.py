import numpy as np
import pytest
import torch
from torch import Tensor

from rnn_tasks.cores import CoRNN
from rnn_tasks.errors import UsageError

ADDING = {"dt": 0.06, "gamma": 66.0, "epsilon": 15.0}
DIGITS = {"dt": 0.042, "gamma": 2.7, "epsilon": 4.7}


def published(core: CoRNN, sequence: np.ndarray) -> np.ndarray:
    """Compute the equations with NumPy, one step and one oscillator at a time, for one sequence."""
    drive, coupling, bias = (core.get_parameter(n).detach().numpy() for n in ("weight_ih", "weight_hh", "bias"))
    size = core.hidden_size
    y, z = np.zeros(size), np.zeros(size)
    outputs = []
    for u in sequence:
        old_y, old_z = y.copy(), z.copy()
        for i in range(size):
            total = drive[i] @ u + bias[i] + coupling[i, :size] @ old_y + coupling[i, size:] @ old_z
            z[i] = old_z[i] + core.dt * (np.tanh(total) - core.gamma * old_y[i] - core.epsilon * old_z[i])
            y[i] = old_y[i] + core.dt * z[i]
        outputs.append(y.copy())
    return np.stack(outputs)


def naive(core: CoRNN, x: Tensor, y: Tensor, z: Tensor, v: Tensor, w: Tensor, b: Tensor) -> Tensor:
    """Compute the equations with plain torch operations."""
    d, outputs = core.hidden_size, []
    for time in range(x.shape[1]):
        force = torch.tanh(x[:, time] @ v.T + y @ w[:, :d].T + z @ w[:, d:].T + b)
        z = z + core.dt * (force - core.gamma * y - core.epsilon * z)
        y = y + core.dt * z
        outputs.append(y)
    return torch.stack(outputs, 1)


def wild(core: CoRNN) -> CoRNN:
    """Multiply all parameters, so that tanh is saturated at changing signs."""
    with torch.no_grad():
        for parameter in core.parameters():
            parameter.mul_(100)
    return core


@pytest.mark.parametrize("options", [ADDING, DIGITS])
def test_cornn_follows_its_equations(options: dict[str, float]) -> None:
    core = CoRNN(3, 4, **options).double()
    inputs = 3 * torch.randn(2, 20, 3).double()
    expected = np.stack([published(core, sequence) for sequence in inputs.numpy()])
    np.testing.assert_allclose(core(inputs)[0].detach().numpy(), expected, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("options", [ADDING, DIGITS])
def test_cornn_gradients_equal_those_of_a_naive_loop(options: dict[str, float]) -> None:
    core = CoRNN(3, 4, **options).double()
    inputs = torch.randn(2, 9, 3).double().requires_grad_()
    y, z = (torch.randn(2, 4).double().requires_grad_() for _ in range(2))
    leaves = [inputs, y, z, core.weight_ih, core.weight_hh, core.bias]
    ours = torch.autograd.grad((core(inputs, (y, z))[0] ** 3).sum(), leaves)
    expected = torch.autograd.grad((naive(core, *leaves) ** 3).sum(), leaves)
    torch.testing.assert_close(ours, expected, rtol=1e-8, atol=1e-8)


def test_cornn_starts_uniform_as_in_the_authors_code() -> None:
    core = CoRNN(4, 198)  # a torch.nn.Linear of 4 + 2 * 198 columns
    for parameter in core.parameters():
        assert 0.95 / 20 < parameter.abs().max() <= 1 / 20


def test_cornn_state_is_within_the_published_bound() -> None:
    """Proposition of the paper, for gamma = epsilon = 1: the squared norm after n steps is at most n units dt."""
    core = wild(CoRNN(3, 16, dt=0.1, gamma=1.0, epsilon=1.0))
    inputs = 10 * torch.randn(4, 100, 3)
    state = None
    for step, step_inputs in enumerate(inputs.chunk(100, 1), start=1):
        _, state = core(step_inputs, state)
        norm = (state[0] ** 2 + state[1] ** 2).sum(1)
        assert norm.max() <= step * 16 * 0.1


@pytest.mark.parametrize("options", [ADDING, DIGITS])
def test_cornn_output_is_bounded_by_its_impulse_response(options: dict[str, float]) -> None:
    """A force within +-1 moves an oscillator at most by the sum of the absolute responses to single pushes."""
    core = wild(CoRNN(3, 16, **options).double())
    outputs, _ = core(10 * torch.randn(4, 400, 3).double())
    y, z, response = 0.0, 1.0, 0.0
    for _ in range(400):
        z = z if response == 0 else z + core.dt * (-core.gamma * y - core.epsilon * z)
        y += core.dt * z
        response += core.dt * abs(y)
    largest = outputs.abs().max().item()
    assert 0.2 * response < largest <= response


def test_cornn_without_drive_decays_at_its_eigenvalues() -> None:
    core = CoRNN(3, 1, dt=0.01, gamma=4.0, epsilon=0.5).double()
    with torch.no_grad():
        core.weight_hh.zero_()
        core.weight_ih.zero_()
        core.bias.zero_()
    eigenvalues = core.eigenvalues(torch.zeros(1, 1, 3))["oscillators"]
    # Damped oscillation: the determinant of a step is 1 - dt epsilon, and the angle is close to dt times the frequency.
    torch.testing.assert_close(eigenvalues.abs(), torch.full((2,), 0.995**0.5).double())
    assert eigenvalues.angle().abs().max().item() == pytest.approx(0.01 * (4.0 - 0.5**2 / 4) ** 0.5, rel=0.01)
    start = (torch.ones(1, 1).double(), torch.zeros(1, 1).double())
    _, (y, z) = core(torch.randn(1, 30, 3).double(), start)
    step = torch.tensor([[1 - 1e-4 * 4.0, 0.01 * 0.995], [-0.01 * 4.0, 0.995]], dtype=torch.double)
    expected = torch.linalg.matrix_power(step, 30) @ torch.tensor([1.0, 0.0]).double()
    torch.testing.assert_close(torch.cat([y, z], 1)[0], expected)


def test_cornn_eigenvalues_are_those_of_its_jacobian_at_rest() -> None:
    core = CoRNN(3, 4, **DIGITS).double()
    with torch.no_grad():
        core.bias.zero_()
    inputs = torch.zeros(1, 1, 3).double()

    def step(state: Tensor) -> Tensor:
        return torch.cat(core(inputs, (state[None, :4], state[None, 4:]))[1], 1)[0]

    jacobian = torch.func.jacrev(step)(torch.zeros(8).double())
    expected = torch.linalg.eigvals(jacobian).abs().sort().values
    torch.testing.assert_close(core.eigenvalues(inputs)["oscillators"].abs().sort().values, expected)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"gamma": 0.0}, r"gamma must be above 0, got 0\.0"),
        ({"epsilon": -1.0}, r"epsilon must be above 0, got -1\.0"),
        ({"dt": 1.0}, r"must be less than 4, got 12\.1: choose a smaller dt"),
    ],
)
def test_cornn_rejects_values_outside_their_bounds(options: dict[str, float], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        CoRNN(3, 4, **options)


@pytest.mark.parametrize(("epsilon", "grows"), [(0.49, False), (0.51, True)])
def test_cornn_bound_of_dt_is_where_oscillations_grow(epsilon: float, grows: bool) -> None:
    dt, gamma = 1.0, 3.0
    step = torch.tensor([[1 - dt**2 * gamma, dt * (1 - dt * epsilon)], [-dt * gamma, 1 - dt * epsilon]])
    assert (torch.linalg.eigvals(step).abs().max().item() > 1) == grows
    if grows:
        with pytest.raises(UsageError, match="choose a smaller dt"):
            CoRNN(3, 4, dt=dt, gamma=gamma, epsilon=epsilon)
    else:
        CoRNN(3, 4, dt=dt, gamma=gamma, epsilon=epsilon)
