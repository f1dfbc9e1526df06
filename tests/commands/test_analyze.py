import io
import json
import math
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from rnn_tasks.plots.style import NARROW
from rnn_tasks.report.blocks import Picture
from rnn_tasks.report.page import NUMBERS, PAGE, PICTURES
from rnn_tasks.runs.files import write_atomically
from rnn_tasks.runs.find import config_hash
from rnn_tasks.runs.trained_network import CHECKPOINT_KEY
from tests.helpers.command_line import SMALL_TEXT, RnnTasks, small

SECTIONS = {"learning", "remembering", "flowing", "weights", "states"}


@pytest.fixture
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Write empty pictures, since pictures take most of the time of a report."""

    def empty(picture: Picture) -> tuple[dict[str, bytes], bytes]:
        stem = f"{PICTURES}/{picture.name}"
        return {f"{stem}.svg": b"<svg/>", f"{stem}.png": b""}, b"<svg/>"

    monkeypatch.setattr("rnn_tasks.report.page.drawn", empty)


@pytest.fixture
def sketched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw each picture once and coarsely, for tests of what can be drawn."""

    def sketch(picture: Picture) -> tuple[dict[str, bytes], bytes]:
        picture.draw(NARROW).savefig(io.BytesIO(), dpi=20)
        return {f"{PICTURES}/{picture.name}.svg": b"<svg/>"}, b"<svg/>"

    monkeypatch.setattr("rnn_tasks.report.page.drawn", sketch)


def numbers(folder: str | Path) -> dict[str, object]:
    contents: dict[str, object] = json.loads((Path(folder) / NUMBERS).read_text())
    return contents


@pytest.mark.parametrize(
    "task", ["copy", *(pytest.param(task, marks=pytest.mark.slow) for task in ("variable_delay_echo", "elman_grammar"))]
)
def test_analyze_writes_a_report_of_a_run(trained: RnnTasks, task: str) -> None:
    result = trained("analyze", task)
    folder = Path("lightning_logs") / task / "version_0" / "report"
    assert (result.status, result.err) == (0, "")
    assert result.out.splitlines()[-1] == f"open {folder / PAGE}"
    assert numbers(folder).keys() >= SECTIONS
    page = (folder / PAGE).read_text()
    assert "the run had no SnapshotRecorder" in page
    for path in (folder / PICTURES).glob("*.png"):
        assert path.with_suffix(".svg").is_file()
    assert len(list((folder / PICTURES).glob("*.png"))) == page.count("<picture>") > 5


@pytest.mark.usefixtures("no_pictures")
def test_analyze_compares_runs(rnn_tasks: RnnTasks) -> None:
    for model in ("rnn", "gru"):
        configs = ["--config", "echo", "--config", f"models/{model}", "--config", "watch"]
        result = rnn_tasks("fit", *configs, *small("echo"), "--trainer.val_check_interval=4")
        assert result.status == 0
    runs = [f"lightning_logs/echo/version_{index}" for index in range(2)]
    result = rnn_tasks("analyze", *runs)
    assert result.status == 2
    assert "--output FOLDER" in result.err
    assert len(result.err.splitlines()) == 1
    result = rnn_tasks("analyze", *runs, "--output", "both")
    assert (result.status, result.err) == (0, "")
    assert [run["label"] for run in numbers("both")["runs"]] == ["A: RNN", "B: GRU"]  # type: ignore[attr-defined]
    assert "no SnapshotRecorder" not in Path("both", PAGE).read_text()


@pytest.mark.parametrize("pictures", ["no_pictures", pytest.param("", marks=pytest.mark.slow)])
def test_analyze_is_deterministic(trained: RnnTasks, request: pytest.FixtureRequest, pictures: str) -> None:
    if pictures:
        request.getfixturevalue(pictures)
    for name in ("one", "two"):
        assert trained("analyze", "echo", "--output", name).status == 0
    for path in Path("one").rglob("*.*"):
        assert path.read_bytes() == (Path("two") / path.relative_to("one")).read_bytes(), path


