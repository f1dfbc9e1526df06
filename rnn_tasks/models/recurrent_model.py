"""What every model has: a layer, an optimizer with rates of their own for parts of it, safe checkpoints."""

from abc import ABC
from collections.abc import Callable
from typing import Any

from lightning.pytorch import LightningModule
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable, ReduceLROnPlateau
from torch import nn
from torch.optim import Optimizer

from rnn_tasks.cores import Core
from rnn_tasks.errors import UsageError
from rnn_tasks.models.schedules import Schedule
from rnn_tasks.spec import TaskSpec

CHECKPOINT_KEY = "rnn_tasks"
"""Where a checkpoint holds the task's sizes and the hash of the model section of config.yaml."""

ROLES = ("recurrent", "input", "rest")


class RecurrentModel(LightningModule, ABC):
    """Optimizer, schedule and checkpoint contents.

    Args:
        core: Makes the layer from the size of its input.
        core_input_size: That size.
        spec: The task's sizes and strings.
        optimizer: Makes the optimizer from parameter groups.
        recurrent_lr_factor: Factor on the rate of the recurrent matrices, ``>= 0``.
        input_lr_factor: Factor on the rate of the layer's input weights and biases, ``>= 0``.
        schedule: Makes a schedule over optimizer steps; None for a constant rate.
        lr_scheduler: One of torch's schedules over epochs instead.

    Attributes:
        core: The recurrent layer.
        config_hash: Hash of the section of config.yaml that this model was built from, set by the command line.
    """

    def __init__(
        self,
        core: Callable[[int], Core],
        core_input_size: int,
        spec: TaskSpec,
        optimizer: OptimizerCallable,
        recurrent_lr_factor: float,
        input_lr_factor: float,
        schedule: Callable[[Optimizer, int], Schedule] | None,
        lr_scheduler: LRSchedulerCallable | None,
    ) -> None:
        super().__init__()
        for name, factor in {"recurrent_lr_factor": recurrent_lr_factor, "input_lr_factor": input_lr_factor}.items():
            if factor < 0:
                raise UsageError(f"{name} must be at least 0, got {factor}")
        if schedule is not None and lr_scheduler is not None:
            raise UsageError("give a schedule (over optimizer steps) or an lr_scheduler (over epochs), not both")
        self.spec = spec
        self.core = core(core_input_size)
        self.make_optimizer = optimizer
        self.lr_factors = {"recurrent": recurrent_lr_factor, "input": input_lr_factor, "rest": 1.0}
        self.make_schedule = schedule
        self.make_lr_scheduler = lr_scheduler
        self.config_hash: str | None = None

    def parameter_groups(self) -> list[dict[str, Any]]:
        """The parameters as optimizer groups named ``recurrent``, ``input`` and ``rest``; empty ones are left out."""
        groups: dict[str, list[nn.Parameter]] = {role: [] for role in ROLES}
        for name, parameter in self.named_parameters():
            if parameter.requires_grad:
                inside = name.startswith("core.")
                role = self.core.parameter_role(name.removeprefix("core.")) if inside else "rest"
                groups[role].append(parameter)
        return [{"name": role, "params": parameters} for role, parameters in groups.items() if parameters]

    def configure_optimizers(self) -> Any:
        """The optimizer with its rates multiplied group by group, and the schedule."""
        optimizer = self.make_optimizer(self.parameter_groups())
        for group in optimizer.param_groups:
            group["lr"] *= self.lr_factors[group["name"]]
        if self.make_lr_scheduler is not None:
            scheduler = self.make_lr_scheduler(optimizer)
            # Lightning's own ReduceLROnPlateau knows what it watches; torch's others watch nothing.
            watched = {"monitor": scheduler.monitor} if isinstance(scheduler, ReduceLROnPlateau) else {}
            return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, **watched}}
        if self.make_schedule is None:
            return optimizer
        total_steps = self.trainer.max_steps
        schedule = self.make_schedule(optimizer, total_steps if total_steps > 0 else 1)
        if schedule.needs_total_steps and total_steps < 1:
            raise UsageError(f"the schedule {type(schedule).__name__} needs an end: set trainer.max_steps")
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add what is needed to build the model again without its task."""
        checkpoint[CHECKPOINT_KEY] = {"spec": self.spec.to_dict(), "config": self.config_hash}
