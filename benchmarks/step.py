"""Time of an optimizer step under ``fit``, with all default callbacks and loggers, relative to a plain loop.

Validation is not measured. The peers take their steps in the same process, between blocks of steps of ``fit``.
"""

import copy
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
import yaml
from lightning.pytorch import Callback, LightningModule, Trainer
from torch.nn import functional

from benchmarks.cores import project
from benchmarks.table import Row
from benchmarks.timing import interleaved, python, ratio_row
from rnn_tasks.callbacks import Reorthogonalize
from rnn_tasks.cores import Core
from rnn_tasks.models import RecurrentModel
from rnn_tasks.spec import NOT_SCORED
from rnn_tasks.tasks import Task

CASES = {
    "copy": (1.35, 300, 100),
    "variable_delay_echo": (1.15, 100, 30),
    "published/elman_grammar_charrnn": (2.0, 600, 300),
}
"""By recipe: the bound; steps per round, a multiple of the intervals of all callbacks; steps per round with --quick."""


def measure(quick: bool) -> Iterator[Row]:
    """Yield two rows for each recipe: the step under ``fit``, and the making of a batch as a share of a plain step."""
    for config, (bound, default_block, quick_block) in CASES.items():
        block = quick_block if quick else default_block
        seconds = step_seconds(config, block, 4 if quick else 10)
        yield ratio_row("step", config, seconds, "fit", "plain loop", at_most=bound, note=f"{block} steps per round")
        yield ratio_row("step", config, seconds, "batches", "plain loop", at_most=0.03)


def step_seconds(config: str, block: int, rounds: int) -> dict[str, list[float]]:
    """Return the seconds per step in each round, by contestant; arguments as in :class:`Interleaved`."""
    arguments = {"block": block, "rounds": rounds, "output": "seconds.json"}
    callback = {"class_path": "benchmarks.step.Interleaved", "init_args": arguments}
    limits = {"max_steps": block * (rounds + 2), "val_check_interval": 10**9, "check_val_every_n_epoch": None}
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "overlay.yaml").write_text(yaml.safe_dump({"trainer": {"callbacks+": callback, **limits}}))
        python(["-m", "rnn_tasks", "fit", "--config", config, "--config", "overlay.yaml"], Path(folder))
        seconds: dict[str, list[float]] = json.loads(Path(folder, "seconds.json").read_text())
    return seconds


class Interleaved(Callback):
    """Times blocks of training steps, interleaved (A B B A) with blocks of the peers; then ends the process.

    The first two blocks of training and the first block of each peer are warm-up. The peers train a copy of the model
    on the same batches.

    Args:
        block: Steps per round, ``>= 1``.
        rounds: Number of rounds, ``>= 2`` and even.
        output: Path of a JSON file for the seconds per step in each round, by contestant.
    """

    def __init__(self, block: int, rounds: int, output: str) -> None:
        self.block, self.rounds, self.output = block, rounds, output
        self.peers: dict[str, Callable[[], float]] = {}
        self.seconds: dict[str, list[float]] = {"fit": [], "plain loop": [], "batches": []}
        self.start = 0.0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        task: Any = trainer.datamodule  # type: ignore[attr-defined]
        model: Any = copy.deepcopy(pl_module)
        model.trainer = trainer  # the schedule reads trainer.max_steps
        constraints = [callback for callback in trainer.callbacks if isinstance(callback, Reorthogonalize)]  # type: ignore[attr-defined]
        every = constraints[0].every_n_steps if constraints else 0
        loop = PlainLoop(model, task, trainer.gradient_clip_val, every)
        self.peers["plain loop"] = lambda: self._step_seconds(loop)
        self.peers["batches"] = lambda: self._step_seconds(lambda steps: [*map(task.train_batch, range(steps))])

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: object, batch: object, batch_idx: int
    ) -> None:
        if trainer.global_step % self.block:
            return
        end = perf_counter()
        round_index = trainer.global_step // self.block - 2
        if round_index == -1:
            interleaved(self.peers, 1)  # warm-up
        else:
            self.seconds["fit"].append((end - self.start) / self.block)
            # Two rounds of the peers follow each even round of training, and none follow an odd round.
            for name, seconds in interleaved(self.peers, 2 if round_index % 2 == 0 else 0).items():
                self.seconds[name] += seconds
        if round_index + 1 == self.rounds:
            Path(self.output).write_text(json.dumps(self.seconds))
            os._exit(0)
        self.start = perf_counter()

    def _step_seconds(self, work: Callable[[int], object]) -> float:
        start = perf_counter()
        work(self.block)
        return (perf_counter() - start) / self.block


class PlainLoop:
    """A training loop written by hand, with the same model, batches and constraint as ``fit``.

    Args:
        model: The model; its ``configure_optimizers`` builds optimizer and schedule.
        task: The task; its ``train_batch`` makes the batches.
        clip: Norm at which gradients are clipped; None for no clipping.
        project_every: Steps between projections of the recurrent matrices onto orthogonal matrices; 0 for none.
    """

    def __init__(self, model: RecurrentModel, task: Task, clip: float | None, project_every: int = 0) -> None:
        self.model, self.task, self.clip, self.project_every = model, task, clip, project_every
        self.cores = [module for module in model.modules() if isinstance(module, Core)]
        configured = model.configure_optimizers()
        configured = configured if isinstance(configured, dict) else {"optimizer": configured}
        self.optimizer: torch.optim.Optimizer = configured["optimizer"]
        self.schedule = configured.get("lr_scheduler", {}).get("scheduler")
        self.steps = 0

    def __call__(self, steps: int) -> None:
        """Train for a number of steps."""
        parameters = list(self.model.parameters())
        for _ in range(steps):
            batch = self.task.train_batch(self.steps)  # type: ignore[attr-defined]  # all tasks have it
            logits = self.model.outputs(batch, "train").flatten(0, 1)
            loss = functional.cross_entropy(logits, batch.targets.flatten(), ignore_index=NOT_SCORED)
            self.optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            if self.clip is not None:
                torch.nn.utils.clip_grad_norm_(parameters, self.clip)
            self.optimizer.step()
            if self.schedule is not None:
                self.schedule.step()
            self.steps += 1
            if self.project_every and self.steps % self.project_every == 0:
                for core in self.cores:
                    project(core)
