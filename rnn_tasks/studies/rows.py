"""Read what the database holds about a run, and notice a row that was changed by hand or is damaged."""

import math
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any, TypeGuard

RUN_NAME, RESULT, REASON, TRANSIENT = "cell", "result", "reason", "passing"
"""Attributes of a trial: name, result, reason of failure of its run, and whether the failure was transient.

Databases of version 0.1.0 hold these values, so they stay.
"""

ATTEMPT, FROM_SCRATCH, DRAWN = "attempt", "anew", "drawn"
"""More attributes: the number of the attempt, the last attempt from scratch, and the drawn values of a search."""

WORKER, HEARTBEAT, SETTINGS = "worker", "heartbeat", "settings"
"""More attributes: the identity of the worker, its number of heartbeats, and the settings that define the run."""

LARGEST = 2**53
"""The largest whole number that a float holds exactly."""


def is_number(value: Any) -> TypeGuard[float]:
    """Return whether a value is a number that a float can hold, also an infinite one or NaN."""
    return type(value) is float or (type(value) is int and abs(value) <= LARGEST)


def is_finite(value: Any) -> TypeGuard[float]:
    """Return whether a value is a finite number."""
    return is_number(value) and math.isfinite(value)


def is_count(value: Any) -> TypeGuard[int]:
    """Return whether a value is a whole number of at least 0."""
    return type(value) is int and 0 <= value <= LARGEST


def is_text(value: Any) -> TypeGuard[str]:
    """Return whether a value is text."""
    return isinstance(value, str)


def mapping_of(check: Callable[[Any], bool]) -> Callable[[Any], bool]:
    """Return a function that checks whether a value is a mapping from text to values that pass a check."""
    return lambda value: isinstance(value, dict) and all(is_text(key) and check(inner) for key, inner in value.items())


def is_curve(value: Any) -> bool:
    """Return whether a value is a list of increasing steps and a list of as many numbers."""
    if not (isinstance(value, list | tuple) and len(value) == 2 and all(isinstance(part, list) for part in value)):
        return False
    steps, values = value
    increasing = all(map(is_finite, steps)) and all(a < b for a, b in pairwise(steps))
    return len(steps) == len(values) and increasing and all(map(is_number, values))


def is_baseline(value: Any) -> bool:
    """Return whether a value is a baseline: numbers, name and unit, plateaus, and baselines of other data."""
    if not isinstance(value, dict):
        return False
    others = ("name", "unit", "val", "plateaus", "by_length")
    numbers = {name: inner for name, inner in value.items() if name not in others}
    plateaus, by_length = value.get("plateaus", []), value.get("by_length", {})
    return (
        mapping_of(is_finite)(numbers)
        and is_text(value.get("name", ""))
        and is_text(value.get("unit", ""))
        and ("val" not in value or is_baseline(value["val"]))
        and isinstance(plateaus, list)
        and all(map(is_plateau, plateaus))
        and mapping_of(is_baseline)(by_length)
        and all(length.isdecimal() for length in by_length)
    )


def is_plateau(value: Any) -> bool:
    """Return whether a value is a plateau: a name, perhaps a kind, and numbers."""
    return (
        isinstance(value, dict)
        and is_text(value.get("name"))
        and is_text(value.get("kind", ""))
        and mapping_of(is_finite)({name: inner for name, inner in value.items() if name not in ("name", "kind")})
    )


CHECKS: Mapping[str, Callable[[Any], bool]] = {
    "verdict": is_text,
    "stopped": is_text,
    "steps": is_count,
    "solved_at": is_count,
    "sequences": is_count,
    "seconds": is_finite,
    "parameters": is_count,
    "metrics": mapping_of(lambda value: True),  # only numbers are shown
    "baseline": is_baseline,
    "curves": mapping_of(is_curve),
    "sample": is_text,
    "versions": mapping_of(is_text),
    "machine": is_text,
    "state_size": is_count,
    "data_digest": is_text,
    "first_losses": lambda value: isinstance(value, list) and all(map(is_number, value)),
}
"""A check of each value of a result. A value may be missing or None."""


def damage_of(result: Any) -> str:
    """Return what is damaged in the result of a run; empty for a valid result.

    Args:
        result: The attribute ``RESULT`` of a trial.

    Example:
        >>> damage_of({"steps": 4, "verdict": "solved"}), damage_of({"steps": "4"}), damage_of([])
        ('', 'steps', 'result')
    """
    if not isinstance(result, dict):
        return RESULT
    names = [name for name, check in CHECKS.items() if result.get(name) is not None and not check(result[name])]
    return ", ".join(names)


def run_name_of(attributes: Mapping[str, Any]) -> str:
    """Return the name of the run of a trial; empty for a trial without a run."""
    name = attributes.get(RUN_NAME)
    return name if isinstance(name, str) else ""


def attempt_of(attributes: Mapping[str, Any], name: str = ATTEMPT) -> int:
    """Return the number of the attempt to which a trial belongs, counted from 0.

    Args:
        attributes: The attributes of the trial.
        name: ``ATTEMPT``, or ``FROM_SCRATCH`` for the last attempt from scratch.
    """
    value = attributes.get(name)
    return int(value) if is_count(value) else 0


def drawn_of(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the drawn values of a run of a search: numbers and names of variants."""
    drawn = attributes.get(DRAWN)
    items = drawn.items() if isinstance(drawn, dict) else ()
    return {name: value for name, value in items if is_text(value) or is_finite(value)}


def settings_in(attributes: Mapping[str, Any]) -> dict[str, str] | None:
    """Return the settings with which the run of a trial was done; None if they are not known."""
    settings = attributes.get(SETTINGS)
    return settings if mapping_of(is_text)(settings) else None


def readable(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the result, the reason and the drawn values of a trial, without anything that is damaged.

    A damaged result becomes the reason why the run counts as failed.

    Args:
        attributes: The attributes of the trial.
    """
    valid: dict[str, Any] = {DRAWN: drawn_of(attributes)}
    if RESULT in attributes:
        damage = damage_of(attributes[RESULT])
        valid |= {REASON: f"the database has a damaged result: {damage}"} if damage else {RESULT: attributes[RESULT]}
    if REASON in attributes:
        valid[REASON] = str(attributes[REASON])
    return valid
