"""Modules of the working folder: importable only if a config or an argument names a class of theirs."""

import ast
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from importlib.machinery import (
    EXTENSION_SUFFIXES,
    SOURCE_SUFFIXES,
    ExtensionFileLoader,
    FileFinder,
    ModuleSpec,
    SourceFileLoader,
)
from pathlib import Path
from typing import Any

import yaml

from rnn_tasks.errors import UsageError
from rnn_tasks.plugins import packages_installed_from
from rnn_tasks.runs.files import CONFIG
from rnn_tasks.runs.find import find_run

PACKAGE = "rnn_tasks"
CONFIG_OPTIONS = ("-c", "--config")
YAML_SUFFIXES = (".yaml", ".yml", ".json")
"""Endings of files that hold a part of a configuration."""

LARGEST_CONFIG = 1_000_000
"""Bytes of the largest file that is read as a config; a larger one is data."""


class NamedModules:
    """Finds modules and packages with certain names in a folder.

    At the end of :data:`sys.meta_path`, it finds only what Python finds nowhere else. Of a module that it finds, the
    modules that its import statements name are found too. If the folder is that of a plug-in that is installed in
    editable mode, the package of the plug-in is found: the installation has put the folder on the search path.

    Args:
        folder: The folder.

    Attributes:
        names: The names that are found.
    """

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.names = {PACKAGE, *packages_installed_from(folder)}
        loaders = (ExtensionFileLoader, EXTENSION_SUFFIXES), (SourceFileLoader, SOURCE_SUFFIXES)
        self.files = FileFinder(folder, *loaders)

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """Return where a module is; None if it is not among the named ones, or below a package, which has its path."""
        if path is not None or name not in self.names:
            return None
        self.files.invalidate_caches()
        spec = self.files.find_spec(name)
        if spec is not None and name != PACKAGE:
            for source in sources(spec):
                self.names |= imported_names(source)
        return spec


def sources(spec: ModuleSpec) -> Iterator[Path]:
    """Yield the Python files of a module or of a package."""
    if spec.submodule_search_locations is not None:
        for folder in spec.submodule_search_locations:
            yield from Path(folder).rglob("*.py")
    elif spec.origin is not None and spec.origin.endswith(".py"):
        yield Path(spec.origin)


def imported_names(source: Path) -> set[str]:
    """Return the names of the modules, without the names of submodules, that a Python file imports.

    Args:
        source: The file; a file that is not valid has no names, since its import reports what is wrong.
    """
    names: set[str] = set()
    with suppress(OSError, SyntaxError, ValueError, RecursionError):
        for node in ast.walk(ast.parse(source.read_bytes())):
            if isinstance(node, ast.Import):
                names |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                names.add(str(node.module).partition(".")[0])
    return names


def restrict_working_folder() -> None:
    """Let Python find only the allowed modules in the working folder where the search path has it.

    The search path has the working folder if this package is in it.
    """
    folder = os.getcwd()
    finder = finder_of(folder)
    if folder in sys.path:
        sys.path_importer_cache[folder] = finder


def allow_named_modules(arguments: Sequence[str]) -> None:
    """Make the modules importable from the working folder whose classes the arguments and their configs name.

    A module that exists elsewhere, such as ``copy`` of Python, is imported from there.

    Args:
        arguments: The arguments of ``rnn-tasks``, beginning with the command. For ``resume``, the config of the run
            counts too.
    """
    names = module_names(arguments)
    if arguments[:1] == ["resume"] and len(arguments) > 1:
        with suppress(UsageError):  # the command reports it
            names |= module_names(["--config", str(find_run(arguments[1]).folder / CONFIG)])
    finder_of(os.getcwd()).names |= names


def allow_modules_of_run(folder: Path) -> None:
    """Make the modules importable from the working folder whose classes the config of a run names.

    Args:
        folder: The run folder.
    """
    allow_named_modules(["--config", str(folder / CONFIG)])


def finder_of(folder: str) -> NamedModules:
    """Return the finder of the working folder at the end of :data:`sys.meta_path`; add it if there is none."""
    finders = [finder for finder in sys.meta_path if isinstance(finder, NamedModules)]
    for finder in finders:
        if finder.folder == folder:
            return finder
        sys.meta_path.remove(finder)  # of an earlier working folder
    finder = NamedModules(folder)
    sys.meta_path.append(finder)
    return finder


def module_names(arguments: Sequence[str]) -> set[str]:
    """Return the modules whose classes are named in arguments, and in the YAML files that arguments name.

    Args:
        arguments: The arguments of a command line.

    Example:
        >>> sorted(module_names(["--trainer.callbacks+=killer.Killer", "--data", "{class_path: backwards.Backwards}"]))
        ['backwards', 'killer']
    """
    names: set[str] = set()
    files: set[Path] = set()
    pending: list[tuple[Any, Path]] = []  # values, and the folders from which they name files
    option = ""
    for argument in arguments:
        name, _, value = argument.partition("=") if argument.startswith("-") else (option, "", argument)
        pending.append((Path(value) if name in CONFIG_OPTIONS else parse_yaml(value), Path()))
        option = name if not value else ""
    # Lists and dictionaries by identity, since an alias of YAML repeats an object. Here they live until the end:
    # otherwise another object could get the identity of one that is gone.
    seen: dict[int, Any] = {}
    while pending:
        value, folder = pending.pop()
        if isinstance(value, Path):
            if value not in files and value.is_file() and value.stat().st_size <= LARGEST_CONFIG:
                files.add(value)
                with suppress(OSError, ValueError):
                    pending.append((parse_yaml(value.read_text(encoding="utf-8")), value.parent))
        elif isinstance(value, dict | list):
            if id(value) not in seen:
                seen[id(value)] = value
                pending += [(part, folder) for part in (value.values() if isinstance(value, dict) else value)]
        elif isinstance(value, str) and value.endswith(YAML_SUFFIXES):
            pending.append((folder / value, folder))
        elif isinstance(value, str) and "." in value and all(part.isidentifier() for part in value.split(".")):
            names.add(value.partition(".")[0])
    return names


def parse_yaml(text: str) -> Any:
    """Return the contents of a YAML text; None if it is not valid, which its reader reports."""
    try:
        return yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (yaml.YAMLError, ValueError, RecursionError):
        return None
