import json
from pathlib import Path

import pytest

from rnn_tasks.report import write
from rnn_tasks.report.blocks import Paragraph, Section
from rnn_tasks.report.page import NUMBERS, PAGE
from rnn_tasks.report.run_data import load_runs
from rnn_tasks.runs.find import RunPlace


@pytest.fixture
def echo(trained_logs: Path) -> RunPlace:
    return RunPlace(trained_logs / "echo" / "version_0")


def test_sections_stand_in_the_order_of_the_questions() -> None:
    names = [section.__name__ for section in write.SECTIONS]
    assert names == [f"{name}_section" for name in ("learning", "memory", "gradient_flow", "weights", "hidden_states")]


def test_the_overview_says_which_runs_these_are(echo: RunPlace) -> None:
    runs = load_runs([echo, echo])
    table = write.overview(runs)
    rows = {row[0]: row[1:] for row in table.rows}
    assert table.columns == ["", "A: Elman", "B: Elman"]
    assert rows["run folder"] == ["version_0"] * 2
    assert rows["optimizer steps"] == ["4", "4"]
    assert rows["units"] == ["8", "8"]
    assert rows["solved at step"] == ["-", "-"]
    assert write.overview(runs[:1]).columns == ["", ""]


def test_what_a_run_lacks_is_said_at_the_end(
    echo: RunPlace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sections = (lambda runs: Section("one", "One?", [Paragraph("Yes.")], {"n": 1}),)
    page = write.write_report([echo, echo], tmp_path / "deep" / "er", sections)
    assert page == tmp_path / "deep" / "er" / PAGE
    text = page.read_text()
    assert text.index("Yes.") < text.rindex("What these runs do not have") < text.index("B: Elman: what is seen only")
    assert "echo: 2 networks compared" in text
    numbers = json.loads((page.parent / NUMBERS).read_text())
    assert numbers["one"] == {"n": 1}
    assert [run["summary"]["task"] for run in numbers["runs"]] == ["echo", "echo"]
    assert capsys.readouterr().out.startswith("One?  ")
