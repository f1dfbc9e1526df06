import math
from typing import Any

import numpy as np
import pytest
import torch

from rnn_tasks.analysis import hidden_states
from rnn_tasks.analysis.snapshots import joined, take_snapshot
from rnn_tasks.report.gradients import (
    AFTER,
    BEFORE,
    GRADIENT_SEQUENCES,
    clipping_of,
    gradient_map,
    gradients_by_lag,
    gradients_in_training,
)
from rnn_tasks.report.run_data import RunData
from rnn_tasks.spec import Batch
from rnn_tasks.tasks import Copy, Echo
from tests.helpers.report_runs import curve, make_run, small_network

ECHO = Echo(delay=3, test_sequences=20)


def watched(run: RunData, *steps: int) -> RunData:
    """Return the run with a snapshot of its network at each of the steps."""
    assert run.batch is not None
    parts = [take_snapshot(run.network, run.batch, step) for step in steps]
    return make_run(ECHO, run.label, network=run.network, snapshots=joined(parts))


def test_gradients_by_lag_start_at_the_last_scored_step() -> None:
    run = make_run(ECHO)
    found = gradients_by_lag(run)
    assert found is not None
    assert run.batch is not None
    assert found.trained.dtype == np.float64
    few = run.batch.rows(0, GRADIENT_SEQUENCES)
    for model, norms in ((run.network, found.trained), (run.untrained, found.untrained)):
        lengths = []
        for inputs, targets in zip(few.inputs, few.targets, strict=True):
            last = int((targets >= 0).nonzero()[-1])
            state = hidden_states(model, Batch(inputs[None], targets[None]))[0, last].requires_grad_()
            readout: Any = model.readout
            loss = torch.nn.functional.cross_entropy(readout(state), targets[last])
            lengths.append(float(torch.autograd.grad(loss, state)[0].norm()))
        assert norms[0] == pytest.approx(np.mean(lengths), rel=1e-5)


def test_gradients_by_lag_keeps_the_network_in_float32() -> None:
    run = make_run(ECHO)
    gradients_by_lag(run)
    assert run.network.dtype == torch.float32


def test_gradients_are_none_without_recordings() -> None:
    assert gradients_by_lag(make_run(ECHO, batch=None)) is None
    assert gradients_in_training(make_run(ECHO)) is None
    assert clipping_of(make_run(ECHO)) is None


@pytest.mark.parametrize(
    ("trainer", "limit"),
    [
        ({"gradient_clip_val": 2.0}, 2.0),
        ({"gradient_clip_val": 2.0, "gradient_clip_algorithm": "norm"}, 2.0),
        ({"gradient_clip_val": 2.0, "gradient_clip_algorithm": "value"}, None),
        ({"gradient_clip_val": None}, None),
        ({}, None),
    ],
)
def test_clipping_of_returns_the_share_of_clipped_steps(trainer: dict[str, Any], limit: float | None) -> None:
    curves = {BEFORE: curve(4.0, 2.0000001, 1.0, 8.0), AFTER: curve(2.0, 2.0, 1.0, 2.0)}
    found = clipping_of(make_run(ECHO, curves=curves, config={"trainer": trainer}))
    assert found is not None
    assert (found.clipped, found.limit) == (0.5, limit)
    assert found.before.steps.tolist() == [10, 20, 30, 40]


def test_clipping_of_uses_steps_with_both_norms() -> None:
    found = clipping_of(make_run(ECHO, curves={BEFORE: curve(4.0, 4.0), AFTER: curve(2.0)}))
    assert found is not None
    assert (found.clipped, len(found.before.steps)) == (1.0, 1)
    nothing = clipping_of(make_run(ECHO, curves={BEFORE: curve(4.0), AFTER: curve()}))
    assert nothing is not None
    assert math.isnan(nothing.clipped)


def test_gradients_in_training_needs_two_snapshots() -> None:
    task = Copy(test_sequences=20)
    run = make_run(task)
    assert run.batch is not None
    once = take_snapshot(small_network(task), run.batch, 0)
    assert gradients_in_training(make_run(task, snapshots=once)) is None


def test_gradient_map_returns_logarithms() -> None:
    found = gradients_in_training(watched(make_run(ECHO), 0, 10))
    assert found is not None
    shown = gradient_map(found._replace(norms=np.array([[1.0, 0.01], [0.0, 1e-30]])))
    assert shown.steps.tolist() == [0, 10]
    assert shown.log_norms.ravel().tolist() == pytest.approx([0, -2, -np.inf, -30])