@pytest.mark.usefixtures("no_pictures")
def test_foreign_layer_is_shown_with_trust(rnn_tasks: RnnTasks, tmp_path: Path) -> None:
    (tmp_path / "their_layer.py").write_text(
        "import torch\n"
        "class Odd(torch.nn.Module):\n"
        "    '''A layer whose state is not only tensors, and that names no recurrent matrix.'''\n"
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
    arguments = [word for word in small("echo") if "hidden_size" not in word]
    assert rnn_tasks("fit", "--config", "echo", "--config", "own.yaml", *arguments).status == 0
    result = rnn_tasks("analyze", "echo")
    assert (result.status, result.err.count("\n")) == (2, 1)
    assert "--trust" in result.err
    assert rnn_tasks("respond", "echo", "abc").status == 2
    assert len(rnn_tasks("respond", "echo", "abc", "--trust").out) == 4
    result = rnn_tasks("analyze", "echo", "--trust")
    assert (result.status, result.err) == (0, "")
    page = Path("lightning_logs/echo/version_0/report", PAGE).read_text()
    assert "Not shown:" in page


@pytest.mark.usefixtures("no_pictures")
def test_analyze_shows_a_killed_run(trained: RnnTasks) -> None:
    Path("lightning_logs/echo/version_0/summary.json").unlink()
    result = trained("analyze", "echo")
    assert (result.status, result.err) == (0, "")
    assert "resume the run" in Path("lightning_logs/echo/version_0/report", PAGE).read_text()


@pytest.mark.usefixtures("no_pictures")
def test_analyze_names_missing_data(trained: RnnTasks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RNN_TASKS_DATA", "/nowhere")
    result = trained("analyze", "time_machine")
    assert (result.status, result.err) == (0, "")
    assert "/nowhere" in Path("lightning_logs/time_machine/version_0/report", PAGE).read_text()


def page_of(task: str) -> str:
    return Path(f"lightning_logs/{task}/version_0/report", PAGE).read_text()


def edit_checkpoints(run: Path, change: Callable[[dict[str, Any]], None]) -> None:
    for path in (run / "checkpoints").iterdir():
        checkpoint = torch.load(path, weights_only=True)
        change(checkpoint)
        torch.save(checkpoint, path)


@pytest.mark.usefixtures("sketched")
@pytest.mark.parametrize(
    ("task", "factor"),
    [
        ("copy", math.nan),
        pytest.param("copy", 1e30, marks=pytest.mark.slow),
        pytest.param("copy", 0.0, marks=pytest.mark.slow),
        pytest.param("elman_grammar", math.nan, marks=pytest.mark.slow),
        pytest.param("elman_grammar", 1e30, marks=pytest.mark.slow),
        pytest.param("elman_grammar", 0.0, marks=pytest.mark.slow),
    ],
)
def test_analyze_shows_a_diverged_or_dead_network(trained: RnnTasks, task: str, factor: float) -> None:
    def multiply(checkpoint: dict[str, Any]) -> None:
        for weight in checkpoint["state_dict"].values():
            weight *= factor

    edit_checkpoints(Path(f"lightning_logs/{task}/version_0"), multiply)
    result = trained("analyze", task)
    assert (result.status, result.err) == (0, "")
    page = page_of(task)
    assert "cannot be drawn" not in page
    assert ("diverged" in page) == (not math.isfinite(factor))
    json.loads(Path(f"lightning_logs/{task}/version_0/report", NUMBERS).read_text())


@pytest.mark.usefixtures("no_pictures")
def test_analyze_shows_a_layer_without_memory(rnn_tasks: RnnTasks, tmp_path: Path) -> None:
    (tmp_path / "forgetful_layer.py").write_text(
        "import torch\n"
        "class Forgets(torch.nn.Module):\n"
        "    def __init__(self, input_size, hidden_size):\n"
        "        super().__init__()\n"
        "        self.read = torch.nn.Linear(input_size, hidden_size)\n"
        "    def forward(self, inputs, state=None):\n"
        "        outputs = torch.tanh(self.read(inputs))\n"
        "        return outputs, outputs[:, -1]\n"
        "class Picky(Forgets):\n"
        "    def forward(self, inputs, state=None):\n"
        "        if inputs.dtype != torch.float32:\n"
        "            raise KeyError(inputs.dtype)\n"
        "        return super().forward(inputs, state)\n"
    )
    for number, name in enumerate(("Forgets", "Picky")):
        core = {"class_path": "Foreign", "init_args": {"layer": f"forgetful_layer.{name}", "hidden_size": 8}}
        (tmp_path / "own.yaml").write_text(yaml.safe_dump({"model": {"init_args": {"core": core}}, "constraint": None}))
        arguments = [word for word in small("echo") if "hidden_size" not in word]
        assert rnn_tasks("fit", "--config", "echo", "--config", "own.yaml", *arguments).status == 0
        result = rnn_tasks("analyze", "echo", "--output", name, "--trust")
        assert (result.status, result.err) == (0, ""), number
    flowing: Any = numbers("Forgets")["flowing"]
    assert set(flowing["echo/version_0"]["stretching"]["trained"]["exponents"]) == {None}  # JSON has no -inf
    assert "gradient by lag: this layer does not support it" in Path("Picky", PAGE).read_text()


@pytest.mark.usefixtures("no_pictures")
def test_analyze_skips_changed_data(trained: RnnTasks) -> None:
    run = Path("lightning_logs/echo/version_0")
    config = yaml.safe_load((run / "config.yaml").read_text())
    config["data"]["init_args"]["delay"] = 1
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    assert trained("analyze", "echo").status == 0
    assert "the task differs from that of the training" in page_of("echo")
    remembering: Any = numbers("lightning_logs/echo/version_0/report")["remembering"]
    assert "accuracy_by_answer_position" not in remembering


@pytest.mark.slow
def test_analyze_escapes_special_characters_of_a_text(rnn_tasks: RnnTasks, recwarn: pytest.WarningsRecorder) -> None:
    text = "$x^$ costs US$5-$10 $\\undefined{$ \N{CJK UNIFIED IDEOGRAPH-4E00} <script>alert(1)</script> " + "w" * 150
    Path("odd.txt").write_text(f"{text} " * 60)
    arguments = [*SMALL_TEXT, "--data.path=odd.txt", "--data.cleaning=none"]
    assert rnn_tasks("fit", "--config", "text", *arguments).status == 0
    result = rnn_tasks("analyze", "text")
    assert (result.status, result.err) == (0, "")
    assert "cannot be drawn" not in page_of("text")
    assert "<script>" not in page_of("text")
    assert [str(warning.message) for warning in recwarn if warning.category is UserWarning] == []


@pytest.mark.slow
@pytest.mark.usefixtures("no_pictures")
def test_analyze_shows_a_text_without_words(rnn_tasks: RnnTasks) -> None:
    Path("odd.txt").write_text("abcab" * 600)
    assert rnn_tasks("fit", "--config", "text", *SMALL_TEXT, "--data.path=odd.txt").status == 0
    assert rnn_tasks("analyze", "text").status == 0
    assert "nan" not in page_of("text").replace("nanmean", "")
    assert "words: the text has no whole word" in page_of("text")


@pytest.mark.usefixtures("no_pictures")
def test_analyze_shows_the_requested_checkpoint(trained: RnnTasks) -> None:
    result = trained("analyze", "lightning_logs/echo/version_0/checkpoints/last.ckpt")
    assert result.status == 0
    assert "last.ckpt" in page_of("echo")
    assert numbers("lightning_logs/echo/version_0/report")["runs"][0]["checkpoint"] == "last.ckpt"  # type: ignore[index]


@pytest.mark.usefixtures("no_pictures")
def test_analyze_writes_nothing_when_the_disk_is_full(trained: RnnTasks, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[Path] = []

    def full(path: Path, content: str | bytes) -> None:
        written.append(path)
        if len(written) > 4:
            raise OSError(28, "No space left on device", str(path))
        write_atomically(path, content)

    monkeypatch.setattr("rnn_tasks.runs.files.write_atomically", full)
    result = trained("analyze", "echo", "--output", "new")
    assert (result.status, len(result.err.splitlines())) == (1, 1)
    assert len(written) > 4
    assert not Path("new").exists()


def remove_run(run: Path) -> None:
    shutil.rmtree(run)


def damage_config(run: Path) -> None:
    (run / "config.yaml").write_text("model: [")


def damage_data(run: Path) -> None:
    edit_config(run, "data", "x")


def damage_trainer(run: Path) -> None:
    edit_config(run, "trainer", "x")


def damage_seed(run: Path) -> None:
    edit_config(run, "seed_everything", "abc")


def damage_nesting(run: Path) -> None:
    (run / "config.yaml").write_text("[" * 5000)


def damage_metrics(run: Path) -> None:
    summary = json.loads((run / "summary.json").read_text())
    (run / "summary.json").write_text(json.dumps({**summary, "metrics": None}))


def damage_baseline(run: Path) -> None:
    summary = json.loads((run / "summary.json").read_text())
    (run / "summary.json").write_text(json.dumps({**summary, "baseline": {"loss": 0}}))


def damage_spec(run: Path) -> None:
    def change(checkpoint: dict[str, Any]) -> None:
        checkpoint[CHECKPOINT_KEY]["spec"]["input_size"] = -1

    edit_checkpoints(run, change)


def damage_names(run: Path) -> None:
    edit_checkpoints(run, lambda checkpoint: checkpoint.update(state_dict={1: 2}))


def edit_config(run: Path, name: str, value: object) -> None:
    config = yaml.safe_load((run / "config.yaml").read_text())
    (run / "config.yaml").write_text(yaml.safe_dump({**config, name: value}))


def damage_class(run: Path) -> None:
    config = yaml.safe_load((run / "config.yaml").read_text())
    config["model"]["class_path"] = "os.system"
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    assert config_hash(config["model"])


def damage_checkpoints(run: Path) -> None:
    for path in (run / "checkpoints").iterdir():
        path.write_bytes(path.read_bytes()[:1000])


def damage_summary(run: Path) -> None:
    (run / "summary.json").write_text("{")


def damage_snapshots(run: Path) -> None:
    (run / "snapshots.pt").write_bytes(b"no snapshots")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (remove_run, "no run 'lightning_logs/echo/version_0'"),
        (damage_config, "not valid YAML"),
        (damage_nesting, "not valid YAML"),
        (damage_data, "data is not a section"),
        (damage_trainer, "trainer is not a section"),
        (damage_seed, "seed_everything is not a number"),
        (damage_class, "add --trust to execute its code"),
        (damage_spec, "does not fit"),
        (damage_names, "does not fit"),
        (damage_metrics, "summary.json is damaged"),
        (damage_baseline, "summary.json is damaged"),
        (damage_checkpoints, "checkpoints"),
        (damage_summary, "summary.json"),
        (damage_snapshots, "snapshots.pt"),
    ],
    ids=lambda value: getattr(value, "__name__", "").removeprefix("damage_"),
)
def test_analyze_reports_a_damaged_run_in_one_line(trained: RnnTasks, damage: object, message: str) -> None:
    damage(Path("lightning_logs/echo/version_0"))  # type: ignore[operator]
    result = trained("analyze", "lightning_logs/echo/version_0")
    assert result.status == 2
    assert len(result.err.splitlines()) == 1
    assert message in result.err
    assert not list(Path("lightning_logs").rglob("report"))


def test_analyze_rejects_too_many_or_different_runs(trained: RnnTasks) -> None:
    result = trained("analyze", *["echo"] * 5, "--output", "x")
    assert (result.status, "at most 4" in result.err) == (2, True)
    result = trained("analyze", "echo", "copy", "--output", "x")
    assert (result.status, "of one task" in result.err) == (2, True)
    result = trained("analyze", "--outptu", "x", "echo")
    assert result.status == 2
    assert not Path("x").exists()


def test_analyze_reports_an_unwritable_folder(trained: RnnTasks) -> None:
    Path("taken").write_text("a file")
    result = trained("analyze", "echo", "--output", "taken")
    assert result.status == 1
    assert "taken" in result.err
    assert len(result.err.splitlines()) == 1


def test_analyze_exits_with_the_status_of_ctrl_c(trained: RnnTasks, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("rnn_tasks.report.write.load_runs", interrupt)
    assert trained("analyze", "echo").status == 128 + signal.SIGINT
