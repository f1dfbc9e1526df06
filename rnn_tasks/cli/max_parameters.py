"""The largest hidden size within a number of parameters, to compare layers of equal size."""

import contextlib
import copy
from typing import Any

from rnn_tasks.errors import UsageError, require
from rnn_tasks.models.loading import build_model
from rnn_tasks.spec import TaskSpec

MOST_PARAMETERS = 10**9
"""The largest value of ``max_parameters``; larger models would not fit into the memory of most machines."""

MOST_HEADS = 64
"""The largest number of heads of which the hidden size is searched as a multiple."""


def hidden_size_within(section: dict[str, Any], spec: TaskSpec, max_parameters: int) -> int:
    """Return the largest hidden size with which a model has at most ``max_parameters`` parameters.

    If a layer has several heads, its hidden size is a multiple of their number.

    Args:
        section: The section ``model`` of a config.
        spec: The task's sizes and strings.
        max_parameters: Largest number of parameters of the model, 1 to 10^9, including its readout and embeddings.

    Raises:
        UsageError: The layer has no ``hidden_size``, or the smallest size already exceeds ``max_parameters``.
    """
    require(
        1 <= max_parameters <= MOST_PARAMETERS,
        f"max_parameters must be between 1 and {MOST_PARAMETERS:,}, got {max_parameters:,}",
    )
    core = (section.get("init_args") or {}).get("core")
    if not isinstance(core, dict) or "hidden_size" not in (core.get("init_args") or {}):
        raise UsageError("max_parameters needs a layer with the option hidden_size")
    step = smallest_size(section, spec)
    smallest = parameters_with(section, spec, step)
    require(
        smallest <= max_parameters,
        f"max_parameters must be at least {smallest:,} for this layer (hidden_size {step}), got {max_parameters:,}",
    )
    fits, too_large = 1, 2
    while parameters_with(section, spec, too_large * step) <= max_parameters:
        fits, too_large = too_large, 2 * too_large
    while too_large - fits > 1:
        middle = (fits + too_large) // 2
        if parameters_with(section, spec, middle * step) <= max_parameters:
            fits = middle
        else:
            too_large = middle
    return fits * step


def smallest_size(section: dict[str, Any], spec: TaskSpec) -> int:
    """Return the smallest hidden size of a layer: 1, or the number of its heads.

    Args:
        section: The section ``model`` of a config.
        spec: The task's sizes and strings.

    Raises:
        UsageError: The layer cannot be built with any size up to ``MOST_HEADS``.
    """
    for size in range(1, MOST_HEADS):
        with contextlib.suppress(UsageError, ValueError):  # jsonargparse raises a ValueError
            parameters_with(section, spec, size)
            return size
    parameters_with(section, spec, MOST_HEADS)
    return MOST_HEADS


def parameters_with(section: dict[str, Any], spec: TaskSpec, hidden_size: int) -> int:
    """Return the number of parameters of a model with a hidden size.

    Args:
        section: The section ``model`` of a config.
        spec: The task's sizes and strings.
        hidden_size: The hidden size, ``>= 1``.
    """
    section = copy.deepcopy(section)
    section["init_args"]["core"]["init_args"]["hidden_size"] = hidden_size
    return sum(parameter.numel() for parameter in build_model(section, spec).parameters())
