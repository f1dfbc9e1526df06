from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rnn_tasks.analysis import gradient_by_lag
from rnn_tasks.callbacks import GradientLagMonitor
from rnn_tasks.callbacks.gradient_lag_monitor import MAX_COLUMNS, least_missed, logged_lags
from rnn_tasks.errors import UsageError
from tests.helpers.monitored_runs import CORES, STRANGE, Notebook, both, echo, events, model_for, trainer


@pytest.mark.parametrize(("make", "core"), both(CORES))
def test_gradient_lag_monitor_logs_gradient_by_lag(make: Any, core: str) -> None:
    task, notebook = make(), Notebook()
    model = model_for(task, CORES[core])
    monitor = GradientLagMonitor(num_sequences=3)
    trainer(monitor, notebook=notebook, max_steps=2).fit(model, task)
    expected = gradient_by_lag(model.network, next(iter(task.val_dataloader())).rows(0, 3))
    for lag in logged_lags(len(expected) - 1):
        assert notebook.values(f"gradient_by_lag/{lag}")[-1] == pytest.approx(expected[lag].item(), rel=1e-5)
    torch.testing.assert_close(monitor.norms[-1], expected.log10().float(), rtol=1e-4, atol=1e-4)


def test_only_lags_up_to_the_largest_are_logged() -> None:
    notebook = Notebook()
    trainer(GradientLagMonitor(max_lag=2), notebook=notebook).fit(model_for(echo()), echo())
    names = {name for name in notebook.names() if name.startswith("gradient_by_lag")}
    assert names == {f"gradient_by_lag/{lag}" for lag in (0, 1, 2)}


@pytest.mark.parametrize(("max_lag", "expected"), [(1, [0, 1]), (10, [0, 1, 2, 5, 10]), (50, [0, 1, 2, 5, 10, 20, 50])])
def test_lags_of_three_a_decade(max_lag: int, expected: list[int]) -> None:
    assert logged_lags(max_lag) == expected


def test_a_resumed_run_continues_the_picture(tmp_path: Path) -> None:
    monitor = GradientLagMonitor()
    model, run = model_for(echo()), trainer(monitor, folder=tmp_path)
    run.fit(model, echo())
    assert monitor.steps == [0, 2, 4, 6]
    run.save_checkpoint(tmp_path / "last.ckpt")

    more = GradientLagMonitor()
    trainer(more, folder=tmp_path, max_steps=8).fit(model_for(echo()), echo(), ckpt_path=str(tmp_path / "last.ckpt"))
    assert more.steps == [0, 2, 4, 6, 8]
    assert torch.equal(more.norms[:4], monitor.norms)
    assert [image.step for image in events(tmp_path).Images("gradient_by_lag")] == [6, 8]


def test_a_fit_of_its_own_begins_a_picture_of_its_own() -> None:
    monitor = GradientLagMonitor()
    for steps in (4, 2):
        trainer(monitor, max_steps=steps).fit(model_for(echo()), echo())
        assert monitor.steps == list(range(0, steps + 1, 2))
        assert len(monitor.norms) == len(monitor.steps)


def test_the_number_of_columns_is_limited() -> None:
    task = echo()
    network, probe, monitor = model_for(task).network, task.train_batch(0), GradientLagMonitor(max_lag=1)
    numbers = iter(range(10_000))
    # The gradient is what it is; here it says when it was measured.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "rnn_tasks.callbacks.gradient_lag_monitor.gradient_by_lag",
            lambda *_: torch.full((2,), 10.0 ** (next(numbers) / 1000), dtype=torch.double),
        )
        for step in range(1000):
            monitor.measure(network, probe, step)
    assert len(monitor.steps) == MAX_COLUMNS
    assert (monitor.steps[0], monitor.steps[-1]) == (0, 999)
    torch.testing.assert_close(monitor.norms[:, 0], torch.tensor(monitor.steps) / 1000)
    assert np.diff(monitor.steps).max() <= 3 * 1000 / MAX_COLUMNS


@pytest.mark.parametrize(("steps", "expected"), [([0, 1, 9], 1), ([0, 5, 6, 20], 1), ([0, 9, 14, 18, 40], 2)])
def test_least_missed_is_the_moment_with_the_nearest_neighbours(steps: list[int], expected: int) -> None:
    assert least_missed(steps) == expected


def test_a_state_that_is_no_tensor_is_refused() -> None:
    with pytest.raises(UsageError, match="cannot be flattened"):
        trainer(GradientLagMonitor()).fit(model_for(echo(), STRANGE), echo())


def test_a_lag_below_one_is_refused() -> None:
    with pytest.raises(UsageError, match="max_lag must be at least 1, got 0"):
        GradientLagMonitor(max_lag=0)
