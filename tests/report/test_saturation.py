from functools import partial
from typing import Any

import numpy as np
import pytest
import torch

from rnn_tasks.analysis import hidden_states
from rnn_tasks.analysis.snapshots import joined, take_snapshot
from rnn_tasks.cores import Elman
from rnn_tasks.networks import TaggerNetwork
from rnn_tasks.plots.saturation import draw_saturation
from rnn_tasks.plots.style import NARROW, WIDE
from rnn_tasks.report.saturation import THRESHOLD, saturation_of
from rnn_tasks.tasks import Copy
from tests.helpers.report_runs import curve, make_run, small_network

COPY = Copy(test_sequences=20)


def saturating() -> Any:
    """Return a network with half of its units always near their bounds."""
    model = small_network(COPY)
    with torch.no_grad():
        model.core.bias_hh_l0[:3] = 50.0  # type: ignore[operator]
    return model


def test_saturation_of_sorts_units_by_share() -> None:
    model = saturating()
    run = make_run(COPY, network=model)
    found = saturation_of(run)
    assert found is not None
    assert run.batch is not None
    states = hidden_states(model, run.batch).numpy()
    assert found.trained.tolist() == sorted((np.abs(states) > THRESHOLD).mean((0, 1)).tolist(), reverse=True)
    assert (found.trained[:3] == 1).all()
    assert found.over_training is None


def test_saturation_over_training_prefers_snapshots() -> None:
    logged = saturation_of(make_run(COPY, curves={"saturation/share": curve(0.5, 0.25)}))
    assert logged is not None
    assert logged.over_training is not None
    assert logged.over_training.steps.tolist() == [10, 20]
    model = saturating()
    batch = make_run(COPY).batch
    assert batch is not None
    kept = joined([take_snapshot(small_network(COPY), batch, 0), take_snapshot(model, batch, 5)])
    recorded = saturation_of(make_run(COPY, snapshots=kept, curves={"saturation/share": curve(0.5)}))
    assert recorded is not None
    assert recorded.over_training is not None
    assert recorded.over_training.steps.tolist() == [0, 5]
    assert recorded.over_training.values[1] >= 0.5 > recorded.over_training.values[0]


def test_saturation_of_is_none_without_bounds_or_sequences() -> None:
    core: Any = partial(Elman, hidden_size=5, activation="identity")
    assert saturation_of(make_run(COPY, network=TaggerNetwork(core, COPY.spec))) is None
    assert saturation_of(make_run(COPY, batch=None)) is None


@pytest.mark.parametrize("width", [NARROW, WIDE])
def test_pictures_have_all_lines_and_labels(width: float) -> None:
    found = saturation_of(make_run(COPY, network=saturating()))
    assert found is not None
    (units,) = draw_saturation([("one", found)], width).axes
    assert units.get_ylabel() == "share of time steps"
    over = found._replace(over_training=curve(0.0, 0.001))
    figure = draw_saturation([("A: one", found), ("B: two", over)], width)
    assert len(figure.axes) == 2
    assert figure.axes[1].get_ylim()[1] == 0.1  # small shares look small
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["A: one", "B: two", "untrained"]
