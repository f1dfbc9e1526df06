"""What the network looks like at many moments of its training, for whoever wants to look afterwards."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.utilities.apply_func import move_data_to_device
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor
from torch.optim import Optimizer

from rnn_tasks.analysis import hidden_states
from rnn_tasks.analysis.snapshots import (
    SNAPSHOTS,
    Snapshots,
    alphabet,
    from_values,
    joined,
    read_snapshots,
    selected,
    take_snapshot,
    to_values,
    write_snapshots,
)
from rnn_tasks.callbacks._monitor import boards, is_finite, layer_name, layer_of, observing, probe_of
from rnn_tasks.callbacks._projector import Points, long_text, symbol_points, word_points
from rnn_tasks.callbacks.gradient_norm_monitor import gradient_norm
from rnn_tasks.errors import InterruptedRunError, UsageError, require
from rnn_tasks.runs.trainer_facts import run_folder
from rnn_tasks.spec import Batch

WAITING_SHARE = 8
"""The file is written when one in so many snapshots is not in it yet."""

NUM_SEQUENCES = 8
"""Sequences that the saturation is measured on; all else on the first of them."""

MAX_CHARACTERS = 20_000
"""Characters of the validation text that are read for the states of words."""


def is_due(step: int, dense_steps: int, dense_every: int, every: int) -> bool:
    """Whether a moment is to be recorded: many at the beginning, fewer later.

    Args:
        step: Optimizer steps so far.
        dense_steps: How long the beginning is.
        dense_every: Steps between two moments of the beginning.
        every: Steps between two later ones.

    Example:
        >>> [step for step in range(100) if is_due(step, dense_steps=20, dense_every=5, every=30)]
        [0, 5, 10, 15, 20, 30, 60, 90]
    """
    return step % (dense_every if step <= dense_steps else every) == 0


class SnapshotRecorder(Callback):
    """Records the network while it learns in one file, ``snapshots.pt`` in the run folder.

    Before the first step, every few steps at the beginning, then less often, and after the last step: all weights, the
    eigenvalues of the recurrent matrices, the norm of each parameter's gradient before clipping, that of the gradient
    at each time step, hidden states and predictions along the first validation sequence, the saturation over the first
    8 of them, and what a language model writes; see :class:`rnn_tasks.analysis.snapshots.Snapshots`.
    :func:`rnn_tasks.analysis.snapshots.read_snapshots` reads the file, and executes nothing in it.

    The file is written as a whole, so that it is a good one whenever the process is killed, but only when one eighth of
    the snapshots is new: a run writes a few times the bytes that the file has in the end. Until then the new ones are
    saved in checkpoints, and a resumed run has neither a gap nor a step twice. Where the file would grow too large,
    every second snapshot is dropped, and from then on taken half as often.

    When training ends, the hidden states after words (of a text, with the categories of Elman's grammar) or symbols go
    into TensorBoard's projector.

    Args:
        dense_steps: Optimizer steps of the beginning, ``>= 0``.
        dense_every: Steps between two snapshots at the beginning, ``>= 1``.
        every: Steps between two later ones, ``>= 1``.
        max_snapshots: Snapshots in the file, ``>= 2``.
        max_megabytes: Size of the file, about, ``> 0``; two snapshots are kept whatever their size.
        sample_length: Characters that a language model writes, ``>= 0``.

    Raises:
        UsageError: A value outside its bounds, a run without a folder, or a resumed one whose file does not fit.
    """

    def __init__(
        self,
        dense_steps: int = 200,
        dense_every: int = 10,
        every: int = 100,
        max_snapshots: int = 400,
        max_megabytes: float = 100.0,
        sample_length: int = 60,
    ) -> None:
        for name, value, least in (
            ("dense_steps", dense_steps, 0),
            ("dense_every", dense_every, 1),
            ("every", every, 1),
            ("max_snapshots", max_snapshots, 2),
            ("sample_length", sample_length, 0),
        ):
            require(value >= least, f"{name} must be at least {least}, got {value}")
        require(max_megabytes > 0, f"max_megabytes must be above 0, got {max_megabytes}")
        self.dense_steps = dense_steps
        self.dense_every = dense_every
        self.every = every
        self.max_snapshots = max_snapshots
        self.max_megabytes = max_megabytes
        self.sample_length = sample_length
        self.path: Path | None = None
        self.probe: Batch | None = None
        self.norms: dict[str, Tensor] = {}
        self.written: Snapshots | None = None
        self.waiting: list[Snapshots] = []
        self.restored: list[Snapshots] = []
        self.thinning = 1

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.path, self.probe, self.norms = None, None, {}
        self.written, self.waiting, self.thinning = None, [], 1
        folder = run_folder(trainer)  # on every rank
        if trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        if folder is None:
            raise UsageError("SnapshotRecorder writes into the run folder, and a run without a logger has none")
        core = layer_of(pl_module, "SnapshotRecorder")
        with observing(pl_module):
            self.probe = probe_of(trainer, pl_module, NUM_SEQUENCES, "SnapshotRecorder")
        if not trainer.is_global_zero:
            return
        self.path = folder / SNAPSHOTS
        lacking = self.lacking(self._take(pl_module, 0))
        if lacking:
            print(f"SnapshotRecorder: without {', '.join(lacking)}; this {layer_name(core)} has none", flush=True)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.path is None:
            return
        restored, self.restored = self.restored, []
        if trainer.ckpt_path and self.path.is_file():
            self._go_on(self.path, trainer.global_step, restored)
            now = self._take(pl_module, self.last_step + 1)
            try:
                joined([*self._all(), now])
            except UsageError as error:
                self.waiting = []
                raise UsageError(f"{self.path} cannot be gone on with, move it away: {error}") from error
        self._record(trainer, pl_module)

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:
        if self.path is not None and self._wants(trainer, trainer.global_step + 1):
            self.norms = {
                name: gradient_norm([parameter])
                for name, parameter in pl_module.named_parameters()
                if parameter.requires_grad
            }

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: object, batch: object, batch_idx: int
    ) -> None:
        self._record(trainer, pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.path is None:
            return
        self._record(trainer, pl_module, last=True)
        self._write()
        if is_finite(pl_module) and boards(trainer):
            with observing(pl_module):
                points = self._points(trainer, pl_module)
            for board in boards(trainer):
                points.add_to(board, trainer.global_step)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        if isinstance(exception, InterruptedRunError):  # raised between two steps, perhaps before our hook was called
            self._record(trainer, pl_module)
        self._write()

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self.path = self.probe = self.written = None
        self.waiting = []

    def state_dict(self) -> dict[str, Any]:
        return {"waiting": [to_values(snapshot) for snapshot in self.waiting]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.restored = [from_values(values) for values in state_dict["waiting"]]

    @property
    def last_step(self) -> int:
        """When the last snapshot was taken; -1 if there is none."""
        return max((int(part.steps[-1]) for part in self._all()), default=-1)

    @staticmethod
    def lacking(snapshot: Snapshots) -> list[str]:
        """The quantities that this layer does not have."""
        has = {
            "eigenvalues (it names no recurrent matrix)": bool(snapshot.eigenvalues),
            "gradient by time step (its state is not made of tensors)": snapshot.gradient_by_time_step is not None,
            "saturation (its states have no bounds)": snapshot.saturation is not None,
        }
        return [name for name, there in has.items() if not there]

    def is_due(self, step: int) -> bool:
        """Whether a step is recorded, now that so many are left out."""
        return is_due(step, self.dense_steps, self.dense_every * self.thinning, self.every * self.thinning)

    def _wants(self, trainer: Trainer, step: int) -> bool:
        return self.is_due(step) or step == trainer.max_steps

    def _all(self) -> list[Snapshots]:
        return [*([] if self.written is None else [self.written]), *self.waiting]

    def _take(self, model: Any, step: int) -> Snapshots:
        assert self.probe is not None
        with observing(model):
            return take_snapshot(model, self.probe, step, self.norms, self.sample_length)

    def _record(self, trainer: Trainer, model: LightningModule, last: bool = False) -> None:
        """Take a snapshot if this step is to have one and has none; write it out if it is time to."""
        step = trainer.global_step
        wanted = last or self._wants(trainer, step)
        if self.path is None or not wanted or step <= self.last_step or not is_finite(model):
            return
        self._make_room()
        if last or self._wants(trainer, step):
            self.waiting.append(self._take(model, step))
        self.norms = {}
        if sum(map(len, self.waiting)) * WAITING_SHARE >= sum(map(len, self._all())):
            self._write()

    def _make_room(self) -> None:
        """Where one more would be too many, drop those that would not have been taken with longer intervals."""
        count = sum(map(len, self._all()))
        size = sum(part.nbytes for part in self._all())
        limit = min(self.max_snapshots, int(self.max_megabytes * 1e6 * count / max(size, 1)))
        if count < max(limit, 2):
            return
        everything = joined(self._all())
        while len(everything) >= max(limit, 2):
            self.thinning *= 2
            kept = torch.tensor([self.is_due(step) for step in everything.steps.tolist()])
            if not kept.any():  # a run that was not recorded from its beginning
                kept[-1] = True
            everything = selected(everything, kept)
        self.written, self.waiting = None, [everything]

    def _write(self) -> None:
        if self.path is None or not self.waiting:
            return
        everything = replace(joined(self._all()), thinning=self.thinning)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_snapshots(self.path, everything)
        self.written, self.waiting = everything, []

    def _go_on(self, path: Path, step: int, restored: list[Snapshots]) -> None:
        """Take up the file, and what a checkpoint held beside it, up to the step that the run goes on from."""
        try:
            found = read_snapshots(path)
        except UsageError as error:
            raise UsageError(f"{error}; move it away, and the run is recorded from here on") from error
        self.thinning = found.thinning
        early = found.steps <= step
        self.written = selected(found, early) if early.any() else None
        for snapshot in restored:
            if self.last_step < snapshot.steps[-1] <= step:
                self.waiting.append(snapshot)

    def _points(self, trainer: Trainer, model: Any) -> Points:
        """The hidden states after words, or where there are none, after symbols."""
        assert self.probe is not None
        vocabulary = model.spec.vocabulary
        if vocabulary is not None:
            task: Any = trainer.datamodule  # type: ignore[attr-defined]
            text: Batch = move_data_to_device(long_text(task.val_dataloader(), MAX_CHARACTERS), model.device)
            try:
                return word_points(hidden_states(model, text), text, vocabulary)
            except UsageError:  # no white space
                pass
        return symbol_points(hidden_states(model, self.probe), self.probe, alphabet(model.spec))
