"""Maps from a free matrix to an orthogonal matrix: torch's maps with faster gradients.

References:
    Matrix exponential: M. Lezcano-Casado and D. Martinez-Rubio, "Cheap orthogonal constraints in neural networks: a
    simple parametrization of the orthogonal and unitary group" (2019), https://arxiv.org/abs/1901.08428.
    Cayley transform: K. Helfrich, D. Willmott and Q. Ye, "Orthogonal recurrent neural networks with scaled Cayley
    transform" (2018), https://arxiv.org/abs/1707.09520.
    Reflections: Z. Mhammedi, A. Hellicar, A. Rahman and J. Bailey, "Efficient orthogonal parametrisation of recurrent
    neural networks using Householder reflections" (2017), https://arxiv.org/abs/1612.00188.
"""

import math
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn

from rnn_tasks.cores.linalg import with_cpu_fallback

OrthogonalMapName = Literal["matrix_exp", "cayley", "householder"]

ROOT = math.sqrt(177)
X3 = 2 / 3
X1, X2 = X3 * (1 + ROOT) / 88, X3 * (1 + ROOT) / 352
X4 = (-271 + 29 * ROOT) / (315 * X3)
X5, X6 = 11 * (ROOT - 1) / (1260 * X3), 11 * (ROOT - 9) / (5040 * X3)
X7 = (89 - ROOT) / (5040 * X3**2)
Y2 = (857 - 58 * ROOT) / 630

LARGEST_NORM = {torch.float32: 0.58, torch.float64: 0.05}
"""Largest norm at which the Taylor polynomial of degree 8 equals the exponential to rounding."""


def skew_exponential(matrix: Tensor) -> Tensor:
    """Return the exponential of a skew-symmetric matrix, which is an orthogonal matrix.

    The matrix is halved until the Taylor polynomial of degree 8 is exact, and the result is squared as often. The
    polynomial takes three products, its gradient six. ``torch.matrix_exp`` has the same values, but its gradient is
    the exponential of a matrix of twice the size, which takes seven times as long at 128 units.

    Source: P. Bader, S. Blanes and F. Casas, "Computing the matrix exponential with an optimized Taylor polynomial
    approximation", 2019, https://doi.org/10.3390/math7121174

    Args:
        matrix: ``(n, n)``, single or double precision, with ``matrix.T == -matrix``.

    Example:
        >>> turn = skew_exponential(torch.tensor([[0.0, -torch.pi / 2], [torch.pi / 2, 0.0]]))
        >>> turn.round(decimals=5).abs()
        tensor([[0., 1.],
                [1., 0.]])
    """
    square = matrix @ matrix
    # The 2-norm of a skew-symmetric matrix is at most the square root of any operator norm of the matrix's square.
    norm = math.sqrt(float(square.detach().abs().sum(-1).amax()))
    largest = LARGEST_NORM[matrix.dtype]
    halvings = math.ceil(math.log2(norm / largest)) if largest < norm < math.inf else 0
    if halvings:
        matrix, square = matrix * 2.0**-halvings, square * 4.0**-halvings
    identity = torch.eye(len(matrix), dtype=matrix.dtype, device=matrix.device)
    fourth = square @ (X1 * matrix + X2 * square)
    eighth = (X3 * square + fourth) @ (X4 * identity + X5 * matrix + X6 * square + X7 * fourth)
    exponential = identity + matrix + Y2 * square + eighth
    for _ in range(halvings):
        exponential = exponential @ exponential
    return exponential


