"""Initialisations of recurrent matrices, which are square, and of input matrices; they fill a matrix in place."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from rnn_tasks.cores.bounds import finite, positive
from rnn_tasks.errors import UsageError


def square(weight: Tensor, init: "RecurrentInit") -> Tensor:
    """Return ``weight`` if it is square."""
    rows, columns = weight.shape
    if rows != columns:
        raise UsageError(f"{type(init).__name__} fills square matrices only, got {rows} rows and {columns} columns")
    return weight


class RecurrentInit(ABC):
    """Base class of initialisations: a call fills a matrix in place from torch's global random number generator.

    All initialisations fill a recurrent matrix ``(hidden, hidden)``. :class:`Orthogonal`, :class:`Xavier` and
    :class:`Normal` also fill an input matrix ``(hidden, input_size)``.
    """

    @abstractmethod
    def fill(self, weight: Tensor) -> None:
        """Overwrite ``weight``; called without gradients.

        Raises:
            UsageError: An argument is outside its bounds, or the matrix must be square and is not.
        """

    @torch.no_grad()
    def __call__(self, weight: Tensor) -> None:
        """Overwrite ``weight`` without recording it in autograd."""
        self.fill(weight)


@dataclass(frozen=True)
class Orthogonal(RecurrentInit):
    """A random orthogonal matrix, uniformly distributed.

    If the matrix is not square, its rows or its columns, whichever are fewer, are orthonormal.

    Source: A. M. Saxe, J. L. McClelland and S. Ganguli, "Exact solutions to the nonlinear dynamics of learning in deep
    linear neural networks", 2014, https://arxiv.org/abs/1312.6120

    Args:
        gain: The value of all singular values, ``> 0``.

    Example:
        >>> weight = torch.empty(3, 3)
        >>> Orthogonal()(weight)
        >>> torch.allclose(weight.T @ weight, torch.eye(3), atol=1e-6)
        True
    """

    gain: float = 1.0

    def fill(self, weight: Tensor) -> None:
        """Fill with a random orthogonal matrix."""
        nn.init.orthogonal_(weight, positive(self.gain, "gain"))


@dataclass(frozen=True)
class Xavier(RecurrentInit):
    """Independent uniform numbers with mean 0 and variance ``2 * gain ** 2 / (rows + columns)``.

    Source: X. Glorot and Y. Bengio, "Understanding the difficulty of training deep feedforward neural networks", 2010,
    https://proceedings.mlr.press/v9/glorot10a.html

    Args:
        gain: Factor on the standard deviation, ``> 0``.
    """

    gain: float = 1.0

    def fill(self, weight: Tensor) -> None:
        """Fill with uniform numbers."""
        nn.init.xavier_uniform_(weight, positive(self.gain, "gain"))


@dataclass(frozen=True)
class Normal(RecurrentInit):
    """Independent normal numbers with mean 0.

    Args:
        std: Standard deviation, ``> 0``.
    """

    std: float = 0.01

    def fill(self, weight: Tensor) -> None:
        """Fill with normal numbers."""
        nn.init.normal_(weight, std=positive(self.std, "std"))


@dataclass(frozen=True)
class Identity(RecurrentInit):
    """The identity matrix, times a factor; for square matrices.

    Source: Q. V. Le, N. Jaitly and G. E. Hinton, "A simple way to initialize recurrent networks of rectified linear
    units", 2015, https://arxiv.org/abs/1504.00941

    Args:
        scale: The factor.
    """

    scale: float = 1.0

    def fill(self, weight: Tensor) -> None:
        """Fill with the scaled identity."""
        nn.init.eye_(square(weight, self))
        weight.mul_(finite(self.scale, "scale"))


@dataclass(frozen=True)
class NormalizedPositiveDefinite(RecurrentInit):
    """The start of np-RNN, ``(R'R / n + I) / v``, where R is normal and v the largest eigenvalue; for square matrices.

    The matrix is symmetric, its eigenvalues are positive, and the largest eigenvalue is 1. With ``relu`` units the
    network keeps one direction, and forgets the others at different rates.

    Source: S. S. Talathi and A. Vartak, "Improving performance of recurrent neural network with relu nonlinearity",
    2015, https://arxiv.org/abs/1511.03771
    """

    def fill(self, weight: Tensor) -> None:
        """Fill with a random positive definite matrix."""
        size = len(square(weight, self))
        normal = torch.randn(size, size, dtype=torch.float64)
        matrix = normal.T @ normal / size + torch.eye(size, dtype=torch.float64)
        weight.copy_(matrix / torch.linalg.eigvalsh(matrix)[-1])


@dataclass(frozen=True)
class Henaff(RecurrentInit):
    """Plane rotations by uniform angles between ``-pi`` and ``pi``; for square matrices.

    The matrix is the exponential of a block-diagonal matrix of random skew-symmetric 2x2 blocks.

    Source: M. Henaff, A. Szlam and Y. LeCun, "Recurrent orthogonal networks and long-memory tasks", 2016,
    https://arxiv.org/abs/1602.06662
    """

    def fill(self, weight: Tensor) -> None:
        """Fill with rotations by random angles."""
        angles = torch.empty(len(weight) // 2).uniform_(-math.pi, math.pi)
        square(weight, self).copy_(rotations(angles, len(weight)))


@dataclass(frozen=True)
class Cayley(RecurrentInit):
    """Plane rotations by uniform angles between 0 and ``pi / 2``, the initialisation of scoRNN; for square matrices.

    The published form is the Cayley transform of skew-symmetric 2x2 blocks with entries
    ``sqrt((1 - cos t) / (1 + cos t))``, which is the rotation by t.

    Source: K. Helfrich, D. Willmott and Q. Ye, "Orthogonal recurrent neural networks with scaled Cayley transform",
    2018, https://arxiv.org/abs/1707.09520
    """

    def fill(self, weight: Tensor) -> None:
        """Fill with rotations by random angles."""
        angles = torch.empty(len(weight) // 2).uniform_(0, math.pi / 2)
        square(weight, self).copy_(rotations(angles, len(weight)))


def rotations(angles: Tensor, size: int) -> Tensor:
    """Return the block-diagonal matrix of plane rotations; if the size is odd, the last unit is left unchanged.

    Args:
        angles: The angle of each plane in radians, ``(size // 2,)``.
        size: Number of rows and columns.

    Example:
        >>> rotations(torch.tensor([math.pi / 2]), 2).round().abs()
        tensor([[0., 1.],
                [1., 0.]])
    """
    matrix = torch.eye(size)
    even = torch.arange(0, 2 * len(angles), 2)
    matrix[even, even] = matrix[even + 1, even + 1] = angles.cos()
    matrix[even, even + 1] = -angles.sin()
    matrix[even + 1, even] = angles.sin()
    return matrix
