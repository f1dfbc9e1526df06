"""Maps from a free matrix to an orthogonal one, as torch has them, with gradients that cost only a few products."""

import math
from typing import Literal

import torch
from torch import Tensor, nn

ROOT = math.sqrt(177)
X3 = 2 / 3
X1, X2 = X3 * (1 + ROOT) / 88, X3 * (1 + ROOT) / 352
X4 = (-271 + 29 * ROOT) / (315 * X3)
X5, X6 = 11 * (ROOT - 1) / (1260 * X3), 11 * (ROOT - 9) / (5040 * X3)
X7 = (89 - ROOT) / (5040 * X3**2)
Y2 = (857 - 58 * ROOT) / 630

LARGEST = {torch.float32: 0.58, torch.float64: 0.05}
"""Largest norm at which the Taylor polynomial of degree 8 equals the exponential to the last digit."""


def skew_exponential(matrix: Tensor) -> Tensor:
    """Return the exponential of a skew-symmetric matrix, which is an orthogonal matrix.

    The matrix is halved until the Taylor polynomial of degree 8 is exact, and the result is squared as often. The
    polynomial takes three products (Bader, Blanes and Casas 2019). ``torch.matrix_exp`` computes the same, but its
    gradient is the exponential of a matrix of twice the size. The gradient of the polynomial is six products: at 128
    units it is seven times as fast.

    Args:
        matrix: ``(n, n)``, real, single or double precision, ``matrix.T == -matrix``.

    Example:
        >>> turn = skew_exponential(torch.tensor([[0.0, -torch.pi / 2], [torch.pi / 2, 0.0]]))
        >>> turn.round(decimals=5).abs()
        tensor([[0., 1.],
                [1., 0.]])
    """
    square = matrix @ matrix
    # The 2-norm of a normal matrix is its largest absolute eigenvalue. The root of any norm of its square bounds it.
    norm = math.sqrt(float(square.detach().abs().sum(-1).amax()))
    largest = LARGEST[matrix.dtype]
    halvings = math.ceil(math.log2(norm / largest)) if largest < norm < math.inf else 0
    if halvings:
        matrix, square = matrix * 2.0**-halvings, square * 4.0**-halvings
    one = torch.eye(len(matrix), dtype=matrix.dtype, device=matrix.device)
    fourth = square @ (X1 * matrix + X2 * square)
    eighth = (X3 * square + fourth) @ (X4 * one + X5 * matrix + X6 * square + X7 * fourth)
    exponential = one + matrix + Y2 * square + eighth
    for _ in range(halvings):
        exponential = exponential @ exponential
    return exponential


def reflections(free: Tensor) -> Tensor:
    """Return a product of Householder reflections, ``H_1 H_2 ... H_n D``.

    ``H_i = I - 2 v v' / v'v``, where v is column i of the lower triangle with 1 on the diagonal; D has the signs of the
    free matrix's diagonal. All reflections together are ``I - V S^-1 V'`` with ``S = triu(V'V, 1) + diag(V'V) / 2``
    (Joffrain et al. 2006). ``torch.linalg.householder_product`` computes the same, but its gradient goes reflection by
    reflection.

    Args:
        free: ``(n, n)``, ``-1`` or 1 on the diagonal.

    Example:
        >>> reflections(-torch.eye(2))
        tensor([[1., -0.],
                [-0., 1.]])
    """
    one = torch.eye(len(free), dtype=free.dtype, device=free.device)
    vectors = free.tril(-1) + one
    inner = vectors.mT @ vectors
    product: Tensor = one - vectors @ torch.linalg.solve_triangular(
        inner.triu(1) + torch.diag(inner.diagonal() / 2), vectors.mT, upper=True
    )
    return product * free.detach().diagonal().sign()


class OrthogonalMap(nn.Module):
    """A parametrization ``base map(X)``, X being a free matrix, with the names and values of torch's in checkpoints.

    It is for :func:`torch.nn.utils.parametrize.register_parametrization`, which calls :meth:`right_inverse` with the
    matrix that it replaces.

    Args:
        name: ``matrix_exp``, the exponential of ``L - L'``, L being X's lower triangle, or ``householder``.

    Attributes:
        base: The matrix at which the parametrization starts, orthogonal, ``(n, n)``.
    """

    base: Tensor

    def __init__(self, name: Literal["matrix_exp", "householder"]) -> None:
        super().__init__()
        self.name = name
        self.register_buffer("base", None)

    def forward(self, free: Tensor) -> Tensor:
        """``(n, n)`` to ``(n, n)``, in the precision of the weights also under autocast."""
        with torch.autocast(free.device.type, enabled=False):
            if self.name == "householder":
                return self.base @ reflections(free)
            lower = free.tril()
            return self.base @ skew_exponential(lower - lower.mT)

    @torch.no_grad()
    def right_inverse(self, weight: Tensor) -> Tensor:
        """Start at a matrix if it is orthogonal to within rounding, otherwise at its orthogonal factor.

        Args:
            weight: ``(n, n)``.

        Returns:
            The free matrix of that start, which the map takes to the identity.
        """
        one = torch.eye(len(weight), dtype=weight.dtype, device=weight.device)
        if torch.allclose(weight.mT @ weight, one, atol=10 * len(weight) * torch.finfo(weight.dtype).eps):
            self.base = weight.clone()
        else:
            orthogonal, triangular = torch.linalg.qr(weight)
            self.base = orthogonal * triangular.diagonal().sign()
        return torch.diag(weight.new_full((len(weight),), -1.0))  # with +0 beside it, as torch has it
