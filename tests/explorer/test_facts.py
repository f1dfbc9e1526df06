import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rnn_tasks.errors import UsageError
from rnn_tasks.explorer.facts import data_text, facts
from rnn_tasks.tasks import Adding
from tests.helpers.explorer_runs import GENERATED_TASKS, small_run

TASK = GENERATED_TASKS["echo"]


@pytest.mark.parametrize(
    ("checkpoint", "text"),
    [
        ("best.ckpt", "those with the lowest validation loss (best.ckpt)"),
        ("last.ckpt", "the last saved ones (last.ckpt)"),
        ("step=7.ckpt", "step=7.ckpt"),
    ],
)
def test_facts_say_which_weights_the_page_has(checkpoint: str, text: str) -> None:
    known = dict(facts(small_run(TASK, checkpoint=Path("folder", checkpoint))))
    assert known["weights"] == text
    assert "checkpoint" not in known


def config_of(**options: Any) -> dict[str, Any]:
    """Return the config of a run of a task with these options."""
    return {"data": {"class_path": "rnn_tasks.tasks.Text", "init_args": options}}


def test_facts_name_the_options_that_define_the_task() -> None:
    config = config_of(path="/home/me/book.txt", cleaning="lower", batch_size=4, sampling=None, seed=3, min_count=2)
    assert data_text(config) == "Text: path book.txt, cleaning lower, min_count 2"
    run = small_run(TASK)
    assert dict(facts(replace(run, config=run.config | config)))["data"] == data_text(config)


@pytest.mark.parametrize("config", [{}, {"data": None}, {"data": {}}, {"data": {"class_path": None}}])
def test_facts_of_an_unknown_task_have_a_dash(config: dict[str, Any]) -> None:
    assert data_text(config) == "-"


def test_facts_have_no_folder_section_or_endless_text() -> None:
    assert data_text(config_of(path="C:\\me\\a.txt", words=["/home/me"], more={"a": "/home/me"})) == "Text: path a.txt"
    assert data_text(config_of(delay=16**5000, share=math.inf)) == "Text: share inf"
    text = data_text(config_of(path="\x1b" * 1000))
    assert (len(text), text.isprintable(), text[-3:]) == (200, True, "...")


def test_damaged_section_data_is_refused() -> None:
    with pytest.raises(UsageError, match="init_args is not a section"):
        data_text({"data": {"class_path": "Echo", "init_args": "x"}})


def test_results_of_other_weights_are_marked() -> None:
    results = [dict(facts(small_run(TASK, checkpoint=Path(name))))["test loss"] for name in ("best.ckpt", "last.ckpt")]
    assert results == ["1.2500", "1.2500 (of best.ckpt)"]


def test_results_of_real_values_are_errors() -> None:
    summary = {"metrics": {"test/loss": 0.02, "test/loss_share": 0.125}}
    known = dict(facts(small_run(Adding(length=12), summary=summary)))
    assert (known["test loss"], known["test loss share"]) == ("0.0200", "0.1250")
    assert "test accuracy" not in known
