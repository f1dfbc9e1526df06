"""What several callbacks need: the model's network, and a call after each optimizer step."""

from collections.abc import Callable
from typing import Any, TypeVar

from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor
from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle

from rnn_tasks.networks import Network

CallbackT = TypeVar("CallbackT", bound=Callback)


def network_of(pl_module: LightningModule) -> Network | None:
    """The model's network; None if it has none of ours."""
    network = getattr(pl_module, "network", None)
    return network if isinstance(network, Network) else None


def recurrent_weights(pl_module: LightningModule) -> dict[str, Tensor]:
    """The square recurrent matrices of the model's layer, by name; none if it has no layer of ours."""
    network = network_of(pl_module)
    return {} if network is None else network.core.recurrent_weights()


def callbacks_of(trainer: Trainer, kind: type[CallbackT]) -> list[CallbackT]:
    """The trainer's callbacks of a class, in its order."""
    return [callback for callback in trainer.callbacks if isinstance(callback, kind)]  # type: ignore[attr-defined]


class AfterEachStep:
    """Calls a function after each optimizer step: once a step, whatever the accumulation or precision.

    Args:
        function: What to call, without arguments.
    """

    def __init__(self, function: Callable[[], None]) -> None:
        self.function = function
        self.handles: list[RemovableHandle] = []

    def attach(self, trainer: Trainer) -> None:
        """Begin; to be called when the optimizers exist."""

        def hook(optimizer: Optimizer, args: Any, kwargs: Any) -> None:
            self.function()

        self.handles = [optimizer.register_step_post_hook(hook) for optimizer in trainer.optimizers]

    def detach(self) -> None:
        """End."""
        for handle in self.handles:
            handle.remove()
        self.handles = []
