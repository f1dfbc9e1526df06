import json
import subprocess
import sys
from pathlib import Path

import pytest

from rnn_tasks.models.loading import load_model
from rnn_tasks.runs.find import find_run
from tests.helpers.command_line import RnnTasks


def test_generate_prints_the_prefix_and_its_continuation(trained: RnnTasks) -> None:
    result = trained("generate", "elman_grammar", "--prefix", "the king", "--length", "30", "--seed", "4")
    model = load_model(find_run("elman_grammar"))
    assert result.out == model.generate("the king", 30, 0.7, seed=4) + "\n"  # type: ignore[operator]
    assert len(result.out.replace("<unk>", "?")) == 8 + 30 + 1
    assert result.err == ""


@pytest.mark.slow
def test_generate_is_equal_in_a_new_process(trained: RnnTasks) -> None:
    arguments = ["generate", "elman_grammar", "--temperature", "1", "--length", "50", "--seed", "9"]
    command = [sys.executable, "-m", "rnn_tasks", *arguments]
    paths = {"PYTHONPATH": ":".join(filter(None, sys.path)), "OMP_NUM_THREADS": "1"}
    output = subprocess.run(command, capture_output=True, text=True, env=paths, check=True).stdout
    assert output == trained(*arguments).out
    assert output.startswith("the boy")


def test_generate_does_not_need_the_book(trained: RnnTasks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RNN_TASKS_DATA", "/nowhere")
    result = trained("generate", "time_machine", "--length", "5")
    assert (result.status, result.err) == (0, "")
    assert result.out.startswith("time traveller")


def test_generate_notes_unknown_characters(trained: RnnTasks) -> None:
    result = trained("generate", "elman_grammar", "--prefix", "The boy?", "--length", "3")
    assert result.err == "note: not in the vocabulary of this network, read as <unk>: 'T' '?'\n"
    assert result.out.startswith("The boy?")


def test_generate_prints_the_vocabulary(trained: RnnTasks) -> None:
    result = trained("generate", "time_machine", "--vocabulary")
    assert result.out.startswith("28 symbols: <unk> ' ' 'a' 'b'")


def test_summary_on_text_contains_the_documented_keys(trained: RnnTasks) -> None:
    path = Path("lightning_logs/elman_grammar/version_0/summary.json")
    summary = json.loads(path.read_text())
    path.write_text(json.dumps({**summary, "verdict": "learning"}))
    assert (
        "generate lightning_logs/elman_grammar/version_0 --prefix 'the boy'" in trained("resume", "elman_grammar").out
    )
    baseline = summary["baseline"]
    assert baseline["floor"] < baseline["loss"]
    assert {"perplexity", "name", "loss"} <= baseline.keys() & baseline["val"].keys()
    assert {"test/perplexity", "test/bits_per_character", "train_epoch/perplexity"} <= summary["metrics"].keys()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["elman_grammar", "--temperature", "-1"], "temperature must be at least 0, got -1.0"),
        (["elman_grammar", "--prefix", ""], "give a prefix of at least one character"),
        (["elman_grammar", "--length", "-3"], "length must be at least 0"),
        (["echo"], "not trained on text; use rnn-tasks respond"),
        (["nothing"], "no run 'nothing': give a run folder, a checkpoint, or a task that has a run"),
        (["elman_grammar", "--lenght", "3"], "unrecognized arguments"),
    ],
)
def test_generate_reports_a_usage_error_in_one_line(trained: RnnTasks, arguments: list[str], message: str) -> None:
    result = trained("generate", *arguments)
    assert result.status == 2
    assert message in result.err
    assert result.err.count("\n") == 1
    assert result.out == ""


def test_respond_refers_a_language_model_to_generate(trained: RnnTasks) -> None:
    assert "use rnn-tasks generate" in trained("respond", "time_machine", "a").err


def test_generate_escapes_control_characters_on_a_terminal(trained: RnnTasks, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ["generate", "elman_grammar", "--prefix", "\x1b]52;c;x\x07\u202ea\nb", "--length", "3"]
    assert trained(*arguments).out.startswith(arguments[3])
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    result = trained(*arguments)
    assert result.out.startswith("\\x1b]52;c;x\\x07\\u202ea\nb")
    assert "\x1b" not in result.err
