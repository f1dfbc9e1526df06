"""The result of a run: ``summary.json`` for programs, the closing lines for people."""

import contextlib
import json
import math
import os
import platform
import shlex
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import Timer
from lightning.pytorch.utilities.exceptions import SIGTERMException

from rnn_tasks import __version__
from rnn_tasks.callbacks._hooks import callbacks_of, network_of
from rnn_tasks.callbacks.stop_at_accuracy import StopAtAccuracy
from rnn_tasks.errors import DivergedError, InterruptedRunError
from rnn_tasks.networks import layer_name
from rnn_tasks.runs.data_text import data_text
from rnn_tasks.runs.digests import data_digest
from rnn_tasks.runs.files import SUMMARY, read_summary, write_atomically
from rnn_tasks.runs.logger import CurveLogger, RunLogger
from rnn_tasks.runs.record import run_folder, run_record
from rnn_tasks.runs.summary_text import SQUARED_ERROR, closing_lines
from rnn_tasks.runs.trust import needs_trust
from rnn_tasks.runs.verdict import verdict
from rnn_tasks.spec import Baseline, Batch, Plateau
from rnn_tasks.tasks import Task
from rnn_tasks.tasks.generated import GeneratedTask

ON_HPARAMS_PAGE = ("test/accuracy", "test/worst_accuracy", "test/perplexity", "test/loss", "val/accuracy", "val/loss")
"""Metrics on TensorBoard's page HPARAMS."""

FIRST_LOSSES = 2
"""The number of training losses at the start of a run that its summary keeps."""

CONSTANT_METRICS = ("baseline_", "plateau_", "reference_", "floor")
"""How the names of constants begin, which are logged only to be drawn; the summary has them under ``baseline``."""

CHARTS = {
    "loss": ["train/loss", "val/loss", "val/baseline_loss", "val/(plateau|reference)_loss/.*", "val/floor"],
    "accuracy": [
        "val/accuracy",
        "val/worst_accuracy",
        "val/baseline_accuracy",
        "val/(plateau|reference)_accuracy/.*",
    ],
    "perplexity": ["train_epoch/perplexity", "val/perplexity", "val/baseline_perplexity"],
}
"""Curves, as regular expressions, that TensorBoard draws together in one chart on its page CUSTOM SCALARS."""


def baseline_values(task: Task, split: str = "test") -> dict[str, Any]:
    """Return the baseline and the plateaus of a task in the form of ``summary.json``.

    Args:
        task: The task.
        split: ``val`` or ``test``.

    Returns:
        The values of the :class:`~rnn_tasks.spec.Baseline` that are known, and ``unit``, the unit of the loss. Further,
        as far as the task has them: ``perplexity`` for a text; ``plateaus``, a list of the values of each
        :class:`~rnn_tasks.spec.Plateau`; and ``by_length``, the same values for each longer length of the test.
    """
    baseline = task.baseline_on(split)
    values = known(baseline)
    if baseline.name == "chance":
        del values["name"]
    if task.spec.vocabulary is not None:
        return {**values, "perplexity": math.exp(baseline.loss), "unit": "nats per character"}
    values["unit"] = SQUARED_ERROR if task.spec.real_targets else "nats per step"
    if task.plateaus:
        values["plateaus"] = [known(plateau) for plateau in task.plateaus]
    longer = task.longer_tests
    if longer:
        values["by_length"] = {str(length): baseline_values(test, split) for length, test in longer.items()}
    return values


def known(scores: Baseline | Plateau) -> dict[str, Any]:
    """Return the values of a named tuple by name, without those that are None or NaN.

    Example:
        >>> known(Plateau("knows half", loss=0.5))
        {'name': 'knows half', 'loss': 0.5, 'kind': 'plateau'}
    """
    return {name: value for name, value in scores._asdict().items() if value is not None and value == value}


