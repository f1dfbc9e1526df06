from functools import partial
from pathlib import Path
from typing import Any

import pytest

from rnn_tasks.cores import LRU, Elman
from rnn_tasks.networks import TaggerNetwork
from rnn_tasks.report.blocks import Picture, Table
from rnn_tasks.report.gradient_flow import caption_of_lags, flow_of, gradient_flow_section, table
from rnn_tasks.report.gradients import AFTER, BEFORE
from rnn_tasks.report.run_data import load_runs
from rnn_tasks.runs.find import RunLocation
from rnn_tasks.tasks import Echo
from tests.helpers.report_runs import curve, make_run

ECHO = Echo(delay=3, test_sequences=20)
NAMES = ("gradient_by_lag", "gradient_in_training", "clipping", "stretching")
NORMS = {BEFORE: curve(4.0, 1.0), AFTER: curve(2.0, 1.0)}


def test_section_of_a_run_has_all_parts(trained_logs: Path) -> None:
    (run,) = load_runs([RunLocation(trained_logs / "echo" / "version_0")])
    section = gradient_flow_section([run])
    names = [block.name for block in section.blocks if isinstance(block, Picture)]
    assert names == ["gradient_by_lag", "gradient_norm", "jacobian_products", "lyapunov_spectrum"]
    assert section.missing == []
    of = section.numbers[run.label]
    assert run.batch is not None
    assert 15 <= len(of["gradient_by_lag"].trained) <= run.batch.inputs.shape[1] <= 25
    assert of["stretching"].trained.exponents[0] == max(of["stretching"].trained.exponents)
    assert of["clipping"].limit == 1.0


def test_table_shows_the_measured_numbers() -> None:
    flow = flow_of(make_run(ECHO, curves=NORMS), str, [])
    found = table([flow])
    assert isinstance(found, Table)
    rows = {row[0]: row[1] for row in found.rows}
    assert flow.by_lag is not None
    assert flow.stretching is not None
    share = flow.by_lag.trained[3] / flow.by_lag.trained[0]
    assert rows["gradient norm at the lag of the symbol to recall, relative to lag 0"] == f"{share:.2g}"
    assert rows["logged optimizer steps with a clipped gradient"] == "50% of 2"
    largest = flow.stretching.trained.exponents[0]
    assert rows["largest Lyapunov exponent, nats per step"].startswith(f"{largest:+.3f} (untrained ")
    assert rows["time constant of the slowest decay, time steps"] == f"{-1 / largest:,.0f}"
    assert table([flow, flow]).columns == ["", "run/version_0", "run/version_0"]  # type: ignore[union-attr]


def test_table_shows_infinity_when_nothing_decays() -> None:
    core: Any = partial(Elman, hidden_size=6, activation="identity", orthogonal_map="matrix_exp")
    task = Echo(delay=3, test_sequences=20, min_eval_length=15, max_eval_length=15)
    flow = flow_of(make_run(task, network=TaggerNetwork(core, task.spec).eval()), str, [])
    rows = {row[0]: row[1] for row in table([flow]).rows}  # type: ignore[union-attr]
    assert rows["time constant of the slowest decay, time steps"] == "infinite"
    assert rows["gradient norm at the longest lag, relative to lag 0"] == "1"


def test_shares_begin_at_lag_1_when_the_output_is_no_state() -> None:
    core: Any = partial(LRU, hidden_size=6, num_states=5)
    network = TaggerNetwork(core, ECHO.spec).eval()
    flow = flow_of(make_run(ECHO, network=network, untrained=network), str, [])
    assert flow.by_lag is not None
    assert flow.by_lag.first == 1
    rows = {row[0]: row[1:] for row in table([flow, flow_of(make_run(ECHO), str, [])]).rows}  # type: ignore[union-attr]
    share, _ = rows["gradient norm at the lag of the symbol to recall, relative to lag 1"]
    assert share == f"{flow.by_lag.trained[3] / flow.by_lag.trained[1]:.2g}"
    assert not any("relative to lag 0" in name for name in rows)
    assert "the curve begins at lag 1" in caption_of_lags([(flow.run, flow.by_lag)])
    assert "lag 1" not in caption_of_lags([(flow.run, flow.by_lag._replace(first=0))])


@pytest.mark.parametrize("several", [False, True])
def test_section_lists_parts_that_cannot_be_shown(several: bool) -> None:
    runs = [make_run(ECHO, "A: one", batch=None), *([make_run(ECHO, "B: two", curves=NORMS)] if several else [])]
    section = gradient_flow_section(runs)
    letter = "A: " if several else ""
    line = "gradient norm: the TensorBoard files of the run do not contain it (callback GradientNormMonitor)"
    assert section.missing == [f"{letter}{line}"]
    assert bool(section.blocks) == several
    if several:
        assert section.numbers["A: one"] == dict.fromkeys(NAMES)
