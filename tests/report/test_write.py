import json
from pathlib import Path

import pytest

from rnn_tasks.report import write
from rnn_tasks.report.blocks import Paragraph, Section
from rnn_tasks.report.page import NUMBERS, PAGE
from rnn_tasks.report.run_data import load_runs
from rnn_tasks.runs.find import RunLocation


@pytest.fixture
def echo(trained_logs: Path) -> RunLocation:
    return RunLocation(trained_logs / "echo" / "version_0")


def test_sections_are_in_the_order_of_the_page() -> None:
    names = [section.__name__ for section in write.SECTIONS]
    assert names == [f"{name}_section" for name in ("learning", "memory", "gradient_flow", "weights", "hidden_states")]


def test_overview_names_the_runs(echo: RunLocation) -> None:
    runs = load_runs([echo, echo])
    table = write.overview(runs)
    rows = {row[0]: row[1:] for row in table.rows}
    assert table.columns == ["", "A: Elman, Orthogonal start", "B: Elman, Orthogonal start"]
    assert rows["run folder"] == ["version_0"] * 2
    assert rows["optimizer steps"] == ["4", "4"]
    assert rows["units"] == ["8", "8"]
    assert rows["validation solved at step"] == ["-", "-"]
    assert write.overview(runs[:1]).columns == ["", ""]


def test_write_report_lists_missing_data_at_the_end(
    echo: RunLocation, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sections = (lambda runs: Section("one", "One?", [Paragraph("Yes.")], {"n": 1}),)
    page = write.write_report([echo, echo], tmp_path / "deep" / "er", sections)
    assert page == tmp_path / "deep" / "er" / PAGE
    text = page.read_text()
    assert text.index("Yes.") < text.rindex("Missing data of these runs") < text.index("B: snapshots during training")
    assert "echo: 2 networks compared" in text
    assert f"rnn-tasks explore {echo.folder} {echo.folder}" in text
    numbers = json.loads((page.parent / NUMBERS).read_text())
    assert numbers["one"] == {"n": 1}
    assert [run["summary"]["task"] for run in numbers["runs"]] == ["echo", "echo"]
    assert capsys.readouterr().out.startswith("One?  ")
