"""The study behind a profile: the core tasks of the memory suite with one layer."""

import os
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from rnn_tasks.cli.checks import suggestion
from rnn_tasks.cli.config_file import read_config_file
from rnn_tasks.cli.shipped import shipped, shipped_names
from rnn_tasks.errors import UsageError, require
from rnn_tasks.studies.plan import Plan, Variant
from rnn_tasks.studies.plan_file import dotted, read_plan

SUITE = "memory_suite_core"
"""The study whose tasks, settings and options a profile takes."""

SEEDS, QUICK_SEEDS = (0, 1), (0,)
QUICK_TASKS = ("temporal_order", "recall", "parity")
"""The tasks of a quick profile: order over a long time, keys and values, and a state at longer lengths."""

MODELS = "models/"
"""The folder of the shipped overlays."""


def layer_of(model: str, suite: Plan) -> Variant:
    """Return the layer that an argument names, as a variant of the axis ``layer`` of the suite.

    Args:
        model: The name of a shipped overlay, such as ``gru`` or ``models/gru``, or the path of a YAML file.
        suite: The study of the suite; a shipped overlay that is one of its rows has its name there.

    Raises:
        UsageError: There is no such layer, or the file has a mistake or names a task.
    """
    names = [name for name in shipped_names() if name.startswith(MODELS)]
    name = model if model.startswith(MODELS) else f"{MODELS}{model}"
    if name in names:
        rows = (variant for variant in suite.axes["layer"] if variant.configs == (name,))
        return next(rows, Variant(name.removeprefix(MODELS), (name,)))
    if not os.path.isfile(model):
        short = [name.removeprefix(MODELS) for name in names]
        hint = suggestion(model.removeprefix(MODELS), short) or f", or one of {', '.join(short)}"
        raise UsageError(f"there is no layer {model}: give the path of a YAML file{hint}")
    check_config(read_config_file(Path(model)), model)
    return Variant(re.sub(r"[^\w+-]", "_", Path(model).stem), (model,))


def check_config(contents: Mapping[str, Any], path: str) -> None:
    """Raise a UsageError unless a config names a layer and no task.

    Args:
        contents: The contents of the config.
        path: Its path, for messages.
    """
    sections = {str(key).partition(".")[0].removesuffix("+") for key in contents}
    require(
        "data" not in sections, f"{path} has a section data, but a profile brings its own tasks: remove the section"
    )
    require("model" in sections, f"{path} has no section model, which names the layer")


def profile_plan(layer: Variant, suite: Plan, quick: bool = False) -> Plan:
    """Return the study of a profile. A quick one has some of the runs of the whole one, with the same names.

    Args:
        layer: The layer, see :func:`layer_of`.
        suite: The study of the suite.
        quick: Whether to take only ``QUICK_TASKS`` and one seed.
    """
    tasks = tuple(task for task in suite.axes["task"] if not quick or task.name in QUICK_TASKS)
    return replace(
        suite,
        name=f"profile of {layer.name}",
        axes={**suite.axes, "task": tasks, "layer": (layer,)},
        seeds=QUICK_SEEDS if quick else SEEDS,
        cells=suite.cells if layer in suite.axes["layer"] else (),  # they name rows of the suite
        takes=None,
    )


def other_settings(plan: Plan) -> dict[str, Any]:
    """Return what the config of the layer sets beside the layer and its constraint, by dotted option name.

    What the study itself sets, such as the learning rate, is left out: it takes no effect.

    Args:
        plan: The study of a profile.
    """
    (layer,) = plan.axes["layer"]
    given: dict[str, Any] = {}
    for name in layer.configs:
        given |= leaves(read_config_file(shipped(name) or Path(name)))
    taken = set(plan.options)
    for variants in (plan.axes["task"], plan.axes["rates"]):
        for variant in variants:
            taken |= {*variant.options, *leaves(variant.overlay)}
    return {
        name: value
        for name, value in given.items()
        if name not in taken and not name.startswith("model.core.") and name.partition(".")[0] != "constraint"
    }


def leaves(section: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a config by dotted option name, without ``init_args``.

    Example:
        >>> leaves({"model": {"init_args": {"core": {"class_path": "GRU"}}}})
        {'model.core.class_path': 'GRU'}
    """
    return {name.replace(".init_args", ""): value for name, value in dotted(section)}


def read_suite() -> Plan:
    """Return the study of the suite."""
    return read_plan(SUITE)
