import pytest
import torch
from torch import nn
from torch.optim import SGD

from rnn_tasks.errors import UsageError
from rnn_tasks.models import Milestones, Schedule, WarmupLinear


def optimizer(*rates: float) -> SGD:
    return SGD([{"params": [nn.Parameter(torch.zeros(()))], "lr": rate} for rate in rates])


def rates(schedule: Schedule, steps: int) -> list[float]:
    """Return the learning rate of the first group at each optimizer step."""
    result = []
    for _ in range(steps):
        result.append(schedule.optimizer.param_groups[0]["lr"])
        schedule.optimizer.step()
        schedule.step()
    return result


def test_warmup_linear_rises_and_falls_linearly() -> None:
    schedule = WarmupLinear(optimizer(2.0), total_steps=10, warmup=0.4, floor=0.1)
    # rises by 1/4 per step to 1, then falls to 0.1 in six steps of 0.15
    factors = [0.25, 0.5, 0.75, 1.0, 1.0, 0.85, 0.7, 0.55, 0.4, 0.25]
    assert rates(schedule, 10) == pytest.approx([2 * factor for factor in factors])


def test_warmup_linear_stays_at_the_floor_after_the_end() -> None:
    schedule = WarmupLinear(optimizer(1.0), total_steps=4, warmup=0.25, floor=0.3)
    assert rates(schedule, 8)[4:] == pytest.approx([0.3] * 4)


@pytest.mark.parametrize("total_steps", [1, 2, 5])
def test_warmup_linear_starts_at_full_rate_when_warmup_is_0(total_steps: int) -> None:
    schedule = WarmupLinear(optimizer(0.5), total_steps, warmup=0.0, floor=0.0)
    assert rates(schedule, 1) == [0.5]


def test_warmup_linear_is_never_zero_before_the_end() -> None:
    for total_steps in (1, 2, 3, 10):
        for warmup in (0.0, 0.5, 0.99):
            assert min(rates(WarmupLinear(optimizer(1.0), total_steps, warmup, floor=0.0), total_steps)) > 0


def test_milestones_multiply_the_rate() -> None:
    schedule = Milestones(optimizer(8.0), total_steps=1, steps=[2, 5], gamma=0.5)
    assert rates(schedule, 7) == pytest.approx([8, 8, 4, 4, 4, 2, 2])


def test_milestones_need_no_order_and_may_coincide() -> None:
    schedule = Milestones(optimizer(1.0), total_steps=1, steps=[3, 1, 3], gamma=0.1)
    assert rates(schedule, 5) == pytest.approx([1, 0.1, 0.1, 0.001, 0.001])


def test_schedule_multiplies_the_rates_of_all_groups_equally() -> None:
    sgd = optimizer(1.0, 0.25, 0.0)
    schedule = WarmupLinear(sgd, total_steps=6)
    for _ in range(6):
        first, second, third = (group["lr"] for group in sgd.param_groups)
        assert second == pytest.approx(0.25 * first)
        assert third == 0
        sgd.step()
        schedule.step()


def test_restored_schedule_continues() -> None:
    schedule = WarmupLinear(optimizer(1.0), total_steps=9)
    first_rates = rates(schedule, 4)
    restored = WarmupLinear(optimizer(1.0), total_steps=9)
    restored.optimizer.load_state_dict(schedule.optimizer.state_dict())
    restored.load_state_dict(schedule.state_dict())
    assert first_rates + rates(restored, 5) == rates(WarmupLinear(optimizer(1.0), total_steps=9), 9)


@pytest.mark.parametrize(
    ("warmup", "floor", "message"),
    [
        (-0.1, 0.0, r"warmup must be at least 0 and below 1, got -0\.1"),
        (1.0, 0.0, r"warmup must be at least 0 and below 1, got 1\.0"),
        (0.1, -0.5, r"floor must be between 0 and 1, got -0\.5"),
        (0.1, 1.5, r"floor must be between 0 and 1, got 1\.5"),
    ],
)
def test_warmup_linear_rejects_values_outside_their_bounds(warmup: float, floor: float, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        WarmupLinear(optimizer(1.0), 10, warmup, floor)


def test_milestones_reject_an_infinite_gamma() -> None:
    with pytest.raises(UsageError, match="gamma must be a finite number, got inf"):
        Milestones(optimizer(1.0), 10, steps=[1], gamma=float("inf"))


def test_milestones_reject_a_gamma_of_0() -> None:
    with pytest.raises(UsageError, match=r"gamma must be above 0, got 0\.0"):
        Milestones(optimizer(1.0), 10, steps=[1], gamma=0.0)
