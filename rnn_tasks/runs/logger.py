"""The logger of a run, which also names its folder."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import TensorBoardLogger
from lightning_utilities.core.rank_zero import rank_zero_only
from tensorboard.compat.proto.summary_pb2 import Summary
from torch.utils.tensorboard.summary import hparams


def claim_version(folder: Path) -> str:
    """Make the next free ``version_N`` below a folder; of two processes that ask at once each gets its own.

    Args:
        folder: The folder of the task's runs, made if it is missing.

    Raises:
        OSError: It cannot be made.
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
    """TensorBoard events in ``save_dir/name/version_N``, where N is the next number that no other run has.

    Args:
        save_dir: Folder of all runs.
        name: Folder of this task's runs; on the command line the task's name if None.
        version: Folder of this run; None for the next one.
    """

    def __init__(self, save_dir: str = "lightning_logs", name: str | None = None, version: str | None = None) -> None:
        # Absolute, so that a run that is resumed from another folder finds its checkpoints at the place that they name.
        super().__init__(os.path.abspath(save_dir), name, version, default_hp_metric=False)
        self.task_folder = name or ""
        self.run_folder = version

    def name_after(self, task: str) -> None:
        """Take the task's name for the folder of its runs, unless the folder has a name.

        Args:
            task: Name of the task.
        """
        self.task_folder = self.task_folder or task

    @property
    def name(self) -> str:
        """The folder of the task's runs below ``save_dir``."""
        return self.task_folder

    @property
    def version(self) -> str:
        """The run's folder below ``save_dir/name``, claimed when it is first asked for."""
        if self.run_folder is None:
            # Other ranks are told the folder by rank zero, which alone writes into it.
            is_rank_zero = getattr(rank_zero_only, "rank", 0) == 0
            self.run_folder = claim_version(Path(self.root_dir)) if is_rank_zero else "version_of_rank_zero"
        return self.run_folder

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Write scalars, less Lightning's "epoch", which is a chart of its own and says nothing here.

        All of a step are one event: an event each would take thirty times as long.
        """
        values = [Summary.Value(tag=name, simple_value=value) for name, value in metrics.items() if name != "epoch"]
        if values:
            self.experiment._get_file_writer().add_summary(Summary(value=values), step)

    @rank_zero_only
    def log_charts(self, charts: Mapping[str, Sequence[str]]) -> None:
        """Let TensorBoard draw several curves into one chart, on its page CUSTOM SCALARS.

        Args:
            charts: The names of the curves, by the name of the chart.
        """
        # The plugin reads names as regular expressions.
        lines = {name: ["Multiline", [f"^{curve}$" for curve in curves]] for name, curves in charts.items()}
        self.experiment.add_custom_scalars({"beside the baseline": lines})

    @rank_zero_only
    def log_result(self, hyperparameters: dict[str, Any], names: Sequence[str]) -> None:
        """Enter the run into the HPARAMS page, where its last values of some scalars stand.

        Args:
            hyperparameters: Settings by name: numbers, strings and truth values.
            names: The scalars, the most important one first.
        """
        for summary in hparams(hyperparameters, dict.fromkeys(names, 0)):  # type: ignore[no-untyped-call]
            self.experiment._get_file_writer().add_summary(summary)

    @rank_zero_only
    def save(self) -> None:
        """Write out what is waiting, without Lightning's hparams.yaml, which config.yaml makes superfluous."""
        self.experiment.flush()
