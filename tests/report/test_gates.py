from functools import partial
from typing import Any

import numpy as np
import pytest
import torch

from rnn_tasks.cores import GRU, LSTM, ResetOnlyGRU
from rnn_tasks.networks import LanguageNetwork, TaggerNetwork
from rnn_tasks.plots.style import NARROW, WIDE
from rnn_tasks.report.blocks import Picture
from rnn_tasks.report.gates import (
    IN_TEXT,
    MAX_GATES,
    SHOWN_OF_TEXT,
    caption_of_gates,
    carrying_unit,
    gate_blocks,
    gates_of,
)
from rnn_tasks.report.run_data import RunData
from rnn_tasks.tasks import Copy, ElmanGrammar, VariableDelayEcho
from tests.helpers.report_runs import made

COPY = Copy(layout="arjovsky", num_symbols=3, delay=4, test_sequences=20)


def gated(layer: Any, task: Any = COPY, label: str = "made/version_0", **options: Any) -> RunData:
    """A run with a gated layer."""
    kind: Any = LanguageNetwork if isinstance(task, ElmanGrammar) else TaggerNetwork
    core: Any = partial(layer, hidden_size=5, **options)
    return made(task, label, network=kind(core, task.spec).eval())


def test_the_unit_that_carries_most_is_found() -> None:
    run = gated(GRU)
    assert run.batch is not None
    with torch.no_grad():  # unit 2 writes at letters, and keeps at the blank and the marker
        core: Any = run.network.core
        core.weight_hh_l0.zero_()
        core.weight_ih_l0[5 + 2] = -20.0
        core.weight_ih_l0[5 + 2, COPY.alphabet_size :] = 20.0
    found = gates_of(run)
    assert found is not None
    assert found.carrier is not None
    assert (found.carrier.unit, found.carrier.lag) == (2, run.wait)
    assert found.carrier.start == 2  # behind other letters come more
    z = found.values["layer0/update"][:, 2]
    assert found.carrier.share == pytest.approx((1 - z[2]) * z[3 : 3 + found.carrier.lag].prod())
    assert found.carrier.share > 0.99
    assert "comes nearest" in caption_of_gates(found)


def test_of_several_delays_the_longest_is_looked_at() -> None:
    task = VariableDelayEcho(max_delay=3, test_sequences=40)
    run = gated(GRU, task)
    assert run.batch is not None
    assert run.batch.condition is not None
    found = gates_of(run)
    assert found is not None
    assert found.carrier is not None
    assert found.carrier.lag == 3
    row = int((run.batch.condition == 3).nonzero()[0])
    assert found.read == run.shown(run.batch.inputs[row].tolist())


def test_of_a_text_some_characters_around_the_carrier_are_shown() -> None:
    run = gated(LSTM, ElmanGrammar(test_characters=4000))
    found = gates_of(run)
    assert found is not None
    assert found.carrier is not None
    assert found.carrier.lag == IN_TEXT
    assert len(found.read) == len(found.values["layer0/forget"]) <= SHOWN_OF_TEXT
    assert 0 <= found.carrier.start - found.first < len(found.read)
    assert run.batch is not None
    whole = run.shown(run.batch.inputs[0].tolist())
    assert found.read == whole[found.first : found.first + SHOWN_OF_TEXT]
    assert "the input gate must be 1" in caption_of_gates(found)


def test_layers_that_keep_by_no_gate_or_have_none() -> None:
    found = gates_of(gated(ResetOnlyGRU))
    assert found is not None
    assert found.carrier is None
    assert "carry" not in caption_of_gates(found)
    assert gates_of(made(COPY)) is None
    assert gates_of(made(COPY, batch=None)) is None


@pytest.mark.parametrize("width", [NARROW, WIDE])
@pytest.mark.parametrize(
    ("layer", "options", "fields"), [(GRU, {}, 3), (LSTM, {"num_layers": 3}, 7), (ResetOnlyGRU, {}, 1)]
)
def test_the_picture_has_a_field_for_each_gate(width: float, layer: Any, options: Any, fields: int) -> None:
    (picture,), _ = gate_blocks([gated(layer, **options)], [])
    assert isinstance(picture, Picture)
    figure = picture.draw(width)
    assert len(figure.axes) == fields + 1  # and the bar
    maps = [field for field in figure.axes if field.images]
    assert len(maps) <= MAX_GATES
    name = "Layer0, input gate: 1 lets in" if layer is LSTM else "Reset gate: 0 hides the old state"
    assert maps[0].get_title(loc="left") == name


@pytest.mark.parametrize(("layer", "keep"), [(GRU, "update"), (LSTM, "forget")])
def test_the_carrying_unit_has_the_gates_of_its_layer(layer: Any, keep: str) -> None:
    found = gates_of(gated(layer, num_layers=2))
    assert found is not None
    assert found.carrier is not None
    carrying = carrying_unit(found)
    assert carrying is not None
    assert carrying.keep == keep
    expected = found.values[f"layer{found.carrier.layer}/{keep}"][:, found.carrier.unit]
    np.testing.assert_array_equal(carrying.gates[keep], expected)
    assert carrying_unit(found._replace(carrier=None)) is None


def test_each_run_has_a_picture_of_its_own() -> None:
    missing: list[str] = []
    blocks, numbers = gate_blocks(
        [gated(GRU, label="A: one"), made(COPY, "B: two"), gated(LSTM, label="C: three")], missing
    )
    assert [block.name for block in blocks if isinstance(block, Picture)] == ["gates_a", "gates_c"]
    assert list(numbers) == ["A: one", "C: three"]
    assert missing == []
