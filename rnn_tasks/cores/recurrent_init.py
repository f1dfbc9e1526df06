"""How a recurrent matrix starts. Each of them fills a square matrix in place."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from rnn_tasks.errors import UsageError


def positive(value: float, name: str) -> float:
    """``value``, if it is above 0."""
    if value <= 0:
        raise UsageError(f"{name} must be above 0, got {value}")
    return value


class RecurrentInit(ABC):
    """Fills a recurrent matrix, ``(hidden, hidden)``, in place, with torch's global random numbers."""

    @abstractmethod
    def fill(self, weight: Tensor) -> None:
        """Overwrite ``weight``; gradients are off."""

    @torch.no_grad()
    def __call__(self, weight: Tensor) -> None:
        """Overwrite ``weight``, leaving no trace in autograd."""
        self.fill(weight)


@dataclass(frozen=True)
class Orthogonal(RecurrentInit):
    """A random orthogonal matrix, uniformly distributed (Saxe et al. 2014).

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
        """Draw it."""
        nn.init.orthogonal_(weight, positive(self.gain, "gain"))


@dataclass(frozen=True)
class Xavier(RecurrentInit):
    """Uniform numbers of variance ``gain ** 2 / hidden`` (Glorot and Bengio 2010).

    Args:
        gain: Factor on the standard deviation, ``> 0``.
    """

    gain: float = 1.0

    def fill(self, weight: Tensor) -> None:
        """Draw them."""
        nn.init.xavier_uniform_(weight, positive(self.gain, "gain"))


@dataclass(frozen=True)
class Normal(RecurrentInit):
    """Independent normal numbers.

    Args:
        std: Standard deviation, ``> 0``.
    """

    std: float = 0.01

    def fill(self, weight: Tensor) -> None:
        """Draw them."""
        nn.init.normal_(weight, std=positive(self.std, "std"))


@dataclass(frozen=True)
class Identity(RecurrentInit):
    """The identity (Le, Jaitly and Hinton 2015).

    Args:
        scale: Factor on it.
    """

    scale: float = 1.0

    def fill(self, weight: Tensor) -> None:
        """Write it."""
        nn.init.eye_(weight)
        weight.mul_(self.scale)


@dataclass(frozen=True)
class Henaff(RecurrentInit):
    """Rotations in planes by angles of ``-pi..pi``: the exponential of random 2x2 skew blocks (Henaff et al. 2016)."""

    def fill(self, weight: Tensor) -> None:
        """Draw the angles."""
        angles = torch.empty(len(weight) // 2).uniform_(-math.pi, math.pi)
        weight.copy_(rotations(angles, len(weight)))


@dataclass(frozen=True)
class Cayley(RecurrentInit):
    """Rotations in planes by angles of ``0..pi / 2``, as scoRNN starts (Helfrich, Willmott and Ye 2018).

    The published form is the Cayley transform of skew blocks with entries ``sqrt((1 - cos t) / (1 + cos t))``, which
    is the rotation by t.
    """

    def fill(self, weight: Tensor) -> None:
        """Draw the angles."""
        angles = torch.empty(len(weight) // 2).uniform_(0, math.pi / 2)
        weight.copy_(rotations(angles, len(weight)))


def rotations(angles: Tensor, size: int) -> Tensor:
    """The block-diagonal matrix of plane rotations; an odd last row is left as in the identity.

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
