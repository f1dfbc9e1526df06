"""The command line of the trainer: fit, validate, test, predict."""

import logging
import signal
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from jsonargparse import ArgumentError, Namespace
from lightning.pytorch import Callback, seed_everything
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.utilities.exceptions import SIGTERMException

import rnn_tasks.callbacks  # noqa: F401  # short names in YAML are those of imported classes
from rnn_tasks.cli.max_parameters import hidden_size_within
from rnn_tasks.cli.parser import ConfigByName, Parser
from rnn_tasks.cli.shipped import CONFIGS, shipped_names
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
    """LightningCLI with configs by name, one line for a mistake, and a test after the fit.

    Args:
        resumed: Folder of the run to go on with, or None.
        args: Words of the command line, those of the process if None.
        only_test: Whether the run has been trained already, and is only to be tested.
        commands: Commands that are not the trainer's, with what they do; the help lists them.
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
        self.asked = (sys.argv[1:] if args is None else args)[:1]
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
        """The trainer's commands; only the one that was asked for, if it is one of them: each takes time to make."""
        offered = LightningCLI.subcommands()
        return {name: skipped for name, skipped in offered.items() if name in self.asked} or offered

    def init_parser(self, **kwargs: Any) -> LightningArgumentParser:
        """A parser whose configs can be given by name."""
        parser = Parser(**kwargs)
        parser.commands = self.commands
        names = ", ".join(shipped_names())
        parser.add_argument("-c", "--config", action=ConfigByName, help=f"Path of a YAML file, or one of: {names}.")
        return parser

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add the constraint, and link what the model must know about its task."""
        help_text = "Callback that keeps the recurrent weights within a set, or null."
        parser.add_argument("--constraint", type=Callback | None, default=None, help=help_text)
        threads_help = "CPU threads of torch, or null for torch's choice. Small networks are fastest with one."
        parser.add_argument("--num_threads", type=int | None, default=1, help=threads_help)
        size_help = "Choose the largest hidden_size with which the model has no more parameters than this, or null."
        parser.add_argument("--max_parameters", type=int | None, default=None, help=size_help)
        parser.link_arguments("data.spec", "model.init_args.spec", apply_on="instantiate")

    def _parse_ckpt_path(self) -> None:
        """Do not let a checkpoint change the configuration, or name classes to import, as Lightning's does."""

    @property
    def section(self) -> Namespace:
        """The configuration of the command that was asked for."""
        section: Namespace = self.config[str(self.subcommand)]
        return section

    def before_instantiate_classes(self) -> None:
        """Set the number of threads, and name the run folder."""
        threads = self.section.get("num_threads")
        if threads is not None:
            if threads < 1:
                raise UsageError(f"num_threads must be at least 1, got {threads}")
            torch.set_num_threads(threads)
        checkpoint = self.section.get("ckpt_path")
        if checkpoint and checkpoint not in ("best", "last", "hpc") and not Path(checkpoint).is_file():
            raise UsageError(f"there is no checkpoint {checkpoint}")
        trainer = self.section.trainer
        if self.subcommand != "fit":  # what is only measured leaves nothing behind
            kept = [callback for callback in as_list(trainer.callbacks) if not is_named(callback, "ModelCheckpoint")]
            trainer.callbacks = kept
            trainer.enable_checkpointing = False
            self.save_config_callback = None
        logger = trainer.get("logger")
        if is_named(logger, RunLogger.__name__):
            if self.subcommand != "fit":
                trainer.logger = False
            elif self.resumed is not None:
                folder = self.resumed.absolute()
                logger.init_args.save_dir = str(folder.parent.parent)
                logger.init_args.name, logger.init_args.version = folder.parent.name, folder.name

    def instantiate_classes(self) -> None:
        """Build everything; a value that a class refuses is a mistake of the user's."""
        try:
            super().instantiate_classes()
            if self.section.get("max_parameters") is not None:
                self.fill_hidden_size()
        except (ValueError, ArgumentError) as error:
            raise UsageError(brief(str(error))) from error
        constraint = self.config_init[str(self.subcommand)].get("constraint")
        if constraint is not None:
            self.trainer.callbacks.insert(0, constraint)  # type: ignore[attr-defined]
        if getattr(self.datamodule, "seed", 0) is None:
            self.datamodule.seed = int(self.section.get("seed_everything") or 0)
        for logger in self.trainer.loggers:
            if isinstance(logger, RunLogger):
                logger.name_after(self.datamodule.name)

    def fill_hidden_size(self) -> None:
        """Put the hidden size that ``max_parameters`` allows into the configuration, and build everything again."""
        config = self.section
        model = config.model.clone().as_dict()
        size = hidden_size_within(model, self.datamodule.spec, config.max_parameters)
        config.model.init_args.core.init_args.hidden_size = size
        config.max_parameters = None
        if config.get("seed_everything") is not False:
            seed_everything(config.seed_everything, workers=True, verbose=False)
        super().instantiate_classes()

    def before_fit(self) -> None:
        """Make the run folder, and go on from its last checkpoint when the run is a resumed one."""
        self.datamodule.trainer = self.trainer  # the number of processes matters
        self.datamodule.check()
        for logger in self.trainer.loggers:
            if isinstance(logger, RunLogger):
                _ = logger.version  # before other processes are started, which then know it too
        given = self.config_init["fit"]
        if given["ckpt_path"] and Path(given["ckpt_path"]).is_file():
            self.load_weights(Path(given["ckpt_path"]), to_go_on=True)
        record = run_record(self.trainer)
        if self.resumed is not None and record is not None:
            if record.model_hash != config_hash(read_config(self.resumed)["model"]):
                raise UsageError(
                    "a resumed run keeps its model: leave out options that begin with --model, or train anew"
                )
            last = self.resumed / CHECKPOINTS / LAST
            if last.is_file():
                self.load_weights(last, to_go_on=True)
                given["ckpt_path"] = str(last)

    def load_weights(self, path: Path, to_go_on: bool = False) -> None:
        """Load the weights of a checkpoint, so that one that does not fit is told before the trainer trips over it.

        Args:
            path: The checkpoint.
            to_go_on: Whether training is to go on from it, which needs more than weights.

        Raises:
            UsageError: It cannot be read, or belongs to another network.
        """
        checkpoint = read_checkpoint(path)
        try:
            self.model.load_state_dict(current_names(checkpoint["state_dict"]))
        except (RuntimeError, TypeError, AttributeError) as error:
            raise UsageError(f"{path} does not fit this network: it was made with other settings") from error
        if to_go_on and not {"loops", "optimizer_states", "pytorch-lightning_version"} <= checkpoint.keys():
            raise UsageError(f"{path} holds weights but no state of a training to go on from")

    def before_validate(self) -> None:
        """Load the weights that were named; nothing else in a checkpoint matters to a measurement."""
        given = self.config_init[str(self.subcommand)]
        if given["ckpt_path"]:
            self.load_weights(Path(given["ckpt_path"]))
            given["ckpt_path"] = None
        if "verbose" in given:
            given["verbose"] = False  # RunSummary prints the figures

    before_test = before_predict = before_validate

    def _run_subcommand(self, subcommand: str) -> None:
        if self.only_test:
            self.before_fit()
            self.after_fit()
            return
        try:
            super()._run_subcommand(subcommand)
        except SIGTERMException as error:  # which would end the process with status 0
            raise InterruptedRunError(signal.SIGTERM) from error

    def after_fit(self) -> None:
        """Measure the best weights on the test set."""
        folder = run_folder(self.trainer)
        if folder is None:
            return
        self.load_weights(best_checkpoint(folder))
        self.trainer.test(self.model, self.datamodule, verbose=False)


