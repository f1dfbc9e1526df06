import math
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch

from rnn_tasks.cores import Elman
from rnn_tasks.errors import UsageError
from rnn_tasks.networks import Network, TaggerNetwork
from rnn_tasks.plots.jacobians import LOWEST, draw_exponents, draw_products
from rnn_tasks.plots.style import NARROW, WIDE
from rnn_tasks.report.fixed_points import fixed_points_of
from rnn_tasks.report.jacobians import MIN_STEPS, stretching, time_constant
from rnn_tasks.report.run_data import in_double_precision
from rnn_tasks.tasks import Copy
from tests.helpers.report_runs import make_run, small_network
from tests.helpers.state_layers import Associative

TASK = Copy(layout="arjovsky", delay=20, test_sequences=20)


def linear(eigenvalues: list[float]) -> Network:
    """Return a linear network with a diagonal recurrent matrix."""
    core: Any = partial(Elman, hidden_size=len(eigenvalues), activation="identity")
    model = TaggerNetwork(core, TASK.spec).double().eval()
    with torch.no_grad():
        model.core.recurrent_weights()["weight_hh_l0"].copy_(torch.diag(torch.tensor(eigenvalues)))
    return model


def test_stretching_of_a_linear_network_is_a_matrix_power() -> None:
    batch = make_run(TASK).batch
    assert batch is not None
    found = stretching(linear([1.0, 0.5, 0.1]), linear([0.9, 0.9, 0.9]), batch)
    trained = found.trained
    assert trained.steps == batch.inputs.shape[1] == trained.after[-1] == 40
    expected = np.array([1.0, 0.5, 0.1]) ** trained.after[:, None]
    np.testing.assert_allclose(trained.factors, expected, rtol=1e-6, atol=1e-16)
    np.testing.assert_allclose(trained.exponents, np.log([1.0, 0.5, 0.1]), atol=1e-6)
    np.testing.assert_allclose(found.untrained.exponents, math.log(0.9), atol=1e-6)
    assert time_constant(found.untrained.exponents) == pytest.approx(-1 / math.log(0.9))


def test_stretching_uses_fewer_steps_when_states_are_large() -> None:
    batch = make_run(TASK).batch
    assert batch is not None
    model = in_double_precision(small_network(TASK, 6))
    assert stretching(model, model, batch, max_work=20 * 6**3).trained.steps == 20
    assert stretching(model, model, batch, max_work=1).trained.steps == MIN_STEPS
    assert stretching(model, model, batch, max_work=1, products=3).trained.after.tolist() == [3, 6]


@pytest.mark.parametrize("width", [NARROW, WIDE])
def test_pictures_have_reference_lines_and_labels(width: float) -> None:
    batch = make_run(TASK).batch
    assert batch is not None
    one = stretching(linear([1.0, 0.5, 0.0]), linear([0.9, 0.9, 0.9]), batch)
    products = draw_products([("A: one", one), ("B: two", one)], width)
    assert [ax.get_title(loc="left") for ax in products.axes] == ["A: one", "B: two"]
    lines = {line.get_label(): np.asarray(line.get_ydata()) for line in products.axes[0].lines}
    assert set(lines) == {"largest", "median", "smallest", "largest, untrained", "no growth, no decay"}
    assert (lines["smallest"] == LOWEST).all()
    exponents = draw_exponents([("A: one", one), ("B: two", one)], width)
    assert len(exponents.axes[0].lines[0].get_xdata()) == 2  # type: ignore[arg-type]  # an exponent of -inf is omitted
    assert exponents.axes[0].get_ylabel() == "exponent, nats per step"
    low, high = exponents.axes[0].get_ylim()
    assert low < math.log(0.9) < 0 < high


def test_stretching_skips_large_states_with_one_line() -> None:
    network: Any = TaggerNetwork(partial(Associative, hidden_size=48, heads=1), TASK.spec).eval()
    run = make_run(TASK, network=network, untrained=network)
    assert run.batch is not None
    with pytest.raises(UsageError, match="the state has 2,304 numbers, more than 1,024: skipped"):
        stretching(network, network, run.batch)
    with pytest.raises(UsageError, match="the state has 2,304 numbers, more than 512: skipped"):
        fixed_points_of(run)
