"""The hidden size that a number of parameters allows, so that layers are compared at equal size."""

import copy
from typing import Any

from rnn_tasks.errors import UsageError, require
from rnn_tasks.models.loading import build_model
from rnn_tasks.spec import TaskSpec


def hidden_size_within(section: dict[str, Any], spec: TaskSpec, max_parameters: int) -> int:
    """The largest hidden size with which a model has no more parameters than it may.

    Args:
        section: The section ``model`` of a config.
        spec: The task's sizes and strings.
        max_parameters: All parameters of the model, ``>= 1``, those of the readout and of an embedding among them.

    Raises:
        UsageError: Its layer has no ``hidden_size``, or even one unit has more.
    """
    require(max_parameters >= 1, f"max_parameters must be at least 1, got {max_parameters}")
    core = (section.get("init_args") or {}).get("core")
    if not isinstance(core, dict) or "hidden_size" not in (core.get("init_args") or {}):
        raise UsageError("max_parameters needs a layer that has a hidden_size")
    enough = 1
    while parameters_with(section, spec, enough) <= max_parameters:
        enough *= 2
    require(enough > 1, f"even one hidden unit has more than max_parameters = {max_parameters:,} parameters")
    fits = enough // 2
    while enough - fits > 1:
        middle = (fits + enough) // 2
        if parameters_with(section, spec, middle) <= max_parameters:
            fits = middle
        else:
            enough = middle
    return fits


def parameters_with(section: dict[str, Any], spec: TaskSpec, hidden_size: int) -> int:
    """How many parameters a model has with a hidden size.

    Args:
        section: The section ``model`` of a config.
        spec: The task's sizes and strings.
        hidden_size: The size, ``>= 1``.
    """
    section = copy.deepcopy(section)
    section["init_args"]["core"]["init_args"]["hidden_size"] = hidden_size
    return sum(parameter.numel() for parameter in build_model(section, spec).parameters())
