import json
import math
import os
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from tests.helpers.command_line import SMALL_TEXT, RnnTasks, small

RUN = Path("lightning_logs/echo/version_0")


ANSWERS = {
    "echo": "letters",
    "variable_delay_echo": "letters",
    "copy": "letters",
    "time_machine": "next",
    "elman_grammar": "next",
    "temporal_order": None,
    "flip_flop_bits": "no strings",
}
"""By task: how a page knows the answers to a typed text."""


def data_of(path: Path) -> Any:
    """Return the data of a page."""
    match = re.search(r'<script type="application/json" id="data">(.*?)</script>', path.read_text(), re.DOTALL)
    assert match is not None
    return json.loads(match[1])


@pytest.mark.parametrize("task", ANSWERS)
def test_explore_writes_a_page_into_the_run_folder(trained: RnnTasks, task: str) -> None:
    result = trained("explore", task)
    page = Path("lightning_logs") / task / "version_0" / "explorer.html"
    assert (result.status, result.err) == (0, "")
    assert re.fullmatch(rf"(\w+  [\d.]+ s\n)*\d+\.\d MB\nopen {page}\n", result.out)
    data = data_of(page)
    assert data["task"]["name"] == task
    assert (data["task"]["grammar"] is not None) == (task == "elman_grammar")
    assert (data["task"]["strings"] or {"answers": "no strings"})["answers"] == ANSWERS[task]
    assert data["runs"][0]["live"]


def test_explore_compares_two_runs(trained: RnnTasks) -> None:
    shutil.copytree(RUN, RUN.with_name("version_1"))
    result = trained("explore", "echo", str(RUN), "--output", "new/both.html")
    assert (result.status, result.err) == (0, "")
    assert result.out.endswith("open new/both.html\n")
    runs = data_of(Path("new/both.html"))["runs"]
    assert [run["name"] for run in runs] == ["echo/version_1", "echo/version_0"]
    assert [run["label"][:3] for run in runs] == ["A: ", "B: "]


def test_explore_shows_the_requested_checkpoint(trained: RnnTasks) -> None:
    assert trained("explore", str(RUN / "checkpoints/last.ckpt")).status == 0
    assert ["weights", "the last saved ones (last.ckpt)"] in data_of(RUN / "explorer.html")["runs"][0]["facts"]


