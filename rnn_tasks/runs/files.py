"""The file names in a run folder, and functions that write files atomically."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rnn_tasks.errors import UsageError
from rnn_tasks.runs.old_names import current_metrics

CONFIG = "config.yaml"
SUMMARY = "summary.json"
CHECKPOINTS = "checkpoints"
BEST = "best.ckpt"
LAST = "last.ckpt"
LOCK = ".lock"
JOB = ".slurm_job"


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write a file atomically: after a killed process or a full disk, the old file is unchanged.

    Args:
        path: The file; its folder must exist.
        content: Text (UTF-8) or bytes.

    Raises:
        OSError: The file cannot be written; nothing has changed.
    """
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with scratch.open("wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(path)
    except BaseException as error:
        scratch.unlink(missing_ok=True)
        if isinstance(error, OSError):
            error.filename = str(path)
        raise


def write_all(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write several files: a killed process or a full disk leaves none of them incomplete.

    All files are written into a temporary folder, and then moved into the folder.

    Args:
        folder: The folder; created if it does not exist.
        files: Contents by name; a name may include folders.

    Raises:
        OSError: The files cannot be written.
    """
    try:
        with TemporaryDirectory(prefix=".", dir=existing_folder(folder)) as scratch:
            for name, content in files.items():
                path = Path(scratch) / name
                path.parent.mkdir(parents=True, exist_ok=True)
                write_atomically(path, content)
            for name in files:
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (Path(scratch) / name).replace(folder / name)
    except OSError as error:
        error.filename = str(folder)
        raise


def require_writable(folder: Path) -> None:
    """Raise if files cannot be written into a folder; no file or folder remains.

    Args:
        folder: A folder that exists or can be created.

    Raises:
        OSError: The folder is not writable.
    """
    with TemporaryDirectory(prefix=".", dir=existing_folder(folder)):
        pass


def existing_folder(folder: Path) -> Path:
    """Return the folder if it exists, else its closest parent that exists."""
    return next(path for path in (folder, *folder.parents) if path.exists())


def read_summary(folder: Path) -> dict[str, Any]:
    """Return the contents of a run's ``summary.json``; an empty dictionary if there is no such file yet.

    Raises:
        UsageError: The file is damaged.
    """
    path = folder / SUMMARY
    if not path.is_file():
        return {}
    try:
        summary = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UsageError(f"{path} is damaged; delete it and resume the run, which writes it again") from error
    if not isinstance(summary, dict) or not is_valid_summary(summary):
        raise UsageError(f"{path} is damaged; delete it and resume the run, which writes it again")
    return {**summary, "metrics": current_metrics(summary["metrics"])}


def is_valid_summary(summary: dict[str, Any]) -> bool:
    """Return whether a summary has the keys that its readers use, with values of the right types."""

    def is_record(value: Any) -> bool:
        return isinstance(value, dict) and all(isinstance(v, int | float | str | dict) for v in value.values())

    baseline = summary.get("baseline", {"loss": 1.0})
    return (
        {"metrics", "stopped", "steps"} <= summary.keys()
        and is_record(summary["metrics"])
        and isinstance(summary["steps"], int)
        and isinstance(summary.get("verdict"), str | None)
        and isinstance(summary.get("solved_at"), int | None)
        and is_record(baseline)
        and isinstance(baseline.get("loss"), int | float)
        and baseline["loss"] > 0
    )
