"""Time from the start of a command to its first result, relative to a process that only imports its libraries."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import yaml
from lightning.pytorch import Callback, LightningModule, Trainer

from benchmarks.table import Row
from benchmarks.timing import interleaved, python, ratio_row

ONE_STEP = """
import lightning.pytorch.cli, torch
torch.set_num_threads(1)  # fit uses one thread, too
layer = torch.nn.RNN(9, 128, batch_first=True)
optimizer = torch.optim.Adam(layer.parameters())
layer(torch.zeros(128, 21, 9))[0].sum().backward()
optimizer.step()
"""
PROCESSES = {
    "fit to the end of its first step": ["-m", "rnn_tasks", "fit", "--config", "copy", "--config", "exit.yaml"],
    "import lightning.pytorch.cli, one step": ["-c", ONE_STEP],
    "respond": ["-m", "rnn_tasks", "respond", "echo", "abacaba"],
    "import torch, jsonargparse": ["-c", "import torch, jsonargparse"],
}


class ExitAfterFirstStep(Callback):
    """Ends the process after the first optimizer step."""

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: object, batch: object, batch_idx: int
    ) -> None:
        os._exit(0)


def measure(quick: bool) -> Iterator[Row]:
    """Yield the rows of ``fit`` and ``respond``."""
    callback = {"class_path": "benchmarks.startup.ExitAfterFirstStep"}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "exit.yaml").write_text(yaml.safe_dump({"trainer": {"callbacks+": callback}}))
        python(["-m", "rnn_tasks", "fit", "--config", "echo", "--trainer.max_steps=5"], folder)
        contestants = {
            process: lambda arguments=arguments: python(arguments, folder)[0]
            for process, arguments in PROCESSES.items()
        }
        interleaved(contestants, 1)  # warm-up: fills the file cache
        seconds = interleaved(contestants, 2 if quick else 8)
    fit, lightning, respond, torch = PROCESSES
    yield ratio_row("startup", "copy", seconds, fit, lightning, at_most=1.4)
    yield ratio_row("startup", "echo", seconds, respond, torch, at_most=1.5)
