from functools import partial
from typing import Any

import numpy as np
import pytest
import torch

from rnn_tasks.cores import GRU, LSTM, ResetOnlyGRU
from rnn_tasks.models import LanguageModel, SequenceTagger
from rnn_tasks.report.gates import IN_TEXT, SHOWN_OF_TEXT, caption_of_gates, draw_gates, gate_blocks, gates_of
from rnn_tasks.report.page import NARROW, WIDE, Picture
from rnn_tasks.report.run_data import Subject
from rnn_tasks.tasks import Copy, ElmanGrammar, VariableDelayEcho
from tests.report.made import made

COPY = Copy(layout="arjovsky", num_symbols=3, delay=4, test_sequences=20)


def gated(layer: Any, task: Any = COPY, label: str = "made/version_0", **options: Any) -> Subject:
    """A run with a gated layer."""
    kind: Any = LanguageModel if isinstance(task, ElmanGrammar) else SequenceTagger
    core: Any = partial(layer, hidden_size=5, **options)
    return made(task, label, model=kind(core, task.spec, torch.optim.Adam).eval())


def test_the_unit_that_carries_most_is_found() -> None:
    subject = gated(GRU)
    assert subject.batch is not None
    with torch.no_grad():  # unit 2 writes at letters, and keeps at the blank and the marker
        core: Any = subject.model.core
        core.weight_hh_l0.zero_()
        core.weight_ih_l0[5 + 2] = -20.0
        core.weight_ih_l0[5 + 2, COPY.alphabet_size :] = 20.0
    found = gates_of(subject)
    assert found is not None
    assert found.carrier is not None
    assert (found.carrier.unit, found.carrier.lag) == (2, subject.wait)
    assert found.carrier.start == 2  # behind other letters come more
    z = found.values["layer0/update"][:, 2]
    assert found.carrier.share == pytest.approx((1 - z[2]) * z[3 : 3 + found.carrier.lag].prod())
    assert found.carrier.share > 0.99
    assert "comes nearest" in caption_of_gates(found)


def test_of_several_delays_the_longest_is_looked_at() -> None:
    task = VariableDelayEcho(max_delay=3, test_sequences=40)
    subject = gated(GRU, task)
    assert subject.batch is not None
    assert subject.batch.condition is not None
    found = gates_of(subject)
    assert found is not None
    assert found.carrier is not None
    assert found.carrier.lag == 3
    row = int((subject.batch.condition == 3).nonzero()[0])
    assert found.read == subject.shown(subject.batch.inputs[row].tolist())


def test_of_a_text_some_characters_around_the_carrier_are_shown() -> None:
    subject = gated(LSTM, ElmanGrammar(test_characters=4000))
    found = gates_of(subject)
    assert found is not None
    assert found.carrier is not None
    assert found.carrier.lag == IN_TEXT
    assert len(found.read) == len(found.values["layer0/forget"]) <= SHOWN_OF_TEXT
    assert 0 <= found.carrier.start - found.first < len(found.read)
    assert subject.batch is not None
    whole = subject.shown(subject.batch.inputs[0].tolist())
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
def test_pictures(width: float, layer: Any, options: Any, fields: int) -> None:
    found = gates_of(gated(layer, **options))
    assert found is not None
    figure = draw_gates(found, width)
    assert len(figure.axes) == fields + 1  # and the bar
    maps = [field for field in figure.axes if field.images]
    name = "Layer0, input gate: 1 lets in" if layer is LSTM else "Reset gate: 0 hides the old state"
    assert maps[0].get_title(loc="left") == name
    drawn = np.asarray(maps[0].images[0].get_array())
    assert (drawn.mean(1) == np.sort(drawn.mean(1))).all()


def test_each_run_has_a_picture_of_its_own() -> None:
    missing: list[str] = []
    blocks, numbers = gate_blocks(
        [gated(GRU, label="A: one"), made(COPY, "B: two"), gated(LSTM, label="C: three")], missing
    )
    assert [block.name for block in blocks if isinstance(block, Picture)] == ["gates_a", "gates_c"]
    assert list(numbers) == ["A: one", "C: three"]
    assert missing == []
