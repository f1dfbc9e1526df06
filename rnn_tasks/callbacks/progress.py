"""Progress bar with the training rate and the remaining time."""

import sys
from datetime import timedelta
from time import monotonic
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ProgressBar
from rich.console import Console
from rich.progress import BarColumn, TextColumn
from rich.progress import Progress as RichProgress

SHOWN = {
    "val/loss": "loss",
    "val/perplexity": "perplexity",
    "val/accuracy": "accuracy",
    "val/worst_accuracy": "worst",
}


def total_steps(trainer: Trainer) -> int | None:
    """Return the number of optimizer steps of the whole run; None if unknown."""
    totals = []
    if trainer.max_steps > 0:
        totals.append(trainer.max_steps)
    batches = trainer.num_training_batches
    if trainer.max_epochs is not None and trainer.max_epochs > 0 and batches != float("inf"):
        totals.append(trainer.max_epochs * -(-int(batches) // trainer.accumulate_grad_batches))
    return min(totals, default=None)


class Progress(ProgressBar):
    """Shows one line: finished and total steps, steps per second, remaining time, metrics of the last validation.

    On a terminal the line is redrawn ten times per second; elsewhere a line is printed every ``seconds``.

    Args:
        seconds: Seconds between two lines if the output is not a terminal, ``> 0``.
    """

    def __init__(self, seconds: float = 10.0) -> None:
        super().__init__()
        self.enabled = True
        self.console = Console()
        self.seconds = 0.1 if self.console.is_terminal else seconds
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
        """Print above the bar."""
        (self.bar.console if self.bar else self.console).print(*args, **kwargs)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.started = self.shown = monotonic()
        self.first_step = trainer.global_step
        if self.enabled and self.console.is_terminal:
            columns = (TextColumn("{task.description}"), BarColumn(bar_width=24), TextColumn("{task.fields[line]}"))
            self.bar = RichProgress(*columns, console=self.console, auto_refresh=False, transient=True)
            self.bar.add_task(self._name(trainer), total=total_steps(trainer), line="")
            self.bar.start()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: object, batch: object, batch_idx: int
    ) -> None:
        if self.enabled and monotonic() - self.shown >= self.seconds:
            self._show(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.enabled and self.started:
            self._show(trainer)
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
        parts += [f"{name} {float(metrics[key]):.3f}" for key, name in SHOWN.items() if key in metrics]
        return "  ".join(parts)

    def _show(self, trainer: Trainer) -> None:
        self.shown = monotonic()
        if self.bar is not None:
            self.bar.update(self.bar.task_ids[0], completed=trainer.global_step, line=self.line(trainer), refresh=True)
        else:
            sys.stdout.write(f"{self._name(trainer)}  {self.line(trainer)}\n")
            sys.stdout.flush()

    def _stop(self) -> None:
        if self.bar is not None:
            self.bar.stop()
            self.bar = None

    @staticmethod
    def _name(trainer: Trainer) -> str:
        return str(getattr(getattr(trainer, "datamodule", None), "name", "training"))
