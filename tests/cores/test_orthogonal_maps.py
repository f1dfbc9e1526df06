from typing import Any, Literal

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations
from torch.nn.utils.parametrize import register_parametrization

from rnn_tasks.cores import Elman, Henaff, Normal, Orthogonal, RecurrentInit
from rnn_tasks.cores.orthogonal_maps import OrthogonalMap, reflections, skew_exponential

Map = Literal["matrix_exp", "householder"]
MAPS: tuple[Map, ...] = ("matrix_exp", "householder")


def skew(size: int, norm: float, dtype: torch.dtype = torch.double) -> Tensor:
    lower = torch.randn(size, size, dtype=dtype).tril()
    matrix: Tensor = lower - lower.mT
    return matrix * (norm / float(torch.linalg.matrix_norm(matrix, 2)))


def by_eigenvalues(matrix: Tensor) -> Tensor:
    """Exact to rounding; torch.matrix_exp is off by 2e-10 where the norm is just below 0.05."""
    values, vectors = torch.linalg.eigh(1j * matrix)
    turned: Tensor = vectors @ torch.diag(torch.exp(-1j * values)) @ vectors.mH
    return turned.real


@pytest.mark.parametrize("size", [2, 7, 64, 130])
@pytest.mark.parametrize("norm", [1e-9, 0.049, 0.051, 0.57, 0.59, 3.0, 40.0])
def test_it_is_the_exponential(size: int, norm: float) -> None:
    matrix = skew(size, norm)
    torch.testing.assert_close(skew_exponential(matrix), by_eigenvalues(matrix), rtol=0, atol=2e-14 * (1 + norm))


@pytest.mark.parametrize("norm", [1e-4, 0.57, 0.59, 5.0])
def test_single_precision_is_as_exact_as_torch_s(norm: float) -> None:
    matrix = skew(100, norm)
    exact, single = by_eigenvalues(matrix), matrix.float()
    error = (skew_exponential(single) - exact).abs().max()
    assert error <= max(2 * (torch.matrix_exp(single) - exact).abs().max().item(), 1e-6)


@pytest.mark.parametrize("norm", [0.0, 0.04, 0.3, 6.0])
def test_its_gradient_is_that_of_torch_s(norm: float) -> None:
    free = (skew(9, norm) if norm else torch.zeros(9, 9).double()).tril()
    toward = torch.randn(9, 9).double()
    gradients: list[Tensor] = []
    for function in (skew_exponential, torch.matrix_exp):
        leaf = free.clone().requires_grad_()
        gradients += torch.autograd.grad((function(leaf - leaf.mT) * toward).sum(), leaf)
    torch.testing.assert_close(*gradients, rtol=0, atol=1e-11)


def test_it_has_a_second_derivative() -> None:
    free = torch.randn(4, 4).double().requires_grad_()
    torch.autograd.gradgradcheck(lambda leaf: skew_exponential(leaf - leaf.mT), (free,))


def test_what_is_no_number_gives_none() -> None:
    assert skew_exponential(torch.full((3, 3), torch.nan)).isnan().all()
    assert not skew_exponential(torch.full((3, 3), torch.inf)).isfinite().any()


@pytest.mark.parametrize("size", [1, 2, 9, 65])
@pytest.mark.parametrize("scale", [0.0, 0.1, 3.0])
def test_reflections_and_their_gradient_are_torch_s(size: int, scale: float) -> None:
    toward, results = torch.randn(size, size).double(), []
    start = scale * torch.randn(size, size).double()
    start.diagonal().copy_(torch.randn(size).sign())

    def by_torch(free: Tensor) -> Tensor:
        lower = free.tril(-1)
        product: Tensor = torch.linalg.householder_product(lower, 2 / (1 + (lower * lower).sum(-2)))
        return product * free.detach().diagonal()

    for function in (reflections, by_torch):
        leaf = start.clone().requires_grad_()
        product = function(leaf)
        results.append((product, *torch.autograd.grad((product * toward).sum(), leaf)))
    torch.testing.assert_close(*results, rtol=0, atol=1e-11)


@pytest.mark.parametrize("scale", [1e-3, 0.3, 3.0, 100.0])
def test_many_reflections_stay_orthogonal_in_single_precision(scale: float) -> None:
    free = scale * torch.randn(256, 256)
    free.diagonal().fill_(-1)
    product = reflections(free)
    assert (product.mT @ product - torch.eye(256)).abs().max() < 1e-5


def test_reflections_have_a_second_derivative() -> None:
    free = torch.randn(4, 4).double().requires_grad_()
    torch.autograd.gradgradcheck(reflections, (free,))


@pytest.mark.parametrize("name", MAPS)
@pytest.mark.parametrize("dtype", [torch.float, torch.double])
def test_the_parametrization_is_torch_s_under_copied_weights(name: Map, dtype: torch.dtype) -> None:
    theirs: Any = parametrizations.orthogonal(nn.Linear(12, 12, bias=False, dtype=dtype), orthogonal_map=name)
    chain = theirs.parametrizations.weight
    with torch.no_grad():
        chain.original.add_(torch.randn(12, 12, dtype=dtype).tril(-1))
    ours = nn.Linear(12, 12, bias=False, dtype=dtype)
    register_parametrization(ours, "weight", OrthogonalMap(name))
    ours.load_state_dict(theirs.state_dict())
    torch.testing.assert_close(ours.weight, theirs.weight)


@pytest.mark.parametrize("name", [*MAPS, "cayley"])
@pytest.mark.parametrize("init", [Orthogonal(), Henaff(), Normal(0.5)])  # the last is not orthogonal
@pytest.mark.parametrize("num_layers", [1, 3])
def test_checkpoints_at_the_start_are_those_of_torch_s(name: Any, init: RecurrentInit, num_layers: int) -> None:
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
def test_a_checkpoint_of_torch_s_parametrization_is_loaded(name: Map) -> None:
    ours, theirs = Elman(3, 6, orthogonal_map=name, num_layers=2), Elman(3, 6, num_layers=2)
    for layer in range(2):
        parametrizations.orthogonal(theirs, f"weight_hh_l{layer}", name)
        theirs.get_parameter(f"parametrizations.weight_hh_l{layer}.original").data.add_(torch.randn(6, 6).tril(-1))
    ours.load_state_dict(theirs.state_dict())
    torch.testing.assert_close(ours.recurrent_weights(), theirs.recurrent_weights())


@pytest.mark.parametrize("name", MAPS)
def test_map_starts_at_an_assigned_matrix(name: Map) -> None:
    layer = Elman(3, 5, orthogonal_map=name)
    turned = torch.linalg.qr(torch.randn(5, 5))[0]
    layer.weight_hh_l0 = turned
    torch.testing.assert_close(layer.weight_hh_l0, turned)
    layer.weight_hh_l0 = 3 * turned
    torch.testing.assert_close(layer.weight_hh_l0, turned)
