from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from rnn_tasks.errors import UsageError
from rnn_tasks.spec import Batch
from rnn_tasks.tasks import Narma
from rnn_tasks.tasks import narma as module
from rnn_tasks.tasks.narma import narma
from tests.helpers.predictors import check_score


def plain_narma(inputs: list[float]) -> list[float]:
    """Return y[1], y[2], ... of the published equation, term by term."""
    u = dict(enumerate(inputs))
    y = {0: 0.0}
    for t in range(len(inputs)):
        total = sum(y.get(t - i, 0.0) for i in range(10))
        y[t + 1] = 0.3 * y[t] + 0.05 * y[t] * total + 1.5 * u.get(t - 9, 0.0) * u[t] + 0.1
    return [y[t + 1] for t in range(len(inputs))]


def linear_predictor(task: Narma, num_inputs: int) -> Callable[[Batch], Tensor]:
    """Return a predictor by a linear function of the last inputs, fitted to other sequences."""

    def features(batch: Batch) -> Tensor:
        inputs = functional.pad(batch.inputs[..., 0].double(), (num_inputs, 0))
        ends = range(num_inputs + 1, inputs.shape[1] + 1)
        past = torch.stack([inputs[:, end - num_inputs : end] for end in ends], 1)
        return torch.cat([past, torch.ones_like(past[..., :1])], -1)

    fitted = task.sample(500, "train", torch.Generator().manual_seed(5))
    inputs, targets = features(fitted)[fitted.scored], fitted.targets[fitted.scored].double()
    weights = torch.linalg.inv(inputs.T @ inputs) @ inputs.T @ targets
    return lambda batch: features(batch) @ weights


def test_narma_equals_the_diagram() -> None:
    states = narma(torch.full((1, 12), 0.5))
    # y[1] = 0.1, y[2] = 0.3 y[1] + 0.05 y[1]^2 + 0.1; the product of inputs is 0 before step 9.
    assert states[0, :2].tolist() == pytest.approx([0.1, 0.1305])
    equation = "y[t+1] = 0.3 y[t] + 0.05 y[t] (y[t] + y[t-1] + ... + y[t-9]) + 1.5 u[t-9] u[t] + 0.1"
    for text in (narma.__doc__, Narma.__doc__):
        assert equation in str(text)


def test_sequences_equal_the_published_equation() -> None:
    batch = Narma(length=60, washout=7).sample(30, "train", torch.Generator().manual_seed(0))
    for inputs, targets in zip(batch.inputs[..., 0], batch.targets[..., 0], strict=True):
        assert 0 <= inputs.min() <= inputs.max() <= 0.5
        assert targets[:7].isnan().all()
        assert targets[7:].tolist() == pytest.approx(plain_narma(inputs.tolist())[7:], abs=1e-5)


def test_inputs_are_uniform() -> None:
    inputs = Narma().sample(200, "train", torch.Generator().manual_seed(0)).inputs
    shares = torch.histc(inputs, 5, 0.0, 0.5) / inputs.numel()
    torch.testing.assert_close(shares, torch.full((5,), 0.2), atol=0.01, rtol=0)


def test_diverging_sequences_are_drawn_again() -> None:
    generator = torch.Generator().manual_seed(0)
    plain = narma(torch.rand(4000, 300, generator=generator) / 2)
    diverging = (plain > 2).any(1)
    assert diverging.any()
    assert not (plain[~diverging] > 2).any()
    batch = module.draw(4000, 300, 0, torch.Generator().manual_seed(0))
    targets = batch.targets[..., 0]
    assert targets.max() <= 2
    assert torch.equal(targets[~diverging], plain[~diverging])
    torch.testing.assert_close(narma(batch.inputs[diverging, :, 0]), targets[diverging])


@pytest.mark.parametrize(("length", "washout"), [(130, 30), (60, 0)])
def test_baseline_and_plateaus_equal_simulated_scores(length: int, washout: int) -> None:
    task = Narma(length, washout)
    targets = task.sample(1000, "val", torch.Generator().manual_seed(3)).targets
    mean = float(np.nanmean(targets))
    check_score(task, lambda batch: torch.full_like(batch.targets, mean), task.baseline.loss, None)
    for plateau, num_inputs in zip(task.plateaus, (10, 40), strict=True):
        assert f"last {num_inputs} inputs" in plateau.name
        check_score(task, linear_predictor(task, num_inputs), plateau.loss, None)


def test_linear_regressions_reach_the_documented_shares() -> None:
    task = Narma(1000, 100)
    shares = [(plateau.loss or 0.0) / task.baseline.loss for plateau in task.plateaus]
    assert shares == pytest.approx([0.33, 0.15], abs=0.02)


def test_eval_lengths_change_the_length() -> None:
    task = Narma(length=40, washout=10, eval_lengths=[90], length_sequences=4)
    (batch,) = task.longer_tests[90].predict_dataloader()
    assert batch.inputs.shape == (4, 90, 1)
    assert batch.scored.sum().item() == 4 * 80
    with pytest.raises(UsageError, match=r"eval_lengths must be above washout \(10\) and at most 10000, got 10"):
        task.at_length(10)


def test_solved_needs_its_own_share_of_the_baseline() -> None:
    task = Narma()
    assert task.solved({"val/loss_share": 0.0499})
    assert not task.solved({"val/loss_share": 0.0501})
    assert not task.solved({"test/loss_share": 0.03}, "test", threshold=0.98)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"washout": -1}, "washout must be at least 0, got -1"),
        ({"length": 30}, r"length must be above washout \(30\) and at most 10000, got 30"),
        ({"length": 10001}, r"length must be above washout \(30\) and at most 10000, got 10001"),
    ],
)
def test_value_out_of_bounds_raises(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Narma(**arguments)
