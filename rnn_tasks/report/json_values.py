"""Convert results to values that JSON can represent."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch


def plain(value: Any) -> Any:
    """Convert a value to types that JSON can represent.

    Arrays and tensors become lists; named tuples become objects; complex numbers become pairs; NaN and infinity become
    null.

    Args:
        value: Plain values, arrays, tensors and named tuples, also nested in mappings, lists and tuples.

    Example:
        >>> plain({"a": torch.tensor([1.0, float("nan")]), "b": np.array([1 + 2j]), 3: (True, None)})
        {'a': [1.0, None], 'b': [[1.0, 2.0]], '3': [True, None]}
    """
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, torch.Tensor):
        return plain(value.detach().cpu().tolist())
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, tuple) and type(value) is not tuple:
        named: Any = value
        return plain(named._asdict())
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, complex):
        return [plain(value.real), plain(value.imag)]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if isinstance(value, str | int | bool | None) else str(value)
