from functools import partial
from pathlib import Path
from typing import Any

import pytest

from rnn_tasks.cores import Elman
from rnn_tasks.networks import TaggerNetwork
from rnn_tasks.report.blocks import Picture, Table
from rnn_tasks.report.gradient_flow import flow_of, gradient_flow_section, table
from rnn_tasks.report.gradients import AFTER, BEFORE
from rnn_tasks.report.run_data import load_runs
from rnn_tasks.runs.find import RunPlace
from rnn_tasks.tasks import Echo
from tests.helpers.report_runs import curve, made

ECHO = Echo(delay=3, test_sequences=20)
NAMES = ("gradient_by_lag", "gradient_in_training", "clipping", "stretching")
NORMS = {BEFORE: curve(4.0, 1.0), AFTER: curve(2.0, 1.0)}


def test_the_section_of_a_run(trained_logs: Path) -> None:
    (run,) = load_runs([RunPlace(trained_logs / "echo" / "version_0")])
    section = gradient_flow_section([run])
    names = [block.name for block in section.blocks if isinstance(block, Picture)]
    assert names == ["gradient_by_lag", "gradient_norm", "jacobian_products", "lyapunov_spectrum"]
    assert section.missing == []
    of = section.numbers[run.label]
    assert run.batch is not None
    assert 15 <= len(of["gradient_by_lag"].trained) <= run.batch.inputs.shape[1] <= 25
    assert of["stretching"].trained.exponents[0] == max(of["stretching"].trained.exponents)
    assert of["clipping"].limit == 1.0


def test_the_table_says_what_the_numbers_are() -> None:
    flow = flow_of(made(ECHO, curves=NORMS), str, [])
    found = table([flow])
    assert isinstance(found, Table)
    rows = {row[0]: row[1] for row in found.rows}
    assert flow.by_lag is not None
    assert flow.stretching is not None
    share = flow.by_lag.trained[3] / flow.by_lag.trained[0]
    assert rows["gradient where the answer was read, share of that at the loss"] == f"{share:.2g}"
    assert rows["steps in which the gradient was clipped, of those logged"] == "50% of 2"
    largest = flow.stretching.trained.exponents[0]
    assert rows["largest Lyapunov exponent, nats per step"].startswith(f"{largest:+.3f} (untrained ")
    assert rows["steps after which a difference is 1/e of itself"] == f"{-1 / largest:,.0f}"
    assert table([flow, flow]).columns == ["", "made/version_0", "made/version_0"]  # type: ignore[union-attr]


def test_what_never_shrinks_is_never_forgotten() -> None:
    core: Any = partial(Elman, hidden_size=6, activation="identity", orthogonal_map="matrix_exp")
    task = Echo(delay=3, test_sequences=20, min_eval_length=15, max_eval_length=15)
    flow = flow_of(made(task, network=TaggerNetwork(core, task.spec).eval()), str, [])
    rows = {row[0]: row[1] for row in table([flow]).rows}  # type: ignore[union-attr]
    assert rows["steps after which a difference is 1/e of itself"] == "never"
    assert rows["gradient at the longest lag, share of that at the loss"] == "1"


@pytest.mark.parametrize("several", [False, True])
def test_what_cannot_be_shown_is_said(several: bool) -> None:
    runs = [made(ECHO, "A: one", batch=None), *([made(ECHO, "B: two", curves=NORMS)] if several else [])]
    section = gradient_flow_section(runs)
    who = "A: one: " if several else ""
    lacks = "norm of the gradient: it is not in the run's TensorBoard files (GradientNormMonitor)"
    assert section.missing == [f"{who}{lacks}"]
    assert bool(section.blocks) == several
    if several:
        assert section.numbers["A: one"] == dict.fromkeys(NAMES)
