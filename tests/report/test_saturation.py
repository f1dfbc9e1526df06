from functools import partial
from typing import Any

import numpy as np
import pytest
import torch

from rnn_tasks.analysis import hidden_states
from rnn_tasks.analysis.snapshots import joined, take_snapshot
from rnn_tasks.cores import Elman
from rnn_tasks.models import SequenceTagger
from rnn_tasks.report.page import NARROW, WIDE
from rnn_tasks.report.saturation import THRESHOLD, draw_saturated, saturated
from rnn_tasks.tasks import Copy
from tests.report.made import curve, made, model_of

COPY = Copy(test_sequences=20)


def saturating() -> Any:
    """A network of which half the units are always near their bounds."""
    model = model_of(COPY)
    with torch.no_grad():
        model.core.bias_hh_l0[:3] = 50.0  # type: ignore[operator]
    return model


def test_the_share_of_each_unit_from_the_most_saturated() -> None:
    model = saturating()
    subject = made(COPY, model=model)
    found = saturated(subject)
    assert found is not None
    assert subject.batch is not None
    states = hidden_states(model, subject.batch).numpy()
    assert found.trained.tolist() == sorted((np.abs(states) > THRESHOLD).mean((0, 1)).tolist(), reverse=True)
    assert (found.trained[:3] == 1).all()
    assert found.over_training is None


def test_the_layer_over_training_is_recorded_or_logged() -> None:
    logged = saturated(made(COPY, curves={"saturation/share": curve(0.5, 0.25)}))
    assert logged is not None
    assert logged.over_training is not None
    assert logged.over_training.steps.tolist() == [10, 20]
    model = saturating()
    batch = made(COPY).batch
    assert batch is not None
    kept = joined([take_snapshot(model_of(COPY), batch, 0), take_snapshot(model, batch, 5)])
    recorded = saturated(made(COPY, snapshots=kept, curves={"saturation/share": curve(0.5)}))
    assert recorded is not None
    assert recorded.over_training is not None
    assert recorded.over_training.steps.tolist() == [0, 5]
    assert recorded.over_training.values[1] >= 0.5 > recorded.over_training.values[0]


def test_layers_without_bounds_and_runs_without_sequences_have_none() -> None:
    core: Any = partial(Elman, hidden_size=5, activation="identity")
    assert saturated(made(COPY, model=SequenceTagger(core, COPY.spec, torch.optim.Adam))) is None
    assert saturated(made(COPY, batch=None)) is None


@pytest.mark.parametrize("width", [NARROW, WIDE])
def test_pictures(width: float) -> None:
    found = saturated(made(COPY, model=saturating()))
    assert found is not None
    (units,) = draw_saturated([("one", found)], width).axes
    assert units.get_ylabel() == "share of the steps"
    over = found._replace(over_training=curve(0.0, 0.001))
    both = draw_saturated([("A: one", found), ("B: two", over)], width)
    assert len(both.axes) == 2
    assert both.axes[1].get_ylim()[1] == 0.1  # next to nothing looks so
    assert [text.get_text() for text in both.legends[0].get_texts()] == ["A: one", "B: two", "untrained"]
