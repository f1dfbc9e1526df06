"""The hidden states along a validation sequence, at the end of the training."""

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from rnn_tasks.analysis import hidden_states
from rnn_tasks.analysis.snapshots import alphabet
from rnn_tasks.callbacks._hooks import warn_skipped
from rnn_tasks.callbacks._monitor import add_picture, fixed_sequences, observing, require_network, tensorboard_writers
from rnn_tasks.errors import require
from rnn_tasks.networks import Network
from rnn_tasks.plots.style import WIDE
from rnn_tasks.plots.trajectories import Units, draw_units
from rnn_tasks.spec import Batch


class HiddenStateMonitor(Callback):
    """Draws the hidden states along the first validation sequence in TensorBoard, when training ends.

    The picture ``hidden_states`` is a heat map of units by time steps, the units sorted by their mean, with the input
    symbols below if there are at most 91 of them. The hidden states are the layer's outputs, which the readout reads.
    A network that has diverged is not drawn.

    Args:
        max_steps: The largest number of time steps that are drawn, ``>= 1``.

    Raises:
        UsageError: A value outside its bounds, or a model without a recurrent layer.
    """

    def __init__(self, max_steps: int = 120) -> None:
        require(max_steps >= 1, f"max_steps must be at least 1, got {max_steps}")
        self.max_steps = max_steps

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        require_network(pl_module, "HiddenStateMonitor")  # fail before training

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        writers = tensorboard_writers(trainer)
        if not writers or not trainer.is_global_zero:
            return
        try:
            with observing(pl_module):
                batch = fixed_sequences(trainer, pl_module, 1, "HiddenStateMonitor")
                units = units_along(require_network(pl_module, "HiddenStateMonitor"), batch, self.max_steps)
        except NotImplementedError as error:
            warn_skipped(self, error)
            return
        if not torch.from_numpy(units.states).isfinite().all():
            return
        for writer in writers:
            figure = draw_units([("", units)], WIDE)
            figure.suptitle(f"Hidden states after {trainer.global_step:,} steps", fontsize=11)
            add_picture(writer, "hidden_states", figure, trainer.global_step)


def units_along(network: Network, batch: Batch, max_steps: int) -> Units:
    """Return the hidden states along the first sequence of a batch, up to its last scored step.

    Args:
        network: The network.
        batch: The sequences, the first with a scored step.
        max_steps: The largest number of time steps.
    """
    steps = min(max_steps, int(batch.scored[0].nonzero()[-1]) + 1)
    states = hidden_states(network, batch)[0, :steps].double().cpu().numpy()
    letters = alphabet(network.spec)
    read = [letters[symbol] for symbol in batch.inputs[0, :steps].tolist()] if letters else []
    return Units(states[:, states.mean(0).argsort()], read)
