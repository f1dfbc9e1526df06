"""Shipped configs: their names, and their YAML merged as the command line merges it."""

import copy
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import torch
import yaml

from rnn_tasks import cores, models, tasks
from rnn_tasks.cli.overlays import KEPT, task_file
from rnn_tasks.cli.shipped import CONFIGS

TASKS = sorted(path.stem for path in CONFIGS.glob("*.yaml") if path.stem not in ("base", "watch"))
MODELS = sorted(path.stem for path in CONFIGS.glob("models/*.yaml"))
PUBLISHED = sorted(path.stem for path in CONFIGS.glob("published/*.yaml"))


@cache
def read_config(path: Path) -> dict[str, Any]:
    """Return the YAML of a config."""
    config: dict[str, Any] = yaml.safe_load(path.read_text())
    return config


def compose(recipe: str, overlay: str) -> dict[str, Any]:
    """Return a recipe with an overlay, merged in the order in which the command line reads their files.

    Args:
        recipe: The name of the recipe, such as ``echo``.
        overlay: The name of the overlay, such as ``gru``.
    """
    paths = [CONFIGS / f"{recipe}.yaml", CONFIGS / f"models/{overlay}.yaml"]
    own = task_file(paths[1], read_config(paths[1]), read_config(paths[0]))
    return merge(read_config(path) for path in [*paths, *([own] if own else [])])


def merge(configs: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return configs merged; later values win, and a new class keeps only the arguments ``KEPT`` of the old one."""
    merged: dict[str, Any] = {}
    for config in configs:
        for key, value in config.items():
            old = merged.get(key)
            if not isinstance(old, dict) or not isinstance(value, dict):
                merged[key] = copy.deepcopy(value)
                continue
            if short_name(value) not in ("", short_name(old)):
                kept = {name: argument for name, argument in old.get("init_args", {}).items() if name in KEPT}
                old = {**old, "init_args": kept}
            merged[key] = merge([old, value])
    return merged


def short_name(section: Mapping[str, Any]) -> str:
    """Return the name of the class of a section without its module; empty if the section has no class."""
    return str(section.get("class_path", "")).rpartition(".")[2]


def class_named(name: str) -> Any:
    """Return the layer, model, task or optimizer of a name."""
    return next(getattr(module, name) for module in (cores, models, tasks, torch.optim) if hasattr(module, name))
