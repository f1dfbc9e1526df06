from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from rnn_tasks.analysis import gate_activity
from rnn_tasks.callbacks import GateMonitor
from rnn_tasks.cores import LSTM, Foreign, ResetOnlyGRU, ScratchGRU, ScratchLSTM, StackRNN, UpdateOnlyGRU
from rnn_tasks.errors import UsageError
from tests.helpers.monitored_runs import (
    CORES,
    GATED,
    UNSUPPORTED,
    RecordingLogger,
    echo,
    events,
    grammar,
    model_for,
    task_layer_pairs,
    trainer,
)

LAYERS: dict[str, tuple[Any, set[str]]] = {
    "GRU with two layers": (GATED, {"layer0/reset", "layer0/update", "layer1/reset", "layer1/update"}),
    "LSTM": (partial(LSTM, hidden_size=5), {"layer0/input", "layer0/forget", "layer0/output"}),
    "ScratchGRU": (partial(ScratchGRU, hidden_size=5), {"layer0/reset", "layer0/update"}),
    "ScratchLSTM": (partial(ScratchLSTM, hidden_size=5), {"layer0/input", "layer0/forget", "layer0/output"}),
    "ResetOnlyGRU": (partial(ResetOnlyGRU, hidden_size=5), {"layer0/reset"}),
    "UpdateOnlyGRU": (partial(UpdateOnlyGRU, hidden_size=5), {"layer0/update"}),
    "StackRNN": (partial(StackRNN, hidden_size=5), {"layer0/push", "layer0/pop", "layer0/keep"}),
    "Foreign": (partial(Foreign, hidden_size=5, layer=nn.GRU), {"layer0/reset", "layer0/update"}),
}


@pytest.mark.parametrize(("make", "layer"), task_layer_pairs(LAYERS))
def test_gate_monitor_logs_mean_and_std_of_each_gate(make: Any, layer: str) -> None:
    core, gates = LAYERS[layer]
    task, logger = make(), RecordingLogger()
    model = model_for(task, core)
    trainer(GateMonitor(num_sequences=2), logger=logger, max_steps=2).fit(model, task)
    activity = gate_activity(model.network, next(iter(task.val_dataloader())).rows(0, 2))
    names = {name for name in logger.names() if name.startswith("gate/")}
    assert names == {f"gate/{gate}/{quantity}" for gate in gates for quantity in ("mean", "std")}
    for gate in gates:
        values = activity[gate].double().numpy()
        assert logger.values(f"gate/{gate}/mean")[-1] == pytest.approx(values.mean(), rel=1e-4)
        assert logger.values(f"gate/{gate}/std")[-1] == pytest.approx(values.std(), rel=1e-4)


def test_gate_monitor_draws_the_first_sequence(tmp_path: Path) -> None:
    task = grammar()
    model, monitor = model_for(task, GATED), GateMonitor()
    trainer(monitor, folder=tmp_path).fit(model, task)
    batch = next(iter(task.val_dataloader()))
    expected = gate_activity(model.network, batch)["layer1/update"][0]
    torch.testing.assert_close(monitor.gates["layer1/update"], expected)
    assert "".join(monitor.inputs) == task.vocabulary.decode(batch.inputs[0].tolist())
    assert [image.step for image in events(tmp_path).Images("gates")] == [6]


@pytest.mark.parametrize(
    ("core", "name"), [(CORES["Elman"], "Elman"), (CORES["RNN"], "RNN"), (UNSUPPORTED, "UnsupportedLayer")]
)
def test_gate_monitor_raises_for_a_layer_without_gates(core: Any, name: str) -> None:
    with pytest.raises(UsageError, match=f"GateMonitor knows no gates in {name}: it supports GRU, LSTM"):
        trainer(GateMonitor()).fit(model_for(echo(), core), echo())
