"""The trainer's commands: fit, validate, test and predict."""

import logging
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Mapping
from pathlib import Path
from pickle import PicklingError
from typing import Any

import lightning
import torch
from filelock import FileLock
from jsonargparse import ArgumentError, Namespace
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Callback, Trainer, seed_everything
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.utilities.exceptions import SIGTERMException

from rnn_tasks.callbacks import PredictionWriter, RunSummary
from rnn_tasks.callbacks._hooks import callbacks_of
from rnn_tasks.callbacks._restore import check_callbacks
from rnn_tasks.cli.completion import as_list, complete_callbacks, complete_loggers, complete_plugins
from rnn_tasks.cli.max_parameters import hidden_size_within
from rnn_tasks.cli.parser import Parser
from rnn_tasks.cli.run_folder import new_folder, require_no_stray_checkpoint, run_of_job, runs_folder, use_folder
from rnn_tasks.cli.shipped import CONFIGS
from rnn_tasks.errors import DivergedError, InterruptedRunError, UsageError, brief
from rnn_tasks.models import RecurrentModel
from rnn_tasks.plugins import import_plugins
from rnn_tasks.runs.checkpoint_io import AtomicCheckpointIO
from rnn_tasks.runs.checkpoints import callback_problem, read_checkpoint, training_state_problem
from rnn_tasks.runs.files import CHECKPOINTS, LAST
from rnn_tasks.runs.find import best_checkpoint, config_hash, read_config
from rnn_tasks.runs.logger import is_rank_zero
from rnn_tasks.runs.names import require_run_name
from rnn_tasks.runs.record import RunRecord, command_text, run_record
from rnn_tasks.runs.trained_network import CHECKPOINT_KEY, current_names, load_weights
from rnn_tasks.spec import TaskSpec
from rnn_tasks.tasks import Task

__all__ = ["CLI", "AtomicCheckpointIO", "run_trainer"]

LIGHTNING = Path(lightning.__file__).parent
"""The folder of Lightning's code."""


RANK_ZERO = "lightning.pytorch.utilities.rank_zero"
"""The name of the logger of Lightning's messages."""

SPAWN = "processes that are started by spawn cannot receive the run: use --trainer.strategy ddp or ddp_fork"


