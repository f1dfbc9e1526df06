"""The file names in a run folder, and functions that write files atomically."""

import errno
import json
import os
import re
import secrets
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rnn_tasks.errors import UsageError
from rnn_tasks.runs.old_names import current_metrics
from rnn_tasks.runs.summary_text import SQUARED_ERROR, STOPPED, VERDICTS

CONFIG = "config.yaml"
SUMMARY = "summary.json"
CHECKPOINTS = "checkpoints"
BEST = "best.ckpt"
LAST = "last.ckpt"
LOCK = ".lock"
JOB = ".slurm_job"

SCRATCH_NAME = re.compile(r"\..+\.(yaml|json|pt|ckpt)\.([0-9a-f]{16}|\d+)")
"""Names of scratch files: a dot, the name of the file, and a random number; in version 0.1.0 the process number."""


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write a file atomically: readers see the old file or the new one, also after a killed process or a full disk.

    The content is written into a new file of the same folder, which then gets the name. Several processes may write the
    same file at the same time.

    Args:
        path: The file; its folder must exist.
        content: Text (UTF-8) or bytes.

    Raises:
        OSError: The file cannot be written; nothing has changed.
    """
    scratch = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with scratch.open("xb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        replace(scratch, path)
    except BaseException as error:
        scratch.unlink(missing_ok=True)
        if isinstance(error, OSError):
            error.filename = str(path)
        raise
    with suppress(OSError):  # not every system can open a folder; without this, a power cut may undo the renaming
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def replace(source: Path, target: Path) -> None:
    """Rename a file, and replace the target. Windows refuses while another process reads the target, so try again.

    Args:
        source: The file.
        target: The new path.

    Raises:
        OSError: The file cannot be renamed.
    """
    for pause in (0.01, 0.03, 0.1, 0.3):
        try:
            source.replace(target)
            return
        except PermissionError:
            time.sleep(pause)
    source.replace(target)


def remove_scratch_files(folder: Path) -> None:
    """Remove the scratch files of :func:`write_atomically` that killed processes left in a run folder.

    Call this only while no other process writes the run.

    Args:
        folder: The run folder; nothing happens if it does not exist.
    """
    for path in (*folder.glob(".*"), *(folder / CHECKPOINTS).glob(".*")):
        if SCRATCH_NAME.fullmatch(path.name) and path.is_file():
            with suppress(OSError):
                path.unlink()


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
        with temporary_folder(folder) as scratch:
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
    with temporary_folder(folder):
        pass


def temporary_folder(folder: Path) -> TemporaryDirectory[str]:
    """Create a temporary folder inside a folder, or inside its closest parent that exists.

    Args:
        folder: A folder that exists or can be created.

    Raises:
        OSError: The temporary folder cannot be created.
    """
    try:
        return TemporaryDirectory(prefix=".", dir=existing_folder(folder))
    except OSError as error:
        if isinstance(error, FileNotFoundError):  # the error of /proc, although its parent exists
            raise PermissionError(errno.EACCES, "no file can be created here", str(folder)) from error
        error.filename = str(folder)
        raise


def existing_folder(folder: Path) -> Path:
    """Return the folder if it exists, else its closest parent that exists."""
    return next(path for path in (folder, *folder.parents) if path.exists())


def is_too_deep(value: Any, limit: int = 50) -> bool:
    """Return whether dictionaries, lists, tuples and sets are nested too deeply, or contain themselves.

    Args:
        value: The outermost object.
        limit: The largest number of objects inside each other, ``>= 0``.

    Example:
        >>> is_too_deep({"a": [1, (2,)]}, limit=3), is_too_deep({"a": [1, (2,)]}, limit=2)
        (False, True)
    """
    level = [value]
    for _ in range(limit + 1):
        containers = {id(item): item for item in level if isinstance(item, dict | list | tuple | set | frozenset)}
        if not containers:
            return False
        level = [
            item
            for container in containers.values()
            for item in (container.values() if isinstance(container, dict) else container)
        ]
    return True


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
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} is damaged; delete it and resume the run, which writes it again") from error
    if not isinstance(summary, dict) or not is_valid_summary(summary):
        raise UsageError(f"{path} is damaged; delete it and resume the run, which writes it again")
    return {**summary, "metrics": current_metrics(summary["metrics"])}


def is_valid_summary(summary: dict[str, Any]) -> bool:
    """Return whether a summary has the keys that its readers use, with values of the right types."""
    checks = SUMMARY_VALUES | OPTIONAL_SUMMARY_VALUES
    if not SUMMARY_VALUES.keys() <= summary.keys():
        return False
    if not all(checks[name](value) for name, value in summary.items() if name in checks):
        return False
    metrics, baseline = current_metrics(summary["metrics"]), summary.get("baseline", {})
    needed = METRICS.get(summary["model"])
    if needed is None or summary["task"] is None:  # a user's model may have other metrics
        return True
    stages = [stage for stage in ("val", "test") if f"{stage}/loss" in metrics]
    return all(f"{stage}/{name}" in metrics for stage in stages for name in needed) and (
        not stages
        or (
            ("perplexity" in baseline if "perplexity" in needed else "loss" in baseline)
            and (baseline.get("unit") == SQUARED_ERROR) == ("loss_share" in needed)
        )
    )


def is_text(value: Any) -> bool:
    """Return whether a value of a summary is a string."""
    return isinstance(value, str)


def is_text_or_null(value: Any) -> bool:
    """Return whether a value of a summary is a string or null."""
    return value is None or isinstance(value, str)


def is_count(value: Any) -> bool:
    """Return whether a value of a summary is an integer that is at least 0 and below 2^63."""
    return type(value) is int and 0 <= value < 2**63


def is_count_or_null(value: Any) -> bool:
    """Return whether a value of a summary is null or an integer that is at least 0 and below 2^63."""
    return value is None or is_count(value)


def is_number(value: Any) -> bool:
    """Return whether a value of a summary is a number, which may be NaN or infinite."""
    return type(value) is float or (type(value) is int and abs(value) < 2**63)


def is_record_of(is_valid: Callable[[Any], bool], value: Any) -> bool:
    """Return whether a value of a summary is a dictionary whose values pass a check."""
    return isinstance(value, dict) and all(map(is_valid, value.values()))


def is_baseline(value: Any) -> bool:
    """Return whether a value of a summary is a baseline.

    The baseline of a text may hold a second one for the validation, and others one for each longer length of the test.
    """
    if not isinstance(value, dict) or not isinstance(value.get("by_length", {}), dict):
        return False
    by_length = value.get("by_length", {})
    return all(re.fullmatch("[0-9]{1,9}", length) for length in by_length) and all(
        isinstance(part, dict)
        and is_number(part.get("loss"))
        and part["loss"] > 0
        and (is_number(part.get("accuracy")) or (part.get("unit") == SQUARED_ERROR and "accuracy" not in part))
        and is_text(part.get("name", ""))
        and is_text(part.get("unit", ""))
        and part.get("unit") == value.get("unit")
        and ("name" in part or "perplexity" not in part)
        and all(is_number(part[name]) for name in ("perplexity", "learning_loss", "floor") if name in part)
        and ("perplexity" in part) == ("perplexity" in value)
        and isinstance(part.get("plateaus", []), list)
        and all(map(is_plateau, part.get("plateaus", [])))
        for part in (value, value.get("val", value), *by_length.values())
    )


def is_plateau(value: Any) -> bool:
    """Return whether a value of a summary is a plateau: a name, and perhaps a kind, a loss and an accuracy."""
    return (
        isinstance(value, dict)
        and is_text(value.get("name"))
        and value.get("kind", "plateau") in ("plateau", "reference")
        and all(is_number(value[name]) for name in ("loss", "accuracy") if name in value)
    )


SUMMARY_VALUES: dict[str, Callable[[Any], bool]] = {
    "task": is_text_or_null,
    "model": is_text,
    "core": is_text,
    "parameters": is_count,
    "steps": is_count,
    "solved_at": is_count_or_null,
    "sequences": is_count,
    "time_steps": is_count,
    "seconds": is_number,
    "stopped": lambda value: is_text(value) and value in STOPPED,
    "metrics": partial(is_record_of, is_number),
}
"""The keys of every ``summary.json``, and the check of each value."""

OPTIONAL_SUMMARY_VALUES: dict[str, Callable[[Any], bool]] = {
    "seed": is_count_or_null,
    "verdict": lambda value: value is None or (is_text(value) and value in VERDICTS),
    "baseline": is_baseline,
    "example": is_text_or_null,
    "versions": partial(is_record_of, is_text),
    "machine": is_text,
    "state_size": is_count,
    "data_digest": is_text,
    "first_losses": lambda value: isinstance(value, list) and all(map(is_number, value)),
}
"""The other keys of ``summary.json``, and the check of each value."""

METRICS = {
    "SequenceTagger": ("accuracy", "worst_accuracy", "exact_match"),
    "SequenceRegressor": ("loss_share",),
    "LanguageModel": ("perplexity", "bits_per_character"),
}
"""The metrics of each evaluation besides the loss, by the class name of the model."""
