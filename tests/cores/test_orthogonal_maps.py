from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations
from torch.nn.utils.parametrize import register_parametrization

from rnn_tasks.cores import Elman, Henaff, Normal, Orthogonal, RecurrentInit
from rnn_tasks.cores.orthogonal_maps import OrthogonalMap, OrthogonalMapName, product_of_reflections, skew_exponential

MAPS: tuple[OrthogonalMapName, ...] = ("matrix_exp", "cayley", "householder")


def skew_symmetric(size: int, norm: float, dtype: torch.dtype = torch.double) -> Tensor:
    lower = torch.randn(size, size, dtype=dtype).tril()
    matrix: Tensor = lower - lower.mT
    return matrix * (norm / float(torch.linalg.matrix_norm(matrix, 2)))


def exponential_by_eigenvalues(matrix: Tensor) -> Tensor:
    """Return the exponential exact to rounding; torch.matrix_exp has errors of 2e-10 for norms just below 0.05."""
    values, vectors = torch.linalg.eigh(1j * matrix)
    exponential: Tensor = vectors @ torch.diag(torch.exp(-1j * values)) @ vectors.mH
    return exponential.real


@pytest.mark.parametrize("size", [2, 7, 64, 130])
@pytest.mark.parametrize("norm", [1e-9, 0.049, 0.051, 0.57, 0.59, 3.0, 40.0])
def test_skew_exponential_is_exact_in_double_precision(size: int, norm: float) -> None:
    matrix, atol = skew_symmetric(size, norm), 2e-14 * (1 + norm)
    torch.testing.assert_close(skew_exponential(matrix), exponential_by_eigenvalues(matrix), rtol=0, atol=atol)


@pytest.mark.parametrize("norm", [1e-4, 0.57, 0.59, 5.0])
def test_skew_exponential_is_as_exact_as_torch_in_float32(norm: float) -> None:
    matrix = skew_symmetric(100, norm)
    exact, single = exponential_by_eigenvalues(matrix), matrix.float()
    error = (skew_exponential(single) - exact).abs().max()
    assert error <= max(2 * (torch.matrix_exp(single) - exact).abs().max().item(), 1e-6)


@pytest.mark.parametrize("norm", [0.0, 0.04, 0.3, 6.0])
def test_skew_exponential_has_the_gradient_of_torch(norm: float) -> None:
    free = (skew_symmetric(9, norm) if norm else torch.zeros(9, 9).double()).tril()
    scale = torch.randn(9, 9).double()
    gradients: list[Tensor] = []
    for function in (skew_exponential, torch.matrix_exp):
        leaf = free.clone().requires_grad_()
        gradients += torch.autograd.grad((function(leaf - leaf.mT) * scale).sum(), leaf)
    torch.testing.assert_close(*gradients, rtol=0, atol=1e-11)


def test_skew_exponential_has_a_second_derivative() -> None:
    free = torch.randn(4, 4).double().requires_grad_()
    torch.autograd.gradgradcheck(lambda leaf: skew_exponential(leaf - leaf.mT), (free,))


def test_skew_exponential_is_not_finite_when_the_input_is_not() -> None:
    assert skew_exponential(torch.full((3, 3), torch.nan)).isnan().all()
    assert not skew_exponential(torch.full((3, 3), torch.inf)).isfinite().any()


@pytest.mark.parametrize("size", [1, 2, 9, 65])
@pytest.mark.parametrize("scale", [0.0, 0.1, 3.0])
def test_product_of_reflections_has_value_and_gradient_of_torch(size: int, scale: float) -> None:
    factor, results = torch.randn(size, size).double(), []
    start = scale * torch.randn(size, size).double()
    start.diagonal().copy_(torch.randn(size).sign())

    def by_torch(free: Tensor) -> Tensor:
        lower = free.tril(-1)
        product: Tensor = torch.linalg.householder_product(lower, 2 / (1 + (lower * lower).sum(-2)))
        return product * free.detach().diagonal()

    for function in (product_of_reflections, by_torch):
        leaf = start.clone().requires_grad_()
        product = function(leaf)
        results.append((product, *torch.autograd.grad((product * factor).sum(), leaf)))
    torch.testing.assert_close(*results, rtol=0, atol=1e-11)


