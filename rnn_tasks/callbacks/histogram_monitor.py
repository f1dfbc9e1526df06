"""Histograms of weights and gradients during training."""

from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor
from torch.optim import Optimizer

from rnn_tasks.callbacks._monitor import require_network, tensorboard_writers
from rnn_tasks.errors import require
from rnn_tasks.networks import Network

BINS = 64
"""Bins of a histogram; TensorBoard draws fewer."""


class HistogramMonitor(Callback):
    """Writes histograms of all weights and their gradients to TensorBoard.

    The names are ``weights/<role>/<parameter>`` and ``gradients/<role>/<parameter>``, such as
    ``weights/recurrent/core.weight_hh_l0``; the role is ``recurrent``, ``input`` or ``rest``. The gradient is that of
    the training batch, before clipping, and the weights are those before the step. The weights after the last step are
    written when training ends. Values that are not finite are left out. Without a TensorBoard logger, nothing is
    written.

    Args:
        every_n_steps: Optimizer steps between two histograms of a parameter, ``>= 1``; the first are those of step 0.

    Raises:
        UsageError: A value outside its bounds, or a model without a recurrent layer.
    """

    def __init__(self, every_n_steps: int = 200) -> None:
        require(every_n_steps >= 1, f"every_n_steps must be at least 1, got {every_n_steps}")
        self.every_n_steps = every_n_steps

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        require_network(pl_module, "HistogramMonitor")  # fail before training

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:
        if trainer.global_step % self.every_n_steps == 0:
            network = require_network(pl_module, "HistogramMonitor")
            write_histograms(trainer, network, "weights", dict(network.named_parameters()))
            write_histograms(
                trainer,
                network,
                "gradients",
                {name: p.grad for name, p in network.named_parameters() if p.grad is not None},
            )

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        network = require_network(pl_module, "HistogramMonitor")
        write_histograms(trainer, network, "weights", dict(network.named_parameters()))


def write_histograms(trainer: Trainer, network: Network, kind: str, tensors: dict[str, Tensor]) -> None:
    """Write a histogram of the finite values of each tensor to the TensorBoard loggers of rank zero.

    Args:
        trainer: The trainer.
        network: The network, which knows the roles of its parameters.
        kind: The first part of the names.
        tensors: The tensors by the name of the parameter.
    """
    for writer in tensorboard_writers(trainer) if trainer.is_global_zero else []:
        for name, tensor in tensors.items():
            values = tensor.detach().float()
            values = values[values.isfinite()]
            if len(values):
                tag = f"{kind}/{network.parameter_role(name)}/{name}"
                writer.add_histogram(tag, values.cpu(), trainer.global_step, bins=BINS)
