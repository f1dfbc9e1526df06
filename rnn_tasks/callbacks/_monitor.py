"""What monitors share that look into a network: a few fixed sequences, leave to look, and a place to show it."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from lightning.fabric.utilities.apply_func import move_data_to_device
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from rnn_tasks.cores import Core
from rnn_tasks.errors import UsageError
from rnn_tasks.runs.trainer_facts import log_scalars
from rnn_tasks.spec import Batch

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@contextmanager
def observing(model: LightningModule) -> Iterator[None]:
    """Leave the random numbers and the modes of all modules as they were, whatever is done inside."""
    modes = [(module, module.training) for module in model.modules()]
    with torch.random.fork_rng(devices=[model.device] if model.device.type == "cuda" else []):
        try:
            yield
        finally:
            for module, training in modes:
                module.training = training


def is_finite(model: LightningModule) -> bool:
    """Whether all weights are numbers; a diverged network shows nothing."""
    return all(bool(parameter.isfinite().all()) for parameter in model.parameters())


def layer_of(model: LightningModule, who: str) -> Core:
    """The model's recurrent layer.

    Args:
        model: The model.
        who: The callback that asks.

    Raises:
        UsageError: It has none of ours.
    """
    core = getattr(model, "core", None)
    if not isinstance(core, Core):
        raise UsageError(f"{who} looks into a recurrent layer, and {type(model).__name__} has none")
    return core


def layer_name(core: Core) -> str:
    """The class of a layer; of one that is not ours its own."""
    return type(getattr(core, "layer", core)).__name__


def first_sequences(batch: Batch, num_sequences: int) -> Batch:
    """The first sequences of a batch that have a scored step.

    Args:
        batch: The batch.
        num_sequences: How many at most.

    Raises:
        UsageError: No sequence has one.
    """
    batch = batch.distinct(at_least=num_sequences)
    rows = batch.scored.any(1).nonzero()[:num_sequences, 0]
    if not len(rows):
        raise UsageError("no sequence of the first validation batch has a scored step to look at")
    memory, condition = (None if part is None else part[rows] for part in (batch.memory, batch.condition))
    return Batch(batch.inputs[rows], batch.targets[rows], memory, condition)


def probe_of(trainer: Trainer, model: LightningModule, num_sequences: int, who: str) -> Batch:
    """The first sequences that this process validates on, which are the same in every validation; on its device.

    Args:
        trainer: Its datamodule has them.
        model: The model.
        num_sequences: How many at most.
        who: The callback that asks.

    Raises:
        UsageError: There are none.
    """
    task: Any = getattr(trainer, "datamodule", None)
    if task is None:
        raise UsageError(f"{who} looks at the first validation sequences: give trainer.fit a datamodule")
    batch: Batch = move_data_to_device(first_sequences(next(iter(task.val_dataloader())), num_sequences), model.device)
    return batch


def boards(trainer: Trainer) -> list[SummaryWriter]:
    """Where pictures go: TensorBoard's writer of each logger that has one."""
    return [logger.experiment for logger in trainer.loggers if isinstance(logger, TensorBoardLogger)]


def add_picture(board: SummaryWriter, name: str, figure: "Figure", step: int) -> None:
    """Show a picture in TensorBoard, and let go of it.

    Not by ``add_figure``, which loads pyplot, and with it a state that all figures share.
    """
    import numpy as np
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # type: ignore[no-untyped-call]
    colours = np.asarray(canvas.buffer_rgba())[..., :3]  # type: ignore[no-untyped-call]
    board.add_image(name, colours, step, dataformats="HWC")
    figure.clear()


class Observer(Callback, ABC):
    """Measures the network before training and after validations, on the first validation sequences; on rank zero.

    It measures without dropout and in the precision of the weights, and changes nothing: neither gradients nor random
    numbers.

    Args:
        every_n_validations: Validations between two measurements, ``>= 1``.
        first_picture_after: Validations before the first picture in TensorBoard, ``>= 1``; the next ones come after
            twice, four times, ... as many, since a picture takes as long as many steps, and one when training ends.
        num_sequences: Sequences at most, ``>= 1``.
        optional: Whether a network that does not have what is measured is trained without it, after a line that says
            so, and not refused.

    Raises:
        UsageError: A value outside its bounds.
    """

    def __init__(
        self,
        every_n_validations: int,
        first_picture_after: int,
        num_sequences: int = 1,
        optional: bool = False,
    ) -> None:
        counts = {
            "every_n_validations": every_n_validations,
            "first_picture_after": first_picture_after,
            "num_sequences": num_sequences,
        }
        for name, count in counts.items():
            if count < 1:
                raise UsageError(f"{name} must be at least 1, got {count}")
        self.every_n_validations = every_n_validations
        self.first_picture_after = first_picture_after
        self.num_sequences = num_sequences
        self.optional = optional
        self.validations = 0
        self.shown_at: int | None = None
        self.probe: Batch | None = None

    @abstractmethod
    def measure(self, model: Any, probe: Batch, step: int) -> dict[str, Tensor]:
        """Measure the network, and keep what a picture of it needs.

        Args:
            model: The network.
            probe: The sequences.
            step: Optimizer steps so far.

        Returns:
            What is logged, by name.
        """

    @abstractmethod
    def show(self, board: SummaryWriter, step: int) -> None:
        """Draw what was measured last, and perhaps before.

        Args:
            board: TensorBoard's writer.
            step: Optimizer steps so far.
        """

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.validations, self.shown_at = 0, None
        layer_of(pl_module, type(self).__name__)
        with observing(pl_module):  # on every rank, so that a layer that is refused stops all of them
            self.probe = probe_of(trainer, pl_module, self.num_sequences, type(self).__name__)
            try:
                self.refuse(pl_module, self.probe)
            except Exception as error:  # a layer of somebody's own may raise anything
                if not self.optional:
                    raise
                self.probe = None
                if trainer.is_global_zero:
                    print(f"{error}: left out", flush=True)

    def refuse(self, model: Any, probe: Batch) -> None:
        """Look whether there is something to be measured.

        Args:
            model: The network.
            probe: The sequences.

        Raises:
            UsageError: Its layer does not have it.
        """

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # A resumed run has been measured at this step.
        if not trainer.ckpt_path:
            self._measure(trainer, pl_module)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.sanity_checking or trainer.state.fn != "fit":
            return
        self.validations += 1
        drawn = self.is_drawn(self.validations)
        if drawn or self.validations % self.every_n_validations == 0:
            self._measure(trainer, pl_module)
        if drawn:
            self._show(trainer)

    def is_drawn(self, validations: int) -> bool:
        """Whether there is a picture after so many validations."""
        times, rest = divmod(validations, self.first_picture_after)
        return rest == 0 and times.bit_count() == 1

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.shown_at != trainer.global_step:
            self._measure(trainer, pl_module, log=False)
            self._show(trainer)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self.probe = None

    def _measure(self, trainer: Trainer, model: LightningModule, log: bool = True) -> None:
        if not trainer.is_global_zero or self.probe is None or not is_finite(model):
            return
        with observing(model):
            values = self.measure(model, self.probe, trainer.global_step)
        if values and log:
            log_scalars(trainer, values)

    def _show(self, trainer: Trainer) -> None:
        if trainer.is_global_zero and self.probe is not None:
            self.shown_at = trainer.global_step
            for board in boards(trainer):
                self.show(board, trainer.global_step)
