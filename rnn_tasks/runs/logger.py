"""The logger of a run, which also creates the run folder."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import TensorBoardLogger
from lightning_utilities.core.rank_zero import rank_zero_only
from tensorboard.compat.proto.summary_pb2 import Summary
from torch.utils.tensorboard.summary import hparams


def claim_version(folder: Path) -> str:
    """Create the next free ``version_N`` in a folder and return its name; safe for concurrent processes.

    Args:
        folder: The folder of the task's runs; created if it does not exist.

    Raises:
        OSError: The folder cannot be created.
    """
    folder.mkdir(parents=True, exist_ok=True)
    taken = [int(path.name[8:]) for path in folder.glob("version_*") if path.name[8:].isdecimal()]
    number = max(taken, default=-1) + 1
    while True:
        try:
            (folder / f"version_{number}").mkdir()
            return f"version_{number}"
        except FileExistsError:
            number += 1


class RunLogger(TensorBoardLogger):
    """A TensorBoard logger that writes into ``save_dir/name/version_N``, where N is the next free number.

    Args:
        save_dir: Folder of all runs.
        name: Folder of the task's runs; if None, the command line uses the name of the task.
        version: Folder of this run; None for the next free one.
    """

    def __init__(self, save_dir: str = "lightning_logs", name: str | None = None, version: str | None = None) -> None:
        # An absolute path, so that a run can be resumed from another working folder: checkpoints contain paths.
        super().__init__(os.path.abspath(save_dir), name, version, default_hp_metric=False)
        self.task_folder = name or ""
        self.run_folder = version

    def set_default_name(self, task: str) -> None:
        """Use the name of a task for the folder of its runs, unless the logger was given a name.

        Args:
            task: Name of the task.
        """
        self.task_folder = self.task_folder or task

    @property
    def name(self) -> str:
        """The folder of the task's runs in ``save_dir``."""
        return self.task_folder

    @property
    def version(self) -> str:
        """The run's folder in ``save_dir/name``, created at the first access."""
        if self.run_folder is None:
            # Only rank zero writes into the folder; Lightning broadcasts its path to the other ranks.
            is_rank_zero = getattr(rank_zero_only, "rank", 0) == 0
            self.run_folder = claim_version(Path(self.root_dir)) if is_rank_zero else "version_of_rank_zero"
        return self.run_folder

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Write the scalars of a step as one event, without Lightning's "epoch".

        One event for each scalar would take thirty times as long.
        """
        values = [Summary.Value(tag=name, simple_value=value) for name, value in metrics.items() if name != "epoch"]
        if values:
            self.experiment._get_file_writer().add_summary(Summary(value=values), step)

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
        self.experiment.flush()
