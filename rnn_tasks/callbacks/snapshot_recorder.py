"""Record snapshots of the network during training."""

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
    from_dict,
    joined,
    output_alphabet,
    read_snapshots,
    selected,
    take_snapshot,
    to_dict,
    write_snapshots,
)
from rnn_tasks.callbacks._monitor import (
    fixed_sequences,
    is_finite,
    observing,
    require_network,
    tensorboard_writers,
)
from rnn_tasks.callbacks._projector import Points, long_text, symbol_points, word_points
from rnn_tasks.callbacks.gradient_norm_monitor import gradient_norm
from rnn_tasks.errors import InterruptedRunError, UsageError, require
from rnn_tasks.networks import layer_name
from rnn_tasks.runs.record import run_folder
from rnn_tasks.spec import Batch

WAITING_SHARE = 8
"""The file is written when at least one in this many snapshots is not in the file yet."""

NUM_SEQUENCES = 8
"""Sequences for the saturation; all other quantities use only the first of these sequences."""

MAX_CHARACTERS = 20_000
"""Characters of the validation text that the network reads for the hidden states of words."""


def is_due(step: int, dense_steps: int, dense_every: int, every: int) -> bool:
    """Return whether to take a snapshot at this step: more often at first, less often later.

    Args:
        step: Optimizer steps so far.
        dense_steps: The last step of the first phase, in which snapshots are frequent.
        dense_every: Steps between two snapshots in the first phase.
        every: Steps between two later snapshots.

    Example:
        >>> [step for step in range(100) if is_due(step, dense_steps=20, dense_every=5, every=30)]
        [0, 5, 10, 15, 20, 30, 60, 90]
    """
    return step % (dense_every if step <= dense_steps else every) == 0


