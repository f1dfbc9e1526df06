"""Measurements of networks that read and output real values."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from rnn_tasks.analysis.dynamics import jacobian_products, lyapunov_spectrum
from rnn_tasks.analysis.flow import encoded, gradient_by_lag, gradient_by_time_step, hidden_states
from rnn_tasks.analysis.gates import gate_activity
from rnn_tasks.analysis.snapshots import joined, read_snapshots, take_snapshot, write_snapshots
from rnn_tasks.cores import GRU, LSTM, Elman
from rnn_tasks.networks import RegressorNetwork
from rnn_tasks.spec import Batch, TaskSpec
from tests.helpers.real_task import RecallValue

CORES: dict[str, Any] = {
    "Elman": partial(Elman, hidden_size=5),
    "GRU": partial(GRU, hidden_size=5, num_layers=2),
    "LSTM": partial(LSTM, hidden_size=5),
}
TASK = RecallValue(length=5, batch_size=3)
BATCH = TASK.train_batch(0)


def regressor(core: Any, spec: TaskSpec = TASK.spec) -> RegressorNetwork:
    torch.manual_seed(1)
    return RegressorNetwork(core, spec).double().eval()


def test_encoded_real_inputs_are_unchanged() -> None:
    torch.testing.assert_close(encoded(regressor(CORES["GRU"]), BATCH), BATCH.inputs.double())


def test_gradients_of_the_squared_error_equal_autograd() -> None:
    network = regressor(CORES["Elman"])
    cell = nn.RNNCell(2, 5).double()
    cell.load_state_dict({name.removesuffix("_l0"): value for name, value in network.core.state_dict().items()})
    one = BATCH.rows(0, 1)
    hidden, states = torch.zeros(1, 5).double(), []
    for now in one.inputs.double().unbind(1):
        hidden = cell(now, hidden)
        states.append(hidden)
    loss = (network.readout(hidden)[0, 0] - one.targets[0, -1, 0].double()) ** 2
    expected = torch.stack([gradient.norm() for gradient in torch.autograd.grad(loss, states)])
    torch.testing.assert_close(gradient_by_time_step(network, one), expected)
    torch.testing.assert_close(gradient_by_lag(network, one), expected.flip(0))


def test_gradient_is_the_mean_over_scored_steps_and_outputs() -> None:
    spec = TaskSpec(2, 3, real_inputs=True, real_targets=True)
    network = regressor(CORES["Elman"], spec)
    targets = torch.full((1, 5, 3), torch.nan)
    targets[0, 2], targets[0, 4] = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([-1.0, 0.5, 0.0])
    batch = Batch(BATCH.inputs[:1], targets)

    def loss(last: Tensor) -> Tensor:
        states = torch.cat([hidden_states(network, batch)[:, :4], last[None, None]], 1)
        outputs: Tensor = network.readout(states)
        return ((outputs[0, [2, 4]] - targets[0, [2, 4]]) ** 2).sum() / 6

    last = hidden_states(network, batch)[0, 4].requires_grad_()
    (expected,) = torch.autograd.grad(loss(last), last)
    assert float(gradient_by_time_step(network, batch)[4]) == pytest.approx(float(expected.norm()))


@pytest.mark.parametrize("core", CORES)
def test_dynamics_of_real_inputs_are_finite(core: str) -> None:
    network = regressor(CORES[core])
    assert jacobian_products(network, BATCH, steps=4).isfinite().all()
    assert lyapunov_spectrum(network, BATCH).isfinite().all()
    for gate in gate_activity(network, BATCH).values():
        assert gate.shape == (3, 5, 5)


@pytest.mark.parametrize("core", CORES)
def test_snapshots_of_real_values_are_read_as_written(core: str, tmp_path: Path) -> None:
    network: Any = regressor(CORES[core]).float()
    parts = [take_snapshot(network, BATCH, step) for step in (0, 3)]
    snapshots = joined(parts)
    assert (snapshots.inputs.shape, snapshots.targets.shape) == ((5, 2), (5, 1))
    torch.testing.assert_close(snapshots.predictions[0], network(BATCH.inputs)[0][0])
    write_snapshots(tmp_path / "snapshots.pt", snapshots)
    stored = read_snapshots(tmp_path / "snapshots.pt")
    assert torch.equal(stored.inputs, snapshots.inputs)
    assert torch.equal(stored.targets.isnan(), BATCH.targets[0].isnan())
