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
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures take most of the time of a report; where they do not matter they are empty."""

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
    found: dict[str, object] = json.loads((Path(folder) / NUMBERS).read_text())
    return found


@pytest.mark.parametrize(
    "task", ["copy", *(pytest.param(task, marks=pytest.mark.slow) for task in ("variable_delay_echo", "elman_grammar"))]
)
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


@pytest.mark.usefixtures("undrawn")
def test_runs_side_by_side(rnn_tasks: RnnTasks) -> None:
    for model in ("rnn", "gru"):
        configs = ["--config", "echo", "--config", f"models/{model}", "--config", "watch"]
        said = rnn_tasks("fit", *configs, *small("echo"), "--trainer.val_check_interval=4")
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


@pytest.mark.parametrize("pictures", ["undrawn", pytest.param("", marks=pytest.mark.slow)])
def test_the_same_report_twice_is_the_same(trained: RnnTasks, request: pytest.FixtureRequest, pictures: str) -> None:
    if pictures:
        request.getfixturevalue(pictures)
    for name in ("one", "two"):
        assert trained("analyze", "echo", "--output", name).status == 0
    for path in Path("one").rglob("*.*"):
        assert path.read_bytes() == (Path("two") / path.relative_to("one")).read_bytes(), path


@pytest.mark.usefixtures("undrawn")
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


@pytest.mark.usefixtures("undrawn")
def test_a_run_that_was_killed_is_shown(trained: RnnTasks) -> None:
    Path("lightning_logs/echo/version_0/summary.json").unlink()
    said = trained("analyze", "echo")
    assert (said.status, said.err) == (0, "")
    assert "resume the run" in Path("lightning_logs/echo/version_0/report", PAGE).read_text()


@pytest.mark.usefixtures("undrawn")
def test_without_the_data_a_report_is_shorter(trained: RnnTasks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RNN_TASKS_DATA", "/nowhere")
    said = trained("analyze", "time_machine")
    assert (said.status, said.err) == (0, "")
    assert "/nowhere" in Path("lightning_logs/time_machine/version_0/report", PAGE).read_text()


def page_of(task: str) -> str:
    return Path(f"lightning_logs/{task}/version_0/report", PAGE).read_text()


def change_checkpoints(run: Path, change: Callable[[dict[str, Any]], None]) -> None:
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
def test_a_network_that_has_diverged_or_is_dead_is_shown_as_far_as_it_can(
    trained: RnnTasks, task: str, factor: float
) -> None:
    def multiply(checkpoint: dict[str, Any]) -> None:
        for weight in checkpoint["state_dict"].values():
            weight *= factor

    change_checkpoints(Path(f"lightning_logs/{task}/version_0"), multiply)
    said = trained("analyze", task)
    assert (said.status, said.err) == (0, "")
    page = page_of(task)
    assert "cannot be drawn" not in page
    assert ("diverged" in page) == (not math.isfinite(factor))
    json.loads(Path(f"lightning_logs/{task}/version_0/report", NUMBERS).read_text())


@pytest.mark.usefixtures("undrawn")
def test_a_layer_that_forgets_all_in_a_step_has_exponents_of_minus_infinity(
    rnn_tasks: RnnTasks, tmp_path: Path
) -> None:
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
        words = [word for word in small("echo") if "hidden_size" not in word]
        assert rnn_tasks("fit", "--config", "echo", "--config", "own.yaml", *words).status == 0
        said = rnn_tasks("analyze", "echo", "--output", name)
        assert (said.status, said.err) == (0, ""), number
    found: Any = numbers("Forgets")["flowing"]
    assert set(found["echo/version_0"]["stretching"]["trained"]["exponents"]) == {None}  # -inf is no JSON
    assert "gradient by lag: this layer cannot be looked at so" in Path("Picky", PAGE).read_text()


@pytest.mark.usefixtures("undrawn")
def test_data_that_has_changed_is_not_shown_to_the_network(trained: RnnTasks) -> None:
    run = Path("lightning_logs/echo/version_0")
    config = yaml.safe_load((run / "config.yaml").read_text())
    config["data"]["init_args"]["delay"] = 1
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    assert trained("analyze", "echo").status == 0
    assert "not what the network was trained on" in page_of("echo")
    assert "accuracy_by_delay" not in page_of("echo")


@pytest.mark.slow
def test_a_text_of_formulas_and_long_words(rnn_tasks: RnnTasks, recwarn: pytest.WarningsRecorder) -> None:
    text = "$x^$ costs US$5-$10 $\\undefined{$ \N{CJK UNIFIED IDEOGRAPH-4E00} <script>alert(1)</script> " + "w" * 150
    Path("odd.txt").write_text(f"{text} " * 60)
    words = [*SMALL_TEXT, "--data.path=odd.txt", "--data.cleaning=none"]
    assert rnn_tasks("fit", "--config", "text", *words).status == 0
    said = rnn_tasks("analyze", "text")
    assert (said.status, said.err) == (0, "")
    assert "cannot be drawn" not in page_of("text")
    assert "<script>" not in page_of("text")
    assert [str(warning.message) for warning in recwarn if warning.category is UserWarning] == []


@pytest.mark.slow
@pytest.mark.usefixtures("undrawn")
def test_a_text_without_words(rnn_tasks: RnnTasks) -> None:
    Path("odd.txt").write_text("abcab" * 600)
    assert rnn_tasks("fit", "--config", "text", *SMALL_TEXT, "--data.path=odd.txt").status == 0
    assert rnn_tasks("analyze", "text").status == 0
    assert "nan" not in page_of("text").replace("nanmean", "")
    assert "words: the text has no whole word" in page_of("text")


@pytest.mark.usefixtures("undrawn")
def test_a_named_checkpoint_is_what_is_shown(trained: RnnTasks) -> None:
    said = trained("analyze", "lightning_logs/echo/version_0/checkpoints/last.ckpt")
    assert said.status == 0
    assert "last.ckpt" in page_of("echo")
    assert numbers("lightning_logs/echo/version_0/report")["runs"][0]["checkpoint"] == "last.ckpt"  # type: ignore[index]


@pytest.mark.usefixtures("undrawn")
def test_a_full_disk_leaves_nothing(trained: RnnTasks, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[Path] = []

    def full(path: Path, content: str | bytes) -> None:
        written.append(path)
        if len(written) > 4:
            raise OSError(28, "No space left on device", str(path))
        write_atomically(path, content)

    monkeypatch.setattr("rnn_tasks.runs.files.write_atomically", full)
    said = trained("analyze", "echo", "--output", "new")
    assert (said.status, len(said.err.splitlines())) == (1, 1)
    assert len(written) > 4
    assert not Path("new").exists()


def spoil_nothing(run: Path) -> None:
    shutil.rmtree(run)


def spoil_config(run: Path) -> None:
    (run / "config.yaml").write_text("model: [")


def spoil_data(run: Path) -> None:
    change_config(run, "data", "x")


def spoil_trainer(run: Path) -> None:
    change_config(run, "trainer", "x")


def spoil_seed(run: Path) -> None:
    change_config(run, "seed_everything", "abc")


def spoil_nesting(run: Path) -> None:
    (run / "config.yaml").write_text("[" * 5000)


def spoil_metrics(run: Path) -> None:
    summary = json.loads((run / "summary.json").read_text())
    (run / "summary.json").write_text(json.dumps({**summary, "metrics": None}))


def spoil_baseline(run: Path) -> None:
    summary = json.loads((run / "summary.json").read_text())
    (run / "summary.json").write_text(json.dumps({**summary, "baseline": {"loss": 0}}))


def spoil_spec(run: Path) -> None:
    def change(checkpoint: dict[str, Any]) -> None:
        checkpoint[CHECKPOINT_KEY]["spec"]["input_size"] = -1

    change_checkpoints(run, change)


def spoil_names(run: Path) -> None:
    change_checkpoints(run, lambda checkpoint: checkpoint.update(state_dict={1: 2}))


def change_config(run: Path, name: str, value: object) -> None:
    config = yaml.safe_load((run / "config.yaml").read_text())
    (run / "config.yaml").write_text(yaml.safe_dump({**config, name: value}))


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
        (spoil_nesting, "not valid YAML"),
        (spoil_data, "data is no section"),
        (spoil_trainer, "trainer is no section"),
        (spoil_seed, "seed_everything is no number"),
        (spoil_class, "model section is another one"),
        (spoil_spec, "does not fit"),
        (spoil_names, "does not fit"),
        (spoil_metrics, "summary.json is damaged"),
        (spoil_baseline, "summary.json is damaged"),
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

    monkeypatch.setattr("rnn_tasks.report.write.load_runs", interrupt)
    assert trained("analyze", "echo").status == 128 + signal.SIGINT