def product_of_reflections(free: Tensor) -> Tensor:
    """Return a product of Householder reflections, ``H_1 H_2 ... H_n D``.

    ``H_i = I - 2 v v' / v'v``, where v is column i of V, the free matrix's lower triangle with 1 on the diagonal. D
    holds the signs of the free matrix's diagonal. Without D the product is ``I - V S^-1 V'`` with
    ``S = triu(V'V, 1) + diag(V'V) / 2``. ``torch.linalg.householder_product`` has the same values, but its gradient
    handles one reflection after another.

    Source: T. Joffrain, T. M. Low, E. S. Quintana-Orti, R. van de Geijn and F. G. Van Zee, "Accumulating Householder
    transformations, revisited", 2006, https://doi.org/10.1145/1141885.1141886

    Args:
        free: ``(n, n)``, with -1 or 1 on the diagonal.

    Example:
        >>> product_of_reflections(-torch.eye(2))
        tensor([[1., -0.],
                [-0., 1.]])
    """
    identity = torch.eye(len(free), dtype=free.dtype, device=free.device)
    vectors = free.tril(-1) + identity
    inner = vectors.mT @ vectors
    upper = inner.triu(1) + torch.diag(inner.diagonal() / 2)
    solution = with_cpu_fallback(partial(torch.linalg.solve_triangular, upper=True), upper, vectors.mT)
    product: Tensor = identity - vectors @ solution
    return product * free.detach().diagonal().sign()


def cayley_transform(matrix: Tensor) -> Tensor:
    """Return the Cayley transform of a skew-symmetric matrix, ``(I - A/2)^-1 (I + A/2)``, an orthogonal matrix.

    Args:
        matrix: A, ``(n, n)``, single or double precision, with ``matrix.T == -matrix``.

    Example:
        >>> cayley_transform(torch.tensor([[0.0, -2.0], [2.0, 0.0]])).abs()
        tensor([[0., 1.],
                [1., 0.]])
    """
    identity = torch.eye(len(matrix), dtype=matrix.dtype, device=matrix.device)
    left, right = torch.add(identity, matrix, alpha=-0.5), torch.add(identity, matrix, alpha=0.5)
    solution: Tensor = with_cpu_fallback(torch.linalg.solve, left, right)
    return solution


class OrthogonalMap(nn.Module):
    """The parametrization ``W = base map(X)`` of an orthogonal matrix W by a free matrix X.

    Use it with :func:`torch.nn.utils.parametrize.register_parametrization`, which calls :meth:`right_inverse` with the
    matrix that the parametrization replaces. Checkpoints are interchangeable with those of
    :func:`torch.nn.utils.parametrizations.orthogonal`.

    Args:
        name: ``matrix_exp``, the exponential of ``L - L'`` where L is the lower triangle of X, ``cayley``, its Cayley
            transform, or ``householder``.

    Attributes:
        base: The initial matrix, orthogonal, ``(n, n)``.
    """

    base: Tensor

    def __init__(self, name: OrthogonalMapName) -> None:
        super().__init__()
        self.name = name
        self.register_buffer("base", None)

    def forward(self, free: Tensor) -> Tensor:
        """Return ``base map(X)``, ``(n, n)``, in the precision of the weights even under autocast."""
        with torch.autocast(free.device.type, enabled=False):
            if self.name == "householder":
                return self.base @ product_of_reflections(free)
            lower = free.tril()
            function = cayley_transform if self.name == "cayley" else skew_exponential
            return self.base @ function(lower - lower.mT)

    @torch.no_grad()
    def right_inverse(self, weight: Tensor) -> Tensor:
        """Set ``base`` to a matrix if it is orthogonal to rounding, otherwise to its orthogonal QR factor.

        Args:
            weight: ``(n, n)``.

        Returns:
            The free matrix that the map takes to the identity, ``(n, n)``.
        """
        identity = torch.eye(len(weight), dtype=weight.dtype, device=weight.device)
        if torch.allclose(weight.mT @ weight, identity, atol=10 * len(weight) * torch.finfo(weight.dtype).eps):
            self.base = weight.clone()
        else:
            orthogonal, triangular = with_cpu_fallback(torch.linalg.qr, weight)
            self.base = orthogonal * triangular.diagonal().sign()
        return torch.diag(weight.new_full((len(weight),), -1.0))  # torch, too, has -1 on the diagonal and +0 elsewhere
