import math

import pytest
import torch
from torch import Tensor, nn

from rnn_tasks.cores import (
    Cayley,
    Henaff,
    Identity,
    Normal,
    NormalizedPositiveDefinite,
    Orthogonal,
    RecurrentInit,
    Xavier,
)
from rnn_tasks.cores.recurrent_init import rotations
from rnn_tasks.errors import UsageError

ALL = [Cayley(), Henaff(), Identity(), Normal(), NormalizedPositiveDefinite(), Orthogonal(), Xavier()]


def filled(init: RecurrentInit, size: int) -> Tensor:
    weight = torch.full((size, size), torch.nan)
    init(weight)
    return weight.double()


def angles_of(matrix: Tensor) -> Tensor:
    """Return the angle of the rotation in each plane (2i, 2i + 1), from the first column of its block."""
    even = torch.arange(0, len(matrix) - 1, 2)
    return torch.atan2(matrix[even + 1, even], matrix[even, even])


def skew_symmetric(entries: Tensor, size: int) -> Tensor:
    """Return the block-diagonal skew-symmetric matrix with these entries below the diagonal."""
    matrix = torch.zeros(size, size, dtype=torch.double)
    for index, entry in enumerate(entries):
        matrix[2 * index + 1, 2 * index] = entry
        matrix[2 * index, 2 * index + 1] = -entry
    return matrix


@pytest.mark.parametrize("init", ALL, ids=lambda init: type(init).__name__)
def test_init_fills_in_place_without_autograd(init: RecurrentInit) -> None:
    weight = nn.Parameter(torch.full((5, 5), torch.nan))
    init(weight)
    assert weight.isfinite().all()
    assert weight.is_leaf
    assert weight.requires_grad
    assert weight.grad is None


@pytest.mark.parametrize("init", [i for i in ALL if i != Identity()], ids=lambda init: type(init).__name__)
def test_init_is_random_and_reproducible_from_a_seed(init: RecurrentInit) -> None:
    torch.manual_seed(1)
    first, second = filled(init, 6), filled(init, 6)
    torch.manual_seed(1)
    assert torch.equal(filled(init, 6), first)
    assert not torch.equal(first, second)


@pytest.mark.parametrize("size", [1, 2, 5, 64])
@pytest.mark.parametrize("init", [Orthogonal(), Henaff(), Cayley(), Identity()], ids=lambda init: type(init).__name__)
def test_orthogonal_inits_fill_orthogonal_matrices(init: RecurrentInit, size: int) -> None:
    weight = filled(init, size)
    torch.testing.assert_close(weight.T @ weight, torch.eye(size).double(), atol=2e-6, rtol=0)


def test_orthogonal_gain_is_the_value_of_all_singular_values() -> None:
    singular_values = torch.linalg.svdvals(filled(Orthogonal(gain=1.7), 9))
    torch.testing.assert_close(singular_values, torch.full((9,), 1.7).double(), atol=1e-5, rtol=0)


def test_orthogonal_draws_determinants_of_both_signs() -> None:
    determinants = {round(torch.linalg.det(filled(Orthogonal(), 3)).item()) for _ in range(20)}
    assert determinants == {-1, 1}


@pytest.mark.parametrize("gain", [1.0, 0.5])
def test_xavier_is_uniform_between_its_bounds(gain: float) -> None:
    weight = filled(Xavier(gain), 200)
    bound = gain * math.sqrt(6 / (200 + 200))
    assert 0.99 * bound < weight.abs().max().item() <= bound * (1 + 1e-6)
    assert weight.var().item() == pytest.approx(gain**2 / 200, rel=0.03)
    assert abs(weight.mean().item()) < 0.02 * bound


@pytest.mark.parametrize("std", [0.01, 2.0])
def test_normal_has_the_given_standard_deviation(std: float) -> None:
    weight = filled(Normal(std), 200) / std
    assert weight.std().item() == pytest.approx(1, rel=0.03)
    assert abs(weight.mean().item()) < 0.02
    assert (weight.abs() < 1).double().mean().item() == pytest.approx(math.erf(1 / math.sqrt(2)), abs=0.01)


def test_identity_is_multiplied_by_scale() -> None:
    assert torch.equal(filled(Identity(0.5), 4), 0.5 * torch.eye(4).double())


@pytest.mark.parametrize("size", [1, 7, 50])
def test_np_rnn_start_is_positive_definite_with_norm_1(size: int) -> None:
    weight = filled(NormalizedPositiveDefinite(), size)
    eigenvalues = torch.linalg.eigvalsh(weight)
    torch.testing.assert_close(weight, weight.T, atol=1e-6, rtol=0)
    assert eigenvalues.max().item() == pytest.approx(1, abs=1e-5)
    assert eigenvalues.min() > 0