class RunSummary(Callback):
    """Writes ``summary.json`` into the run folder and prints the closing lines.

    The summary is written when training ends, diverges or is interrupted. Finally the loggers receive the number of
    steps, and TensorBoard's page HPARAMS the settings and metrics. Steps, seconds and sequences include those before a
    resumption. The command line tests a run after training; then the closing lines are printed after the test.

    Args:
        quiet: Whether to print no closing lines.

    Attributes:
        sequences: The number of training sequences so far, over all processes.
        time_steps: The time steps of these sequences.
        first_losses: The training losses of the first ``FIRST_LOSSES`` batches. They depend on the data, the network
            and its start, the gradient and the optimizer, so they differ if any of these has changed.
    """

    def __init__(self, quiet: bool = False) -> None:
        self.quiet = quiet
        self.solved_at: int | None = None
        self.sequences = 0
        self.time_steps = 0
        self.seconds = 0.0
        self.resumed_at = 0.0
        self.metrics: dict[str, float] = {}
        self.first_losses: list[float] = []
        self.is_trained = False

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.is_trained = False
        for logger in run_loggers(trainer):
            logger.log_charts(CHARTS)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.resumed_at = perf_counter()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        if trainer.global_step <= FIRST_LOSSES and len(self.first_losses) < FIRST_LOSSES:
            self.first_losses.append(float(outputs["loss"]))
        self.sequences += batch.num_sequences * trainer.world_size
        self.time_steps += math.prod(batch.targets.shape[:2]) * trainer.world_size

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.sanity_checking:
            return
        self._remember(trainer, "val")
        if trainer.state.fn != "fit":
            self._print_metrics(trainer)
            return
        task = getattr(trainer, "datamodule", None)
        if self.solved_at is None and task is not None and task.solved(self.metrics):
            self.solved_at = trainer.global_step

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._stop_clock()
        self._remember(trainer, "train_epoch")
        self.is_trained = True

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # This hook is also called for a resumed run that has nothing left to train.
        folder = run_folder(trainer)
        if folder is not None:
            self._write(trainer, pl_module, folder, stop_reason(trainer))
        if folder is None or run_record(trainer) is None:  # no test follows
            self.close(trainer)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        if trainer.state.fn != "fit" or not isinstance(
            exception, DivergedError | InterruptedRunError | KeyboardInterrupt | SIGTERMException
        ):
            return
        self._stop_clock()
        folder = run_folder(trainer)
        if folder is not None:
            stopped = "diverged" if isinstance(exception, DivergedError) else "interrupted"
            self._write(trainer, pl_module, folder, stop_reason(trainer) if self.is_trained else stopped)
        self.close(trainer)

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._remember(trainer, "test")
        folder = run_folder(trainer)
        if folder is None or run_record(trainer) is None:
            self._print_metrics(trainer)
            return
        if trainer.is_global_zero and (folder / SUMMARY).is_file():
            summary = read_summary(folder)
            task = trainer.datamodule  # type: ignore[attr-defined]
            summary["metrics"] |= self.metrics
            solved = summary["solved_at"] is not None and task.solved(self.metrics, "test")
            summary["verdict"] = self._verdict(pl_module, task, "test", solved)
            write_atomically(folder / SUMMARY, json.dumps(summary, indent=2) + "\n")
        self.close(trainer)

    def state_dict(self) -> dict[str, Any]:
        running = perf_counter() - self.resumed_at if self.resumed_at else 0.0
        return {
            "solved_at": self.solved_at,
            "sequences": self.sequences,
            "time_steps": self.time_steps,
            "seconds": self.seconds + running,
            "metrics": self.metrics,
            "first_losses": self.first_losses,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.solved_at = state_dict["solved_at"]
        self.sequences = state_dict["sequences"]
        self.time_steps = state_dict.get("time_steps", 0)
        self.seconds = state_dict["seconds"]
        self.metrics = dict(state_dict["metrics"])
        self.first_losses = list(state_dict.get("first_losses", []))

    def _stop_clock(self) -> None:
        if self.resumed_at:
            self.seconds += perf_counter() - self.resumed_at
            self.resumed_at = 0.0

    def _remember(self, trainer: Trainer, stage: str) -> None:
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
        self.metrics |= {
            name: value
            for name, value in metrics.items()
            if name.startswith(f"{stage}/") and not name.removeprefix(f"{stage}/").startswith(CONSTANT_METRICS)
        }

    def _verdict(self, model: LightningModule, task: Any, stage: str, solved: bool) -> str | None:
        loss, accuracy = (self.metrics.get(f"{stage}/{name}") for name in ("loss", "accuracy"))
        memory_steps = getattr(model, "memory_steps", {}).get(stage, 0)
        return verdict(solved, loss, task.baseline_on(stage), accuracy, memory_steps)

    def _write(self, trainer: Trainer, pl_module: LightningModule, folder: Path, stopped: str) -> None:
        if not trainer.is_global_zero:
            return
        task = getattr(trainer, "datamodule", None)
        network = network_of(pl_module)
        summary: dict[str, Any] = {
            "task": getattr(task, "name", None),
            "model": type(pl_module).__name__,
            "core": "no recurrent layer" if network is None else layer_name(network.core),
            "seed": seed_of(trainer),
            "parameters": sum(parameter.numel() for parameter in pl_module.parameters()),
            "steps": trainer.global_step,
            "solved_at": self.solved_at,
            "sequences": self.sequences,
            "time_steps": self.time_steps,
            "seconds": round(self.seconds, 3),
            "stopped": stopped,
        }
        if task is not None:
            summary["verdict"] = (
                "diverged"
                if stopped == "diverged"
                else self._verdict(pl_module, task, "val", task.solved(self.metrics))
            )
            vocabulary, codec = task.spec.vocabulary, task.spec.codec
            summary["baseline"] = baseline_values(task)
            if vocabulary is not None:
                summary["baseline"]["val"] = baseline_values(task, "val")
                summary["example"] = f"--prefix {shlex.quote(vocabulary.prefix)}"
            else:
                summary["example"] = codec.example() if codec is not None else None
        summary["metrics"] = self.metrics
        summary["versions"] = {"rnn_tasks": __version__, "torch": str(torch.__version__)}
        summary["machine"] = machine_name(pl_module.device)
        if isinstance(task, GeneratedTask) and network is not None and trainer.world_size == 1:
            summary["state_size"] = network.core.state_size
            summary["data_digest"] = data_digest(task)
            summary["first_losses"] = self.first_losses
        write_atomically(folder / SUMMARY, json.dumps(summary, indent=2) + "\n")

    def _print_metrics(self, trainer: Trainer) -> None:
        if not self.quiet and trainer.is_global_zero:
            print("\n".join(f"{name:28}{value:.4f}" for name, value in self.metrics.items()), flush=True)

    def close(self, trainer: Trainer) -> None:
        """Give the loggers the result, and print the closing lines. Call this on every rank."""
        folder = run_folder(trainer)
        if not trainer.is_global_zero or folder is None or not (folder / SUMMARY).is_file():
            return
        summary = read_summary(folder)
        record = run_record(trainer)
        if record is not None:
            steps = {"run/steps": summary["steps"], "run/solved_at": summary["solved_at"]}
            known = {name: value for name, value in steps.items() if value is not None}
            for logger in trainer.loggers:  # reports find these numbers in the summary
                if not isinstance(logger, CurveLogger):
                    logger.log_metrics(known, summary["steps"])
            for logger in run_loggers(trainer):
                names = [name for name in ON_HPARAMS_PAGE if name in summary["metrics"]]
                logger.log_result(record.hyperparameters, [*names, *steps])
        if not self.quiet:
            config = {} if record is None else record.values
            task = "" if record is None else data_text(config)
            print(closing_lines(summary, folder, task, needs_trust(config)), flush=True)


def machine_name(device: torch.device) -> str:
    """Return the name of the processor or GPU that a run trains on.

    Args:
        device: The device of the model.
    """
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def seed_of(trainer: Trainer) -> int | None:
    """Return the seed of a run; None if the run was not seeded."""
    record = run_record(trainer)
    if record is not None and record.values.get("seed_everything") is False:
        return None
    seed = os.environ.get("PL_GLOBAL_SEED")
    return None if seed is None else int(seed)


def run_loggers(trainer: Trainer) -> list[RunLogger]:
    """Return the TensorBoard loggers of a run; empty on all ranks but rank zero."""
    return [logger for logger in trainer.loggers if isinstance(logger, RunLogger) and trainer.is_global_zero]


def stop_reason(trainer: Trainer) -> str:
    """Return why a fit ended: ``accuracy``, ``steps``, ``epochs``, ``time`` or ``early_stopping``."""
    if any(callback.stopped for callback in callbacks_of(trainer, StopAtAccuracy)):
        return "accuracy"
    if 0 <= trainer.max_steps <= trainer.global_step:
        return "steps"
    if any((timer.time_remaining() or 0.0) <= 0 for timer in callbacks_of(trainer, Timer)):
        return "time"
    epochs = trainer.max_epochs
    return "epochs" if epochs is not None and 0 <= epochs <= trainer.current_epoch else "early_stopping"
