"""The command export: its files, and the errors of runs that cannot be exported."""

import json
from importlib import import_module
from pathlib import Path

import onnx
import pytest

from rnn_tasks.export.examples.generate import generate
from rnn_tasks.export.examples.respond import respond
from rnn_tasks.export.examples.scores import scores
from tests.helpers.command_line import RnnTasks

pytestmark = pytest.mark.slow

TEXTS = {
    "echo": [["abcab"], ["a"]],
    "variable_delay_echo": [["abcab", "2"], ["abcabca", "1"]],
    "copy": [["0123"], ["7"]],
    "dyck": [],
}
"""Strings, and perhaps delays, for tasks with strings."""


@pytest.mark.parametrize("task", TEXTS)
def test_example_prints_what_respond_prints(trained: RnnTasks, task: str) -> None:
    result = trained("export", task)
    assert (result.status, result.err) == (0, "")
    folder = Path(f"lightning_logs/{task}/version_0/export")
    assert result.out.splitlines() == [str(folder / name) for name in ("model.onnx", "metadata.json", "example.py")]
    strings = json.loads((folder / "metadata.json").read_text())["strings"]
    example = [strings["example"], str(strings["example_delay"])]
    for text, *delay in [*TEXTS[task], example]:
        option = ["--delay", *delay] if delay and strings["min_delay"] != strings["max_delay"] else []
        printed = trained("respond", task, text, *option).out.splitlines()
        assert [respond(folder, text, int(delay[0]) if delay else None)] == printed
    assert respond(folder) == respond(folder, *example[:1], int(example[1]))


def test_example_prints_what_generate_prints(trained: RnnTasks) -> None:
    trained("export", "time_machine", "--output", "files")
    printed = trained("generate", "time_machine", "--temperature=0", "--prefix=time§", "--length=30").out
    assert generate(Path("files"), "time§", 30) + "\n" == printed
    printed = trained("generate", "time_machine", "--temperature=0").out
    assert generate(Path("files")) + "\n" == printed


def test_example_prints_scores_of_real_inputs(trained: RnnTasks) -> None:
    trained("export", "adding", "--output", "files")
    values = scores(Path("files"), steps=7)
    assert values.shape == (7, 1)
    assert (values == scores(Path("files"), steps=7)).all()
    assert (values != scores(Path("files"), steps=7, seed=1)).any()


def test_metadata_is_in_the_model_too(trained: RnnTasks) -> None:
    trained("export", "echo")
    folder = Path("lightning_logs/echo/version_0/export")
    metadata = json.loads((folder / "metadata.json").read_text())
    model = onnx.load(folder / "model.onnx")
    onnx.checker.check_model(model, full_check=True)
    properties = {entry.key: entry.value for entry in model.metadata_props}
    assert {name: json.loads(text) if text[0] in '[{n0123456789"' else text for name, text in properties.items()} == {
        **metadata,
        "verdict": properties["verdict"],
        "layer": "Elman",
    }
    assert metadata["task"]["class"] == "rnn_tasks.tasks.Echo"
    assert metadata["task"]["options"]["delay"] == 4
    assert [value.name for value in model.graph.input] == ["symbols", "state"]
    assert [value.name for value in model.graph.output] == ["scores", "next_state"]
    assert str(Path.cwd()) not in str(model)  # no paths of this machine
    assert not any(node.metadata_props for node in model.graph.node)


def test_export_names_the_missing_package(trained: RnnTasks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(import_module("sys").modules, "onnxscript", None)
    result = trained("export", "echo")
    assert result.status == 2
    assert result.err == 'rnn-tasks: error: rnn-tasks export needs two more packages: pip install "rnn-tasks[onnx]"\n'
    assert not Path("lightning_logs/echo/version_0/export").exists()


def test_export_refuses_wrong_runs_and_outputs(trained: RnnTasks) -> None:
    assert "no run 'ecko'" in trained("export", "ecko").err
    Path("file").write_text("")
    assert "file is not a folder: name another one with --output" in trained("export", "echo", "--output", "file").err
    run = Path("lightning_logs/echo/version_0")
    Path("elsewhere").mkdir()
    (run / "export").symlink_to(Path("elsewhere").absolute(), target_is_directory=True)
    assert "export is a link: name the folder with --output" in trained("export", "echo").err
    config = run / "config.yaml"
    config.write_text(config.read_text().replace("rnn_tasks.cores.Elman", "evil.Layer"))
    Path("evil.py").write_text("open('executed', 'w')")
    result = trained("export", "echo", "--output", "files")
    assert (result.status, result.err.count("\n")) == (2, 1)
    assert not Path("executed").exists()
    assert not Path("files").exists()