def test_explore_opens_the_browser(trained: RnnTasks, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    assert trained("explore", "echo").status == 0
    assert opened == []
    assert trained("explore", "echo", "--open").status == 0
    assert opened == [(RUN / "explorer.html").resolve().as_uri()]


def test_explore_notes_a_large_page(trained: RnnTasks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rnn_tasks.explorer.write.MAX_BYTES", 1000)
    result = trained("explore", "echo")
    assert (result.status, result.err.count("\n")) == (0, 1)
    assert result.err.startswith("note: the page is larger than ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["echo"] * 3, "at most 2 runs can be compared, got 3"),
        (["echo", "copy"], "a page compares networks of one task, not of copy and echo"),
        (["nothing"], "no run 'nothing'"),
        (["echo", "--opne"], "unrecognized arguments: --opne"),
        ([], "the following arguments are required: run"),
    ],
)
def test_explore_reports_wrong_arguments_in_one_line(trained: RnnTasks, arguments: list[str], message: str) -> None:
    result = trained("explore", *arguments)
    assert (result.status, result.err.count("\n")) == (2, 1)
    assert message in result.err


def test_explore_refuses_a_diverged_network(trained: RnnTasks) -> None:
    for path in (RUN / "checkpoints").iterdir():
        checkpoint = torch.load(path, weights_only=True)
        checkpoint["state_dict"]["network.readout.bias"][0] = math.nan
        torch.save(checkpoint, path)
    result = trained("explore", "echo")
    assert (result.status, result.err.count("\n")) == (2, 1)
    assert "a diverged network cannot be explored" in result.err
    assert not (RUN / "explorer.html").exists()


@pytest.mark.parametrize("file", ["config.yaml", "summary.json", "checkpoints/best.ckpt", "snapshots.pt"])
def test_explore_reports_a_damaged_file_in_one_line(trained: RnnTasks, file: str) -> None:
    (RUN / file).write_text("{")
    result = trained("explore", "echo")
    assert (result.status, result.err.count("\n")) == (2, 1)
    assert file in result.err


def test_explore_reports_an_unwritable_folder(trained: RnnTasks) -> None:
    Path("taken").write_text("a file")
    result = trained("explore", "echo", "--output", "taken/x.html")
    assert (result.status, result.err.count("\n")) == (1, 1)
    assert (result.out, "taken" in result.err) == ("", True)


@pytest.fixture
def no_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail if a page is written."""

    def write_explorer(*arguments: Any, **options: Any) -> int:
        raise AssertionError("the output must be checked before the runs are loaded")

    monkeypatch.setattr("rnn_tasks.explorer.write.write_explorer", write_explorer)


@pytest.mark.usefixtures("no_page")
@pytest.mark.parametrize("arguments", [("--output", "taken"), ("--output", "."), ()])
def test_explore_refuses_a_folder_as_output(trained: RnnTasks, arguments: tuple[str, ...]) -> None:
    Path("taken").mkdir()
    (RUN / "explorer.html").mkdir()
    result = trained("explore", "echo", *arguments)
    assert (result.status, result.out, result.err.count("\n")) == (2, "", 1)
    assert "is a folder: name a file with --output, such as " in result.err


@pytest.mark.usefixtures("no_page")
@pytest.mark.parametrize("kind", ["pipe", "link", "broken link"])
def test_explore_never_replaces_another_kind_of_file(trained: RnnTasks, kind: str) -> None:
    output, target = Path("x.html"), Path("target")
    if kind == "pipe":
        os.mkfifo(output)
    else:
        output.symlink_to(target)
    if kind == "link":
        target.write_text("old")
    before = output.lstat()
    result = trained("explore", "echo", "--output", str(output))
    assert (result.status, result.out, result.err.count("\n")) == (2, "", 1)
    assert "x.html exists and is not a regular file" in result.err
    assert output.lstat().st_ino == before.st_ino


def test_explore_replaces_an_older_page(trained: RnnTasks) -> None:
    Path("x.html").write_text("old")
    assert trained("explore", "echo", "--output", "x.html").status == 0
    assert data_of(Path("x.html"))["task"]["name"] == "echo"


@pytest.mark.parametrize("command", ["explore", "analyze"])
@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs the file system /proc of Linux")
def test_output_where_no_file_can_be_created_is_one_line(trained: RnnTasks, command: str) -> None:
    result = trained(command, "echo", "--output", "/proc/x/y.html")
    assert (result.status, result.err.count("\n")) == (1, 1)
    assert "no file can be created here; choose another folder" in result.err


def test_explore_shows_a_text_run_without_its_text(trained: RnnTasks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RNN_TASKS_DATA", "/nowhere")
    result = trained("explore", "time_machine")
    assert (result.status, result.err.count("\n")) == (0, 1)
    assert "/nowhere" in result.err
    page = Path("lightning_logs/time_machine/version_0/explorer.html")
    assert "/nowhere" not in page.read_text()
    assert data_of(page)["sequences"] is None


def test_explore_shows_a_killed_run(trained: RnnTasks) -> None:
    (RUN / "summary.json").unlink()
    assert trained("explore", "echo").status == 0
    data = data_of(RUN / "explorer.html")
    assert "The run is not complete, so its verdict and test results are unknown." in data["missing"]
    assert data["task"]["baseline"]["accuracy"] == pytest.approx(1 / 26)


def test_explore_needs_trust_for_a_layer_of_the_user(trained: RnnTasks, tmp_path: Path) -> None:
    (tmp_path / "their_layer_to_explore.py").write_text("from torch.nn import GRU\n\nclass Theirs(GRU):\n    pass\n")
    init_args = {"layer": "their_layer_to_explore.Theirs", "hidden_size": 8}
    core = {"class_path": "Foreign", "init_args": init_args}
    (tmp_path / "own.yaml").write_text(yaml.safe_dump({"model": {"init_args": {"core": core}}, "constraint": None}))
    arguments = [word for word in small("echo") if "hidden_size" not in word]
    assert trained("fit", "--config", "echo", "--config", "own.yaml", *arguments).status == 0
    result = trained("explore", "echo")
    assert (result.status, result.err.count("\n")) == (2, 1)
    assert "--trust" in result.err
    assert trained("explore", "echo", "--trust").status == 0
    (run,) = data_of(RUN.with_name("version_1") / "explorer.html")["runs"]
    assert (run["live"], run["label"]) == (False, "Theirs")
    assert list(run["recordings"]["gates"]) == ["layer0/reset", "layer0/update", "layer0/new"]


def test_explore_shows_snapshots(trained: RnnTasks) -> None:
    assert trained("fit", "--config", "echo", "--config", "watch", *small("echo")).status == 0
    assert trained("explore", "echo").status == 0
    (run,) = data_of(RUN.with_name("version_1") / "explorer.html")["runs"]
    assert run["moments"][0]["step"] == 0
    assert run["moments"][0]["weights"].keys() == run["weights"].keys()


def test_explore_shows_a_hostile_text(rnn_tasks: RnnTasks) -> None:
    text = "</script><script>alert(1)</script>\u2028<!--&amp; '\" \N{CJK UNIFIED IDEOGRAPH-4E00}"
    Path("odd.txt").write_text(f"{text} " * 120)
    arguments = [*SMALL_TEXT, "--data.path=odd.txt", "--data.cleaning=none"]
    assert rnn_tasks("fit", "--config", "text", *arguments).status == 0
    assert rnn_tasks("explore", "text").status == 0
    data = data_of(Path("lightning_logs/text/version_0/explorer.html"))
    assert set(data["task"]["strings"]["letters"]) == set(text)
