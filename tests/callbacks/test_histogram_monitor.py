from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from numpy.typing import NDArray

from rnn_tasks.callbacks import HistogramMonitor
from rnn_tasks.errors import UsageError
from tests.helpers.monitored_runs import CORES, echo, events, model_for, trainer


class Recorder(Callback):
    """Keeps weights and gradients before each step."""

    def __init__(self) -> None:
        self.values: dict[tuple[str, int], NDArray[np.float32]] = {}

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Any) -> None:
        self.keep(trainer, pl_module, "weights")
        self.keep(trainer, pl_module, "gradients")

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.keep(trainer, pl_module, "weights")

    def keep(self, trainer: Trainer, model: LightningModule, kind: str) -> None:
        for name, parameter in model.network.named_parameters():  # type: ignore[union-attr]
            tensor = parameter.grad if kind == "gradients" else parameter
            assert tensor is not None
            role = "recurrent" if "weight_hh" in name else "input" if "core" in name else "rest"
            self.values[f"{kind}/{role}/{name}", trainer.global_step] = tensor.detach().flatten().numpy().copy()


def test_histograms_are_those_of_weights_and_gradients(tmp_path: Path) -> None:
    recorder = Recorder()
    trainer(HistogramMonitor(every_n_steps=4), recorder, folder=tmp_path).fit(model_for(echo(), CORES["Elman"]), echo())
    written = events(tmp_path)
    assert {name for name, _ in recorder.values} == set(written.Tags()["histograms"])
    assert "gradients/recurrent/core.weight_hh_l0" in written.Tags()["histograms"]
    for name in written.Tags()["histograms"]:
        histograms = written.Histograms(name)
        assert [histogram.step for histogram in histograms] == ([0, 4, 6] if name.startswith("weights/") else [0, 4])
        for event in histograms:
            values, histogram = recorder.values[name, event.step].astype(float), event.histogram_value
            assert histogram.num == len(values)
            assert (histogram.min, histogram.max) == pytest.approx((values.min(), values.max()))
            assert histogram.sum == pytest.approx(values.sum(), rel=1e-4, abs=1e-5)
            shares = np.cumsum(histogram.bucket) / len(values)
            inside = (values[:, None] <= np.array(histogram.bucket_limit) + 1e-6).mean(0)
            assert np.abs(shares - inside).max() <= 1 / len(values) + 1e-9


def test_values_that_are_not_finite_are_left_out(tmp_path: Path) -> None:
    class Spoil(Callback):
        def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Any) -> None:
            parameters = dict(pl_module.network.named_parameters())  # type: ignore[union-attr]
            parameters["core.weight_hh_l0"].grad[0, 0] = torch.nan
            parameters["readout.bias"].grad.fill_(torch.inf)

    monitor = HistogramMonitor()
    trainer(Spoil(), monitor, folder=tmp_path, max_steps=1).fit(model_for(echo(), CORES["Elman"]), echo())
    written = events(tmp_path)
    assert written.Histograms("gradients/recurrent/core.weight_hh_l0")[0].histogram_value.num == 7 * 7 - 1
    assert "gradients/rest/readout.bias" not in written.Tags()["histograms"]


def test_histogram_monitor_rejects_no_steps() -> None:
    with pytest.raises(UsageError, match="every_n_steps must be at least 1, got 0"):
        HistogramMonitor(every_n_steps=0)
