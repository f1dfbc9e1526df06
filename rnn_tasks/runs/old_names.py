"""Names of version 0.1.0, and the names that replaced them."""

from collections.abc import Mapping
from typing import Any

OPTIONS = {"quiet_blank": "zero_blank_weights"}
"""Options of a model."""

LAYOUTS = {"seed": "plain"}
"""Layouts of the copy task."""

METRICS = {"sequence_accuracy": "exact_match"}
"""Metrics, without the prefix of their stage."""

CHECKPOINTS = {"best": "BestCheckpoint", "last": "LastCheckpoint"}
"""Callbacks that save a checkpoint, by the name of its file; in version 0.1.0 they were ModelCheckpoints."""

CONFIG_FOLDERS = {"seeds": "published"}
"""Folders of the shipped configs."""


def current_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the config of a run with the current names of its options and layouts.

    Args:
        config: The contents of ``config.yaml``.

    Example:
        >>> current_config({"model": {"init_args": {"quiet_blank": True}}, "data": {"init_args": {"layout": "seed"}}})
        {'model': {'init_args': {'zero_blank_weights': True}}, 'data': {'init_args': {'layout': 'plain'}}}
    """
    current = dict(config)
    for section in ("model", "data"):
        if isinstance(current.get(section), dict) and isinstance(current[section].get("init_args"), dict):
            arguments = {OPTIONS.get(name, name): value for name, value in current[section]["init_args"].items()}
            if section == "data" and isinstance(arguments.get("layout"), str):
                arguments["layout"] = LAYOUTS.get(arguments["layout"], arguments["layout"])
            current[section] = {**current[section], "init_args": arguments}
    trainer = current.get("trainer")
    if isinstance(trainer, dict) and isinstance(trainer.get("callbacks"), list):
        current["trainer"] = {**trainer, "callbacks": [current_callback(entry) for entry in trainer["callbacks"]]}
    return current


def current_callback(entry: Any) -> Any:
    """Return the entry of a callback in a config; the two ModelCheckpoints of version 0.1.0 have their own classes now.

    Args:
        entry: An entry of the list ``trainer.callbacks``.

    Example:
        >>> current_callback({"class_path": "ModelCheckpoint", "init_args": {"filename": "last", "dirpath": None}})
        {'class_path': 'rnn_tasks.callbacks.LastCheckpoint'}
    """
    if not isinstance(entry, dict) or not str(entry.get("class_path")).endswith("ModelCheckpoint"):
        return entry
    arguments = entry.get("init_args")
    name = arguments.get("filename") if isinstance(arguments, dict) and not arguments.get("dirpath") else None
    return {"class_path": f"rnn_tasks.callbacks.{CHECKPOINTS[name]}"} if name in CHECKPOINTS else entry


def current_metrics(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Return metrics by their current names.

    Args:
        metrics: Values by name, such as ``test/accuracy``.

    Example:
        >>> current_metrics({"test/sequence_accuracy": 0.9})
        {'test/exact_match': 0.9}
    """
    parts = {name: name.rpartition("/") for name in metrics}
    return {f"{stage}{slash}{METRICS.get(last, last)}": metrics[name] for name, (stage, slash, last) in parts.items()}


def current_config_name(name: str) -> str | None:
    """Return the current name of a shipped config; None if the name is not an old one.

    Example:
        >>> current_config_name("seeds/copy_rnn"), current_config_name("echo")
        ('published/copy_rnn', None)
    """
    folder, slash, rest = name.partition("/")
    return f"{CONFIG_FOLDERS[folder]}/{rest}" if slash and folder in CONFIG_FOLDERS else None