@pytest.mark.parametrize("scale", [1e-3, 0.3, 3.0, 100.0])
def test_product_of_reflections_is_orthogonal_in_float32(scale: float) -> None:
    free = scale * torch.randn(256, 256)
    free.diagonal().fill_(-1)
    product = product_of_reflections(free)
    assert (product.mT @ product - torch.eye(256)).abs().max() < 1e-5


def test_product_of_reflections_has_a_second_derivative() -> None:
    free = torch.randn(4, 4).double().requires_grad_()
    torch.autograd.gradgradcheck(product_of_reflections, (free,))


@pytest.mark.parametrize("name", MAPS)
@pytest.mark.parametrize("dtype", [torch.float, torch.double])
def test_orthogonal_map_equals_torch_for_the_same_weights(name: OrthogonalMapName, dtype: torch.dtype) -> None:
    theirs: Any = parametrizations.orthogonal(nn.Linear(12, 12, bias=False, dtype=dtype), orthogonal_map=name)
    chain = theirs.parametrizations.weight
    with torch.no_grad():
        chain.original.add_(torch.randn(12, 12, dtype=dtype).tril(-1))
    ours = nn.Linear(12, 12, bias=False, dtype=dtype)
    register_parametrization(ours, "weight", OrthogonalMap(name))
    ours.load_state_dict(theirs.state_dict())
    torch.testing.assert_close(ours.weight, theirs.weight)


@pytest.mark.parametrize("name", MAPS)
@pytest.mark.parametrize("init", [Orthogonal(), Henaff(), Normal(0.5)])  # Normal is not orthogonal
@pytest.mark.parametrize("num_layers", [1, 3])
def test_orthogonal_map_has_the_initial_state_dict_of_torch(name: Any, init: RecurrentInit, num_layers: int) -> None:
    torch.manual_seed(4)
    ours = Elman(3, 30, recurrent_init=init, orthogonal_map=name, num_layers=num_layers)
    random_state = torch.get_rng_state()
    torch.manual_seed(4)
    theirs = Elman(3, 30, recurrent_init=init, num_layers=num_layers)
    for layer in range(num_layers):
        parametrizations.orthogonal(theirs, f"weight_hh_l{layer}", name)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    torch.testing.assert_close(ours.state_dict(), theirs.state_dict(), atol=0, rtol=0)
    assert torch.equal(torch.get_rng_state(), random_state)


@pytest.mark.parametrize("name", MAPS)
def test_orthogonal_map_loads_a_state_dict_of_torch(name: OrthogonalMapName) -> None:
    ours, theirs = Elman(3, 6, orthogonal_map=name, num_layers=2), Elman(3, 6, num_layers=2)
    for layer in range(2):
        parametrizations.orthogonal(theirs, f"weight_hh_l{layer}", name)
        theirs.get_parameter(f"parametrizations.weight_hh_l{layer}.original").data.add_(torch.randn(6, 6).tril(-1))
    ours.load_state_dict(theirs.state_dict())
    torch.testing.assert_close(ours.recurrent_weights(), theirs.recurrent_weights())


@pytest.mark.parametrize("name", MAPS)
def test_orthogonal_map_takes_an_assigned_matrix(name: OrthogonalMapName) -> None:
    layer = Elman(3, 5, orthogonal_map=name)
    orthogonal = torch.linalg.qr(torch.randn(5, 5))[0]
    layer.weight_hh_l0 = orthogonal
    torch.testing.assert_close(layer.weight_hh_l0, orthogonal)
    layer.weight_hh_l0 = 3 * orthogonal
    torch.testing.assert_close(layer.weight_hh_l0, orthogonal)
