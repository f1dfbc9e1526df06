"""The classes of plug-ins by their short names, and what a name means that several classes have."""

import inspect
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

from lightning.pytorch import Callback
from lightning.pytorch.loggers import Logger
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from rnn_tasks.cores import Core, GateBias, RecurrentInit
from rnn_tasks.models import RecurrentModel
from rnn_tasks.plugins import Plugin, import_plugins, plugin_with, plugins, warn
from rnn_tasks.tasks import Task

KINDS: tuple[type[Any], ...] = (
    Task,
    RecurrentModel,
    Core,
    RecurrentInit,
    GateBias,
    Callback,
    Logger,
    Optimizer,
    LRScheduler,
)
"""Base classes of what a config names by a class."""


def plugin_class_names() -> list[str]:
    """Return the short names of the classes of all plug-ins; their modules are imported."""
    import_plugins()
    classes = (cls for kind in KINDS for cls in subclasses(kind)) if plugins() else ()
    return sorted({cls.__name__ for cls in classes if plugin_with(cls.__module__) is not None})


def paths_of_shared_names() -> dict[str, list[str]]:
    """Return the full paths of the classes of each name that a class of a plug-in shares with another class.

    The first path is that of the class that the name means: the class of this package, of Lightning or of torch, or
    else that of the first plug-in. The plug-ins are imported.
    """
    import_plugins()
    return shared_names_with(plugins())


@cache
def shared_names_with(installed: tuple[Plugin, ...]) -> dict[str, list[str]]:
    """Return what :func:`paths_of_shared_names` returns, for imported plug-ins.

    Args:
        installed: The plug-ins.
    """
    paths: dict[str, list[str]] = {}
    for kind in KINDS if installed else ():
        named: dict[str, dict[str, int]] = defaultdict(dict)
        for cls in subclasses(kind):
            plugin = plugin_with(cls.__module__)
            rank = -1 if plugin is None else installed.index(plugin)
            named[cls.__name__][f"{cls.__module__}.{cls.__qualname__}"] = rank
        for name, ranks in named.items():
            if len(ranks) > 1 and max(ranks.values()) >= 0:
                paths[name] = sorted(ranks, key=ranks.__getitem__)
    return paths


def subclasses(kind: type[Any]) -> Iterator[type[Any]]:
    """Yield the classes below a class that a config can name: public, not abstract, and not made in a function.

    Args:
        kind: The class.
    """
    for below in kind.__subclasses__():
        path = f"{below.__module__}.{below.__qualname__}"
        if not inspect.isabstract(below) and "._" not in path and "<locals>" not in path:
            yield below
        yield from subclasses(below)


def with_full_names(config: Any) -> Any:
    """Return a part of a config with the full path in place of each name that several classes have.

    A warning of one line says what such a name means.

    Args:
        config: The contents of a config, or a value.
    """
    paths = paths_of_shared_names()
    if not paths:
        return config
    if isinstance(config, dict):
        return {key: with_full_names(value) for key, value in config.items()}
    if isinstance(config, list):
        return [with_full_names(value) for value in config]
    if isinstance(config, str) and config in paths:
        meant, *others = paths[config]
        warn(f"{config} means {meant}; name the class of a plug-in in full: {', '.join(others)}")
        return meant
    return config


def arguments_with_full_names(arguments: Sequence[str]) -> list[str]:
    """Return arguments of the command line with the full path in place of each name that several classes have.

    Args:
        arguments: The arguments, such as ``--model.core=GRU`` or ``--model.core`` and ``GRU``.
    """
    parts = (argument.partition("=") for argument in arguments)
    return [
        f"{option}={with_full_names(value)}" if equals else with_full_names(option) for option, equals, value in parts
    ]
