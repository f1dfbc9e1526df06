"""The trainer's commands: fit, validate, test and predict."""

import logging
import signal
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from jsonargparse import ArgumentError, Namespace
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Callback, seed_everything
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.utilities.exceptions import SIGTERMException

import rnn_tasks.callbacks  # noqa: F401  # YAML can name classes of imported modules without their path
from rnn_tasks.cli.max_parameters import hidden_size_within
from rnn_tasks.cli.parser import Parser
from rnn_tasks.cli.shipped import CONFIGS
from rnn_tasks.errors import InterruptedRunError, UsageError, brief
from rnn_tasks.models import RecurrentModel
from rnn_tasks.runs.checkpoint_io import AtomicCheckpointIO
from rnn_tasks.runs.checkpoints import read_checkpoint
from rnn_tasks.runs.files import CHECKPOINTS, LAST
from rnn_tasks.runs.find import best_checkpoint, config_hash, read_config
from rnn_tasks.runs.logger import RunLogger
from rnn_tasks.runs.record import RunRecord, run_folder, run_record
from rnn_tasks.runs.trained_network import current_names
from rnn_tasks.tasks import Task

__all__ = ["CLI", "AtomicCheckpointIO", "run_trainer"]


class CLI(LightningCLI):
    """LightningCLI with configs by name, errors of one line, and a test after the fit.

    Args:
        resumed: Folder of the run to resume, or None.
        args: Arguments of the command line; those of the process if None.
        only_test: Only test the run, which has been trained already.
        commands: Commands that are not the trainer's, with their descriptions, for the help.
    """

    def __init__(
        self,
        resumed: Path | None = None,
        args: list[str] | None = None,
        only_test: bool = False,
        commands: Mapping[str, str] | None = None,
    ) -> None:
        self.commands = commands or {}
        self.resumed = resumed
        self.only_test = only_test
        self.requested = (sys.argv[1:] if args is None else args)[:1]
        defaults = {name: {"default_config_files": [str(CONFIGS / "base.yaml")]} for name in self.subcommands()}
        super().__init__(
            RecurrentModel,
            Task,
            subclass_mode_model=True,
            subclass_mode_data=True,
            save_config_callback=RunRecord,
            seed_everything_default=0,
            parser_kwargs={
                "allow_abbrev": False,
                "prog": "rnn-tasks",
                "description": "Train recurrent networks on tasks that need memory, and see what they remember.",
                **defaults,
            },
            auto_configure_optimizers=False,
            load_from_checkpoint_support=False,
            args=args,
        )

    def subcommands(self) -> dict[str, set[str]]:  # type: ignore[override]  # Lightning's is static
        """Return the trainer's commands; only the requested one if it is among them, since each parser takes time."""
        every = LightningCLI.subcommands()
        return {name: skipped for name, skipped in every.items() if name in self.requested} or every

    def init_parser(self, **kwargs: Any) -> LightningArgumentParser:
        """Return a parser that accepts configs by name."""
        parser = Parser(**kwargs)
        parser.commands = self.commands
        parser.add_config_argument()
        return parser

    def add_default_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add the option for the seed; Lightning's help says that true draws a seed, which it does not."""
        help_text = "Seed, 0 to 4294967295; true: the environment variable PL_GLOBAL_SEED, or 0; false: no seed."
        parser.add_argument("--seed_everything", type=bool | int, default=0, help=help_text)

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add the options that are not the trainer's, and link the task's spec to the model."""
        help_text = "Callback that constrains the recurrent weights, such as Reorthogonalize, or null."
        parser.add_argument("--constraint", type=Callback | None, default=None, help=help_text)
        threads_help = "Number of CPU threads, or null for torch's default. Small networks are fastest with one."
        parser.add_argument("--num_threads", type=int | None, default=1, help=threads_help)
        size_help = "Use the largest hidden_size with which the model has at most this many parameters, or null."
        parser.add_argument("--max_parameters", type=int | None, default=None, help=size_help)
        parser.link_arguments("data.spec", "model.init_args.spec", apply_on="instantiate")

    def _parse_ckpt_path(self) -> None:
        """Keep a checkpoint from changing the configuration or importing classes, as Lightning would let it."""

    @property
    def section(self) -> Namespace:
        """The configuration of the requested command."""
        section: Namespace = self.config[str(self.subcommand)]
        return section

    def before_instantiate_classes(self) -> None:
        """Set the number of threads and, for a resumed run, the run folder."""
        threads = self.section.get("num_threads")
        if threads is not None:
            if threads < 1:
                raise UsageError(f"num_threads must be at least 1, got {threads}")
            torch.set_num_threads(threads)
        checkpoint = self.section.get("ckpt_path")
        if checkpoint and checkpoint not in ("best", "last", "hpc") and not Path(checkpoint).is_file():
            raise UsageError(f"there is no checkpoint {checkpoint}")
        trainer = self.section.trainer
        if self.subcommand != "fit":  # write no files
            callbacks = as_list(trainer.callbacks)
            trainer.callbacks = [callback for callback in callbacks if not has_class(callback, "ModelCheckpoint")]
            trainer.enable_checkpointing = False
            self.save_config_callback = None
        logger = trainer.get("logger")
        if has_class(logger, RunLogger.__name__):
            if self.subcommand != "fit":
                trainer.logger = False
            elif self.resumed is not None:
                folder = self.resumed.absolute()
                logger.init_args.save_dir = str(folder.parent.parent)
                logger.init_args.name, logger.init_args.version = folder.parent.name, folder.name

    def instantiate_classes(self) -> None:
        """Create the objects of the configuration; report a value that a class rejects as a usage error."""
        try:
            super().instantiate_classes()
            if self.section.get("max_parameters") is not None:
                self.fill_hidden_size()
        except (ValueError, ArgumentError, MisconfigurationException) as error:
            raise UsageError(brief(str(error))) from error
        constraint = self.config_init[str(self.subcommand)].get("constraint")
        if constraint is not None:
            self.trainer.callbacks.insert(0, constraint)  # type: ignore[attr-defined]
        if getattr(self.datamodule, "seed", 0) is None:
            self.datamodule.seed = int(self.section.get("seed_everything") or 0)
        for logger in self.trainer.loggers:
            if isinstance(logger, RunLogger):
                logger.set_default_name(self.datamodule.name)

    def fill_hidden_size(self) -> None:
        """Set the largest hidden size within ``max_parameters`` in the configuration, and create its objects again."""
        config = self.section
        model = config.model.clone().as_dict()
        size = hidden_size_within(model, self.datamodule.spec, config.max_parameters)
        config.model.init_args.core.init_args.hidden_size = size
        config.max_parameters = None
        if config.get("seed_everything") is not False:
            seed_everything(config.seed_everything, workers=True, verbose=False)
        super().instantiate_classes()

    def before_fit(self) -> None:
        """Create the run folder; load the last checkpoint of a resumed run."""
        self.datamodule.trainer = self.trainer  # gives the task the number of processes
        self.datamodule.check()
        for logger in self.trainer.loggers:
            if isinstance(logger, RunLogger):
                _ = logger.version  # claim the folder before other processes start, so that all of them use it
        config = self.config_init["fit"]
        if config["ckpt_path"] and Path(config["ckpt_path"]).is_file():
            self.load_weights(Path(config["ckpt_path"]), for_training=True)
        record = run_record(self.trainer)
        if self.resumed is not None and record is not None:
            if record.model_hash != config_hash(read_config(self.resumed)["model"]):
                raise UsageError(
                    "the model of a resumed run cannot be changed: omit the options that begin with --model, "
                    "or train from scratch with rnn-tasks fit"
                )
            last = self.resumed / CHECKPOINTS / LAST
            if last.is_file():
                self.load_weights(last, for_training=True)
                config["ckpt_path"] = str(last)

    def load_weights(self, path: Path, for_training: bool = False) -> None:
        """Load the weights of a checkpoint; report a checkpoint that does not fit before the trainer reads it.

        Args:
            path: The checkpoint.
            for_training: Whether training continues from the checkpoint, which then needs more than weights.

        Raises:
            UsageError: The checkpoint cannot be read, or belongs to another network.
        """
        checkpoint = read_checkpoint(path)
        try:
            self.model.load_state_dict(current_names(checkpoint["state_dict"]))
        except (RuntimeError, TypeError, AttributeError) as error:
            raise UsageError(
                f"{path} does not fit this network: its model has other options; use the config.yaml of its run"
            ) from error
        if for_training and not {"loops", "optimizer_states", "pytorch-lightning_version"} <= checkpoint.keys():
            raise UsageError(
                f"training cannot continue from {path}: it holds weights, but no state of the optimizer and loops"
            )

    def before_validate(self) -> None:
        """Load the weights of ``ckpt_path``; evaluation needs nothing else of a checkpoint."""
        config = self.config_init[str(self.subcommand)]
        if config["ckpt_path"]:
            self.load_weights(Path(config["ckpt_path"]))
            config["ckpt_path"] = None
        if "verbose" in config:
            config["verbose"] = False  # RunSummary prints the metrics

    before_test = before_predict = before_validate

    def _run_subcommand(self, subcommand: str) -> None:
        if self.only_test:
            self.before_fit()
            self.after_fit()
            return
        try:
            super()._run_subcommand(subcommand)
        except SIGTERMException as error:  # Lightning would exit with status 0
            raise InterruptedRunError(signal.SIGTERM) from error

    def after_fit(self) -> None:
        """Test the best weights."""
        folder = run_folder(self.trainer)
        if folder is None:
            return
        self.load_weights(best_checkpoint(folder))
        self.trainer.test(self.model, self.datamodule, verbose=False)


def as_list(value: Any) -> list[Any]:
    """Return a list as it is, an empty list for None, and any other value in a list."""
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def has_class(value: Any, name: str) -> bool:
    """Return whether a part of the configuration is an object of this class."""
    return str(getattr(value, "class_path", "")).rpartition(".")[2] == name


def run_trainer(
    args: list[str] | None = None,
    resumed: Path | None = None,
    only_test: bool = False,
    commands: Mapping[str, str] | None = None,
) -> CLI:
    """Run a command of the trainer.

    Args:
        args: Arguments of the command line; those of the process if None.
        resumed: Folder of the run to resume.
        only_test: Only test the resumed run, which has been trained already.
        commands: Commands that are not the trainer's, with their descriptions, for the help.
    """
    # Hide advertisements, and messages that repeat the closing lines.
    for name in ("lightning.pytorch.utilities.rank_zero", "lightning.fabric.utilities.seed"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # Lightning uses a name that torch 2.13 deprecates.
    warnings.filterwarnings("ignore", "`isinstance\\(treespec, LeafSpec\\)", FutureWarning)
    if resumed is not None:
        # These arguments are not those of the process, and the run is meant to find its own checkpoints.
        warnings.filterwarnings("ignore", "LightningCLI's args parameter", UserWarning)
        warnings.filterwarnings("ignore", "Checkpoint directory .* exists and is not empty", UserWarning)
    return CLI(resumed, args, only_test, commands)
