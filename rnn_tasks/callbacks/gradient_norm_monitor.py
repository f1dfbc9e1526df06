"""The norm of the gradient, before and after clipping."""

from collections.abc import Iterable

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor
from torch.nn import Parameter
from torch.optim import Optimizer

from rnn_tasks.callbacks._hooks import AfterEachStep, network_of
from rnn_tasks.models.step_log import log_step, logged_steps


def gradient_norm(parameters: Iterable[Parameter]) -> Tensor:
    """Return the L2 norm of the gradients of all parameters together; parameters without a gradient count as zero.

    Args:
        parameters: The parameters.

    Example:
        >>> parameter = Parameter(torch.zeros(2))
        >>> parameter.grad = torch.tensor([3.0, 4.0])
        >>> gradient_norm([parameter])
        tensor(5.)
    """
    return torch.nn.utils.get_total_norm([parameter.grad for parameter in parameters if parameter.grad is not None])


class GradientNormMonitor(Callback):
    """Logs the norm of the gradient at each logged step; with mixed precision, of the unscaled gradient.

    Logs ``gradient_norm/before_clipping`` and ``gradient_norm/after_clipping``, and on request
    ``gradient_norm/<parameter>``.

    Args:
        per_parameter: Whether to log the norm of each parameter's gradient too, before clipping.
    """

    def __init__(self, per_parameter: bool = False) -> None:
        self.per_parameter = per_parameter
        self.parameters: dict[str, Parameter] = {}
        self.values: dict[str, Tensor] = {}
        self.after_each_step = AfterEachStep(self.measure_clipped)

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.parameters = dict((network_of(pl_module) or pl_module).named_parameters())
        self.values = {}

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.after_each_step.attach(trainer)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self.after_each_step.detach()
        self.parameters = {}

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:
        if logged_steps(trainer, trainer.global_step + 1) is None:
            return
        self.values = {"gradient_norm/before_clipping": gradient_norm(self.parameters.values())}
        if self.per_parameter:
            self.values |= {
                f"gradient_norm/{name}": gradient_norm([parameter]) for name, parameter in self.parameters.items()
            }

    def measure_clipped(self) -> None:
        """Measure the gradient that the optimizer has just used."""
        if self.values:
            self.values["gradient_norm/after_clipping"] = gradient_norm(self.parameters.values())

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: object, batch: object, batch_idx: int
    ) -> None:
        if self.values:
            log_step(pl_module, self.values, trainer.global_step - 1)
            self.values = {}
