"""Learning rates over optimizer steps."""

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from rnn_tasks.errors import UsageError


class Schedule(LambdaLR):
    """A factor on the learning rate at each optimizer step; made from an optimizer and the run's number of steps."""

    needs_total_steps = True


class WarmupLinear(Schedule):
    """Up in a straight line, then down in a straight line until the end.

    Args:
        optimizer: Whose rates it sets.
        total_steps: Steps of the run, ``>= 1``: ``trainer.max_steps``.
        warmup: Share of the steps that go up, ``0 <= warmup < 1``.
        floor: Factor that it comes down to after the last step, ``0 <= floor <= 1``.

    Raises:
        UsageError: A value outside its bounds.
    """

    def __init__(self, optimizer: Optimizer, total_steps: int, warmup: float = 0.1, floor: float = 0.02) -> None:
        if not 0 <= warmup < 1:
            raise UsageError(f"warmup must be at least 0 and below 1, got {warmup}")
        if not 0 <= floor <= 1:
            raise UsageError(f"floor must be in 0..1, got {floor}")
        rising = max(1, round(warmup * total_steps))

        def factor(step: int) -> float:
            if step < rising:
                return (step + 1) / rising
            left = (total_steps - step) / max(1, total_steps - rising)
            return floor + (1 - floor) * max(0.0, left)

        super().__init__(optimizer, factor)


class Milestones(Schedule):
    """A factor that is applied at each milestone.

    Args:
        optimizer: Whose rates it sets.
        total_steps: Not used: it needs no end.
        steps: The optimizer steps at which the rate changes.
        gamma: The factor, ``> 0``.

    Raises:
        UsageError: A value outside its bounds.
    """

    needs_total_steps = False

    def __init__(self, optimizer: Optimizer, total_steps: int, steps: list[int], gamma: float = 0.1) -> None:
        if gamma <= 0:
            raise UsageError(f"gamma must be above 0, got {gamma}")
        super().__init__(optimizer, lambda step: gamma ** sum(step >= milestone for milestone in steps))
