"""Installed plug-ins: packages that add tasks, layers, configs and studies by the entry-point group ``rnn_tasks``."""

import gc
import json
import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from importlib import import_module
from importlib.machinery import ModuleSpec
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from rnn_tasks.printable import printable

GROUP = "rnn_tasks"
"""The entry-point group; the value of an entry point is a module."""

PROJECT_FILES = ("pyproject.toml", "setup.py")
"""Files of which the folder of a project has at least one."""


class Plugin(NamedTuple):
    """An installed plug-in.

    Attributes:
        name: The name of the plug-in and of its distribution, for messages.
        module: The module that defines or imports the classes of the plug-in.
        package: The outermost package of this module that has code; the module itself if it is in no package.
        configs: The folder of the plug-in's configs; None if it has none.
    """

    name: str
    module: str
    package: str
    configs: Path | None


def plugins() -> tuple[Plugin, ...]:
    """Return the installed plug-ins, in the order of their names. No module of theirs is imported."""
    return plugins_on(tuple(sys.path))


@cache
def plugins_on(path: tuple[str, ...]) -> tuple[Plugin, ...]:
    """Return the plug-ins that are installed in folders, see :func:`plugins`.

    Args:
        path: ``sys.path``.
    """
    try:
        points = sorted(entry_points(group=GROUP), key=lambda point: (point.name, point.value))
    except Exception as error:  # a damaged installation of any package
        warn(f"plug-ins cannot be listed: {reason_of(error)}")
        return ()
    return tuple(dict.fromkeys(plugin_of(point) for point in points))


def plugin_of(point: EntryPoint) -> Plugin:
    """Return the plug-in of an entry point.

    Args:
        point: The entry point.
    """
    module = point.value.partition(":")[0].strip()
    title = point.name if point.dist is None else f"{point.name} ({point.dist.name} {point.dist.version})"
    try:
        specs = list(specs_of(module))
    except Exception:  # the import of the module reports what is wrong
        specs = []
    package = next((spec.name for spec in specs if spec.origin is not None), module)
    if not specs:
        return Plugin(title, module, package, None)
    folders = specs[-1].submodule_search_locations
    if folders is None and len(specs) > 1:  # a module in a package
        folders = specs[-2].submodule_search_locations
    configs = [Path(folder) / "configs" for folder in folders or ()]
    return Plugin(title, module, package, next((folder for folder in configs if folder.is_dir()), None))


def packages_installed_from(folder: str) -> set[str]:
    """Return the packages of the plug-ins that are installed from a folder in editable mode (``pip install -e``).

    Args:
        folder: The folder of a project.
    """
    if not any(os.path.isfile(os.path.join(folder, name)) for name in PROJECT_FILES):
        return set()
    packages = set()
    with suppress(Exception):  # a damaged installation, which plugins() reports
        for point in entry_points(group=GROUP):
            origin = json.loads((point.dist and point.dist.read_text("direct_url.json")) or "{}")
            path = unquote(urlsplit(origin.get("url", "")).path)
            if origin.get("dir_info", {}).get("editable") and os.path.samefile(path, folder):
                packages.add(point.value.partition(":")[0].partition(".")[0].strip())
    return packages


def specs_of(module: str) -> Iterator[ModuleSpec]:
    """Yield where the packages around a module are, from the outermost, and where the module is.

    Nothing is imported except for packages without code (namespace packages), whose folders only their import knows.

    Args:
        module: The dotted name of the module.

    Raises:
        ImportError: The module or a package does not exist.
    """
    name, path = "", None
    for part in module.split("."):
        name = f"{name}.{part}".lstrip(".")
        found = (finder.find_spec(name, path) for finder in sys.meta_path)
        spec = next((spec for spec in found if spec is not None), None)
        if spec is None:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        yield spec
        if spec.origin is None:
            import_module(name)
        path = spec.submodule_search_locations


def is_installed(module: str) -> bool:
    """Return whether Python finds a module without a dot in its name.

    Args:
        module: The name of the module.
    """
    try:
        return bool(list(specs_of(module)))
    except Exception:  # no such module, or a name that is none
        return False


def plugin_with(name: str) -> Plugin | None:
    """Return the plug-in whose package has a module, class or other object; None if there is none.

    Args:
        name: The dotted name of the object.
    """
    return next((plugin for plugin in plugins() if f"{name}.".startswith(f"{plugin.package}.")), None)


def import_plugins() -> None:
    """Import the modules of all installed plug-ins, so that their classes can be named without their modules.

    A plug-in that cannot be imported costs a warning of one line.
    """
    for plugin in plugins():
        import_plugin(plugin)


@cache
def import_plugin(plugin: Plugin) -> None:
    """Import the module of a plug-in, once; warn in one line if the import fails.

    Args:
        plugin: The plug-in.
    """
    before = set(sys.modules)
    try:
        import_module(plugin.module)
    except (Exception, SystemExit) as error:  # another package may raise anything
        warn(f"the plug-in {plugin.name} cannot be imported, so its classes are missing: {reason_of(error)}")
    else:
        return
    # The classes that were made before the failure must not be found: their modules could not be imported again.
    for name in set(sys.modules) - before:
        if f"{name}.".startswith(f"{plugin.package}."):
            del sys.modules[name]
    gc.collect()


def reason_of(error: BaseException) -> str:
    r"""Return an exception in one line.

    Args:
        error: The exception.

    Example:
        >>> reason_of(ValueError("a is\nwrong"))
        'ValueError: a is wrong'
    """
    return " ".join(f"{type(error).__name__}: {error}".split()).removesuffix(":")


@cache
def warn(message: str) -> None:
    """Print a warning in one line on standard error; each message once.

    Args:
        message: What is wrong.
    """
    print(f"warning: {printable(message)}", file=sys.stderr, flush=True)