def as_list(value: Any) -> list[Any]:
    """The value itself if it is a list, nothing for None, else a list of it."""
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def is_named(value: Any, name: str) -> bool:
    """Whether a part of the configuration names a class."""
    return str(getattr(value, "class_path", "")).rpartition(".")[2] == name


def run_trainer(
    args: list[str] | None = None,
    resumed: Path | None = None,
    only_test: bool = False,
    commands: Mapping[str, str] | None = None,
) -> CLI:
    """Run a command of the trainer.

    Args:
        args: Words of the command line, those of the process if None.
        resumed: Folder of the run to go on with.
        only_test: Whether it has been trained already, and is only to be tested.
        commands: Commands that are not the trainer's, with what they do; the help lists them.
    """
    # Advertisements, and what the closing lines say better.
    for name in ("lightning.pytorch.utilities.rank_zero", "lightning.fabric.utilities.seed"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # Lightning's own use of a name that torch 2.13 deprecates.
    warnings.filterwarnings("ignore", "`isinstance\\(treespec, LeafSpec\\)", FutureWarning)
    if resumed is not None:
        # The words are those of fit and not those of the process; the run is meant to find its own checkpoints.
        warnings.filterwarnings("ignore", "LightningCLI's args parameter", UserWarning)
        warnings.filterwarnings("ignore", "Checkpoint directory .* exists and is not empty", UserWarning)
    return CLI(resumed, args, only_test, commands)
