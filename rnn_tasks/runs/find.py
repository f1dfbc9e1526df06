"""Finding a run by folder, checkpoint or task name, and reading its config."""

import hashlib
import json
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from rnn_tasks.errors import UsageError, require
from rnn_tasks.runs.files import BEST, CHECKPOINTS, CONFIG, LAST, is_too_deep
from rnn_tasks.runs.names import is_run_folder_name, newest
from rnn_tasks.runs.old_names import current_config


class RunLocation(NamedTuple):
    """The location of a run.

    Attributes:
        folder: The run folder.
        checkpoint: The requested checkpoint, or None.
    """

    folder: Path
    checkpoint: Path | None = None


def find_run(name: str, logs: Path = Path("lightning_logs")) -> RunLocation:
    """Return the location of a run.

    Args:
        name: A run folder, a checkpoint in it, the name of a task (its newest run), or task and run, as in
            ``echo/version_0``.
        logs: The folder of all runs.

    Raises:
        UsageError: The run does not exist.
    """
    try:
        return _find(name, logs)
    except (OSError, ValueError) as error:  # UsageError is a ValueError
        if isinstance(error, UsageError):
            raise
        reason = error.strerror if isinstance(error, OSError) else error
        raise UsageError(f"no run {name!r}: its folder cannot be read: {reason}") from error


def _find(name: str, logs: Path) -> RunLocation:
    """Return the location of a run, see :func:`find_run`.

    Raises:
        UsageError: The run does not exist.
        OSError: A folder cannot be read.
        ValueError: The name cannot be that of a file.
    """
    path = Path(name)
    if path.suffix == ".ckpt":
        if not path.is_file():
            raise UsageError(f"there is no checkpoint {name}")
        return RunLocation(path.absolute().parent.parent, path)
    for folder in (path, logs / name):
        if (folder / CONFIG).is_file() or (folder / CHECKPOINTS).is_dir():
            return RunLocation(folder)
    folders = [folder for folder in (logs / name).glob("*") if is_run_folder_name(folder.name) and folder.is_dir()]
    runs = [folder for folder in folders if (folder / CONFIG).is_file()]
    if not runs:
        configs = [config for config in logs.glob(f"*/*/{CONFIG}") if is_run_folder_name(config.parent.name)]
        tasks = sorted({config.parent.parent.name for config in configs})
        hint = f"there are runs of {', '.join(tasks)}" if tasks else f"{logs} has no runs yet"
        raise UsageError(f"no run {name!r}: give a run folder, a checkpoint, or a task that has a run; {hint}")
    return RunLocation(newest(runs))


def read_config(folder: Path) -> dict[str, Any]:
    """Return the contents of a run's config.yaml, with the current names of its options.

    Args:
        folder: The run folder.

    Raises:
        UsageError: The file is missing or broken.
    """
    return current_config(read_stored_config(folder))


def read_stored_config(folder: Path) -> dict[str, Any]:
    """Return the contents of a run's config.yaml unchanged.

    Args:
        folder: The run folder.

    Raises:
        UsageError: The file is missing or broken.
    """
    path = folder / CONFIG
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UsageError(f"{path} does not exist, and the model cannot be built without it") from error
    except IsADirectoryError as error:
        raise UsageError(f"{path} is a folder, and the model cannot be built without the file") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: such as a date in month 13
        raise UsageError(f"{path} is not valid YAML") from error
    if is_too_deep(config) or not is_plain(config):
        raise UsageError(f"{path} is damaged: it holds other values than numbers, texts, lists and sections")
    if not isinstance(config, dict) or not isinstance(config.get("model"), dict):
        raise UsageError(f"{path} has no section 'model'")
    return config


def section(config: dict[str, Any], name: str) -> dict[str, Any]:
    """Return a section of a config; an empty section if it does not exist.

    Raises:
        UsageError: The value is not a section.
    """
    value = config.get(name)
    require(value is None or isinstance(value, dict), f"config.yaml is damaged: {name} is not a section")
    return value or {}


def is_plain(value: Any) -> bool:
    """Return whether a value of a config is a number, a text, null, or lists and sections of such values."""
    if isinstance(value, dict):
        return all(isinstance(name, str) and is_plain(item) for name, item in value.items())
    if isinstance(value, list):
        return all(map(is_plain, value))
    return value is None or isinstance(value, bool | int | float | str)


def config_hash(section: Any) -> str:
    """Return a hash of a config section: equal for equal contents."""
    return hashlib.sha256(json.dumps(section, sort_keys=True).encode()).hexdigest()


def best_checkpoint(folder: Path) -> Path:
    """Return the best checkpoint of a run, or its last one if there is no best.

    Raises:
        UsageError: The run has no checkpoint.
    """
    for name in (BEST, LAST):
        path = folder / CHECKPOINTS / name
        if path.is_file():
            return path
    raise UsageError(f"{folder} has no checkpoint; resume the run, or train from scratch")
