from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from rnn_tasks.callbacks import HiddenStateMonitor
from rnn_tasks.callbacks.hidden_state_monitor import units_along
from rnn_tasks.cores import Elman
from rnn_tasks.errors import UsageError
from rnn_tasks.spec import Batch
from tests.helpers.monitored_runs import CORES, echo, events, grammar, model_for, trainer


@pytest.mark.parametrize(("make", "core"), [(echo, "GRU"), (grammar, "LSTM")])
def test_units_are_the_states_up_to_the_last_scored_step(make: Any, core: str) -> None:
    task = make()
    model = model_for(task, CORES[core]).eval()
    batch = next(iter(task.val_dataloader())).rows(0, 1)
    batch = Batch(batch.inputs, batch.targets.index_fill(1, torch.tensor([batch.inputs.shape[1] - 1]), -100))
    states, read = units_along(model.network, batch, max_steps=99)
    with torch.no_grad():
        expected = model.network.core(model.network.encode(batch.inputs))[0][0, :-1].double()
    torch.testing.assert_close(torch.from_numpy(states), expected[:, expected.mean(0).argsort()])
    assert task.spec.codec is None or read == [task.spec.codec.symbols[symbol] for symbol in batch.inputs[0, :-1]]
    assert len(read) == len(states)
    assert len(units_along(model.network, batch, max_steps=2).states) == 2


def test_hidden_states_are_drawn_once_when_training_ends(tmp_path: Path) -> None:
    trainer(HiddenStateMonitor(), folder=tmp_path).fit(model_for(echo()), echo())
    (image,) = events(tmp_path).Images("hidden_states")
    assert image.step == 6
    assert image.width > image.height > 100


def test_a_diverged_network_is_not_drawn(tmp_path: Path) -> None:
    model = model_for(echo(), partial(Elman, hidden_size=7, activation="identity"))
    with torch.no_grad():
        model.network.core.recurrent_weights()["weight_hh_l0"].fill_(torch.inf)
    trainer(HiddenStateMonitor(), folder=tmp_path, max_steps=1).fit(model, echo())
    assert events(tmp_path).Tags()["images"] == []


def test_hidden_state_monitor_rejects_no_steps() -> None:
    with pytest.raises(UsageError, match="max_steps must be at least 1, got 0"):
        HiddenStateMonitor(max_steps=0)
