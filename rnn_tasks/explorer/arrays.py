"""Arrays as JSON: the type, the shape, and the numbers as base64 text."""

import base64
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

INTEGERS = (np.uint8, np.uint16, np.int16, np.int32)
"""The types of integers, from which the first that fits is used."""

SCALED = "scaled16"
"""The name of 16-bit numbers that are multiplied by the scale of the array."""

LARGEST = 32767
"""The largest 16-bit number; the numbers of an array are stored from -32767 to 32767."""


def integers(values: Tensor) -> dict[str, Any]:
    """Return an array of integers, in the smallest type that holds them.

    Args:
        values: Integers from -2^31 to 2^31 - 1, or bool, of any shape.

    Returns:
        ``dtype``, ``shape``, and ``data``: the little-endian bytes in row-major order, as base64.

    Example:
        >>> import torch
        >>> integers(torch.tensor([[1, 2, 255]]))
        {'dtype': 'uint8', 'shape': [1, 3], 'data': 'AQL/'}
    """
    array = values.numpy()
    low, high = (int(array.min()), int(array.max())) if array.size else (0, 0)
    dtype = next(dtype for dtype in INTEGERS if np.iinfo(dtype).min <= low and high <= np.iinfo(dtype).max)
    return as_json(array.astype(dtype), np.dtype(dtype).name)


def exact(values: Tensor) -> dict[str, Any]:
    """Return an array of 32-bit numbers.

    Args:
        values: Real numbers of any shape; numbers of single precision are stored exactly.

    Returns:
        As for :func:`integers`, with the ``dtype`` float32.
    """
    return as_json(values.detach().numpy().astype(np.float32), "float32")


def scaled(values: Tensor) -> dict[str, Any]:
    """Return an array of 16-bit numbers with a common scale. The error is at most half the scale.

    Args:
        values: Finite real numbers of any shape.

    Returns:
        As for :func:`integers`, with the ``dtype`` scaled16, and ``scale``: the largest absolute value / 32767. A
        stored number times the scale is the value.

    Example:
        >>> import torch
        >>> scaled(torch.tensor([32767.0, -1.0]))
        {'dtype': 'scaled16', 'shape': [2], 'data': '/3///w==', 'scale': 1.0}
    """
    array = values.detach().double().numpy()
    scale = float(np.abs(array).max(initial=0.0)) / LARGEST or 1.0
    return as_json(np.rint(array / scale).astype(np.int16), SCALED) | {"scale": scale}


def as_json(array: NDArray[Any], dtype: str) -> dict[str, Any]:
    """Return an array with the name of its type.

    Args:
        array: The array as it is stored.
        dtype: The name of its type.
    """
    data = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).tobytes()
    return {"dtype": dtype, "shape": list(array.shape), "data": base64.b64encode(data).decode()}


def decoded(array: dict[str, Any]) -> NDArray[Any]:
    """Return the numbers of an array: int64 for integers, and double precision for others.

    Args:
        array: What :func:`integers`, :func:`exact` or :func:`scaled` returned.

    Example:
        >>> import torch
        >>> decoded(scaled(torch.tensor([3.0, -1.5]))).round(3).tolist()
        [3.0, -1.5]
    """
    stored = np.dtype(np.int16 if array["dtype"] == SCALED else array["dtype"]).newbyteorder("<")
    values = np.frombuffer(base64.b64decode(array["data"]), stored).reshape(array["shape"])
    if array["dtype"] == SCALED:
        return np.asarray(values * array["scale"])
    return values.astype(np.float64 if stored.kind == "f" else np.int64)
