"""Parameters of which each day tries another tenth in the fast tests; the slow tests try the others."""

import os
from collections.abc import Callable, Iterable
from datetime import date
from typing import Any

import pytest

VARIABLE = "RNN_TASKS_ROTATION"
"""The environment variable that chooses the tenth, 0 to 9, instead of the date."""

PARTS = 10


def chosen_part() -> int:
    """Return the number of the tenth that the fast tests try."""
    return int(os.environ.get(VARIABLE) or date.today().toordinal()) % PARTS


def rotating(values: Iterable[Any], name: Callable[[Any], str] = str) -> list[Any]:
    """Return the parameters of a test, of which all but a tenth are marked as slow.

    The id of a parameter ends with the number of its tenth, such as ``echo-gru-rotation3``: with
    ``RNN_TASKS_ROTATION=3`` the fast tests try it again.

    Args:
        values: The values; a tuple is several arguments.
        name: Returns the id of a value.
    """
    parameters = []
    for index, value in enumerate(values):
        part = index % PARTS
        marks = () if part == chosen_part() else (pytest.mark.slow,)
        arguments = value if isinstance(value, tuple) else (value,)
        parameters.append(pytest.param(*arguments, marks=marks, id=f"{name(value)}-rotation{part}"))
    return parameters


def slow_tenth(values: Iterable[tuple[Any, ...]], name: Callable[[Any], str] = str) -> list[Any]:
    """Return a tenth of the parameters of a test, marked as slow: another tenth each day.

    For tests with so many parameters that even the slow tests cannot try all of them. The ids are those of
    :func:`rotating`.

    Args:
        values: The values; each is a tuple of arguments.
        name: Returns the id of a value.
    """
    chosen = list(values)[chosen_part() :: PARTS]
    return [
        pytest.param(*value, marks=pytest.mark.slow, id=f"{name(value)}-rotation{chosen_part()}") for value in chosen
    ]
