"""The folder of a trainer's run, and the config of a run of the command line."""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.cli import SaveConfigCallback

from rnn_tasks.runs.files import CONFIG, write_atomically
from rnn_tasks.runs.find import config_hash
from rnn_tasks.runs.hyperparameters import hyperparameters


def run_folder(trainer: Trainer) -> Path | None:
    """Return the run folder, equal on all ranks; None if the run writes no files. Call this on every rank."""
    if not trainer.loggers or trainer.fast_dev_run or trainer.log_dir is None:  # type: ignore[attr-defined]
        return None
    return Path(trainer.log_dir)


def run_record(trainer: Trainer) -> "RunRecord | None":
    """Return the RunRecord of the run; None if the trainer was not created by the command line."""
    callbacks: list[Any] = trainer.callbacks  # type: ignore[attr-defined]
    return next((callback for callback in callbacks if isinstance(callback, RunRecord)), None)


class RunRecord(SaveConfigCallback):
    """The config of a run, written once into the folder of a new run, and read by callbacks and the model.

    A run with a record is tested after its training.
    """

    @cached_property
    def text(self) -> str:
        """The whole configuration as YAML, the text of config.yaml."""
        # The configuration was validated when it was parsed.
        return str(self.parser.dump(self.config, skip_unset=False, skip_link_targets=True, skip_validation=True))

    @cached_property
    def values(self) -> Mapping[str, Any]:
        """The contents of :attr:`text`."""
        values: Mapping[str, Any] = yaml.load(self.text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        return values

    @property
    def model_hash(self) -> str:
        """The hash of the model section, which checkpoints hold to show which config they belong to."""
        return config_hash(self.values["model"])

    @property
    def hyperparameters(self) -> dict[str, Any]:
        """The settings that distinguish runs, by short names."""
        return hyperparameters(self.values)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        folder = run_folder(trainer)
        if stage != "fit" or folder is None or not trainer.is_global_zero or (folder / CONFIG).is_file():
            return
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / CONFIG, self.text)
