import math
from typing import Any

import pytest

from rnn_tasks.errors import UsageError
from rnn_tasks.runs.data_text import data_text


def config_of(**options: Any) -> dict[str, Any]:
    """Return the config of a run of a task with these options."""
    return {"data": {"class_path": "rnn_tasks.tasks.Text", "init_args": options}}


def test_data_text_names_the_options_that_define_the_task() -> None:
    config = config_of(path="/home/me/book.txt", cleaning="lower", batch_size=4, sampling=None, seed=3, min_count=2)
    assert data_text(config) == "Text(path=book.txt, cleaning=lower, min_count=2)"


@pytest.mark.parametrize("config", [{}, {"data": None}, {"data": {}}, {"data": {"class_path": None}}])
def test_data_text_of_an_unknown_task_is_a_dash(config: dict[str, Any]) -> None:
    assert data_text(config) == "-"


def test_data_text_has_no_folder_section_or_endless_text() -> None:
    assert data_text(config_of(path="C:\\me\\a.txt", words=["/home/me"], more={"a": "/home/me"})) == "Text(path=a.txt)"
    assert data_text(config_of(delay=16**5000, share=math.inf)) == "Text(share=inf)"
    text = data_text(config_of(path="\x1b" * 1000))
    assert (len(text), text.isprintable(), text[-3:]) == (200, True, "...")


def test_damaged_section_data_is_refused() -> None:
    with pytest.raises(UsageError, match="init_args is not a section"):
        data_text({"data": {"class_path": "Echo", "init_args": "x"}})
