"""Callbacks of runs with real inputs or real targets."""

import json
import math
import re
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from rnn_tasks.analysis.snapshots import read_snapshots
from rnn_tasks.callbacks import (
    EigenvalueMonitor,
    GateMonitor,
    GradientLagMonitor,
    GradientNormMonitor,
    PredictionWriter,
    RunSummary,
    SampleMonitor,
    SaturationMonitor,
    SnapshotRecorder,
    SpectralNormMonitor,
    ThroughputMonitor,
)
from rnn_tasks.callbacks._projector import symbol_points
from rnn_tasks.callbacks.prediction_writer import PREDICTIONS
from rnn_tasks.callbacks.sample_monitor import show_values
from rnn_tasks.cores import GRU
from rnn_tasks.models import RecurrentModel, SequenceRegressor, SequenceTagger
from rnn_tasks.runs.files import read_summary
from rnn_tasks.spec import Batch
from tests.helpers.monitored_runs import RecordingLogger, events, trainer
from tests.helpers.real_task import RecallValue


def model_of(task: RecallValue) -> RecurrentModel:
    torch.manual_seed(2)
    kind: type[SequenceTagger] | type[SequenceRegressor] = SequenceTagger if task.is_symbol else SequenceRegressor
    return kind(partial(GRU, hidden_size=5), task.spec, partial(torch.optim.Adam, lr=0.02))


@pytest.mark.parametrize("is_symbol", [False, True])
def test_monitors_measure_a_run_with_real_values(is_symbol: bool, tmp_path: Path) -> None:
    task, logger = RecallValue(is_symbol=is_symbol), RecordingLogger()
    monitors = [
        EigenvalueMonitor(first_picture_after=1),
        GateMonitor(first_picture_after=1),
        GradientLagMonitor(first_picture_after=1),
        GradientNormMonitor(),
        SampleMonitor(num_sequences=2),
        SaturationMonitor(),
        SnapshotRecorder(dense_every=2),
        SpectralNormMonitor(every_n_logs=1),
        ThroughputMonitor(every_n_logs=1),
    ]
    run = trainer(*monitors, folder=tmp_path, logger=logger)
    run.fit(model_of(task), task)
    assert {"gradient_by_lag/0", "gradient_norm/before_clipping", "saturation/share"} <= logger.names()
    assert all(math.isfinite(value) for value in logger.values("gradient_by_lag/5"))
    snapshots = read_snapshots(tmp_path / "run/version_0/snapshots.pt")
    assert snapshots.inputs.shape == (6, 2)
    written = events(tmp_path)
    assert {"gradient_by_lag", "gates"} <= set(written.Tags()["images"])
    assert ("samples/text_summary" in written.Tags()["tensors"]) == (not is_symbol)


def test_gradient_lag_at_lag_0_is_the_slope_of_the_squared_error() -> None:
    task, logger = RecallValue(length=3, val_sequences=1), RecordingLogger()
    model = model_of(task)
    batch = next(iter(task.val_dataloader()))
    with torch.no_grad():
        error = model(batch.inputs)[0][0, -1, 0] - batch.targets[0, -1, 0]
    expected = float(2 * error.abs() * model.state_dict()["network.readout.weight"].norm())
    trainer(GradientLagMonitor(), logger=logger).fit(model, task)
    assert logger.values("gradient_by_lag/0")[0] == pytest.approx(expected, rel=1e-4)


def test_predictions_of_real_values_are_numbers(tmp_path: Path) -> None:
    task = RecallValue(test_sequences=3)
    model = model_of(task)
    trainer(PredictionWriter(tmp_path)).predict(model, task)
    rows = [json.loads(line) for line in (tmp_path / PREDICTIONS).read_text().splitlines()]
    batch = next(iter(task.predict_dataloader()))
    with torch.no_grad():
        answers = model(batch.inputs)[0][:, -1, 0].tolist()
    for row, answer, inputs, target in zip(rows, answers, batch.inputs.tolist(), batch.targets.tolist(), strict=True):
        assert row["input"] == [pytest.approx(step, abs=1e-6) for step in inputs]
        assert row["target"] == [None] * 5 + [pytest.approx(target[-1], abs=1e-6)]
        assert row["answer"] == [None] * 5 + [[pytest.approx(answer, abs=1e-5)]]


def test_predictions_of_real_inputs_have_symbols_as_targets(tmp_path: Path) -> None:
    task = RecallValue(test_sequences=2, is_symbol=True)
    trainer(PredictionWriter(tmp_path)).predict(model_of(task), task)
    (row, _) = [json.loads(line) for line in (tmp_path / PREDICTIONS).read_text().splitlines()]
    assert row["target"][:5] == row["answer"][:5] == [None] * 5
    assert {row["target"][5], row["answer"][5]} <= {0, 1}
    assert len(row["input"][0]) == 2


def test_show_values_has_a_line_for_each_value_and_a_limit() -> None:
    targets = torch.arange(40.0).view(1, 20, 2)
    lines = show_values(Batch(torch.zeros(1, 20, 1), targets), -targets)[0].splitlines()
    assert [line.split()[0] for line in lines] == ["step", "target", "target", "answer", "answer"]
    assert lines[2].split()[1:] == [f"{value:.3f}" for value in range(1, 25, 2)]
    assert lines[3].split()[2] == "-2.000"


def test_points_of_real_values_are_labelled_with_numbers() -> None:
    batch = Batch(torch.tensor([[[0.25, -1.0], [1.0, 0.0]]]), torch.tensor([[[torch.nan], [0.5]]]))
    points = symbol_points(torch.zeros(1, 2, 3), batch, ())
    assert points.labels == [("0.25 -1.00", "-", "0", "0"), ("1.00 0.00", "0.50", "1", "0")]


def test_points_have_the_characters_of_output_symbols() -> None:
    batch = Batch(torch.tensor([[0, 1]]), torch.tensor([[-100, 1]]))
    points = symbol_points(torch.zeros(1, 2, 3), batch, ("a", "b"), ("x", "y"))
    assert [row[:2] for row in points.labels] == [("a", "-"), ("b", "y")]


def test_summary_of_real_values_has_groups_and_no_constants(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    task = RecallValue(eval_lengths=[9])
    run = trainer(RunSummary(), folder=tmp_path)
    model = model_of(task)
    run.fit(model, task)
    run.test(model, task)
    summary: dict[str, Any] = read_summary(tmp_path / "run/version_0")
    assert not [name for name in summary["metrics"] if "baseline" in name or "plateau" in name or "floor" in name]
    assert summary["metrics"]["val/loss_share"] == pytest.approx(summary["metrics"]["val/loss"] * 12)
    assert summary["baseline"]["unit"] == "mean squared error"
    assert summary["baseline"]["plateaus"] == [{"name": "knows which half", "loss": 1 / 48, "kind": "plateau"}]
    assert summary["time_steps"] == 6 * 16 * 6
    layout = events(tmp_path).Tensors("custom_scalars__config__")[0].tensor_proto.string_val[0].decode("latin-1")
    logged = set(events(tmp_path).Tags()["scalars"])
    charts = re.findall(r"\^(.*?)\$", layout)
    assert "val/plateau_loss/knows_which_half" in {
        name for chart in charts for name in logged if re.fullmatch(chart, name)
    }
    printed = capsys.readouterr().out
    assert "val error" in printed
    assert "mean squared error" in printed
    assert "error 0.02083: knows which half" in printed
