"""Finding a run by folder, checkpoint or task name, and reading its config."""

import hashlib
import json
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from rnn_tasks.errors import UsageError
from rnn_tasks.runs.files import BEST, CHECKPOINTS, CONFIG, LAST
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
        name: A run folder, a checkpoint in it, or the name of a task (its newest run).
        logs: The folder of all runs.

    Raises:
        UsageError: The run does not exist.
    """
    path = Path(name)
    if path.suffix == ".ckpt":
        if not path.is_file():
            raise UsageError(f"there is no checkpoint {name}")
        return RunLocation(path.absolute().parent.parent, path)
    if (path / CONFIG).is_file() or (path / CHECKPOINTS).is_dir():
        return RunLocation(path)
    versions = [run for run in (logs / name).glob("version_*") if run.name[8:].isdecimal() and run.is_dir()]
    runs = [run for run in versions if (run / CONFIG).is_file()]
    if not runs:
        tasks = sorted({config.parent.parent.name for config in logs.glob(f"*/version_*/{CONFIG}")})
        hint = f"there are runs of {', '.join(tasks)}" if tasks else f"{logs} has no runs yet"
        raise UsageError(f"no run {name!r}: give a run folder, a checkpoint, or a task that has a run; {hint}")
    return RunLocation(max(runs, key=lambda run: int(run.name[8:])))


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
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(f"{path} is not valid YAML") from error
    if not isinstance(config, dict) or not isinstance(config.get("model"), dict):
        raise UsageError(f"{path} has no section 'model'")
    return config


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
