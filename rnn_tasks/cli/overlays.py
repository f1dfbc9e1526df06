"""What a later config changes: the file that an overlay adds for a task, and the arguments of a replaced class."""

from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from jsonargparse import Namespace

from rnn_tasks.cli.checks import locate
from rnn_tasks.cli.config_file import read_config_file
from rnn_tasks.cli.shipped import config_folders
from rnn_tasks.errors import UsageError

KEPT = ("hidden_size", "core", "optimizer")
"""Arguments that a new class takes over from the class it replaces: a layer's size, a model's layer and optimizer."""


def task_file(overlay: Path, contents: Mapping[str, Any], config: Mapping[str, Any] | Namespace) -> Path | None:
    """Return the file that an overlay has for a task; None if the config is no overlay, or has no such file.

    An overlay is a config without a section ``data`` that has a folder of the same name beside it, or an unchanged
    copy of a shipped overlay. For the task ``Echo``, its file is ``echo.yaml`` in this folder; if there is none,
    and the model is a ``LanguageModel``, ``language_model.yaml``. A plug-in may have further files for an overlay that
    has a name, such as ``models/gru/its_task.yaml``.

    Args:
        overlay: The path of the config that may be an overlay.
        contents: The contents of this config.
        config: The sections ``data`` and ``model`` of the configs before the overlay.
    """
    if "data" in contents:
        return None
    original = overlay.resolve()
    if not original.with_suffix("").is_dir() and folder_of(original) is None:
        original = shipped_copy(contents, "models") or original
    places = [original.with_suffix("")]
    if folder := folder_of(original):
        places += [other / places[0].relative_to(folder.resolve()) for other in config_folders() if other != folder]
    paths = [path for place in places for path in sorted(place.glob("*.yaml"))]
    files = {path.stem.replace("_", ""): path for path in reversed(paths)}  # the first one counts
    names = [class_name(config.get(section)).lower() for section in ("data", "model")]
    return next((files[name] for name in names if name in files), None)


def is_published(config: Path) -> bool:
    """Return whether a config is a published recipe, or an unchanged copy of it.

    Args:
        config: The path of the config.
    """
    if folder_of(config.resolve()) is not None:
        return config.resolve().parent.name == "published"
    return config.is_file() and shipped_copy(read_config_file(config), "published") is not None


def folder_of(config: Path) -> Path | None:
    """Return the folder of configs, of the package or of a plug-in, that has a config; None if none has it.

    Args:
        config: The path of the config, resolved.
    """
    return next((folder for folder in config_folders() if config.is_relative_to(folder.resolve())), None)


def shipped_copy(contents: Mapping[str, Any], folder: str) -> Path | None:
    """Return the config that has a name and these contents; None if there is none.

    Args:
        contents: The contents of a config.
        folder: The folder to search in the folders of configs, such as ``models``.
    """
    for path in (path for configs in config_folders() for path in configs.glob(f"{folder}/*.yaml")):
        with suppress(UsageError):  # a plug-in may have a file that is not valid
            if read_config_file(path) == contents:
                return path
    return None


def class_name(section: Any) -> str:
    """Return the name of the class of a section, without its module; empty if the section has no class."""
    name = section.get("class_path") if isinstance(section, Mapping | Namespace) else section
    return name.rpartition(".")[2] if isinstance(name, str) else ""


def drop_replaced_arguments(config: Namespace, update: Mapping[Any, Any], given: Collection[str] = ()) -> None:
    """Remove the arguments of each class that an update replaces by another class.

    The parser itself would keep the arguments that the new class has too, such as the initialisation of another layer.

    Args:
        config: The configuration so far; it is changed.
        update: The contents of the next config, or an option as nested sections, with or without ``init_args``.
        given: Further names of arguments, besides ``KEPT``, that a new class takes over.
    """
    for key, value in update.items():
        current = config.get(str(key))
        if current is None and isinstance(config.get("init_args"), Namespace):
            current = config.init_args.get(str(key))
        if not isinstance(current, Namespace):
            continue
        new = value.get("class_path") if isinstance(value, Mapping) else value
        old = current.get("class_path")
        if isinstance(old, str) and isinstance(new, str) and not is_same_class(old, new):
            arguments = current.get("init_args")
            if isinstance(arguments, Namespace):
                for name in [name for name in vars(arguments) if name not in (*KEPT, *given)]:
                    del arguments[name]
            current.pop("dict_kwargs", None)
        if isinstance(value, Mapping):
            drop_replaced_arguments(current, value, given)


def is_same_class(path: str, name: str) -> bool:
    """Return whether a name means the class of a path.

    Args:
        path: The path of a class, such as ``torch.optim.Adam``.
        name: The path or the name of a class, such as ``Adam`` or ``torch.optim.adam.Adam``.
    """
    if path.rpartition(".")[2] != name.rpartition(".")[2]:
        return False
    return "." not in name or path == name or locate(path) is locate(name)
