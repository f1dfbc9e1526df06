import pytest
import torch
from torch import nn
from torch.optim import SGD

from rnn_tasks.errors import UsageError
from rnn_tasks.models import Milestones, Schedule, WarmupLinear


def optimizer(*rates: float) -> SGD:
    return SGD([{"params": [nn.Parameter(torch.zeros(()))], "lr": rate} for rate in rates])


def rates(schedule: Schedule, steps: int) -> list[float]:
    """The first group's rate at each of the optimizer steps."""
    used = []
    for _ in range(steps):
        used.append(schedule.optimizer.param_groups[0]["lr"])
        schedule.optimizer.step()
        schedule.step()
    return used


def test_warm_up_goes_up_then_down_in_straight_lines() -> None:
    schedule = WarmupLinear(optimizer(2.0), total_steps=10, warmup=0.4, floor=0.1)
    # up: 1/4, 2/4, 3/4, 4/4; then down from 1 to 0.1 within six steps, 0.15 at a time
    factors = [0.25, 0.5, 0.75, 1.0, 1.0, 0.85, 0.7, 0.55, 0.4, 0.25]
    assert rates(schedule, 10) == pytest.approx([2 * factor for factor in factors])


def test_after_the_end_the_rate_stays_at_the_floor() -> None:
    schedule = WarmupLinear(optimizer(1.0), total_steps=4, warmup=0.25, floor=0.3)
    assert rates(schedule, 8)[4:] == pytest.approx([0.3] * 4)


@pytest.mark.parametrize("total_steps", [1, 2, 5])
def test_without_warm_up_the_first_step_has_the_full_rate(total_steps: int) -> None:
    schedule = WarmupLinear(optimizer(0.5), total_steps, warmup=0.0, floor=0.0)
    assert rates(schedule, 1) == [0.5]


def test_the_rate_is_never_zero_within_the_run() -> None:
    for total_steps in (1, 2, 3, 10):
        for warmup in (0.0, 0.5, 0.99):
            assert min(rates(WarmupLinear(optimizer(1.0), total_steps, warmup, floor=0.0), total_steps)) > 0


def test_each_milestone_multiplies_the_rate() -> None:
    schedule = Milestones(optimizer(8.0), total_steps=1, steps=[2, 5], gamma=0.5)
    assert rates(schedule, 7) == pytest.approx([8, 8, 4, 4, 4, 2, 2])


def test_milestones_need_no_order_and_may_coincide() -> None:
    schedule = Milestones(optimizer(1.0), total_steps=1, steps=[3, 1, 3], gamma=0.1)
    assert rates(schedule, 5) == pytest.approx([1, 0.1, 0.1, 0.001, 0.001])


def test_the_rates_of_all_groups_keep_their_proportion() -> None:
    sgd = optimizer(1.0, 0.25, 0.0)
    schedule = WarmupLinear(sgd, total_steps=6)
    for _ in range(6):
        first, second, third = (group["lr"] for group in sgd.param_groups)
        assert second == pytest.approx(0.25 * first)
        assert third == 0
        sgd.step()
        schedule.step()


def test_a_restored_schedule_goes_on() -> None:
    schedule = WarmupLinear(optimizer(1.0), total_steps=9)
    head = rates(schedule, 4)
    restored = WarmupLinear(optimizer(1.0), total_steps=9)
    restored.optimizer.load_state_dict(schedule.optimizer.state_dict())
    restored.load_state_dict(schedule.state_dict())
    assert head + rates(restored, 5) == rates(WarmupLinear(optimizer(1.0), total_steps=9), 9)


@pytest.mark.parametrize(
    ("warmup", "floor", "message"),
    [
        (-0.1, 0.0, r"warmup must be at least 0 and below 1, got -0\.1"),
        (1.0, 0.0, r"warmup must be at least 0 and below 1, got 1\.0"),
        (0.1, -0.5, r"floor must be in 0\.\.1, got -0\.5"),
        (0.1, 1.5, r"floor must be in 0\.\.1, got 1\.5"),
    ],
)
def test_a_share_outside_its_bounds_is_refused(warmup: float, floor: float, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        WarmupLinear(optimizer(1.0), 10, warmup, floor)


def test_a_gamma_that_is_not_above_0_is_refused() -> None:
    with pytest.raises(UsageError, match=r"gamma must be above 0, got 0\.0"):
        Milestones(optimizer(1.0), 10, steps=[1], gamma=0.0)
