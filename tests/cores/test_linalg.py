"""Every use of an operation that Apple's GPU lacks, on a stand-in for that device."""

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor

from rnn_tasks.analysis import eigenvalues
from rnn_tasks.analysis.arrays import floats
from rnn_tasks.analysis.memory import scalar_input
from rnn_tasks.callbacks.reorthogonalize import orthogonal_factor
from rnn_tasks.callbacks.spectral_norm_monitor import spectrum
from rnn_tasks.cores import Elman
from rnn_tasks.cores.linalg import with_cpu_fallback
from rnn_tasks.cores.orthogonal_maps import OrthogonalMap, cayley_transform, product_of_reflections
from rnn_tasks.networks import TaggerNetwork
from rnn_tasks.tasks import Echo
from tests.helpers.other_device import on_other_device, remove_operations


def nearly_orthogonal(size: int) -> Tensor:
    orthogonal: Tensor = torch.linalg.qr(torch.randn(size, size))[0]
    return orthogonal + 0.01 * torch.randn(size, size)


def skew_symmetric(size: int) -> Tensor:
    lower = torch.randn(size, size).tril(-1)
    matrix: Tensor = lower - lower.T
    return matrix


FUNCTIONS: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[int], Tensor]]] = {
    "projection of a nearly orthogonal matrix": (orthogonal_factor, nearly_orthogonal),
    "projection of any matrix": (orthogonal_factor, lambda size: torch.randn(size, size)),
    "reflections": (product_of_reflections, lambda size: torch.randn(size, size).tril(-1) - torch.eye(size)),
    "cayley": (cayley_transform, skew_symmetric),
    "spectral norm": (lambda weight: spectrum(weight)["spectral_norm"], lambda size: torch.randn(size, size)),
    "spectral radius": (lambda weight: spectrum(weight)["spectral_radius"], lambda size: torch.randn(size, size)),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_function_has_the_same_value_on_a_device_without_linalg(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    function, make_matrix = FUNCTIONS[name]
    matrix = make_matrix(6)
    expected = function(matrix)
    remove_operations(monkeypatch)
    torch.testing.assert_close(function(on_other_device(matrix)).as_subclass(Tensor), expected)


@pytest.mark.parametrize("name", ["reflections", "cayley"])
def test_gradient_flows_through_the_cpu(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    function, make_matrix = FUNCTIONS[name]
    matrix, scale = make_matrix(5).requires_grad_(), torch.randn(5, 5)
    (expected,) = torch.autograd.grad((function(matrix) * scale).sum(), matrix)
    remove_operations(monkeypatch)
    (gradient,) = torch.autograd.grad((function(on_other_device(matrix)) * scale).sum(), matrix)
    torch.testing.assert_close(gradient.as_subclass(Tensor), expected)


def test_orthogonal_map_starts_at_any_matrix_on_another_device(monkeypatch: pytest.MonkeyPatch) -> None:
    matrix = torch.randn(4, 4)
    expected, other = OrthogonalMap("cayley"), OrthogonalMap("cayley")
    expected.right_inverse(matrix)
    remove_operations(monkeypatch)
    other.right_inverse(on_other_device(matrix))
    torch.testing.assert_close(other.base.as_subclass(Tensor), expected.base)


def test_analysis_computes_in_double_precision_on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    network = TaggerNetwork(partial(Elman, hidden_size=6), Echo().spec)
    weights, symbols = network.core.recurrent_weights(), torch.randn(4, 3)
    expected = eigenvalues(network)["weight_hh_l0"]
    offset = scalar_input(symbols, seed=0).offset
    remove_operations(monkeypatch)
    monkeypatch.setattr(
        network.core, "recurrent_weights", lambda: {name: on_other_device(weight) for name, weight in weights.items()}
    )
    torch.testing.assert_close(eigenvalues(network)["weight_hh_l0"], expected)
    assert np.array_equal(floats(on_other_device(symbols), "symbols", 2), symbols.double().numpy())
    torch.testing.assert_close(scalar_input(on_other_device(symbols), seed=0).offset.as_subclass(Tensor), offset)


def test_error_is_raised_when_the_cpu_lacks_the_operation_too(monkeypatch: pytest.MonkeyPatch) -> None:
    remove_operations(monkeypatch, also_on_cpu=True)
    with pytest.raises(NotImplementedError, match="linalg_qr"):
        with_cpu_fallback(torch.linalg.qr, torch.eye(2))