def test_np_rnn_start_has_the_spectrum_of_identity_plus_wishart() -> None:
    """The eigenvalues of R'R / n lie between 0 and 4 and have mean 1 for large n, so those of the start 1/5 to 1."""
    eigenvalues = torch.linalg.eigvalsh(filled(NormalizedPositiveDefinite(), 400))
    assert eigenvalues.min().item() == pytest.approx(1 / 5, abs=0.01)
    assert eigenvalues.mean().item() == pytest.approx(2 / 5, abs=0.02)


@pytest.mark.parametrize("size", [2, 7, 12])
def test_henaff_is_the_exponential_of_skew_blocks(size: int) -> None:
    weight = filled(Henaff(), size)
    expected = torch.matrix_exp(skew_symmetric(angles_of(weight), size))
    torch.testing.assert_close(weight, expected, atol=1e-6, rtol=0)


def test_henaff_angles_are_uniform_on_the_circle() -> None:
    angles = angles_of(filled(Henaff(), 2000))
    quarters = torch.histc(angles, bins=4, min=-math.pi, max=math.pi) / 1000
    torch.testing.assert_close(quarters, torch.full((4,), 0.25).double(), atol=0.06, rtol=0)


@pytest.mark.parametrize("size", [2, 7, 12])
def test_cayley_equals_the_transform_of_the_published_entries(size: int) -> None:
    weight = filled(Cayley(), size)
    cosine = weight.diagonal()[: size - size % 2 : 2]
    entries = ((1 - cosine) / (1 + cosine)).sqrt()
    a, identity = skew_symmetric(entries, size), torch.eye(size).double()
    transform = torch.linalg.solve(identity + a, identity - a)  # (I + A)^-1 (I - A); the sign of A is a convention
    torch.testing.assert_close(weight, transform.T, atol=1e-5, rtol=0)


def test_cayley_angles_are_uniform_on_the_first_quarter() -> None:
    angles = angles_of(filled(Cayley(), 2000))
    assert angles.min() >= 0
    assert angles.max() <= math.pi / 2 + 1e-6
    halves = torch.histc(angles, bins=2, min=0, max=math.pi / 2) / 1000
    torch.testing.assert_close(halves, torch.full((2,), 0.5).double(), atol=0.06, rtol=0)


@pytest.mark.parametrize("init", [Henaff(), Cayley()], ids=lambda init: type(init).__name__)
def test_rotations_leave_the_last_unit_when_size_is_odd(init: RecurrentInit) -> None:
    last = torch.tensor([0, 0, 0, 0, 1]).double()
    weight = filled(init, 5)
    assert torch.equal(weight[4], last)
    assert torch.equal(weight[:, 4], last)


def test_rotations_turn_each_plane_by_its_angle() -> None:
    angles = torch.tensor([0.3, -2.0])
    rotated = rotations(angles, 5) @ torch.tensor([1.0, 0, 0, 1, 7])
    expected = [math.cos(0.3), math.sin(0.3), -math.sin(-2.0), math.cos(-2.0), 7]
    torch.testing.assert_close(rotated, torch.tensor(expected))


@pytest.mark.parametrize(
    ("init", "message"),
    [
        (Orthogonal(gain=0.0), r"gain must be above 0, got 0\.0"),
        (Xavier(gain=-1.0), r"gain must be above 0, got -1\.0"),
        (Normal(std=0.0), r"std must be above 0, got 0\.0"),
        (Normal(std=math.inf), "std must be a finite number, got inf"),
        (Orthogonal(gain=math.nan), "gain must be a finite number, got nan"),
        (Identity(scale=math.nan), "scale must be a finite number, got nan"),
    ],
)
def test_init_rejects_values_outside_their_bounds(init: RecurrentInit, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        init(torch.empty(3, 3))


@pytest.mark.parametrize("shape", [(9, 4), (4, 9)])
def test_orthogonal_fills_matrices_that_are_not_square(shape: tuple[int, int]) -> None:
    weight = torch.empty(shape)
    Orthogonal(gain=2.0)(weight)
    torch.testing.assert_close(torch.linalg.svdvals(weight), torch.full((4,), 2.0), atol=1e-5, rtol=0)


def test_xavier_variance_depends_on_rows_and_columns() -> None:
    weight = torch.empty(300, 100)
    Xavier(gain=2.0)(weight)
    assert weight.var().item() == pytest.approx(4 * 2 / 400, rel=0.03)


def test_normal_fills_matrices_that_are_not_square() -> None:
    weight = torch.empty(300, 100)
    Normal(0.5)(weight)
    assert weight.std().item() == pytest.approx(0.5, rel=0.03)


@pytest.mark.parametrize(
    "init", [Identity(), Henaff(), Cayley(), NormalizedPositiveDefinite()], ids=lambda init: type(init).__name__
)
@pytest.mark.parametrize("shape", [(3, 4), (4, 3)])
def test_init_rejects_a_matrix_that_must_be_square(init: RecurrentInit, shape: tuple[int, int]) -> None:
    weight = torch.full(shape, 7.0)
    rows, columns = shape
    message = f"{type(init).__name__} fills square matrices only, got {rows} rows and {columns} columns"
    with pytest.raises(UsageError, match=message):
        init(weight)
    assert (weight == 7).all()
