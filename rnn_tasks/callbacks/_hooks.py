"""Helpers of several callbacks: access to the model's network, and a call after each optimizer step."""

from collections.abc import Callable
from typing import Any, TypeVar

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor
from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle

from rnn_tasks.networks import Network

CallbackT = TypeVar("CallbackT", bound=Callback)


def network_of(pl_module: LightningModule) -> Network | None:
    """Return the model's network; None if the model has no :class:`~rnn_tasks.networks.Network`."""
    network = getattr(pl_module, "network", None)
    return network if isinstance(network, Network) else None


def recurrent_weights(pl_module: LightningModule) -> dict[str, Tensor]:
    """Return the square recurrent matrices of the model's layer by name; empty if the model has no network."""
    network = network_of(pl_module)
    return {} if network is None else network.core.recurrent_weights()


def callbacks_of(trainer: Trainer, callback_class: type[CallbackT]) -> list[CallbackT]:
    """Return the trainer's callbacks of a class, in the trainer's order."""
    callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
    return [callback for callback in callbacks if isinstance(callback, callback_class)]


def warn_skipped(callback: Callback, error: NotImplementedError) -> None:
    """Warn that a callback measures nothing from now on, because this device and the CPU lack an operation.

    Args:
        callback: The callback.
        error: torch's error.
    """
    rank_zero_warn(f"{type(callback).__name__} is skipped: {str(error).strip().partition(chr(10))[0]}")


class AfterEachStep:
    """Calls a function once after each optimizer step, also with accumulated gradients and mixed precision.

    Args:
        function: The function, without arguments.
    """

    def __init__(self, function: Callable[[], None]) -> None:
        self.function = function
        self.handles: list[RemovableHandle] = []

    def attach(self, trainer: Trainer) -> None:
        """Register the hooks; the trainer's optimizers must exist."""

        def hook(optimizer: Optimizer, args: Any, kwargs: Any) -> None:
            self.function()

        self.detach()  # an interrupted fit has left its hooks
        self.handles = [optimizer.register_step_post_hook(hook) for optimizer in trainer.optimizers]

    def detach(self) -> None:
        """Remove the hooks."""
        for handle in self.handles:
            handle.remove()
        self.handles = []
