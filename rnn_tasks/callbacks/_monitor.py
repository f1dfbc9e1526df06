"""Base class of monitors that evaluate the network on fixed validation sequences."""

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

from rnn_tasks.callbacks._hooks import network_of, warn_skipped
from rnn_tasks.cores.evaluation_mode import evaluation_mode
from rnn_tasks.errors import UsageError
from rnn_tasks.networks import Network
from rnn_tasks.plots.images import any_script, make_texts_safe
from rnn_tasks.printable import printable
from rnn_tasks.runs.logger import CurveLogger, as_code
from rnn_tasks.spec import Batch

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@contextmanager
def observing(model: LightningModule) -> Iterator[None]:
    """Put the model into evaluation mode; on exit, restore the modes of all modules and the random-number state."""
    devices = [model.device] if model.device.type == "cuda" else []
    with evaluation_mode(model), torch.random.fork_rng(devices=devices):
        yield


def is_finite(model: LightningModule) -> bool:
    """Return whether all weights are finite; monitors skip a network that has diverged."""
    return all(bool(parameter.isfinite().all()) for parameter in model.parameters())


def require_network(model: LightningModule, callback_name: str) -> Network:
    """Return the model's network.

    Args:
        model: The model.
        callback_name: Name of the callback, for the message.

    Raises:
        UsageError: The model has no :class:`~rnn_tasks.networks.Network`.
    """
    network = network_of(model)
    if network is None:
        raise UsageError(f"{callback_name} needs a model with a recurrent layer; {type(model).__name__} has none")
    return network


def first_sequences(batch: Batch, num_sequences: int) -> Batch:
    """Return the first sequences of a batch that have a scored step.

    Args:
        batch: The batch.
        num_sequences: The maximum number of sequences.

    Raises:
        UsageError: No sequence has a scored step.
    """
    batch = batch.one_per_input(at_least=num_sequences)
    indices = batch.scored.any(1).nonzero()[:num_sequences, 0]
    if not len(indices):
        raise UsageError("no sequence of the first validation batch has a scored step")
    return batch.selected(indices)._replace(continues=False)


def fixed_sequences(trainer: Trainer, model: LightningModule, num_sequences: int, callback_name: str) -> Batch:
    """Return the first validation sequences of this process, on the model's device; each validation starts with them.

    Args:
        trainer: The trainer, with a datamodule.
        model: The model.
        num_sequences: The maximum number of sequences.
        callback_name: Name of the callback, for the message.

    Raises:
        UsageError: The trainer has no datamodule, or no sequence has a scored step.
    """
    task: Any = getattr(trainer, "datamodule", None)
    if task is None:
        raise UsageError(f"{callback_name} needs validation sequences: give trainer.fit a datamodule")
    batch: Batch = move_data_to_device(first_sequences(next(iter(task.val_dataloader())), num_sequences), model.device)
    return batch


def tensorboard_writers(trainer: Trainer) -> list[SummaryWriter]:
    """Return the writers of all TensorBoard loggers."""
    return [logger.experiment for logger in trainer.loggers if isinstance(logger, TensorBoardLogger)]


def takes_texts(trainer: Trainer) -> bool:
    """Return whether a logger of the run stores texts."""
    return any(isinstance(logger, TensorBoardLogger | CurveLogger) for logger in trainer.loggers)


def log_text(trainer: Trainer, name: str, text: str) -> None:
    """Give a text to all loggers that store texts.

    Args:
        trainer: The trainer.
        name: The name of the text.
        text: The text.
    """
    for writer in tensorboard_writers(trainer):
        writer.add_text(name, as_code(text), trainer.global_step)
    for logger in trainer.loggers:
        if isinstance(logger, CurveLogger):
            logger.log_text(name, printable(text, "\n"), trainer.global_step)


def add_picture(writer: SummaryWriter, tag: str, figure: "Figure", step: int) -> None:
    """Write a figure as an image to TensorBoard, and free the figure.

    ``SummaryWriter.add_figure`` is not used: it imports pyplot, whose state is global.
    """
    import numpy as np
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    make_texts_safe(figure)
    canvas = FigureCanvasAgg(figure)
    with any_script():
        canvas.draw()  # type: ignore[no-untyped-call]
    colours = np.asarray(canvas.buffer_rgba())[..., :3]  # type: ignore[no-untyped-call]
    writer.add_image(tag, colours, step, dataformats="HWC")
    figure.clear()


