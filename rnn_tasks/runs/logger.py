"""The loggers of a run: TensorBoard in the run folder, and the file of logged values that reports read."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

from lightning.pytorch.loggers import Logger, TensorBoardLogger
from lightning_utilities.core.rank_zero import rank_zero_only
from tensorboard.compat.proto.summary_pb2 import Summary
from torch.utils.tensorboard.summary import hparams

from rnn_tasks.printable import printable
from rnn_tasks.runs.curves import CURVES, STEP, TEXTS
from rnn_tasks.runs.names import version_number

LOGS = "lightning_logs"
"""The folder of all runs, unless another one is chosen."""


def claim_version(folder: Path) -> str:
    """Create the next free ``version_N`` in a folder and return its name; safe for concurrent processes.

    Args:
        folder: The folder of the task's runs; created if it does not exist.

    Raises:
        OSError: The folder cannot be created.
    """
    folder.mkdir(parents=True, exist_ok=True)
    taken = [version_number(path.name) for path in folder.glob("version_*")]
    number = max((number for number in taken if number is not None), default=-1) + 1
    while True:
        try:
            (folder / f"version_{number}").mkdir()
            return f"version_{number}"
        except FileExistsError:
            number += 1


def is_rank_zero() -> bool:
    """Return whether this process is the first of the run; also before the processes are connected."""
    return getattr(rank_zero_only, "rank", 0) == 0


@contextmanager
def name_of_file(path: str) -> Iterator[None]:
    """Add a path to an error of the system, because TensorBoard's errors do not name the file.

    Args:
        path: The path of the file or of its folder.

    Raises:
        OSError: The block raised one.
    """
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from error


def as_code(text: str) -> str:
    """Return a text as a code block of Markdown, which TensorBoard shows; control characters are escaped.

    Args:
        text: The text.
    """
    return f"```\n{printable(text, chr(10))}\n```"


class RunLogger(TensorBoardLogger):
    """A TensorBoard logger that writes into the run folder ``save_dir/name/version_N``.

    On the command line the run folder does not depend on its loggers; these options then choose it too.

    Args:
        save_dir: Folder of all runs; None for ``trainer.default_root_dir``, or else ``lightning_logs``.
        name: Folder of the task's runs; None for the name of the task.
        version: Folder of this run; None for ``version_N`` with the next free number N.
    """

    def __init__(self, save_dir: str | None = None, name: str | None = None, version: str | None = None) -> None:
        self.options = (save_dir, name, version)
        # An absolute path, so that a run can be resumed from another working folder: checkpoints contain paths.
        super().__init__(os.path.abspath(save_dir or LOGS), name, version, default_hp_metric=False)
        self.folder: Path | None = None

    def use_folder(self, folder: Path) -> None:
        """Write into a run folder that exists already.

        Args:
            folder: The run folder.
        """
        self.folder = folder.absolute()

    @property
    def save_dir(self) -> str:
        """The folder of all runs."""
        return str(super().save_dir if self.folder is None else self.folder.parent.parent)

    @property
    def root_dir(self) -> str:
        """The folder of the task's runs."""
        return os.path.join(self.save_dir, self.name)

    @property
    def name(self) -> str:
        """The name of the folder of the task's runs."""
        return (self.options[1] or "") if self.folder is None else self.folder.parent.name

    @property
    def version(self) -> str:
        """The name of the run's folder, which is created at the first access."""
        if self.folder is None and self.options[2] is not None:
            return self.options[2]
        if self.folder is None:
            # Only rank zero writes into the folder; Lightning broadcasts its path to the other ranks.
            if not is_rank_zero():
                return "version_of_rank_zero"
            root = Path(self.root_dir)
            self.folder = root / claim_version(root)
        return self.folder.name

    @rank_zero_only
    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """Do nothing: :meth:`log_result` writes the settings together with the result."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Write the scalars of a step as one event, without Lightning's "epoch".

        One event for each scalar would take thirty times as long.
        """
        values = [Summary.Value(tag=name, simple_value=value) for name, value in metrics.items() if name != "epoch"]
        if values:
            with name_of_file(self.log_dir):
                self.experiment._get_file_writer().add_summary(Summary(value=values), step)

    @rank_zero_only
    def log_text(self, name: str, text: str, step: int) -> None:
        """Write a text for TensorBoard's page TEXT, in a font of fixed width; control characters are escaped.

        Args:
            name: The name of the text.
            text: The text.
            step: Optimizer steps so far.
        """
        with name_of_file(self.log_dir):
            self.experiment.add_text(name, as_code(text), step)

    @rank_zero_only
    def log_charts(self, charts: Mapping[str, Sequence[str]]) -> None:
        """Define charts of several curves for TensorBoard's page CUSTOM SCALARS.

        Args:
            charts: The names of the curves by the title of the chart.
        """
        # The plugin reads names as regular expressions.
        lines = {name: ["Multiline", [f"^{curve}$" for curve in curves]] for name, curves in charts.items()}
        self.experiment.add_custom_scalars({"compared with the baseline": lines})

    @rank_zero_only
    def log_result(self, hyperparameters: dict[str, Any], names: Sequence[str]) -> None:
        """Add the run to TensorBoard's page HPARAMS, which shows the last values of some scalars.

        Args:
            hyperparameters: Settings by name: numbers, strings and booleans.
            names: The scalars, the most important one first.
        """
        for summary in hparams(hyperparameters, dict.fromkeys(names, 0)):  # type: ignore[no-untyped-call]
            self.experiment._get_file_writer().add_summary(summary)

    @rank_zero_only
    def save(self) -> None:
        """Write buffered events to disk, but not Lightning's hparams.yaml, which would repeat config.yaml."""
        with name_of_file(self.log_dir):
            self.experiment.flush()

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Close the file. If it cannot be written, an earlier error has said so."""
        with suppress(OSError):
            super().finalize(status)


class CurveLogger(Logger):
    """Appends each logged step to ``curves.jsonl`` in the run folder, as one JSON object.

    The command line adds this logger to every run, so reports and studies do not depend on the loggers of the user.
    """

    def __init__(self) -> None:
        super().__init__()
        self.folder: Path | None = None
        self.file: TextIO | None = None

    @property
    def name(self) -> str:
        """The name of the logger."""
        return "curves"

    @property
    def version(self) -> str:
        """The name of the run folder; empty if there is none."""
        return "" if self.folder is None else self.folder.name

    @rank_zero_only
    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """Do nothing: the settings are in config.yaml."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Write the values of a step."""
        self._write({name: float(value) for name, value in metrics.items()}, step or 0)

    @rank_zero_only
    def log_text(self, name: str, text: str, step: int) -> None:
        """Write a text.

        Args:
            name: The name of the text.
            text: The text.
            step: Optimizer steps so far.
        """
        self._write({TEXTS: {name: text}}, step)

    @rank_zero_only
    def save(self) -> None:
        """Write buffered lines to disk."""
        if self.file is not None:
            with name_of_file(self.file.name):
                self.file.flush()

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Close the file; a later value opens it again."""
        if self.file is not None:
            with suppress(OSError):  # an earlier error has said that the file cannot be written
                self.file.close()
            self.file = None

    def _write(self, values: Mapping[str, Any], step: int) -> None:
        if self.folder is None:
            return
        if self.file is None:
            self.file = open_log(self.folder / CURVES)
        with name_of_file(self.file.name):
            self.file.write(json.dumps({STEP: step, **values}) + "\n")

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "file": None}


def open_log(path: Path) -> TextIO:
    """Open a file of logged steps to append lines; end the last line if a killed process left it incomplete.

    Args:
        path: The file.
    """
    file = path.open("a+", encoding="utf-8", newline="\n")
    if file.tell():
        with path.open("rb") as written:
            written.seek(-1, os.SEEK_END)
            if written.read(1) != b"\n":
                file.write("\n")
    return file
