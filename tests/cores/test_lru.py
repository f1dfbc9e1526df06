import math

import numpy as np
import pytest
import torch
from torch import Tensor

from rnn_tasks.cores import LRU
from rnn_tasks.errors import UsageError
from tests.helpers.step_loops import assert_equals_loop


def lru_by_step(weights: dict[str, Tensor], inputs: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    """Compute the equations step by step with complex numbers; D is a matrix or a diagonal."""
    eigenvalues = torch.exp(torch.complex(-weights["nu_log"].exp(), weights["theta_log"].exp()))
    b = torch.complex(weights["weight_in"][0::2], weights["weight_in"][1::2])
    c = torch.complex(weights["weight_out"][:, 0::2], -weights["weight_out"][:, 1::2])
    d = weights["skip"] if weights["skip"].ndim == 2 else torch.diag(weights["skip"])
    hidden, outputs = torch.complex(state[:, 0::2], state[:, 1::2]), []
    for x in inputs.unbind(1):
        hidden = eigenvalues * hidden + weights["gamma_log"].exp() * (x.to(b.dtype) @ b.T)
        outputs.append((hidden @ c.T).real + x @ d.T)
    return torch.stack(outputs, 1), torch.stack([hidden.real, hidden.imag], -1).flatten(1)


@pytest.mark.parametrize("hidden_size", [3, 5])
def test_lru_equals_its_equations_and_their_gradients(hidden_size: int) -> None:
    assert_equals_loop(LRU(3, hidden_size, num_states=4, r_max=0.95), lru_by_step)


def test_lru_equals_its_equations_in_numpy() -> None:
    core = LRU(3, 5, num_states=4).double()
    weights = {name: value.detach().numpy() for name, value in core.named_parameters()}
    eigenvalues = np.exp(-np.exp(weights["nu_log"]) + 1j * np.exp(weights["theta_log"]))
    sequence = np.random.default_rng(0).normal(size=(80, 3))
    outputs, _ = core(torch.from_numpy(sequence)[None])
    hidden = np.zeros(4, complex)
    for x, output in zip(sequence, outputs[0], strict=True):
        driven = weights["weight_in"] @ x
        hidden = eigenvalues * hidden + np.exp(weights["gamma_log"]) * (driven[0::2] + 1j * driven[1::2])
        pairs = np.stack([hidden.real, hidden.imag], -1).ravel()
        np.testing.assert_allclose(output.detach(), weights["weight_out"] @ pairs + weights["skip"] @ x, atol=1e-10)
    np.testing.assert_allclose(core.eigenvalues(outputs)["diagonal"], eigenvalues, atol=1e-12)


def test_lru_eigenvalues_start_uniformly_in_a_ring() -> None:
    core = LRU(1, 1, num_states=20_000, r_min=0.5, r_max=0.8, max_phase=1.5)
    (eigenvalues,) = core.eigenvalues(torch.zeros(1, 1, 1)).values()
    radii, phases = eigenvalues.abs(), eigenvalues.angle()
    for values, low, high in ((radii.square(), 0.25, 0.64), (phases, 0.0, 1.5)):
        assert values.min() >= low - 1e-6
        assert values.max() <= high + 1e-6
        quantiles = torch.quantile(values, torch.tensor([0.25, 0.5, 0.75]).to(values.dtype))
        expected = low + (high - low) * torch.tensor([0.25, 0.5, 0.75]).to(values.dtype)
        torch.testing.assert_close(quantiles, expected, rtol=0, atol=0.02 * (high - low))


@pytest.mark.parametrize(("r_min", "r_max"), [(0.0, 0.9), (0.9, 0.95)])
def test_lru_states_grow_as_published_unless_normalised(r_min: float, r_max: float) -> None:
    """Proposition 3.3 of Orvieto et al. (2023).

    From white noise, without gamma, the squared norm of the state becomes that of ``B x_t`` times
    ``log((1 - r_min^2) / (1 - r_max^2)) / (r_max^2 - r_min^2)``. With gamma the factor is 1.
    """
    torch.manual_seed(0)
    core = LRU(4, 1, num_states=1_000, r_min=r_min, r_max=r_max)
    inputs = torch.randn(20, 120, 4)

    @torch.no_grad()
    def gain() -> float:
        _, state = core(inputs)
        return float(state.square().sum(1).mean() / (4 * core.weight_in.square().mean() * 2_000))

    assert gain() == pytest.approx(1, rel=0.1)
    with torch.no_grad():
        core.gamma_log.zero_()
    published = math.log((1 - r_min**2) / (1 - r_max**2)) / (r_max**2 - r_min**2)
    assert gain() == pytest.approx(published, rel=0.1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"r_min": 0.9, "r_max": 0.5}, "0 <= r_min < r_max <= 1"),
        ({"r_max": 1.1}, "0 <= r_min < r_max <= 1"),
        ({"max_phase": 0.0}, "max_phase must be above 0"),
        ({"num_states": 0}, "num_states must be at least 1"),
        ({"hidden_size": 0}, "hidden_size must be at least 1"),
    ],
)
def test_lru_rejects_arguments_outside_their_bounds(options: dict[str, float], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        LRU(3, **{"hidden_size": 4, **options})  # type: ignore[arg-type]


def test_lru_roles_of_parameters() -> None:
    core = LRU(3, 4)
    roles = {name: core.parameter_role(name) for name, _ in core.named_parameters()}
    recurrent = dict.fromkeys(["nu_log", "theta_log", "gamma_log"], "recurrent")
    assert roles == {**recurrent, "weight_in": "input", "weight_out": "rest", "skip": "input"}


def test_lru_is_finite_in_a_ring_close_to_1() -> None:
    core = LRU(3, 1, num_states=1_000, r_min=0.9999999, r_max=1.0)
    assert all(parameter.isfinite().all() for parameter in core.parameters())


def test_lru_accepts_a_transposed_state() -> None:
    core, inputs, state = LRU(3, 5, num_states=4), torch.randn(2, 6, 3), torch.randn(8, 2).t()
    assert torch.equal(core(inputs, state)[0], core(inputs, state.contiguous())[0])
