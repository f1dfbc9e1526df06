"""Conversion of torch tensors and NumPy arrays to checked NumPy arrays."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from rnn_tasks.errors import require

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Complexes = NDArray[np.complex128]
Flags = NDArray[np.bool_]
Values = Tensor | NDArray[Any]
"""A torch tensor or a NumPy array."""


def floats(values: Values, name: str, ndim: int) -> Floats:
    """Return values as a NumPy array in double precision.

    Args:
        values: The values.
        name: Name of the values in error messages.
        ndim: The required number of dimensions.

    Raises:
        UsageError: Another number of dimensions, or a value that is not finite.
    """
    array = values.detach().cpu().double().numpy() if isinstance(values, Tensor) else np.asarray(values, np.float64)
    require(array.ndim == ndim, f"{name} must have {ndim} dimensions, got the shape {array.shape}")
    require(bool(np.isfinite(array).all()), f"{name} must be finite: the network has diverged")
    return array


def integers(values: Values, name: str, shape: tuple[int, ...]) -> Integers:
    """Return symbols as a NumPy array of integers.

    Args:
        values: The symbols.
        name: Name of the symbols in error messages.
        shape: The required shape.

    Raises:
        UsageError: Another shape.
    """
    array = values.detach().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)
    require(array.shape == shape, f"{name} must have the shape {shape}, got {array.shape}")
    return array.astype(np.int64)
