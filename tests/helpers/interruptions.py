"""Interrupt a run at a chosen place, and compare a resumed run with an uninterrupted one."""

import os
import signal
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from rnn_tasks.runs.curves import read_curves
from rnn_tasks.runs.files import BEST, CHECKPOINTS, LAST, read_summary

HOOKS = (
    "on_train_batch_start",
    "on_before_backward",
    "on_train_batch_end",
    "on_validation_start",
    "on_validation_batch_start",
    "on_validation_batch_end",
    "on_validation_end",
    "on_train_epoch_end",
    "on_train_end",
)
"""Hooks in which a run may be interrupted."""


class KilledError(BaseException):
    """Ends a run like SIGKILL: nothing handles it, so nothing is saved."""


class Interrupt(Callback):
    """Interrupts the run once.

    Args:
        hook: The hook.
        batch: Number of training batches so far, at which the hook interrupts the run.
        kind: The name of a signal, or ``KILL`` for an end without a signal.
    """

    is_active = True
    """Whether a callback of this class interrupts its run; false while the run is resumed."""

    def __init__(self, hook: str, batch: int, kind: str = "SIGTERM") -> None:
        self.batch, self.kind = batch, kind
        self.is_done = False
        setattr(self, hook, self.interrupt)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self.is_fit = stage == "fit"

    def interrupt(self, trainer: Trainer, *_: object) -> None:
        if self.is_active and self.is_fit and not self.is_done and trainer.fit_loop.total_batch_idx + 1 >= self.batch:
            self.is_done = True
            if self.kind == "KILL":
                raise KilledError
            os.kill(os.getpid(), getattr(signal, self.kind))


def differences(first: Any, second: Any, path: str = "") -> list[str]:
    """Return the paths of the values that differ between two nested structures."""
    if isinstance(first, dict) and isinstance(second, dict):
        first, second = (
            {file_name(key): item for key, item in value.items() if key not in ("seconds", "dirpath")}
            for value in (first, second)
        )
        keys = list({**first, **second})
        return [line for key in keys for line in differences(first.get(key), second.get(key), f"{path}/{key}")]
    if isinstance(first, list | tuple) and isinstance(second, list | tuple) and len(first) == len(second):
        pairs = enumerate(zip(first, second, strict=True))
        return [line for index, pair in pairs for line in differences(*pair, f"{path}/{index}")]
    if isinstance(first, Tensor) and isinstance(second, Tensor):
        return [] if torch.equal(first, second) else [path]
    first, second = file_name(first), file_name(second)
    return [] if first == second or (first != first and second != second) else [f"{path}: {first} {second}"]


def file_name(value: Any) -> Any:
    """Return the name of a checkpoint without its folder; other values are returned unchanged."""
    return Path(value).name if isinstance(value, str) and value.endswith(".ckpt") else value


def load(folder: Path, name: str) -> Any:
    """Return the contents of a checkpoint of a run; None if the run does not have it."""
    path = folder / CHECKPOINTS / name
    return torch.load(path, weights_only=True) if path.is_file() else None


def curves(folder: Path) -> dict[str, dict[int, float]]:
    """Return the logged values of a run by name and step, without those that depend on the clock."""
    return {
        name: dict(zip(curve.steps.tolist(), curve.values.tolist(), strict=True))
        for name, curve in read_curves(folder).items()
        if not name.startswith("throughput")
    }


def run_differences(first: Path, second: Path) -> list[str]:
    """Return what differs between two runs: checkpoints, logged values, summary; times are not compared."""
    found = []
    for name in (BEST, LAST):
        found += [f"{name}{line}" for line in differences(load(first, name), load(second, name))]
    found += [f"curves{line}" for line in differences(curves(first), curves(second))]
    return found + [f"summary{line}" for line in differences(read_summary(first), read_summary(second))]
