import math
from typing import Literal

import numpy as np
import pytest
import torch
from torch import Tensor

from rnn_tasks.cores import S4D, differentiable_twice
from rnn_tasks.cores.diagonal_filter import CHUNK
from rnn_tasks.errors import UsageError
from tests.helpers.step_loops import assert_equals_loop


def s4d_by_step(weights: dict[str, Tensor], inputs: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    """Compute the equations step by step with complex numbers."""
    rates = torch.complex(-weights["a_log"].exp(), weights["a_imag"])
    factors = torch.exp(weights["dt_log"].exp()[:, None] * rates)
    c = torch.complex(weights["weight_out"][..., 0], weights["weight_out"][..., 1]) * (factors - 1) / rates
    hidden = torch.view_as_complex(state.view(len(state), *rates.shape, 2))
    outputs = []
    for x in inputs.unbind(1):
        values = x @ weights["linear.weight"].T + weights["linear.bias"]
        hidden = factors * hidden + values[..., None]
        outputs.append(2 * (c * hidden).sum(-1).real + weights["skip"] * values)
    return torch.stack(outputs, 1), torch.view_as_real(hidden).flatten(1)


@pytest.mark.parametrize("frequency_init", ["linear", "inverse"])
def test_s4d_equals_its_equations_and_their_gradients(frequency_init: Literal["linear", "inverse"]) -> None:
    assert_equals_loop(S4D(3, 5, num_states=6, frequency_init=frequency_init), s4d_by_step)


@pytest.mark.parametrize("time", [1, 31, 150])
def test_s4d_equals_the_convolution_of_the_reference(time: int) -> None:
    """The kernel and the convolution by FFT of the reference code, in NumPy."""
    core = S4D(3, 4, num_states=8).double()
    weights = {name: value.detach().numpy() for name, value in core.named_parameters()}
    inputs = np.random.default_rng(0).normal(size=(2, time, 3))
    values = np.swapaxes(inputs @ weights["linear.weight"].T + weights["linear.bias"], 1, 2)
    rates = -np.exp(weights["a_log"]) + 1j * weights["a_imag"]
    dt_rates = np.exp(weights["dt_log"])[:, None] * rates
    c = (weights["weight_out"] @ np.array([1, 1j])) * (np.exp(dt_rates) - 1) / rates
    kernel = 2 * np.einsum("hn,hnt->ht", c, np.exp(dt_rates[..., None] * np.arange(time))).real
    spectrum = np.fft.rfft(kernel, 2 * time) * np.fft.rfft(values, 2 * time)
    expected = np.fft.irfft(spectrum, 2 * time)[..., :time] + weights["skip"][:, None] * values
    outputs, _ = core(torch.from_numpy(inputs))
    np.testing.assert_allclose(outputs.detach(), np.swapaxes(expected, 1, 2), atol=1e-9)


@pytest.mark.parametrize("time", [1, 2, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK + 5])
def test_s4d_equals_its_equations_for_any_number_of_chunks(time: int) -> None:
    assert_equals_loop(S4D(3, 2, num_states=4), s4d_by_step, time)


def test_s4d_has_second_derivatives() -> None:
    core, inputs = S4D(2, 2, num_states=2).double(), torch.randn(1, CHUNK + 2, 2).double().requires_grad_()
    with differentiable_twice():
        assert torch.autograd.gradgradcheck(lambda values: core(values)[0].square(), inputs, fast_mode=True)


def test_s4d_starts_as_published() -> None:
    core = S4D(1, 1_000, num_states=6)
    torch.testing.assert_close(core.a_imag[7], torch.tensor([0, math.pi, 2 * math.pi]))
    torch.testing.assert_close(-core.a_log.exp(), torch.full((1_000, 3), -0.5))
    inverse = S4D(1, 1, num_states=6, frequency_init="inverse").a_imag[0] * math.pi / 6
    torch.testing.assert_close(inverse, torch.tensor([5.0, 1.0, 0.2]))
    logarithms = core.dt_log.detach() / math.log(10)
    assert logarithms.min() >= -3 - 1e-6
    assert logarithms.max() <= -1 + 1e-6
    assert logarithms.mean() == pytest.approx(-2, abs=0.1)


def test_s4d_eigenvalues_are_exponentials_of_its_rates() -> None:
    core = S4D(3, 5, num_states=6).double()
    (eigenvalues,) = core.eigenvalues(torch.zeros(1, 1, 3)).values()
    expected = np.exp(np.exp(core.dt_log.detach().numpy())[:, None] * (-0.5 + 1j * np.pi * np.arange(3)))
    np.testing.assert_allclose(eigenvalues.view(5, 3), expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hidden_size": 0}, "hidden_size must be at least 1"),
        ({"num_states": 5}, "num_states must be an even number of at least 2, got 5"),
        ({"num_states": 0}, "num_states must be an even number of at least 2, got 0"),
        ({"dt_min": 0.2}, "0 < dt_min <= dt_max"),
        ({"dt_min": 0.0}, "0 < dt_min <= dt_max"),
    ],
)
def test_s4d_rejects_arguments_outside_their_bounds(options: dict[str, float], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        S4D(3, **{"hidden_size": 4, **options})  # type: ignore[arg-type]
