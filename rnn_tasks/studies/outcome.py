"""The outcome of a run: its result, or why it failed."""

import errno
import signal
from pathlib import Path
from typing import Any, NamedTuple

from rnn_tasks.cli.exit_status import NOT_WRITABLE
from rnn_tasks.errors import UsageError
from rnn_tasks.runs.curves import read_log
from rnn_tasks.runs.files import read_summary
from rnn_tasks.studies.storage import NO_ROOM

KEPT = (
    "verdict",
    "solved_at",
    "steps",
    "sequences",
    "seconds",
    "parameters",
    "stopped",
    "metrics",
    "baseline",
    "versions",
    "machine",
    "state_size",
    "data_digest",
    "first_losses",
)
"""Keys of summary.json that the database keeps."""

CURVES = ("val/loss", "val/accuracy", "val/worst_accuracy", "val/perplexity", "gradient_norm/before_clipping")
MAX_POINTS = 400
"""The largest number of points of a curve that the database keeps."""


BROKEN = (errno.EIO, errno.EMFILE, errno.ENFILE, getattr(errno, "ESTALE", None))
"""More errors outside a run: of the disk or the network's file system, and too many open files."""


class Failure(NamedTuple):
    """Why a run has no result.

    Attributes:
        reason: The reason, on one line.
        transient: Whether a retry may succeed, because the cause is outside the run: a full disk or a signal.
    """

    reason: str
    transient: bool = False


def has_ended(folder: Path) -> bool:
    """Return whether the training of a run is complete, according to its summary.

    Args:
        folder: The run folder.
    """
    return read_summary(folder).get("stopped") not in (None, "interrupted")


def write_failure(error: OSError) -> Failure:
    """Return the failure of a run whose files cannot be written.

    Raises:
        OSError: The error itself, if it is not an error of writing.
    """
    if error.errno not in NOT_WRITABLE and error.errno not in BROKEN:
        raise error
    path = f"{error.filename}: " if error.filename else ""
    return Failure(f"{path}{error.strerror or error}", transient=True)


def exit_failure(status: int, output: str) -> Failure:
    """Return the failure of a run whose process had an exit status other than 0.

    Args:
        status: The exit status, as :attr:`multiprocessing.Process.exitcode`.
        output: The text that the process printed.

    Example:
        >>> exit_failure(-9, "Epoch 3").reason, exit_failure(2, "a: error: no option x").reason
        ('killed by SIGKILL', 'no option x')
    """
    if status < 0:
        names = {signum.value: signum.name for signum in signal.Signals}
        return Failure(f"killed by {names.get(-status, f'signal {-status}')}", transient=True)
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    messages = [line.partition("error:")[2].strip() for line in lines if "error:" in line]
    reason = [f"exit status {status}", *lines[-1:], *messages[-1:]][-1]
    return Failure(reason, transient=status > 128 or NO_ROOM.search(reason) is not None)


def result_of(folder: Path) -> dict[str, Any]:
    """Return the result of a run: values of its summary, curves and a sample of its text; empty without a summary.

    Args:
        folder: The run folder.
    """
    try:
        summary = read_summary(folder)
    except UsageError:
        return {}
    if not summary:
        return {}
    log, curves = read_log(folder), {}
    for name, curve in log.curves.items():
        if name in CURVES or name.startswith("spectral_norm/"):
            stride = -(-len(curve.steps) // MAX_POINTS)
            curves[name] = [(curve.steps[::-stride][::-1] + 1).tolist(), curve.values[::-stride][::-1].tolist()]
    sample = {"sample": log.texts["samples"]} if "samples" in log.texts else {}
    return {**{name: summary[name] for name in KEPT if name in summary}, **sample, "curves": curves}
