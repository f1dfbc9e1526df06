"""The settings of a run as a flat dictionary, for tables."""

from collections.abc import Mapping
from typing import Any


def hyperparameters(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that distinguish runs, by short names; without settings that are off or empty.

    Args:
        config: The contents of config.yaml.
    """
    flat = flatten({"task": config["data"], "model": config["model"], "constraint": config["constraint"] or "none"})
    named = {name.removeprefix("model.").removeprefix("task."): value for name, value in flat.items()}
    named["seed"] = config["seed_everything"]
    return {name: value for name, value in named.items() if value is not None and value is not False and value != ""}


def flatten(values: Any, prefix: str = "") -> dict[str, Any]:
    """Return nested settings by dotted names, without the levels ``init_args`` and ``class_path``.

    Example:
        >>> flatten({"model": {"class_path": "m.Net", "init_args": {"size": 3}}})
        {'model': 'Net', 'model.size': 3}
    """
    if not isinstance(values, Mapping):
        return {prefix: values if values is None or isinstance(values, int | float | str | bool) else str(values)}
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if key == "class_path":
            flat[prefix] = str(value).rpartition(".")[2]
        else:
            flat |= flatten(value, prefix if key == "init_args" else f"{prefix}.{key}".lstrip("."))
    return flat
