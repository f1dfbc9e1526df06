from functools import partial
from typing import Any

import numpy as np
import pytest
import torch

from rnn_tasks.cores import GRU, LSTM, DeltaNet, MinGRU, MinLSTM, ResetOnlyGRU, StackRNN
from rnn_tasks.networks import LanguageNetwork, TaggerNetwork
from rnn_tasks.plots.style import NARROW, WIDE
from rnn_tasks.report.blocks import Picture
from rnn_tasks.report.gates import (
    LAG_IN_TEXT,
    MAX_GATES,
    SHOWN_CHARACTERS,
    caption_of_gates,
    carrying_unit,
    gate_blocks,
    gates_of,
)
from rnn_tasks.report.run_data import RunData
from rnn_tasks.tasks import Copy, ElmanGrammar, VariableDelayEcho
from tests.helpers.report_runs import make_run

COPY = Copy(layout="arjovsky", num_symbols=3, delay=4, test_sequences=20)


def gated(layer: Any, task: Any = COPY, label: str = "run/version_0", **options: Any) -> RunData:
    """Return a run with a gated layer."""
    kind: Any = LanguageNetwork if isinstance(task, ElmanGrammar) else TaggerNetwork
    core: Any = partial(layer, hidden_size=5, **options)
    return make_run(task, label, network=kind(core, task.spec).eval())


def test_gates_of_finds_the_unit_that_keeps_an_input() -> None:
    run = gated(GRU)
    assert run.batch is not None
    with torch.no_grad():  # unit 2 stores letters, and keeps its state at blanks and markers
        core: Any = run.network.core
        core.weight_hh_l0.zero_()
        core.weight_ih_l0[5 + 2] = -20.0
        core.weight_ih_l0[5 + 2, COPY.alphabet_size :] = 20.0
    found = gates_of(run)
    assert found is not None
    assert found.carrier is not None
    assert (found.carrier.unit, found.carrier.lag) == (2, run.recall_lag)
    assert found.carrier.start == 2  # the last letter: every other letter is overwritten by the next one
    z = found.values["layer0/update"][:, 2]
    assert found.carrier.share == pytest.approx((1 - z[2]) * z[3 : 3 + found.carrier.lag].prod())
    assert found.carrier.share > 0.99
    assert "Unit 2 comes closest to this" in caption_of_gates(found)


def test_gates_of_uses_the_longest_delay() -> None:
    task = VariableDelayEcho(max_delay=3, test_sequences=40)
    run = gated(GRU, task)
    assert run.batch is not None
    assert run.batch.condition is not None
    found = gates_of(run)
    assert found is not None
    assert found.carrier is not None
    assert found.carrier.lag == 3
    row = int((run.batch.condition == 3).nonzero()[0])
    assert found.read == run.characters(run.batch.inputs[row].tolist())


def test_gates_of_shows_the_characters_around_the_carrier() -> None:
    run = gated(LSTM, ElmanGrammar(test_characters=4000))
    found = gates_of(run)
    assert found is not None
    assert found.carrier is not None
    assert found.carrier.lag == LAG_IN_TEXT
    assert len(found.read) == len(found.values["layer0/forget"]) <= SHOWN_CHARACTERS
    assert 0 <= found.carrier.start - found.first < len(found.read)
    assert run.batch is not None
    whole = run.characters(run.batch.inputs[0].tolist())
    assert found.read == whole[found.first : found.first + SHOWN_CHARACTERS]
    assert "the input gate must be 1" in caption_of_gates(found)


def test_gates_of_has_no_carrier_without_a_keeping_gate() -> None:
    found = gates_of(gated(ResetOnlyGRU))
    assert found is not None
    assert found.carrier is None
    assert "keep" not in caption_of_gates(found)
    assert gates_of(make_run(COPY)) is None
    assert gates_of(make_run(COPY, batch=None)) is None


@pytest.mark.parametrize("width", [NARROW, WIDE])
@pytest.mark.parametrize(
    ("layer", "options", "axes"), [(GRU, {}, 3), (LSTM, {"num_layers": 3}, 7), (ResetOnlyGRU, {}, 1)]
)
def test_gate_blocks_draws_a_panel_for_each_gate(width: float, layer: Any, options: Any, axes: int) -> None:
    (picture,), _ = gate_blocks([gated(layer, **options)], [])
    assert isinstance(picture, Picture)
    figure = picture.draw(width)
    assert len(figure.axes) == axes + 1  # and the colour bar
    maps = [ax for ax in figure.axes if ax.images]
    assert len(maps) <= MAX_GATES
    name = "Layer0, input gate: 1 lets the input in" if layer is LSTM else "Reset gate: 0 hides the old state"
    assert maps[0].get_title(loc="left") == name


@pytest.mark.parametrize(
    ("layer", "title", "row"),
    [
        (StackRNN, "Push: 1 puts a new value on top", "stack (sorted)"),
        (partial(DeltaNet, max_beta=2.0), "Beta: 1 replaces what is stored under the key", "head (sorted)"),
        (MinGRU, "Update gate: 1 keeps the state", "unit (sorted)"),
        (MinLSTM, "Forget gate: 1 keeps the cell", "unit (sorted)"),
    ],
)
def test_gate_blocks_name_the_rows(layer: Any, title: str, row: str) -> None:
    run = gated(layer)
    with torch.no_grad():
        for name, parameter in run.network.core.named_parameters():
            parameter.mul_(30 if name.startswith("beta") else 1)
    (picture,), _ = gate_blocks([run], [])
    assert isinstance(picture, Picture)
    assert f"{row.split()[0]}s sorted by their mean" in picture.caption
    assert "reset gate" not in picture.caption.lower()
    assert "recurrent matrices" not in picture.caption
    ax = next(ax for ax in picture.draw(WIDE).axes if ax.images)
    assert (ax.get_title(loc="left"), ax.get_ylabel()) == (title, row)
    assert ax.images[0].get_clim() == (0, 2 if row.startswith("head") else 1)


@pytest.mark.parametrize(("layer", "keep"), [(GRU, "update"), (LSTM, "forget")])
def test_carrying_unit_has_the_gates_of_its_layer(layer: Any, keep: str) -> None:
    found = gates_of(gated(layer, num_layers=2))
    assert found is not None
    assert found.carrier is not None
    carrying = carrying_unit(found)
    assert carrying is not None
    assert carrying.keep == keep
    expected = found.values[f"layer{found.carrier.layer}/{keep}"][:, found.carrier.unit]
    np.testing.assert_array_equal(carrying.gates[keep], expected)
    assert carrying_unit(found._replace(carrier=None)) is None


def test_gate_blocks_has_one_picture_per_gated_run() -> None:
    missing: list[str] = []
    blocks, numbers = gate_blocks(
        [gated(GRU, label="A: one"), make_run(COPY, "B: two"), gated(LSTM, label="C: three")], missing
    )
    assert [block.name for block in blocks if isinstance(block, Picture)] == ["gates_a", "gates_c"]
    assert list(numbers) == ["A: one", "C: three"]
    assert missing == []
