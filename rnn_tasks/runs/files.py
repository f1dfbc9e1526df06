"""The names in a run folder, and writing that leaves either the old file or the new one."""

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


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write a file so that a killed process or a full disk leaves the file that was there.

    Args:
        path: The file; its folder must exist.
        content: Text (UTF-8) or bytes.

    Raises:
        OSError: It cannot be written; nothing has changed.
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
    """Write several files so that a killed process or a full disk leaves no new one.

    All are written into a temporary folder, and then moved to their places.

    Args:
        folder: Created if it does not exist.
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
    """Raise if files cannot be written into a folder; nothing is left behind.

    Args:
        folder: A folder that exists or can be created.

    Raises:
        OSError: It is not writable.
    """
    with TemporaryDirectory(prefix=".", dir=existing_folder(folder)):
        pass


def existing_folder(folder: Path) -> Path:
    """Return a folder if it exists, else the first of its parents that does."""
    return next(path for path in (folder, *folder.parents) if path.exists())


def read_summary(folder: Path) -> dict[str, Any]:
    """What ``summary.json`` of a run holds; nothing when the run has none yet.

    Raises:
        UsageError: It is damaged.
    """
    path = folder / SUMMARY
    if not path.is_file():
        return {}
    try:
        summary = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UsageError(f"{path} is damaged; delete it, then resume the run to have it written again") from error
    if not isinstance(summary, dict) or not is_whole(summary):
        raise UsageError(f"{path} is damaged; delete it, then resume the run to have it written again")
    return {**summary, "metrics": current_metrics(summary["metrics"])}


def is_whole(summary: dict[str, Any]) -> bool:
    """Whether a summary holds what its readers rely on, each of the kind that it has to be."""

    def numbers(value: Any) -> bool:
        return isinstance(value, dict) and all(isinstance(v, int | float | str | dict) for v in value.values())

    baseline = summary.get("baseline", {"loss": 1.0})
    return (
        {"metrics", "stopped", "steps"} <= summary.keys()
        and numbers(summary["metrics"])
        and isinstance(summary["steps"], int)
        and isinstance(summary.get("verdict"), str | None)
        and isinstance(summary.get("solved_at"), int | None)
        and numbers(baseline)
        and isinstance(baseline.get("loss"), int | float)
        and baseline["loss"] > 0
    )
