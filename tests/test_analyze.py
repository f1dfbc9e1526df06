import json
import shutil
import signal
from pathlib import Path

import pytest
import yaml

from rnn_tasks.report.page import NUMBERS, PAGE, PICTURES
from rnn_tasks.runs.load import config_hash
from tests.conftest import RnnTasks, small

SECTIONS = {"learning", "remembering", "flowing", "weights", "states"}


def numbers(folder: str | Path) -> dict[str, object]:
    found: dict[str, object] = json.loads((Path(folder) / NUMBERS).read_text())
    return found


@pytest.mark.parametrize("task", ["copy", "variable_delay_echo", "elman_grammar"])
def test_a_report_of_a_run(trained: RnnTasks, task: str) -> None:
    said = trained("analyze", task)
    folder = Path("lightning_logs") / task / "version_0" / "report"
    assert (said.status, said.err) == (0, "")
    assert said.out.splitlines()[-1] == f"open {folder / PAGE}"
    found = numbers(folder)
    assert found.keys() >= SECTIONS
    page = (folder / PAGE).read_text()
    assert "no SnapshotRecorder was there" in page
    for path in (folder / PICTURES).glob("*.png"):
        assert path.with_suffix(".svg").is_file()
    assert len(list((folder / PICTURES).glob("*.png"))) == page.count("<picture>") > 5


def test_runs_side_by_side(rnn_tasks: RnnTasks) -> None:
    for model in ("rnn", "gru"):
        said = rnn_tasks("fit", "--config", "echo", "--config", f"models/{model}", "--config", "watch", *small("echo"))
        assert said.status == 0
    runs = [f"lightning_logs/echo/version_{index}" for index in range(2)]
    said = rnn_tasks("analyze", *runs)
    assert said.status == 2
    assert "--output FOLDER" in said.err
    assert len(said.err.splitlines()) == 1
    said = rnn_tasks("analyze", *runs, "--output", "both")
    assert (said.status, said.err) == (0, "")
    found = numbers("both")
    assert [run["label"] for run in found["runs"]] == ["A: RNN", "B: GRU"]  # type: ignore[attr-defined]
    assert "no SnapshotRecorder" not in Path("both", PAGE).read_text()


def test_the_same_report_twice_is_the_same(trained: RnnTasks) -> None:
    for name in ("one", "two"):
        assert trained("analyze", "echo", "--output", name).status == 0
    for path in Path("one").rglob("*.*"):
        assert path.read_bytes() == (Path("two") / path.relative_to("one")).read_bytes(), path


def test_a_layer_of_ones_own(rnn_tasks: RnnTasks, tmp_path: Path) -> None:
    (tmp_path / "their_layer.py").write_text(
        "import torch\n"
        "class Odd(torch.nn.Module):\n"
        "    '''A layer whose state is not made of tensors alone, and that names no recurrent matrix.'''\n"
        "    def __init__(self, input_size, hidden_size):\n"
        "        super().__init__()\n"
        "        self.read = torch.nn.Linear(input_size + hidden_size, hidden_size)\n"
        "    def forward(self, inputs, state=None):\n"
        "        hidden, count = state or (inputs.new_zeros(len(inputs), self.read.out_features), 'x')\n"
        "        outputs = []\n"
        "        for now in inputs.unbind(1):\n"
        "            hidden = torch.tanh(self.read(torch.cat([now, hidden], 1)))\n"
        "            outputs.append(hidden)\n"
        "        return torch.stack(outputs, 1), (hidden, count)\n"
    )
    core = {"class_path": "Foreign", "init_args": {"layer": "their_layer.Odd", "hidden_size": 8}}
    config = {"model": {"init_args": {"core": core}}, "constraint": None}
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(config))
    words = [word for word in small("echo") if "hidden_size" not in word]
    assert rnn_tasks("fit", "--config", "echo", "--config", "own.yaml", *words).status == 0
    said = rnn_tasks("analyze", "echo")
    assert (said.status, said.err) == (0, "")
    page = Path("lightning_logs/echo/version_0/report", PAGE).read_text()
    assert "Not shown:" in page


def test_a_run_that_was_killed_is_shown(trained: RnnTasks) -> None:
    Path("lightning_logs/echo/version_0/summary.json").unlink()
    said = trained("analyze", "echo")
    assert (said.status, said.err) == (0, "")
    assert "resume the run" in Path("lightning_logs/echo/version_0/report", PAGE).read_text()


def test_without_the_data_a_report_is_shorter(trained: RnnTasks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RNN_TASKS_DATA", "/nowhere")
    said = trained("analyze", "time_machine")
    assert (said.status, said.err) == (0, "")
    assert "/nowhere" in Path("lightning_logs/time_machine/version_0/report", PAGE).read_text()


def spoil_nothing(run: Path) -> None:
    shutil.rmtree(run)


def spoil_config(run: Path) -> None:
    (run / "config.yaml").write_text("model: [")


def spoil_class(run: Path) -> None:
    config = yaml.safe_load((run / "config.yaml").read_text())
    config["model"]["class_path"] = "os.system"
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    assert config_hash(config["model"])


def spoil_checkpoints(run: Path) -> None:
    for path in (run / "checkpoints").iterdir():
        path.write_bytes(path.read_bytes()[:1000])


def spoil_summary(run: Path) -> None:
    (run / "summary.json").write_text("{")


def spoil_snapshots(run: Path) -> None:
    (run / "snapshots.pt").write_bytes(b"no snapshots")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (spoil_nothing, "not a run folder"),
        (spoil_config, "not valid YAML"),
        (spoil_class, "model section is another one"),
        (spoil_checkpoints, "checkpoints"),
        (spoil_summary, "summary.json"),
        (spoil_snapshots, "snapshots.pt"),
    ],
    ids=lambda value: getattr(value, "__name__", "")[6:],
)
def test_what_is_no_run_is_told_in_one_line(trained: RnnTasks, spoil: object, said: str) -> None:
    spoil(Path("lightning_logs/echo/version_0"))  # type: ignore[operator]
    answer = trained("analyze", "lightning_logs/echo/version_0")
    assert answer.status == 2
    assert len(answer.err.splitlines()) == 1
    assert said in answer.err
    assert not list(Path("lightning_logs").rglob("report"))


def test_too_many_or_unlike_runs(trained: RnnTasks) -> None:
    said = trained("analyze", *["echo"] * 5, "--output", "x")
    assert (said.status, "at most 4" in said.err) == (2, True)
    said = trained("analyze", "echo", "copy", "--output", "x")
    assert (said.status, "of one task" in said.err) == (2, True)
    said = trained("analyze", "--outptu", "x", "echo")
    assert said.status == 2
    assert not Path("x").exists()


def test_a_folder_that_cannot_be_written(trained: RnnTasks) -> None:
    Path("taken").write_text("a file")
    said = trained("analyze", "echo", "--output", "taken")
    assert said.status == 1
    assert "taken" in said.err
    assert len(said.err.splitlines()) == 1


def test_an_interrupted_report(trained: RnnTasks, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("rnn_tasks.report.write.load_subjects", interrupt)
    assert trained("analyze", "echo").status == 128 + signal.SIGINT
