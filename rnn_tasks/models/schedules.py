"""Schedules of the learning rate over optimizer steps."""

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from rnn_tasks.cores.bounds import positive
from rnn_tasks.errors import UsageError


class Schedule(LambdaLR):
    """Base class of schedules: a factor on the learning rate at each optimizer step.

    A schedule is built from the optimizer and the number of optimizer steps of the run.

    Attributes:
        needs_total_steps: Whether the schedule depends on the number of steps of the run.
    """

    needs_total_steps = True


class WarmupLinear(Schedule):
    """Linear increase of the learning rate to its full value, then linear decrease until the end of the run.

    Args:
        optimizer: The optimizer whose learning rates are scheduled.
        total_steps: Number of optimizer steps of the run, ``>= 1``; on the command line ``trainer.max_steps``.
        warmup: Fraction of the steps in which the rate increases, ``0 <= warmup < 1``.
        floor: Factor on the rate after the last step, ``0 <= floor <= 1``.

    Raises:
        UsageError: A value is outside its bounds.
    """

    def __init__(self, optimizer: Optimizer, total_steps: int, warmup: float = 0.1, floor: float = 0.02) -> None:
        if not 0 <= warmup < 1:
            raise UsageError(f"warmup must be at least 0 and below 1, got {warmup}")
        if not 0 <= floor <= 1:
            raise UsageError(f"floor must be between 0 and 1, got {floor}")
        warmup_steps = max(1, round(warmup * total_steps))

        def factor(step: int) -> float:
            if step < warmup_steps:
                return (step + 1) / warmup_steps
            remaining = (total_steps - step) / max(1, total_steps - warmup_steps)
            return floor + (1 - floor) * max(0.0, remaining)

        super().__init__(optimizer, factor)


class Milestones(Schedule):
    """Multiplication of the learning rate by a factor at each milestone.

    Args:
        optimizer: The optimizer whose learning rates are scheduled.
        total_steps: Not used.
        steps: The milestones: optimizer steps, in any order.
        gamma: The factor, ``> 0``.

    Raises:
        UsageError: A value is outside its bounds.
    """

    needs_total_steps = False

    def __init__(self, optimizer: Optimizer, total_steps: int, steps: list[int], gamma: float = 0.1) -> None:
        positive(gamma, "gamma")
        super().__init__(optimizer, lambda step: gamma ** sum(step >= milestone for milestone in steps))
