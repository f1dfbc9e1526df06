import pytest
import torch
from sklearn.linear_model import LinearRegression
from torch import Tensor

from rnn_tasks.spec import Batch
from rnn_tasks.tasks.linear_prediction import estimation_sequences, linear_loss, mean_loss
from rnn_tasks.tasks.narma import estimated_losses


@pytest.fixture
def batch() -> Batch:
    """Return a noisy series of which the first two steps are not scored."""
    generator = torch.Generator().manual_seed(0)
    inputs = torch.rand(30, 20, 1, generator=generator)
    targets = inputs.roll(2, 1) + torch.rand(30, 20, 1, generator=generator)
    targets[:, :2] = torch.nan
    return Batch(inputs, targets)


def test_mean_loss_equals_the_variance_of_scored_targets(batch: Batch) -> None:
    targets = batch.targets[:, 2:].double()
    assert mean_loss(batch) == pytest.approx((targets - targets.mean()).square().mean().item())


@pytest.mark.parametrize("num_inputs", [1, 3, 5])
def test_linear_loss_equals_that_of_scikit_learn(batch: Batch, num_inputs: int) -> None:
    def last_inputs(row: Tensor, step: int) -> list[float]:
        return [float(row[step - back]) if step >= back else 0.0 for back in range(num_inputs)]

    inputs = [last_inputs(row, step) for row in batch.inputs[..., 0].double() for step in range(2, 20)]
    targets = batch.targets[:, 2:, 0].double().flatten().numpy()
    errors = LinearRegression().fit(inputs, targets).predict(inputs) - targets
    assert linear_loss(batch, num_inputs) == pytest.approx((errors**2).mean())


def test_linear_loss_is_0_for_a_linear_system() -> None:
    inputs = torch.rand(5, 20, 1, generator=torch.Generator().manual_seed(0))
    targets = 0.5 * inputs - 2 * inputs.roll(1, 1) + 3
    targets[:, :1] = torch.nan
    assert linear_loss(Batch(inputs, targets), 2) < 1e-10


@pytest.mark.parametrize(
    ("scored_steps", "expected"), [(1, 2000), (100, 2000), (101, 1981), (10_000, 20), (300_000, 1)]
)
def test_estimation_sequences_are_bounded(scored_steps: int, expected: int) -> None:
    assert estimation_sequences(scored_steps) == expected


def test_inputs_before_the_start_do_not_spoil_the_regression() -> None:
    for length, washout in ((20, 0), (20, 10), (5, 0)):
        losses = estimated_losses(length, washout)
        assert losses.linear[1] <= losses.linear[0] * (1 + 1e-9) <= losses.mean * (1 + 2e-9)
