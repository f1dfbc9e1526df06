"""The names of run folders: ``version_N``, or a name that the user has chosen."""

import re
from collections.abc import Sequence
from pathlib import Path

from rnn_tasks.errors import UsageError
from rnn_tasks.runs.files import CHECKPOINTS, CONFIG

LONGEST = 100
"""The largest number of characters of a chosen name."""


def version_number(name: str) -> int | None:
    """Return the number N of a run folder ``version_N``; None for other names.

    Args:
        name: The name of the folder.

    Example:
        >>> version_number("version_12"), version_number("gru_delay8")
        (12, None)
    """
    number = name.removeprefix("version_")
    return int(number) if number != name and number.isdecimal() else None


def name_problem(name: str) -> str | None:
    """Return why a run cannot have a name; None if it can.

    Args:
        name: The name.

    Returns:
        The end of a sentence about the name.

    Example:
        >>> name_problem("gru_lr0.003"), name_problem("version_3")
        (None, 'must not begin with version_, as the folders of runs without a name do')
    """
    if not 1 <= len(name) <= LONGEST:
        return f"must have 1 to {LONGEST} characters"
    if not re.fullmatch(r"[^\W_][\w.=+-]*", name):
        return "must consist of letters, digits and the characters _ - + = . and begin with a letter or a digit"
    if name.lower().startswith("version_"):
        return "must not begin with version_, as the folders of runs without a name do"
    if name.lower() == CHECKPOINTS or name.endswith((".", ".ckpt")):
        return f"must not be {CHECKPOINTS} and must not end with .ckpt or a full stop"
    return None


def require_run_name(name: str) -> None:
    """Raise unless a run can have a name.

    Args:
        name: The name.

    Raises:
        UsageError: The name cannot be that of a run folder, or would be read as something else.
    """
    problem = name_problem(name)
    if problem is not None:
        raise UsageError(f"the name of a run {problem}, got {name!r}")


def is_run_folder_name(name: str) -> bool:
    """Return whether a folder with this name may be a run folder."""
    return version_number(name) is not None or name_problem(name) is None


def newest(runs: Sequence[Path]) -> Path:
    """Return the newest run: of the runs ``version_N`` that with the highest number, unless a named run is newer.

    Runs with and without a chosen name are compared by the time at which their config was written.

    Args:
        runs: Run folders with a config, at least one.

    Raises:
        OSError: A config cannot be read.
    """
    numbers = {run: version_number(run.name) for run in runs}
    versions = {run: number for run, number in numbers.items() if number is not None}
    candidates = [run for run in runs if run not in versions]
    if versions:
        candidates.append(max(versions, key=lambda run: versions[run]))
    return max(candidates, key=lambda run: (run / CONFIG).stat().st_mtime_ns)