class Monitor(Callback, ABC):
    """Base class of monitors that evaluate the network on the first validation sequences.

    A monitor measures before training and after validations, on rank zero, without dropout and in the precision of the
    weights. It changes neither gradients nor random numbers.

    Args:
        every_n_validations: Validations between two measurements, ``>= 1``.
        first_picture_after: Validations before the first picture in TensorBoard, ``>= 1``. Drawing is slow, so later
            pictures follow after 2, 4, 8, ... times as many validations; the last is drawn when training ends.
        num_sequences: The maximum number of sequences, ``>= 1``.
        optional: Whether to print one line and skip the monitor, instead of raising, if it does not support the layer.

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
        self.sequences: Batch | None = None

    @abstractmethod
    def measure(self, network: Network, sequences: Batch, step: int) -> dict[str, Tensor]:
        """Measure the network, and keep the values that :meth:`show` draws.

        Args:
            network: The network.
            sequences: The validation sequences.
            step: Optimizer steps so far.

        Returns:
            The values to log, by name.
        """

    @abstractmethod
    def show(self, writer: SummaryWriter, step: int) -> None:
        """Draw the kept measurements in TensorBoard.

        Args:
            writer: TensorBoard's writer.
            step: Optimizer steps so far.
        """

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.shown_at = None
        if not trainer.ckpt_path:
            self.validations = 0
        network = require_network(pl_module, type(self).__name__)
        with observing(pl_module):  # on every rank, so that an unsupported layer stops all ranks
            self.sequences = fixed_sequences(trainer, pl_module, self.num_sequences, type(self).__name__)
            try:
                self.check_supported(network, self.sequences)
            except Exception as error:  # a user's layer may raise anything
                if not self.optional:
                    raise
                self.sequences = None
                if trainer.is_global_zero:
                    print(f"{error}: skipped", flush=True)

    def check_supported(self, network: Network, sequences: Batch) -> None:
        """Raise unless this monitor can measure the network's layer.

        Args:
            network: The network.
            sequences: The validation sequences.

        Raises:
            UsageError: The layer is not supported.
        """

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.ckpt_path:  # this step was measured before the run was interrupted
            return
        values = self._measure(trainer, pl_module)
        for logger in trainer.loggers if values else []:  # self.log would write the values only when the epoch ends
            logger.log_metrics({name: float(value) for name, value in values.items()}, trainer.global_step)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.sanity_checking or trainer.state.fn != "fit":
            return
        self.validations += 1
        if self.is_drawn(self.validations) or self.validations % self.every_n_validations == 0:
            values = self._measure(trainer, pl_module)
            if values:
                # Only rank zero has values; sync_dist suppresses Lightning's warning about that.
                pl_module.log_dict(values, batch_size=1, rank_zero_only=True, sync_dist=True)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not trainer.sanity_checking and trainer.state.fn == "fit" and self.is_drawn(self.validations):
            self._show(trainer)

    def is_drawn(self, validations: int) -> bool:
        """Return whether to draw a picture after this many validations."""
        multiple, remainder = divmod(validations, self.first_picture_after)
        return remainder == 0 and multiple.bit_count() == 1

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.shown_at != trainer.global_step:
            self._measure(trainer, pl_module)
            self._show(trainer)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self.sequences = None

    def state_dict(self) -> dict[str, Any]:
        return {"validations": self.validations}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.validations = state_dict.get("validations", 0)  # version 0.1.0 did not save the number

    def _measure(self, trainer: Trainer, model: LightningModule) -> dict[str, Tensor]:
        network = network_of(model)
        if not trainer.is_global_zero or self.sequences is None or network is None or not is_finite(model):
            return {}
        try:
            with observing(model):
                return self.measure(network, self.sequences, trainer.global_step)
        except NotImplementedError as error:
            warn_skipped(self, error)
            self.sequences = None
            return {}

    def _show(self, trainer: Trainer) -> None:
        if trainer.is_global_zero and self.sequences is not None:
            self.shown_at = trainer.global_step
            for writer in tensorboard_writers(trainer):
                self.show(writer, trainer.global_step)
