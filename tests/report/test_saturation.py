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
from tests.helpers.report_runs import curve, made, network_of

COPY = Copy(test_sequences=20)


def saturating() -> Any:
    """A network of which half the units are always near their bounds."""
    model = network_of(COPY)
    with torch.no_grad():
        model.core.bias_hh_l0[:3] = 50.0  # type: ignore[operator]
    return model


def test_the_share_of_each_unit_from_the_most_saturation_of() -> None:
    model = saturating()
    run = made(COPY, network=model)
    found = saturation_of(run)
    assert found is not None
    assert run.batch is not None
    states = hidden_states(model, run.batch).numpy()
    assert found.trained.tolist() == sorted((np.abs(states) > THRESHOLD).mean((0, 1)).tolist(), reverse=True)
    assert (found.trained[:3] == 1).all()
    assert found.over_training is None


def test_the_layer_over_training_is_recorded_or_logged() -> None:
    logged = saturation_of(made(COPY, curves={"saturation/share": curve(0.5, 0.25)}))
    assert logged is not None
    assert logged.over_training is not None
    assert logged.over_training.steps.tolist() == [10, 20]
    model = saturating()
    batch = made(COPY).batch
    assert batch is not None
    kept = joined([take_snapshot(network_of(COPY), batch, 0), take_snapshot(model, batch, 5)])
    recorded = saturation_of(made(COPY, snapshots=kept, curves={"saturation/share": curve(0.5)}))
    assert recorded is not None
    assert recorded.over_training is not None
    assert recorded.over_training.steps.tolist() == [0, 5]
    assert recorded.over_training.values[1] >= 0.5 > recorded.over_training.values[0]


def test_saturation_is_none_without_bounds_or_sequences() -> None:
    core: Any = partial(Elman, hidden_size=5, activation="identity")
    assert saturation_of(made(COPY, network=TaggerNetwork(core, COPY.spec))) is None
    assert saturation_of(made(COPY, batch=None)) is None


@pytest.mark.parametrize("width", [NARROW, WIDE])
def test_pictures(width: float) -> None:
    found = saturation_of(made(COPY, network=saturating()))
    assert found is not None
    (units,) = draw_saturation([("one", found)], width).axes
    assert units.get_ylabel() == "share of the steps"
    over = found._replace(over_training=curve(0.0, 0.001))
    both = draw_saturation([("A: one", found), ("B: two", over)], width)
    assert len(both.axes) == 2
    assert both.axes[1].get_ylim()[1] == 0.1  # next to nothing looks so
    assert [text.get_text() for text in both.legends[0].get_texts()] == ["A: one", "B: two", "untrained"]
