"""Start or resume a run from arguments; Lightning is imported only when a run trains."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rnn_tasks.cli.slow_import import slow_import
from rnn_tasks.errors import UsageError
from rnn_tasks.runs.files import CONFIG, read_summary
from rnn_tasks.runs.find import find_run


class FinishedRun(NamedTuple):
    """A run that is trained and tested.

    Attributes:
        folder: The run folder.
        summary: The contents of its ``summary.json``.
    """

    folder: Path
    summary: dict[str, Any]


def resume_run(name: str, options: Sequence[str] = ()) -> FinishedRun | None:
    """Resume a run in its own folder; only test a run that was killed after its training and before its test.

    Args:
        name: A run folder, a checkpoint, or the name of a task (its newest run).
        options: Further options of ``fit``, with which a finished run trains longer.

    Returns:
        The run if it was already finished; None after it was resumed.

    Raises:
        UsageError: The run does not exist, or its folder has no configuration.
    """
    folder = find_run(name).folder
    if not (folder / CONFIG).is_file():
        raise UsageError(f"the run cannot be resumed without {folder / CONFIG}; train from scratch with rnn-tasks fit")
    summary = read_summary(folder)
    trained = summary.get("stopped") not in (None, "interrupted", "diverged") and not options
    if trained and "test/loss" in summary["metrics"]:
        return FinishedRun(folder, summary)

    with slow_import():
        from rnn_tasks.cli.trainer import run_trainer

    run_trainer(["fit", "--config", str(folder / CONFIG), *options], folder, only_test=trained)
    return None


def fit_or_resume(arguments: Sequence[str], folder: Path | None = None) -> None:
    """Run the command ``fit`` or ``resume``.

    Args:
        arguments: The arguments of ``rnn-tasks``: ``fit`` and its options, or ``resume``, a run and options of ``fit``.
        folder: The run folder of ``fit``; None for the next free one of the task.

    Raises:
        UsageError: See :func:`resume_run`.
    """
    command, *rest = arguments
    if command == "resume":
        resume_run(rest[0], rest[1:])
        return

    with slow_import():
        from rnn_tasks.cli.trainer import run_trainer

    run_trainer(list(arguments), folder=folder)
