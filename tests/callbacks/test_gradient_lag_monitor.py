from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rnn_tasks.analysis import gradient_by_lag
from rnn_tasks.callbacks import GradientLagMonitor
from rnn_tasks.callbacks.gradient_lag_monitor import MAX_COLUMNS, index_to_drop, logged_lags
from rnn_tasks.errors import UsageError
from tests.helpers.monitored_runs import (
    CORES,
    UNSUPPORTED,
    RecordingLogger,
    echo,
    events,
    model_for,
    task_layer_pairs,
    trainer,
)


@pytest.mark.parametrize(("make", "core"), task_layer_pairs(CORES))
def test_gradient_lag_monitor_logs_gradient_by_lag(make: Any, core: str) -> None:
    task, logger = make(), RecordingLogger()
    model = model_for(task, CORES[core])
    monitor = GradientLagMonitor(num_sequences=3)
    trainer(monitor, logger=logger, max_steps=2).fit(model, task)
    expected = gradient_by_lag(model.network, next(iter(task.val_dataloader())).rows(0, 3))
    for lag in logged_lags(len(expected) - 1):
        assert logger.values(f"gradient_by_lag/{lag}")[-1] == pytest.approx(expected[lag].item(), rel=1e-5)
    torch.testing.assert_close(monitor.norms[-1], expected.log10().float(), rtol=1e-4, atol=1e-4)


def test_max_lag_limits_the_logged_lags() -> None:
    logger = RecordingLogger()
    trainer(GradientLagMonitor(max_lag=2), logger=logger).fit(model_for(echo()), echo())
    names = {name for name in logger.names() if name.startswith("gradient_by_lag")}
    assert names == {f"gradient_by_lag/{lag}" for lag in (0, 1, 2)}


@pytest.mark.parametrize(("max_lag", "expected"), [(1, [0, 1]), (10, [0, 1, 2, 5, 10]), (50, [0, 1, 2, 5, 10, 20, 50])])
def test_logged_lags_are_1_2_5_times_powers_of_ten(max_lag: int, expected: list[int]) -> None:
    assert logged_lags(max_lag) == expected


def test_gradient_lags_continue_after_a_resume(tmp_path: Path) -> None:
    monitor = GradientLagMonitor()
    model, run = model_for(echo()), trainer(monitor, folder=tmp_path)
    run.fit(model, echo())
    assert monitor.steps == [0, 2, 4, 6]
    run.save_checkpoint(tmp_path / "last.ckpt")

    resumed = GradientLagMonitor()
    run = trainer(resumed, folder=tmp_path, max_steps=8)
    run.fit(model_for(echo()), echo(), ckpt_path=str(tmp_path / "last.ckpt"))
    assert resumed.steps == [0, 2, 4, 6, 8]
    assert torch.equal(resumed.norms[:4], monitor.norms)
    assert [image.step for image in events(tmp_path).Images("gradient_by_lag")] == [6, 8]


def test_a_second_fit_drops_the_gradient_lags_of_the_first() -> None:
    monitor = GradientLagMonitor()
    for steps in (4, 2):
        trainer(monitor, max_steps=steps).fit(model_for(echo()), echo())
        assert monitor.steps == list(range(0, steps + 1, 2))
        assert len(monitor.norms) == len(monitor.steps)


def test_the_number_of_measurements_is_limited() -> None:
    task = echo()
    network, sequences, monitor = model_for(task).network, task.train_batch(0), GradientLagMonitor(max_lag=1)
    numbers = iter(range(10_000))
    # The patched gradient is the number of the measurement.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "rnn_tasks.callbacks.gradient_lag_monitor.gradient_by_lag",
            lambda *_: torch.full((2,), 10.0 ** (next(numbers) / 1000), dtype=torch.double),
        )
        for step in range(1000):
            monitor.measure(network, sequences, step)
    assert len(monitor.steps) == MAX_COLUMNS
    assert (monitor.steps[0], monitor.steps[-1]) == (0, 999)
    torch.testing.assert_close(monitor.norms[:, 0], torch.tensor(monitor.steps) / 1000)
    assert np.diff(monitor.steps).max() <= 3 * 1000 / MAX_COLUMNS


@pytest.mark.parametrize(("steps", "expected"), [([0, 1, 9], 1), ([0, 5, 6, 20], 1), ([0, 9, 14, 18, 40], 2)])
def test_index_to_drop_leaves_the_smallest_gap(steps: list[int], expected: int) -> None:
    assert index_to_drop(steps) == expected


def test_gradient_lag_monitor_raises_for_a_non_tensor_state() -> None:
    with pytest.raises(UsageError, match="cannot be flattened"):
        trainer(GradientLagMonitor()).fit(model_for(echo(), UNSUPPORTED), echo())


def test_gradient_lag_monitor_raises_for_max_lag_0() -> None:
    with pytest.raises(UsageError, match="max_lag must be at least 1, got 0"):
        GradientLagMonitor(max_lag=0)
