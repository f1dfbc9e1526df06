"""Checks of a config that the parser does not make, or whose errors nobody would understand."""

import difflib
import importlib
import inspect
import typing
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from jsonargparse import Namespace

from rnn_tasks.errors import UsageError, shown

CLASS_KEYS = ("class_path", "init_args", "dict_kwargs")
"""The keys of a section that names a class."""

MAX_SEED = 2**32 - 1
"""The largest seed that NumPy accepts."""


def check_sections(config: Mapping[Any, Any], options: Collection[str]) -> None:
    """Check the sections of a config, and the keys of sections that name a class.

    Args:
        config: The contents of the config.
        options: The options of the command, such as ``model`` and ``trainer.max_steps``.

    Raises:
        UsageError: A section does not exist, or has a wrong form.
    """
    names = {option.partition(".")[0] for option in options}
    groups = {option.partition(".")[0] for option in options if "." in option and not option.endswith(".help")}
    for key, value in config.items():
        name = str(key).partition(".")[0].removesuffix("+")
        if name not in names:
            raise UsageError(f"unknown section {shown(key)}{suggestion(str(key), names)}")
        if key in groups and not isinstance(value, dict):
            raise UsageError(f"{key} must be a section of options, got {shown(value)}")
    for where, section in class_sections(config):
        for key in section:
            if key not in CLASS_KEYS:
                hint = suggestion(str(key), CLASS_KEYS) or "; arguments of the class belong under init_args"
                raise UsageError(f"{where}: unknown key {shown(key)} beside {' and '.join(found(section))}{hint}")
        if "class_path" in section and not (isinstance(section["class_path"], str) and section["class_path"]):
            raise UsageError(f"{where}.class_path must be the name of a class, got {shown(section['class_path'])}")
        for key in ("init_args", "dict_kwargs"):
            if not isinstance(section.get(key, {}), dict):
                raise UsageError(f"{where}.{key} must be a section of arguments, got {shown(section[key])}")


def check_empty_sections(update: Mapping[Any, Any], config: Namespace, where: str = "") -> None:
    """Check the empty sections of a config, of which the parser drops each that has an unknown name.

    Args:
        update: The contents of the config, which the parser has read.
        config: The configuration with this config.
        where: The dotted path of this part of the configuration.

    Raises:
        UsageError: An empty section is no option, or the option needs a class.
    """
    arguments = config.get("init_args", config)
    for key, value in update.items():
        if not isinstance(value, dict) or key in CLASS_KEYS[2:]:
            continue
        name = str(key).removesuffix("+")
        if key == "init_args":
            check_empty_sections(value, config, where)
            continue
        current = config.get(name, arguments.get(name))
        if current is None:
            raise UsageError(f"{where}: unknown option {name!r}{suggestion(name, vars(arguments))}")
        path = f"{where}.{name}".strip(".")
        if isinstance(current, Namespace):
            if not value and "class_path" in current:
                raise UsageError(f"{path} must not be an empty section: omit it, or name a class by class_path")
            check_empty_sections(value, current, path)


def found(section: Mapping[Any, Any]) -> list[str]:
    """Return the keys of a section that show that it names a class."""
    return [key for key in CLASS_KEYS[:2] if key in section]


def class_sections(value: Any, where: str = "") -> Iterator[tuple[str, Mapping[Any, Any]]]:
    """Yield each section that names a class, or its arguments, with its dotted path.

    Args:
        value: A config, or a part of it.
        where: The dotted path of this part.
    """
    if isinstance(value, dict):
        if found(value):
            yield where, value
        for key, below in value.items():
            yield from class_sections(below, where if key == "init_args" else f"{where}.{key}".strip(".+"))
    elif isinstance(value, list):
        for below in value:
            yield from class_sections(below, where)


def suggestion(name: str, names: Collection[str]) -> str:
    """Return a suggestion for a misspelt name; an empty string if no name is similar.

    Example:
        >>> suggestion("class_pth", ["class_path", "init_args"])
        "; did you mean 'class_path'?"
    """
    similar = difflib.get_close_matches(name, set(names) - {name}, n=1, cutoff=0.7)
    return f"; did you mean {similar[0]!r}?" if similar else ""


def check_seed(seed: object) -> None:
    """Check the seed of a run.

    Args:
        seed: The value of ``seed_everything``.

    Raises:
        UsageError: The seed is a number out of NumPy's bounds.
    """
    if isinstance(seed, int) and not 0 <= seed <= MAX_SEED:
        raise UsageError(f"seed_everything must be at least 0 and at most {MAX_SEED}, got {seed}")


def check_nulls(config: Namespace, groups: Mapping[str, object]) -> None:
    """Check that no argument of a class is null whose type does not allow it; the parser accepts null everywhere.

    Args:
        config: The configuration.
        groups: The classes of sections without a class path, by the name of the section.

    Raises:
        UsageError: An argument must not be null.
    """
    for where, kind, arguments in class_arguments(config, groups):
        parameters = not_null(kind)
        for name, value in vars(arguments).items():
            if value is None and name in parameters:
                raise UsageError(f"{where}.{name} must not be null; omit it for the default value")


def class_arguments(
    value: Any, groups: Mapping[str, object], where: str = ""
) -> Iterator[tuple[str, type[Any], Namespace]]:
    """Yield the arguments of each class in a configuration, with their dotted path and the class.

    Args:
        value: A configuration, or a part of it.
        groups: The classes of sections without a class path, by the name of the section.
        where: The dotted path of this part.
    """
    if isinstance(value, list):
        for below in value:
            yield from class_arguments(below, {}, where)
    if not isinstance(value, Namespace):
        return
    kind: object = groups.get(where)
    arguments = value
    if isinstance(value.get("class_path"), str):
        kind, arguments = locate(value.class_path), value.get("init_args")
    if inspect.isclass(kind) and isinstance(arguments, Namespace):
        yield where, kind, arguments
    if isinstance(arguments, Namespace):
        for name, below in vars(arguments).items():
            yield from class_arguments(below, groups if not where else {}, f"{where}.{name}".strip("."))


def locate(path: str) -> object:
    """Return the object of a dotted path; None if it cannot be imported.

    Args:
        path: The path, such as ``torch.optim.Adam``.
    """
    module, _, name = path.rpartition(".")
    try:
        return getattr(importlib.import_module(module), name, None)
    except (ImportError, ValueError):
        return None


def not_null(kind: type[Any]) -> set[str]:
    """Return the parameters with default values of a class that must not be None, according to their types.

    The parser itself reports a parameter without a default value.

    Args:
        kind: The class.
    """
    try:
        hints, parameters = typing.get_type_hints(kind.__init__), inspect.signature(kind).parameters
    except (NameError, TypeError, ValueError):  # a type that exists for type checkers only, or no signature
        return set()
    return {
        name
        for name, parameter in parameters.items()
        if parameter.default not in (None, parameter.empty)
        and name in hints
        and hints[name] not in (Any, None, type(None))
        and type(None) not in typing.get_args(hints[name])
    }
