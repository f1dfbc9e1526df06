from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from rnn_tasks.callbacks import SaturationMonitor
from rnn_tasks.cores import RNN, Elman, Foreign
from rnn_tasks.errors import UsageError
from tests.helpers.monitored_runs import (
    CORES,
    UNSUPPORTED,
    RecordingLogger,
    echo,
    events,
    model_for,
    task_layer_pairs,
    trainer,
)

BOUNDED_CORES = {name: core for name, core in CORES.items() if name != "RNN"} | {
    "sigmoid": partial(Elman, hidden_size=6, activation="sigmoid"),
    "UnsupportedLayer": UNSUPPORTED,
}


@pytest.mark.parametrize(("make", "core"), task_layer_pairs(BOUNDED_CORES))
def test_saturation_is_the_share_of_states_above_the_threshold(make: Any, core: str) -> None:
    task, logger = make(), RecordingLogger()
    model = model_for(task, BOUNDED_CORES[core])
    threshold = 0.5 if core == "sigmoid" else 0.2
    monitor = SaturationMonitor(threshold=threshold, num_sequences=2)
    trainer(monitor, logger=logger, max_steps=2).fit(model, task)
    model.eval()
    with torch.no_grad():
        states, _ = model.network.core(model.network.encode(next(iter(task.val_dataloader())).inputs[:2]))
    above = (states.abs() > threshold).float()
    assert logger.values("saturation/share")[-1] == pytest.approx(above.mean().item())
    assert 0 < above.mean() < 1
    assert monitor.shares is not None
    torch.testing.assert_close(monitor.shares, above.flatten(0, 1).mean(0))


def test_histogram_has_all_units_at_every_validation(tmp_path: Path) -> None:
    trainer(SaturationMonitor(), folder=tmp_path).fit(model_for(echo()), echo())
    written = events(tmp_path).Histograms("saturation/units")
    assert [histogram.step for histogram in written] == [2, 4, 6]
    assert {histogram.histogram_value.num for histogram in written} == {7}


@pytest.mark.parametrize(
    "core",
    [
        partial(Elman, hidden_size=6, activation="relu"),
        partial(Elman, hidden_size=6, activation="identity"),
        partial(RNN, hidden_size=6, nonlinearity="relu"),
        partial(Foreign, hidden_size=6, layer=nn.RNN, options={"nonlinearity": "relu"}),
    ],
)
def test_saturation_monitor_raises_for_unbounded_states(core: Any) -> None:
    with pytest.raises(UsageError, match=r"needs hidden states in -1\.\.1; this (Elman|RNN) has unbounded"):
        trainer(SaturationMonitor()).fit(model_for(echo(), core), echo())


@pytest.mark.parametrize("threshold", [0.0, 1.0])
def test_saturation_monitor_raises_for_a_bad_threshold(threshold: float) -> None:
    with pytest.raises(UsageError, match="threshold must be above 0 and below 1"):
        SaturationMonitor(threshold=threshold)
