"""NumPy arrays from what torch or NumPy has."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from rnn_tasks.errors import require

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Values = Tensor | NDArray[Any]
"""Numbers as torch or NumPy has them."""


def floats(values: Values, name: str, ndim: int) -> Floats:
    """Values as a NumPy array in double precision.

    Args:
        values: The values.
        name: How a message calls them.
        ndim: The dimensions that they must have.

    Raises:
        UsageError: Other dimensions, or a value that is not finite.
    """
    found = values.detach().double().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values, np.float64)
    require(found.ndim == ndim, f"{name} must have {ndim} dimensions, got the shape {found.shape}")
    require(bool(np.isfinite(found).all()), f"{name} must be finite: the network has diverged")
    return found


def integers(values: Values, name: str, shape: tuple[int, ...]) -> Integers:
    """Symbols as a NumPy array.

    Args:
        values: The symbols.
        name: How a message calls them.
        shape: The shape that they must have.

    Raises:
        UsageError: Another shape.
    """
    found = values.detach().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)
    require(found.shape == shape, f"{name} must have the shape {shape}, got {found.shape}")
    return found.astype(np.int64)
