"""Initial values of recurrent matrices, which are square, and of input matrices; they are filled in place."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from rnn_tasks.cores.bounds import positive
from rnn_tasks.errors import UsageError


def square(weight: Tensor, init: "RecurrentInit") -> Tensor:
    """Return ``weight`` if it has as many rows as columns."""
    rows, columns = weight.shape
    if rows != columns:
        raise UsageError(
            f"{type(init).__name__} fills square matrices only, not one of {rows} rows and {columns} columns"
        )
    return weight


class RecurrentInit(ABC):
    """Fills a recurrent matrix, ``(hidden, hidden)``, in place, with torch's global random numbers.

    :class:`Orthogonal`, :class:`Xavier` and :class:`Normal` fill any matrix, also an input matrix
    ``(hidden, input_size)``.
    """

    @abstractmethod
    def fill(self, weight: Tensor) -> None:
        """Overwrite ``weight``; gradients are off.

        Raises:
            UsageError: An argument outside its bounds, or a shape that this cannot fill.
        """

    @torch.no_grad()
    def __call__(self, weight: Tensor) -> None:
        """Overwrite ``weight`` without a record in autograd."""
        self.fill(weight)


@dataclass(frozen=True)
class Orthogonal(RecurrentInit):
    """A random orthogonal matrix, uniformly distributed (Saxe et al. 2014).

    Of a matrix that is not square, the rows or the columns, whichever are fewer, are orthonormal.

    Args:
        gain: Every singular value, ``> 0``.

    Example:
        >>> weight = torch.empty(3, 3)
        >>> Orthogonal()(weight)
        >>> torch.allclose(weight.T @ weight, torch.eye(3), atol=1e-6)
        True
    """

    gain: float = 1.0

    def fill(self, weight: Tensor) -> None:
        """Draw a matrix."""
        nn.init.orthogonal_(weight, positive(self.gain, "gain"))


@dataclass(frozen=True)
class Xavier(RecurrentInit):
    """Uniform numbers of variance ``2 * gain ** 2 / (rows + columns)`` (Glorot and Bengio 2010).

    Args:
        gain: Factor on the standard deviation, ``> 0``.
    """

    gain: float = 1.0

    def fill(self, weight: Tensor) -> None:
        """Draw the numbers."""
        nn.init.xavier_uniform_(weight, positive(self.gain, "gain"))


@dataclass(frozen=True)
class Normal(RecurrentInit):
    """Independent normal numbers.

    Args:
        std: Standard deviation, ``> 0``.
    """

    std: float = 0.01

    def fill(self, weight: Tensor) -> None:
        """Draw the numbers."""
        nn.init.normal_(weight, std=positive(self.std, "std"))


@dataclass(frozen=True)
class Identity(RecurrentInit):
    """The identity (Le, Jaitly and Hinton 2015), of a square matrix.

    Args:
        scale: Factor on it.
    """

    scale: float = 1.0

    def fill(self, weight: Tensor) -> None:
        """Write the scaled identity."""
        nn.init.eye_(square(weight, self))
        weight.mul_(self.scale)


@dataclass(frozen=True)
class Henaff(RecurrentInit):
    """Rotations in planes by angles of ``-pi..pi``: the exponential of random 2x2 skew blocks (Henaff et al. 2016).

    For square matrices.
    """

    def fill(self, weight: Tensor) -> None:
        """Draw the angles and write the rotations."""
        angles = torch.empty(len(weight) // 2).uniform_(-math.pi, math.pi)
        square(weight, self).copy_(rotations(angles, len(weight)))


@dataclass(frozen=True)
class Cayley(RecurrentInit):
    """Rotations in planes by angles of ``0..pi / 2``, as scoRNN starts (Helfrich, Willmott and Ye 2018).

    The published form is the Cayley transform of skew blocks with entries ``sqrt((1 - cos t) / (1 + cos t))``, which
    is the rotation by t. For square matrices.
    """

    def fill(self, weight: Tensor) -> None:
        """Draw the angles and write the rotations."""
        angles = torch.empty(len(weight) // 2).uniform_(0, math.pi / 2)
        square(weight, self).copy_(rotations(angles, len(weight)))


def rotations(angles: Tensor, size: int) -> Tensor:
    """Return the block-diagonal matrix of plane rotations; if the size is odd, the last row is that of the identity.

    Args:
        angles: Radians, ``(size // 2,)``.
        size: Rows and columns.

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
