"""Progress bar with the training rate and the remaining time."""

import sys
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from time import monotonic
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ProgressBar
from rich.console import Console
from rich.progress import BarColumn, TextColumn
from rich.progress import Progress as RichProgress

from rnn_tasks.printable import encodable, printable

SHOWN = {
    "val/loss": "loss",
    "val/perplexity": "perplexity",
    "val/accuracy": "accuracy",
    "val/worst_accuracy": "worst",
}


def rounded(value: float) -> str:
    """Return a metric with three decimals, or with two digits if it is below 0.01.

    Example:
        >>> rounded(0.98765), rounded(0.0012345)
        ('0.988', '0.0012')
    """
    return f"{value:.2g}" if 0 < abs(value) < 0.01 else f"{value:.3f}"


def total_steps(trainer: Trainer) -> int | None:
    """Return the number of optimizer steps of the whole run; None if unknown."""
    totals = []
    if trainer.max_steps > 0:
        totals.append(trainer.max_steps)
    batches = trainer.num_training_batches
    if trainer.max_epochs is not None and trainer.max_epochs > 0 and batches != float("inf"):
        totals.append(trainer.max_epochs * -(-int(batches) // trainer.accumulate_grad_batches))
    return min(totals, default=None)


class PatientConsole(Console):
    """A console that prints to nobody after the reader of its output has gone; rich would end the process."""

    def on_broken_pipe(self) -> None:
        """Print nothing from now on."""
        self.quiet = True


class Progress(ProgressBar):
    """Shows one line: finished and total steps, steps per second, remaining time, metrics of the last validation.

    On a terminal the line is redrawn ten times per second; elsewhere a line is printed every ``seconds``. A validation,
    a test or a prediction that takes longer shows its progress too. If nobody can read the output, training continues.

    Args:
        seconds: Seconds between two lines if the output is not a terminal, ``> 0``.
    """

    def __init__(self, seconds: float = 10.0) -> None:
        super().__init__()
        self.enabled = True
        self.console = PatientConsole()
        self.redraws = self.console.is_terminal and not self.console.is_dumb_terminal
        self.seconds = 0.1 if self.redraws else seconds
        self.bar: RichProgress | None = None
        self.started = self.shown = 0.0
        self.first_step = 0

    def disable(self) -> None:
        """Print no progress."""
        self.enabled = False

    def enable(self) -> None:
        """Print progress again."""
        self.enabled = True

    def print(self, *args: Any, **kwargs: Any) -> None:
        """Print above the bar, with escapes in place of characters that the output's encoding does not have."""
        console = self.bar.console if self.bar else self.console
        texts = [encodable(arg, console.encoding) if isinstance(arg, str) else arg for arg in args]
        with suppress(OSError, ValueError):
            console.print(*texts, **kwargs)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.started = self.shown = monotonic()
        self.first_step = trainer.global_step
        if self.enabled and self.redraws:
            self._start(trainer)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: object, batch: object, batch_idx: int
    ) -> None:
        if self._is_due():
            self._show(trainer, self.line(trainer))

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.enabled and self.started:
            self._show(trainer, self.line(trainer))
        self._stop()

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn != "fit":
            self.shown = monotonic()

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: object,
        batch: object,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        if self._is_due() and not trainer.sanity_checking:
            text = f"validation {batch_count(batch_idx + 1, trainer.num_val_batches, dataloader_idx)}"
            self._show(trainer, f"{self.line(trainer)}  {text}" if trainer.state.fn == "fit" else text)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn != "fit":
            self._stop()

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.shown = monotonic()

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: object,
        batch: object,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        if self._is_due():
            self._show(trainer, f"test {batch_count(batch_idx + 1, trainer.num_test_batches, dataloader_idx)}")

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._stop()

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.shown = monotonic()

    def on_predict_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: object,
        batch: object,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        if self._is_due():
            self._show(trainer, f"predict {batch_count(batch_idx + 1, trainer.num_predict_batches, dataloader_idx)}")

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._stop()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self._stop()

    def line(self, trainer: Trainer) -> str:
        """Return steps, rate, remaining time and the metrics of the last validation as text."""
        done, total = trainer.global_step, total_steps(trainer)
        rate = (done - self.first_step) / max(monotonic() - self.started, 1e-9)
        parts = [f"{done:,}/{total:,} steps" if total else f"{done:,} steps", f"{rate:.3g} steps/s"]
        if total and rate:
            parts.append(f"{timedelta(seconds=round((total - done) / rate))} left")
        metrics = trainer.callback_metrics
        parts += [f"{name} {rounded(float(metrics[key]))}" for key, name in SHOWN.items() if key in metrics]
        return "  ".join(parts)

    def _is_due(self) -> bool:
        return self.enabled and monotonic() - self.shown >= self.seconds

    def _show(self, trainer: Trainer, line: str) -> None:
        self.shown = monotonic()
        if self.redraws and self.bar is None:
            self._start(trainer)
        with suppress(OSError, ValueError):  # a closed stream raises a ValueError
            if self.bar is not None:
                self.bar.update(self.bar.task_ids[0], completed=trainer.global_step, line=line, refresh=True)
            else:
                text = f"{self._name(trainer)}  {line}"
                print(encodable(text, getattr(sys.stdout, "encoding", None)), flush=True)

    def _start(self, trainer: Trainer) -> None:
        description = TextColumn("{task.description}", markup=False)
        columns = (description, BarColumn(bar_width=24), TextColumn("{task.fields[line]}"))
        self.bar = RichProgress(*columns, console=self.console, auto_refresh=False, transient=True)
        self.bar.add_task(self._name(trainer), total=total_steps(trainer), line="")
        with suppress(OSError, ValueError):
            self.bar.start()

    def _stop(self) -> None:
        if self.bar is not None:
            with suppress(OSError, ValueError):
                self.bar.stop()
            self.bar = None

    @staticmethod
    def _name(trainer: Trainer) -> str:
        return printable(str(getattr(getattr(trainer, "datamodule", None), "name", "training")))


def batch_count(done: int, totals: Sequence[int | float], index: int) -> str:
    """Return the number of finished batches, and of all batches if it is known, as text.

    Args:
        done: The number of finished batches.
        totals: The number of batches of each data loader; infinite if unknown.
        index: The index of the data loader.

    Example:
        >>> batch_count(3, [40], 0), batch_count(3, [float("inf")], 0)
        ('3/40', '3')
    """
    return f"{done}/{totals[index]}" if totals[index] != float("inf") else str(done)
