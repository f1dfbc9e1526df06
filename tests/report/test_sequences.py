"""Pictures of one sequence show the longest test sequence, without its padding."""

import torch

from rnn_tasks.analysis import hidden_states, lyapunov_spectrum
from rnn_tasks.cores import GRU
from rnn_tasks.networks import TaggerNetwork
from rnn_tasks.report.gates import gates_of
from rnn_tasks.report.jacobians import SEQUENCES, stretching
from rnn_tasks.report.run_data import RunData, in_double_precision
from rnn_tasks.report.sequences import lengths, longest
from rnn_tasks.report.trajectories import trajectory_of, units_of
from rnn_tasks.spec import NOT_SCORED, Batch
from rnn_tasks.tasks import Echo
from tests.helpers.report_runs import make_run

TASK = Echo(delay=0, test_sequences=16, min_eval_length=20, max_eval_length=20)
LENGTHS = torch.tensor([3, 12, 1, 15, *[2] * 12])


def padded_run() -> RunData:
    """Return a run whose sequences have the lengths ``LENGTHS``."""
    network = TaggerNetwork(lambda size: GRU(size, hidden_size=4), TASK.spec).eval()
    run = make_run(TASK, network=network, untrained=network)
    assert run.batch is not None
    run.batch.targets[torch.arange(20) >= LENGTHS[:, None]] = NOT_SCORED
    return run


def test_longest_cuts_after_the_last_scored_step() -> None:
    batch = padded_run().batch
    assert batch is not None
    assert torch.equal(lengths(batch), LENGTHS)
    marked = batch._replace(memory=batch.scored, group=torch.arange(16)[:, None])
    two = longest(marked, 2)
    assert torch.equal(two.inputs, batch.inputs[[3, 1], :12])
    assert torch.equal(two.targets, batch.targets[[3, 1], :12])
    assert two.memory is not None
    assert two.group is not None
    assert two.memory.shape == (2, 12)
    assert two.group.tolist() == [[3], [1]]


def test_longest_handles_real_targets_and_gaps() -> None:
    targets = torch.tensor([[1.0, torch.nan, torch.nan], [torch.nan, 2.0, torch.nan]])[..., None]
    batch = Batch(torch.arange(6.0).reshape(2, 3, 1), targets)
    assert lengths(batch).tolist() == [1, 2]
    assert longest(batch, 1).inputs.flatten().tolist() == [3.0, 4.0]


def test_pictures_show_the_longest_sequence_without_padding() -> None:
    run = padded_run()
    assert run.batch is not None
    read = run.characters(run.batch.inputs[3, :15].tolist())
    trajectory, units, gates = trajectory_of(run), units_of(run), gates_of(run)
    assert trajectory is not None
    assert units is not None
    assert gates is not None
    assert trajectory.read == units.read == gates.read == read
    assert trajectory.points.points.shape[1] == len(units.states) == len(gates.values["layer0/update"]) == 15
    states = hidden_states(run.network, run.batch.rows(3, 4))[0, :15].double()
    torch.testing.assert_close(torch.tensor(units.states), states[:, states.mean(0).argsort()])


def test_stretching_is_measured_along_the_longest_sequences() -> None:
    run = padded_run()
    assert run.batch is not None
    found = stretching(run.network, run.untrained, run.batch).trained
    assert found.steps == 12
    few = run.batch.selected(torch.tensor([3, 1]))
    few = few._replace(inputs=few.inputs[:, :12], targets=few.targets[:, :12])
    assert SEQUENCES == 2
    expected = lyapunov_spectrum(in_double_precision(run.network), few, discard=1)
    torch.testing.assert_close(torch.tensor(found.exponents), expected)
