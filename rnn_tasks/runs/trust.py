"""Which classes a run's config.yaml may name: loading a class executes the code of its module."""

from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from rnn_tasks.errors import UsageError, require
from rnn_tasks.plugins import is_installed, plugin_with
from rnn_tasks.runs.files import CONFIG

PACKAGES = ("rnn_tasks", "torch", "lightning")
"""The packages whose classes can be built from the config of a run that somebody else made, besides plug-ins."""

MODELS = ("rnn_tasks.models.SequenceTagger", "rnn_tasks.models.LanguageModel")
"""Models that need not be imported to know them; the import of Lightning would take longer than all else."""

TRAINING_OPTIONS = ("optimizer", "schedule", "lr_scheduler")
"""The options of a model from which no network is built."""


def needs_trust(config: Mapping[str, Any]) -> bool:
    """Return whether commands on a run need ``--trust``, see :func:`require_known_classes`.

    Args:
        config: The contents of config.yaml.

    Example:
        >>> needs_trust({"model": {"class_path": "my_models.MyModel"}, "data": {"class_path": "rnn_tasks.tasks.Echo"}})
        True
    """
    return not all(map(is_known, names(config)))


def require_known_classes(config: Mapping[str, Any], folder: Path) -> None:
    """Raise if the network or the task of a run is built from other classes than those of known packages.

    Known are :data:`PACKAGES` and the packages of installed plug-ins: the user has installed both.

    Args:
        config: The sections ``model`` and ``data``, or one of them, of the run's config.yaml.
        folder: The run folder.

    Raises:
        UsageError: A section names another class. No module of another package was imported.
    """
    for name in names(config):
        if not is_known(name):
            shown = name if len(name) <= 60 else f"{name[:60]}..."
            plugin = plugin_with(name)
            require(
                plugin is None or imported(name.split(".")) is not None,
                f"{folder / CONFIG} names {shown!r}, which the plug-in {plugin and plugin.name} does not have or which "
                "cannot be imported",
            )
            package = name.partition(".")[0]
            is_missing = package.isidentifier() and not is_installed(package)
            raise UsageError(
                f"{folder / CONFIG} names {shown!r}, which is not a class of rnn_tasks, torch or an installed plug-in: "
                + f"install the plug-in with the package {package}, or " * is_missing
                + f"add --trust to execute its code, if you trust everyone who could write into {folder}"
            )


def names(config: Mapping[str, Any]) -> Iterator[str]:
    """Yield the texts in a config that may name a class.

    Args:
        config: As for :func:`require_known_classes`. The options of a task are numbers and plain texts, except those
            that have a ``class_path``.
    """
    model = config.get("model")
    if isinstance(model, dict):
        arguments = model.get("init_args")
        if isinstance(arguments, dict):
            model = {**model, "init_args": {n: value for n, value in arguments.items() if n not in TRAINING_OPTIONS}}
        yield from texts(model)
    yield from class_paths(config.get("data"))


def texts(value: Any) -> Iterator[str]:
    """Yield all texts in nested dictionaries and lists, without keys."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from texts(item)
    elif isinstance(value, list | tuple | set):
        for item in value:
            yield from texts(item)


def class_paths(value: Any) -> Iterator[str]:
    """Yield all texts under keys ``class_path`` in nested dictionaries and lists."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from texts(item) if str(key).endswith("class_path") else class_paths(item)
    elif isinstance(value, list | tuple | set):
        for item in value:
            yield from class_paths(item)


def is_known(name: str) -> bool:
    """Return whether a text names nothing to import, such as a word or a number, or a class of a known package.

    Example:
        >>> [
        ...     is_known(name)
        ...     for name in ("tanh", "1e-3", "torch.nn.GRU", "my_layer.MyLayer", "torch.os.system", "{a: b}")
        ... ]
        [True, True, True, False, False, False]
    """
    if name in MODELS:
        return True
    if name.replace("-", "").replace("+", "").replace("_", "").isalnum() or not name or is_float(name):
        return True
    parts = name.split(".")
    if not all(part.isidentifier() for part in parts) or not is_in_known_package(name):
        return False
    found = imported(parts)
    if found is None and parts[0] in PACKAGES:  # the parser says that the class does not exist
        return True
    return isinstance(found, type) and is_in_known_package(found.__module__)


def is_in_known_package(name: str) -> bool:
    """Return whether a module or class is in one of :data:`PACKAGES` or in the package of an installed plug-in.

    Args:
        name: The dotted name.
    """
    return name.partition(".")[0] in PACKAGES or plugin_with(name) is not None


def is_float(text: str) -> bool:
    """Return whether a text is a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def imported(parts: list[str]) -> Any:
    """Return the object at an import path; None if it does not exist. The first part is a package that is installed.

    Args:
        parts: The names of the packages, the module, and the object or classes around it.
    """
    for count in range(len(parts) - 1, 0, -1):
        try:
            found: Any = import_module(".".join(parts[:count]))
        except (Exception, SystemExit):  # no such module, or one that cannot be imported on this system
            continue
        for part in parts[count:]:
            found = getattr(found, part, None)
        return found
    return None