class SnapshotRecorder(Callback):
    """Records snapshots of the network during training in one file, ``snapshots.pt`` in the run folder.

    Snapshots are taken before the first step, often during the first ``dense_steps`` steps, less often later, and after
    the last step. Each one holds all weights, the eigenvalues of the layer, the gradient norms of all
    parameters (before clipping) and time steps, hidden states and predictions along the first validation sequence, the
    saturation over the first 8, and a text sample of a language model: see
    :class:`rnn_tasks.analysis.snapshots.Snapshots`. Read the file with
    :func:`rnn_tasks.analysis.snapshots.read_snapshots`, which executes no code from the file.

    The file is always replaced as a whole, so it stays valid if the process is killed, and only when one eighth of the
    snapshots is new, so few bytes are written. Checkpoints hold the snapshots that are not in the file yet, so a
    resumed run has neither gaps nor duplicates. If the file would become too large, every second snapshot is dropped,
    and later snapshots are taken half as often.

    When training ends, the hidden states after words (for texts, with the categories of Elman's grammar) or after
    symbols are written to TensorBoard's projector.

    Args:
        dense_steps: Optimizer steps of the first phase, ``>= 0``.
        dense_every: Steps between two snapshots in the first phase, ``>= 1``.
        every: Steps between two later snapshots, ``>= 1``.
        max_snapshots: Maximum number of snapshots in the file, ``>= 2``.
        max_megabytes: Approximate maximum size of the file, ``> 0``; at least two snapshots are kept.
        sample_length: Characters in each text sample, ``>= 0``.

    Raises:
        UsageError: A value outside its bounds, a run without a folder, or a resumed run whose file does not fit.
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
        for name, value, minimum in (
            ("dense_steps", dense_steps, 0),
            ("dense_every", dense_every, 1),
            ("every", every, 1),
            ("max_snapshots", max_snapshots, 2),
            ("sample_length", sample_length, 0),
        ):
            require(value >= minimum, f"{name} must be at least {minimum}, got {value}")
        require(max_megabytes > 0, f"max_megabytes must be above 0, got {max_megabytes}")
        self.dense_steps = dense_steps
        self.dense_every = dense_every
        self.every = every
        self.max_snapshots = max_snapshots
        self.max_megabytes = max_megabytes
        self.sample_length = sample_length
        self.path: Path | None = None
        self.sequences: Batch | None = None
        self.norms: dict[str, Tensor] = {}
        self.written: Snapshots | None = None
        self.waiting: list[Snapshots] = []
        self.restored: list[Snapshots] = []
        self.thinning = 1

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.path, self.sequences, self.norms = None, None, {}
        self.written, self.waiting, self.thinning = None, [], 1
        folder = run_folder(trainer)  # on every rank
        if trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        if folder is None:
            raise UsageError("SnapshotRecorder needs a run folder: in Python, give the trainer a RunLogger")
        network = require_network(pl_module, "SnapshotRecorder")
        with observing(pl_module):
            self.sequences = fixed_sequences(trainer, pl_module, NUM_SEQUENCES, "SnapshotRecorder")
        if not trainer.is_global_zero:
            return
        self.path = folder / SNAPSHOTS
        unavailable = unavailable_quantities(self._take(pl_module, 0))
        if unavailable:
            layer = layer_name(network.core)
            print(f"SnapshotRecorder: not available for {layer}: {', '.join(unavailable)}", flush=True)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.path is None:
            return
        restored, self.restored = self.restored, []
        if trainer.ckpt_path and self.path.is_file():
            self._resume(self.path, trainer.global_step, restored)
            current = self._take(pl_module, self.last_step + 1)
            try:
                joined([*self._all(), current])
            except UsageError as error:
                self.waiting = []
                raise UsageError(f"cannot add snapshots to {self.path}: {error}; move the file away") from error
        self._record(trainer, pl_module)

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:
        if self.path is not None and self._is_due(trainer, trainer.global_step + 1):
            self.norms = {
                name: gradient_norm([parameter])
                for name, parameter in require_network(pl_module, "SnapshotRecorder").named_parameters()
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
        writers = tensorboard_writers(trainer)
        if writers and is_finite(pl_module):
            with observing(pl_module):
                points = self._points(trainer, pl_module)
            for writer in writers:
                points.add_to(writer, trainer.global_step)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        if isinstance(exception, InterruptedRunError):  # raised after a step, perhaps before on_train_batch_end
            self._record(trainer, pl_module)
        self._write()

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self.path = self.sequences = self.written = None
        self.waiting = []

    def state_dict(self) -> dict[str, Any]:
        return {"waiting": [to_dict(snapshot) for snapshot in self.waiting]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.restored = [from_dict(values) for values in state_dict["waiting"]]

    @property
    def last_step(self) -> int:
        """The step of the last snapshot; -1 if there is none."""
        return max((int(part.steps[-1]) for part in self._all()), default=-1)

    def _is_regular(self, step: int) -> bool:
        return is_due(step, self.dense_steps, self.dense_every * self.thinning, self.every * self.thinning)

    def _is_due(self, trainer: Trainer, step: int) -> bool:
        return self._is_regular(step) or step == trainer.max_steps

    def _all(self) -> list[Snapshots]:
        return [*([] if self.written is None else [self.written]), *self.waiting]

    def _take(self, model: LightningModule, step: int) -> Snapshots:
        assert self.sequences is not None
        network = require_network(model, "SnapshotRecorder")
        with observing(model):
            return take_snapshot(network, self.sequences, step, self.norms, self.sample_length)

    def _record(self, trainer: Trainer, model: LightningModule, last: bool = False) -> None:
        """Take a snapshot if one is due and not taken yet; write the file if enough snapshots are waiting."""
        step = trainer.global_step
        due = last or self._is_due(trainer, step)
        if self.path is None or not due or step <= self.last_step or not is_finite(model):
            return
        self._make_room()
        if last or self._is_due(trainer, step):  # thinning may have changed
            self.waiting.append(self._take(model, step))
        self.norms = {}
        if sum(map(len, self.waiting)) * WAITING_SHARE >= sum(map(len, self._all())):
            self._write()

    def _make_room(self) -> None:
        """If one more snapshot exceeded a limit, double the intervals and drop the snapshots between them."""
        count = sum(map(len, self._all()))
        size = sum(part.nbytes for part in self._all())
        limit = min(self.max_snapshots, int(self.max_megabytes * 1e6 * count / max(size, 1)))
        if count < max(limit, 2):
            return
        everything = joined(self._all())
        while len(everything) >= max(limit, 2):
            self.thinning *= 2
            kept = torch.tensor([self._is_regular(step) for step in everything.steps.tolist()])
            if not kept.any():  # possible if the recording started in the middle of a run
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

    def _resume(self, path: Path, step: int, restored: list[Snapshots]) -> None:
        """Load the snapshots of the file and of the checkpoint, up to the step at which the run resumes."""
        try:
            snapshots = read_snapshots(path)
        except UsageError as error:
            raise UsageError(f"{error}; then recording starts at the current step") from error
        self.thinning = snapshots.thinning
        early = snapshots.steps <= step
        self.written = selected(snapshots, early) if early.any() else None
        for snapshot in restored:
            if self.last_step < snapshot.steps[-1] <= step:
                self.waiting.append(snapshot)

    def _points(self, trainer: Trainer, model: LightningModule) -> Points:
        """Return the hidden states after words or, if there are no words, after symbols."""
        assert self.sequences is not None
        network = require_network(model, "SnapshotRecorder")
        vocabulary = network.spec.vocabulary
        if vocabulary is not None:
            task: Any = trainer.datamodule  # type: ignore[attr-defined]
            text: Batch = move_data_to_device(long_text(task.val_dataloader(), MAX_CHARACTERS), model.device)
            try:
                return word_points(hidden_states(network, text), text, vocabulary)
            except UsageError:  # no white space
                pass
        states, spec = hidden_states(network, self.sequences), network.spec
        return symbol_points(states, self.sequences, alphabet(spec), output_alphabet(spec))


def unavailable_quantities(snapshot: Snapshots) -> list[str]:
    """Return the quantities that could not be measured for this layer, each with the reason."""
    available = {
        "eigenvalues (no recurrent matrix or diagonal is known)": bool(snapshot.eigenvalues),
        "gradient by time step (the state is not made of tensors or too large)": snapshot.gradient_by_time_step
        is not None,
        "saturation (the hidden states are unbounded)": snapshot.saturation is not None,
    }
    return [name for name, is_available in available.items() if not is_available]
