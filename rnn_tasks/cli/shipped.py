"""The configs that have names: those of the package, and those of installed plug-ins."""

import os
from collections.abc import Iterator
from pathlib import Path

from rnn_tasks.plugins import plugins, warn

PACKAGE = Path(__file__).parents[1]
CONFIGS = next((path for path in (PACKAGE / "configs", PACKAGE.parent / "configs") if path.is_dir()), PACKAGE)
"""The configs of the package: inside it in a wheel, beside it in a checkout."""


def config_folders() -> list[Path]:
    """Return the folders of configs: that of the package, and those of the installed plug-ins."""
    return [CONFIGS, *dict.fromkeys(plugin.configs for plugin in plugins() if plugin.configs is not None)]


def shipped(name: str) -> Path | None:
    """Return the path of a config with a name; None if there is no such config.

    If several folders have the name, the first one in the order of :func:`config_folders` counts. A warning of one line
    names the others.

    Args:
        name: The name, such as ``echo``, ``models/gru`` or ``studies/echo_cores``.
    """
    if os.path.isabs(name) or ".." in Path(name).parts:
        return None
    paths = [path for folder in config_folders() if os.path.isfile(path := folder / f"{name}.yaml")]
    for other in paths[1:]:
        warn(f"the config {name} is {paths[0]}; {other} of a plug-in has the same name, so give its path to use it")
    return paths[0] if paths else None


def shipped_names() -> list[str]:
    """Return the names of all configs that ``--config`` accepts: those of the package, then those of plug-ins."""
    return list(dict.fromkeys(name for folder in config_folders() for name in config_names(folder)))


def config_names(folder: Path) -> Iterator[str]:
    """Yield the names of the configs in a folder, without studies and the files that overlays have for tasks.

    Args:
        folder: The folder.
    """
    for path in sorted(folder.rglob("*.yaml")):
        name = path.relative_to(folder).with_suffix("")
        if name.parts[0] != "studies" and len(name.parts) <= 2:
            yield name.as_posix()
