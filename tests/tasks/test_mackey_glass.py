from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from rnn_tasks.errors import UsageError
from rnn_tasks.spec import Batch
from rnn_tasks.tasks import MackeyGlass
from rnn_tasks.tasks.mackey_glass import SUBSTEPS, mackey_glass, prediction
from tests.helpers.predictors import check_score


def euler(start: float, num_steps: int, tau: int, substeps: int = 1000) -> list[float]:
    """Return the solution from a constant past, by Euler's method with small steps."""
    values = [start] * (tau * substeps + 1)
    for _ in range((num_steps - 1) * substeps):
        delayed = values[-1 - tau * substeps]
        values.append(values[-1] + (0.2 * delayed / (1 + delayed**10) - 0.1 * values[-1]) / substeps)
    return values[tau * substeps :: substeps]


def linear_predictor(task: MackeyGlass, num_values: int) -> Callable[[Batch], Tensor]:
    """Return a predictor by a linear function of the last values, fitted to other sequences."""

    def features(batch: Batch) -> Tensor:
        inputs = batch.inputs[..., 0].double()
        past = [inputs.roll(back, 1) for back in range(num_values)]
        return torch.stack([*past, torch.ones_like(inputs)], -1)

    fitted = task.sample(500, "train", torch.Generator().manual_seed(5))
    q, r = torch.linalg.qr(features(fitted)[fitted.scored])
    weights = torch.linalg.solve_triangular(r, q.T @ fitted.targets[fitted.scored].double(), upper=True)
    return lambda batch: features(batch) @ weights


@pytest.mark.parametrize(("start", "tau"), [(1.2, 17), (0.5, 6)])
def test_mackey_glass_equals_a_solution_with_small_steps(start: float, tau: int) -> None:
    past = torch.full((1, tau * SUBSTEPS + 1), start, dtype=torch.float64)
    assert mackey_glass(past, 120)[0].tolist() == pytest.approx(euler(start, 120, tau), abs=2e-3)


@pytest.mark.parametrize("num_steps", [1, 17, 18, 19])
def test_mackey_glass_returns_the_start_of_a_longer_solution(num_steps: int) -> None:
    past = torch.linspace(0.5, 1.2, 17 * SUBSTEPS + 1, dtype=torch.float64)[None]
    solution = mackey_glass(past, num_steps)
    assert solution.shape == (1, num_steps)
    assert solution[0, 0] == 1.2
    assert torch.equal(solution, mackey_glass(past, 60)[:, :num_steps])


def test_a_solution_continues_from_its_own_past() -> None:
    past = torch.full((2, 17 * SUBSTEPS + 1), 0.9, dtype=torch.float64)
    whole = mackey_glass(past, 100)
    fine = mackey_glass(past, 1)
    assert torch.equal(fine, whole[:, :1])
    constant = torch.full((1, 17 * SUBSTEPS + 1), 1.0, dtype=torch.float64)  # 0.2 / (1 + 1) = 0.1: the fixed point
    assert mackey_glass(constant, 80).sub(1).abs().max() < 1e-12


def test_prediction_equals_the_diagram() -> None:
    inputs, targets = prediction(torch.arange(6.0)[None], horizon=2, washout=2)
    names = [[f"x({int(value)})" if value == value else "." for value in row[0, :, 0]] for row in (inputs, targets)]
    diagram = [" ".join(line.split()) for line in str(prediction.__doc__).splitlines()]
    assert "input " + " ".join(names[0]) in diagram
    assert any(line.startswith("target " + " ".join(names[1])) for line in diagram)


@pytest.mark.parametrize("horizon", [1, 15])
def test_targets_are_later_inputs(horizon: int) -> None:
    batch = MackeyGlass(length=60, horizon=horizon, washout=20).sample(9, "train", torch.Generator().manual_seed(0))
    assert torch.equal(batch.targets[:, 20:-horizon], batch.inputs[:, 20 + horizon :])
    assert not batch.scored[:, :20].any()
    assert batch.scored[:, 20:].all()


def test_sequences_are_different_parts_of_the_attractor() -> None:
    series = MackeyGlass(length=200).sample(300, "train", torch.Generator().manual_seed(0)).inputs[..., 0]
    assert 0.2 < series.min() < 0.5
    assert 1.25 < series.max() < 1.45
    # The start of a sequence says little: all sequences together have the spread of one long sequence.
    assert series[:, 0].var().item() == pytest.approx(series.var(1).mean().item(), rel=0.15)


@pytest.mark.parametrize("horizon", [6, 15])
def test_baseline_and_plateaus_equal_simulated_scores(horizon: int) -> None:
    task = MackeyGlass(horizon=horizon)
    mean = task.sample(1000, "val", torch.Generator().manual_seed(3)).inputs.mean().item()
    check_score(task, lambda batch: torch.full_like(batch.targets, mean), task.baseline.loss, None)
    persistence, linear = task.plateaus
    check_score(task, lambda batch: batch.inputs, persistence.loss, None)
    check_score(task, linear_predictor(task, 40), linear.loss, None)


def test_predictors_reach_the_documented_shares() -> None:
    near, far = MackeyGlass(horizon=1), MackeyGlass(horizon=15)
    assert (near.plateaus[0].loss or 0.0) / near.baseline.loss == pytest.approx(0.02, abs=0.005)
    assert (far.plateaus[0].loss or 0.0) / far.baseline.loss == pytest.approx(2.6, abs=0.05)
    assert (far.plateaus[1].loss or 0.0) / far.baseline.loss == pytest.approx(0.24, abs=0.01)


def test_eval_lengths_change_the_length() -> None:
    task = MackeyGlass(length=50, eval_lengths=[90], length_sequences=4)
    (batch,) = task.longer_tests[90].predict_dataloader()
    assert batch.inputs.shape == (4, 90, 1)
    with pytest.raises(UsageError, match=r"eval_lengths must be above washout \(40\), got 40"):
        task.at_length(40)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"horizon": 0}, "horizon must be at least 1, got 0"),
        ({"tau": 0}, "tau must be at least 1, got 0"),
        ({"washout": -1}, "washout must be at least 0, got -1"),
        ({"length": 40}, r"length must be above washout \(40\), got 40"),
    ],
)
def test_value_out_of_bounds_raises(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        MackeyGlass(**arguments)
