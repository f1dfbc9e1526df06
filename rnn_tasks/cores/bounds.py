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


def at_least_0_below_1(value: float, name: str) -> float:
    """Return ``value`` if it is at least 0 and below 1."""
    if not 0 <= value < 1:
        raise UsageError(f"{name} must be at least 0 and below 1, got {value}")
    return value
