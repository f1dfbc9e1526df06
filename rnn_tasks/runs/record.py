"""The folder of a trainer's run, and the config of a run of the command line."""

import os
import shlex
import warnings
from collections.abc import Mapping, Sequence
from enum import Enum
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.cli import SaveConfigCallback
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger

from rnn_tasks.runs.files import CONFIG, JOB, write_atomically
from rnn_tasks.runs.find import config_hash
from rnn_tasks.runs.hyperparameters import hyperparameters
from rnn_tasks.runs.logger import RunLogger
from rnn_tasks.runs.summary_text import command

UNKNOWN = "Unable to serialize instance"
"""What jsonargparse writes before a value whose type it does not know."""

# A member of an enumeration in a config, such as an argument of Lightning's Timer.
yaml.SafeDumper.add_multi_representer(Enum, lambda dumper, value: dumper.represent_data(value.value))


def run_folder(trainer: Trainer) -> Path | None:
    """Return the run folder, equal on all ranks; None if the run writes no files. Call this on every rank.

    On the command line the folder belongs to the run. In Python it is the folder of the trainer's first logger, if this
    logger has a folder for each run.
    """
    if trainer.fast_dev_run:  # type: ignore[attr-defined]
        return None
    record = run_record(trainer)
    if record is not None:
        return record.folder
    if not isinstance(trainer.logger, TensorBoardLogger | CSVLogger) or trainer.log_dir is None:
        return None
    return Path(trainer.log_dir)


def run_record(trainer: Trainer) -> "RunRecord | None":
    """Return the RunRecord of the run; None if the trainer was not created by the command line."""
    callbacks: list[Any] = trainer.callbacks  # type: ignore[attr-defined]
    return next((callback for callback in callbacks if isinstance(callback, RunRecord)), None)


def command_text(arguments: Sequence[str], resumed: Path | None = None) -> str:
    """Return a command of the trainer as a shell reads it, one line for each option.

    Args:
        arguments: The arguments of the trainer: ``fit`` and its options.
        resumed: The folder of a resumed run, whose config is the first option; None for a new run.
    """
    if resumed is not None:
        arguments = ["resume", os.path.relpath(resumed), *arguments[3:]]
    words = [f"\\\n  {shlex.quote(word)}" if word.startswith("--") else shlex.quote(word) for word in arguments]
    return " ".join([command(), *words])


class RunRecord(SaveConfigCallback):
    """The folder and the config of a run. The config is written once, and read by callbacks and the model.

    A run with a record is tested after its training.

    Attributes:
        command: The command of the run, which TensorBoard shows.
        folder: The run folder; on all ranks, once the trainer has started its processes.
        started: Whether training has begun.
    """

    command = ""
    folder: Path | None = None
    started = False

    @cached_property
    def text(self) -> str:
        """The whole configuration as YAML, the text of config.yaml."""
        with warnings.catch_warnings():
            # jsonargparse marks a device, and a text where a function is allowed too, in this way.
            warnings.filterwarnings("ignore", rf"\s*{UNKNOWN}", UserWarning)
            # The configuration was validated when it was parsed.
            text = self.parser.dump(self.config, skip_unset=False, skip_link_targets=True, skip_validation=True)
        return str(text).replace(f"{UNKNOWN} ", "")

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
        self.folder = trainer.strategy.broadcast(self.folder)
        if stage != "fit" or self.folder is None or not trainer.is_global_zero:
            return
        self.write_config()
        if SLURMEnvironment.detect():
            (self.folder / JOB).write_text(str(SLURMEnvironment.job_id()))
        for logger in trainer.loggers:
            logger.log_hyperparams(self.hyperparameters)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.started = True
        for logger in trainer.loggers:
            if isinstance(logger, RunLogger) and trainer.is_global_zero:
                logger.log_text("run/command", self.command, trainer.global_step)
                logger.log_text("run/config", self.text.rstrip(), trainer.global_step)

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Write the config again if somebody has removed it: a checkpoint without its config is of no use."""
        if trainer.is_global_zero:
            self.write_config()

    def write_config(self) -> None:
        """Write the config into the run folder, unless it is there."""
        if self.folder is not None and not (self.folder / CONFIG).is_file():
            self.folder.mkdir(parents=True, exist_ok=True)
            write_atomically(self.folder / CONFIG, self.text)
