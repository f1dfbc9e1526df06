"""Checks of arguments: a value outside its bounds raises a UsageError, which a user sees as one line."""

import math

from rnn_tasks.errors import UsageError


def finite(value: float, name: str) -> float:
    """Return ``value`` if it is a finite number."""
    if not math.isfinite(value):
        raise UsageError(f"{name} must be a finite number, got {value}")
    return value


def positive(value: float, name: str) -> float:
    """Return ``value`` if it is above 0 and finite."""
    if finite(value, name) <= 0:
        raise UsageError(f"{name} must be above 0, got {value}")
    return value


def at_least_1(size: int, name: str) -> int:
    """Return ``size`` if it is at least 1."""
    if size < 1:
        raise UsageError(f"{name} must be at least 1, got {size}")
    return size


def multiple_of_heads(hidden_size: int, heads: int) -> int:
    """Return ``hidden_size`` if it is at least 1 and a multiple of ``heads``."""
    if at_least_1(hidden_size, "hidden_size") % at_least_1(heads, "heads"):
        raise UsageError(f"hidden_size must be a multiple of heads ({heads}), got {hidden_size}")
    return hidden_size


def log_range(dt_min: float, dt_max: float) -> tuple[float, float]:
    """Return the logarithms of the bounds of an initial step size if ``0 < dt_min <= dt_max``."""
    if not 0 < dt_min <= dt_max < math.inf:
        raise UsageError(f"dt_min and dt_max must satisfy 0 < dt_min <= dt_max, got {dt_min} and {dt_max}")
    return math.log(dt_min), math.log(dt_max)


def at_least_0_below_1(value: float, name: str) -> float:
    """Return ``value`` if it is at least 0 and below 1."""
    if not 0 <= value < 1:
        raise UsageError(f"{name} must be at least 0 and below 1, got {value}")
    return value