class CLI(LightningCLI):
    """LightningCLI with configs by name, errors of one line, and a test after the fit.

    Args:
        resumed: Folder of the run to resume, or None.
        args: Arguments of the command line; None for ``sys.argv[1:]``.
        only_test: Only test the run, which has been trained already.
        commands: Commands that are not the trainer's, with their descriptions, for the help.
        folder: Folder of the new run; None for the next free one of the task.
    """

    def __init__(
        self,
        resumed: Path | None = None,
        args: list[str] | None = None,
        only_test: bool = False,
        commands: Mapping[str, str] | None = None,
        folder: Path | None = None,
    ) -> None:
        self.commands = commands or {}
        self.resumed = None if resumed is None else resumed.absolute()
        self.folder = folder
        self.name: str | None = None
        self.lock: FileLock | None = None
        self.only_test = only_test
        self.arguments = sys.argv[1:] if args is None else args
        self.requested = self.arguments[:1]
        if not LightningCLI.subcommands().keys().isdisjoint(self.requested):
            import_plugins()  # before the parser looks for classes
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
        name_help = "Name of the run folder of fit, such as gru_delay8, or null for version_N with the next free N."
        parser.add_argument("--name", type=str | None, default=None, help=name_help)
        parser.link_arguments("data", "model.init_args.spec", compute_fn=self.spec_of, apply_on="instantiate")

    def _parse_ckpt_path(self) -> None:
        """Keep a checkpoint from changing the configuration or importing classes, as Lightning would let it."""

    @property
    def section(self) -> Namespace:
        """The configuration of the requested command."""
        section: Namespace = self.config[str(self.subcommand)]
        return section

    def before_instantiate_classes(self) -> None:
        """Set the number of threads; check the name of the run, and that the checkpoint exists."""
        threads = self.section.get("num_threads")
        if threads is not None:
            if threads < 1:
                raise UsageError(f"num_threads must be at least 1, got {threads}")
            torch.set_num_threads(threads)
        self.take_name()
        checkpoint = self.section.get("ckpt_path")
        if checkpoint and checkpoint not in ("best", "last", "hpc") and not Path(checkpoint).is_file():
            raise UsageError(f"there is no checkpoint {checkpoint}")
        if self.subcommand != "fit":
            self.save_config_callback = None

    def take_name(self) -> None:
        """Check the name of the run, and move it out of the configuration: a run with the same config has another.

        Raises:
            UsageError: The name cannot be that of a run folder, or the run has a folder already.
        """
        self.name = self.section.get("name")
        if self.name is None:
            return
        self.section.name = None
        require_run_name(self.name)
        folder = self.resumed or self.folder
        if folder is not None:
            raise UsageError(
                f"name is an option for a new run in a folder of its task, not for {folder}, got {self.name}"
            )

    def instantiate_classes(self) -> None:
        """Create the objects of the configuration; report a value that a class rejects as a usage error."""
        try:
            super().instantiate_classes()
            if self.section.get("max_parameters") is not None:
                self.fill_hidden_size()
        except (ValueError, OverflowError, ImportError, ArgumentError, MisconfigurationException) as error:
            if isinstance(error.__cause__, UsageError):  # raised by spec_of
                raise error.__cause__ from error
            raise UsageError(brief(str(error))) from error
        except (RuntimeError, MemoryError) as error:  # sizes that do not fit into memory, among others
            raise UsageError(brief(str(error)) or "out of memory") from error
        except TypeError as error:
            raise one_line(error) from error
        constraint = self.config_init[str(self.subcommand)].get("constraint")
        if constraint is not None:
            self.trainer.callbacks.insert(0, constraint)  # type: ignore[attr-defined]
        check_callbacks(self.trainer)
        if getattr(self.datamodule, "seed", 0) is None:
            self.datamodule.seed = int(self.section.get("seed_everything") or 0)

    def spec_of(self, task: Task) -> TaskSpec:
        """Return the spec from which to build the model: that of the task, adapted to the network of a checkpoint.

        Args:
            task: The task.

        Raises:
            UsageError: The symbols of the task mean something else to the network of the checkpoint.
        """
        path = Path(self.section.get("ckpt_path") or "")
        if self.resumed is not None:
            path = self.resumed / CHECKPOINTS / LAST
        stored = read_checkpoint(path).get(CHECKPOINT_KEY) if path.is_file() else None
        if not isinstance(stored, dict) or "spec" not in stored:
            return task.spec
        return task.adapt_to(TaskSpec.from_dict(stored["spec"]), for_training=self.subcommand == "fit")

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Create the trainer; only ``fit`` writes files."""
        options = self.config_init[str(self.subcommand)].trainer
        if options.barebones:
            raise UsageError(
                "trainer.barebones cannot be used, because a run could save neither its state nor its result: switch "
                "off single parts, for instance with --trainer.enable_progress_bar false"
            )
        if str(options.strategy).startswith("ddp_spawn"):
            raise UsageError(SPAWN)
        trains = self.subcommand == "fit"
        checkpoints = trains and options.enable_checkpointing is not False
        callbacks = as_list(options.callbacks)
        return super().instantiate_trainer(
            callbacks=complete_callbacks(callbacks, checkpoints, options.enable_progress_bar is not False),
            logger=complete_loggers(options.logger) if trains else False,
            plugins=complete_plugins(options.plugins),
            enable_checkpointing=checkpoints,
            **kwargs,
        )

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
        # The weights of a checkpoint are loaded in the precision of the run, without rounding.
        self.trainer.precision_plugin.convert_module(self.model)
        config = self.config_init["fit"]
        record = run_record(self.trainer)
        runs = runs_folder(self.trainer, self.datamodule.name, self.section.trainer.get("default_root_dir"))
        if record is not None:
            record.command = command_text(self.arguments, self.resumed)
            if self.resumed is None and self.folder is None and SLURMEnvironment.detect():
                self.resumed = run_of_job(runs, record, self.name)
            if self.resumed is not None:
                self.load_last(self.resumed, record)
        if config["ckpt_path"] is None:
            require_no_stray_checkpoint(self.trainer)
        elif Path(config["ckpt_path"]).is_file():
            self.load_weights(Path(config["ckpt_path"]), for_training=True)
        if self.only_test and config["ckpt_path"]:  # the test is logged at the last step
            self.trainer.fit_loop.load_state_dict(read_checkpoint(Path(config["ckpt_path"]))["loops"]["fit_loop"])
        if record is not None and is_rank_zero():
            folder = self.resumed or new_folder(self.trainer, runs, self.folder, self.name)
            self.lock = use_folder(self.trainer, record, folder)

    def load_last(self, folder: Path, record: RunRecord) -> None:
        """Let a resumed run start from its last checkpoint.

        Raises:
            UsageError: The model of the run has changed.
        """
        if record.model_hash != config_hash(read_config(folder)["model"]):
            raise UsageError(
                "the model of a resumed run cannot be changed: omit the options that begin with --model, "
                "or train from scratch with rnn-tasks fit"
            )
        last = folder / CHECKPOINTS / LAST
        if last.is_file():
            self.config_init["fit"]["ckpt_path"] = str(last)
        else:
            print(f"note: {folder} has no {LAST}: training starts at step 0", file=sys.stderr)

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
            load_weights(self.model, current_names(checkpoint["state_dict"]))
        except (RuntimeError, TypeError, AttributeError) as error:
            raise UsageError(
                f"{path} does not fit this network: its model has other options; use the config.yaml of its run"
            ) from error
        if for_training:
            callbacks = self.trainer.callbacks  # type: ignore[attr-defined]
            problem = training_state_problem(checkpoint) or callback_problem(checkpoint, callbacks)
            if problem is not None:
                raise UsageError(f"training cannot continue from {path}: {problem}")
            state = checkpoint.get(type(self.datamodule).__qualname__)
            self.datamodule.load_state_dict(state if isinstance(state, dict) else {})

    def before_validate(self) -> None:
        """Load the weights of ``ckpt_path``; evaluation needs nothing else of a checkpoint."""
        config = self.config_init[str(self.subcommand)]
        require_no_stray_checkpoint(self.trainer)
        self.trainer.precision_plugin.convert_module(self.model)
        if config["ckpt_path"]:
            self.load_weights(Path(config["ckpt_path"]))
            config["ckpt_path"] = None
        if "verbose" in config:
            config["verbose"] = False  # RunSummary prints the metrics

    before_test = before_validate

    def before_predict(self) -> None:
        """Write the answers into the run folder of the checkpoint, or else into the working folder."""
        checkpoint = self.config_init["predict"]["ckpt_path"]
        folder = Path(checkpoint).absolute().parent if checkpoint else Path()
        writer = PredictionWriter(folder.parent if folder.name == CHECKPOINTS else Path())
        self.trainer.callbacks.append(writer)  # type: ignore[attr-defined]
        self.before_validate()

    def _run_subcommand(self, subcommand: str) -> None:
        try:
            if self.only_test:
                self.before_fit()
                self.after_fit()
            else:
                super()._run_subcommand(subcommand)  # also calls before_fit and after_fit
        except SIGTERMException as error:  # Lightning would exit with status 0
            raise InterruptedRunError(signal.SIGTERM) from error
        except (DivergedError, InterruptedRunError, UsageError):
            raise
        except Exception as error:
            record = run_record(self.trainer)
            has_begun = record is None or record.started
            checkpoint = self.config_init[subcommand].get("ckpt_path")
            if checkpoint and not has_begun and not isinstance(error, OSError | MisconfigurationException):
                raise UsageError(
                    f"training cannot continue from {checkpoint}: it was saved with other options or by another "
                    "version, or is damaged"
                ) from error
            if isinstance(error, OSError) and error.errno and not error.filename and record is not None:
                error.filename = str(record.folder)  # TensorBoard does not say which file it cannot write
            raise one_line(error) from error
        finally:
            if self.lock is not None:
                self.lock.release()

    def after_fit(self) -> None:
        """Test the best weights."""
        record = run_record(self.trainer)
        if record is None or record.folder is None:
            return
        if self.trainer.checkpoint_callbacks or self.only_test:
            self.load_weights(best_checkpoint(record.folder))
        if self.trainer.limit_test_batches == 0:
            for summary in callbacks_of(self.trainer, RunSummary):
                summary.close(self.trainer)
        self.trainer.test(self.model, self.datamodule, verbose=False)


def one_line(error: Exception) -> Exception:
    """Return an error that Lightning raises on purpose, such as for a metric that does not exist, as a usage error.

    Args:
        error: An exception; an exception that was raised elsewhere is returned unchanged.
    """
    frames = traceback.extract_tb(error.__traceback__)
    if isinstance(error, TypeError | AttributeError | PicklingError) and "pickle" in str(error):
        return UsageError(SPAWN)
    on_purpose = isinstance(error, MisconfigurationException | ValueError | TypeError | RuntimeError | ImportError)
    if on_purpose and frames and LIGHTNING in Path(frames[-1].filename).parents:
        return UsageError(brief(str(error)))
    return error


def report_thread_error(error: threading.ExceptHookArgs) -> None:
    """Print the traceback of an error that ended a thread, unless a file cannot be written.

    TensorBoard writes in a thread, and raises such an error again when the next value is logged.
    """
    if not issubclass(error.exc_type, OSError):
        threading.__excepthook__(error)


def run_trainer(
    args: list[str] | None = None,
    resumed: Path | None = None,
    only_test: bool = False,
    commands: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> CLI:
    """Run a command of the trainer.

    Args:
        args: Arguments of the command line; None for ``sys.argv[1:]``.
        resumed: Folder of the run to resume.
        only_test: Only test the resumed run, which has been trained already.
        commands: Commands that are not the trainer's, with their descriptions, for the help.
        folder: Folder of the new run; None for the next free one of the task.
    """
    threading.excepthook = report_thread_error
    # Hide advertisements, and messages that repeat the closing lines.
    for name in (RANK_ZERO, "lightning.fabric.utilities.seed"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # Lightning uses a name that torch 2.13 deprecates.
    warnings.filterwarnings("ignore", "`isinstance\\(treespec, LeafSpec\\)", FutureWarning)
    # A resumed run is meant to find its own checkpoints.
    warnings.filterwarnings("ignore", "Checkpoint directory .* exists and is not empty", UserWarning)
    # OnExceptionCheckpoint and LearningRateFinder have checkpoints of their own.
    for message in (r"`?\.fit\(ckpt_path=", "The dirpath has changed from"):
        warnings.filterwarnings("ignore", message, UserWarning)
    if resumed is not None:  # the arguments are not those of the process
        warnings.filterwarnings("ignore", "LightningCLI's args parameter", UserWarning)
    return CLI(resumed, args, only_test, commands, folder)
