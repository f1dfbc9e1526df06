"""A whole profile of a tiny layer of the user, with tiny budgets."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from rnn_tasks.profile.plan import read_suite
from rnn_tasks.profile.write import FOLDER, make_profile, summary
from rnn_tasks.studies.plan import Plan

TINY = {
    "data.batch_size": 4,
    "data.val_sequences": 9,
    "data.test_sequences": 9,
    "model.core.hidden_size": 4,
    "trainer.val_check_interval": 2,
    "trainer.max_steps": 4,
}

MY_LAYER = """
from torch import nn

class MyLayer(nn.GRU):
    '''A GRU of mine.'''

    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size, batch_first=True)
"""


def tiny_suite() -> Plan:
    """Return the suite with one task, one setting and four steps."""
    suite = read_suite()
    tasks = tuple(replace(task, options={**task.options, **TINY}) for task in suite.axes["task"][:1])
    return replace(suite, axes={**suite.axes, "task": tasks, "rates": suite.axes["rates"][:1]})


@pytest.mark.slow
def test_own_layer_gets_a_card_from_runs_that_are_kept(
    working_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("my_layer_of_profile.py").write_text(MY_LAYER)
    Path("mine.yaml").write_text(
        "model: {init_args: {core: {class_path: Foreign, init_args: {layer: my_layer_of_profile.MyLayer}}}}"
    )
    profile = make_profile("mine.yaml", quick=True, suite=tiny_suite(), results=Path("missing.csv"))
    assert profile.all_done
    assert profile.page == FOLDER / "mine" / "quick_card" / "index.html"
    assert "order over a long time  0 of 1: " in summary(profile)
    numbers = json.loads((profile.page.parent / "profile.json").read_text())
    assert numbers["layer"]["description"] == "A GRU of mine."
    assert [run["state"] for run in numbers["memory"]["tasks"][0]["runs"]] == ["done"]
    assert numbers["dynamics"]["run"] == "temporal_order-mine-seed0"
    assert set(numbers["dynamics"]["trained"]) == set(numbers["dynamics"]["untrained"])
    assert "2 of 2 runs to do" in capsys.readouterr().out

    make_profile("mine.yaml", quick=True, suite=tiny_suite(), results=Path("missing.csv"), output=Path("elsewhere"))
    assert "0 of 2 runs to do, 2 already done" in capsys.readouterr().out
    assert Path("elsewhere/pictures/card.png").is_file()
