"""What several callbacks need: the recurrent weights of the model, and a call after each optimizer step."""

from collections.abc import Callable
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from torch import Tensor
from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle

from rnn_tasks.cores import Core


def recurrent_weights(pl_module: LightningModule) -> dict[str, Tensor]:
    """The square recurrent matrices of the model's layer, by name; none if it has no layer of ours."""
    core = getattr(pl_module, "core", None)
    return core.recurrent_weights() if isinstance(core, Core) else {}


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
