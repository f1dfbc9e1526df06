import json
import subprocess
import sys
from pathlib import Path

import pytest

from rnn_tasks.models.loading import load_model
from rnn_tasks.runs.find import find_run
from tests.helpers.command_line import RnnTasks


def test_the_prefix_and_what_the_network_writes_after_it(trained: RnnTasks) -> None:
    said = trained("generate", "elman_grammar", "--prefix", "the king", "--length", "30", "--seed", "4")
    model = load_model(find_run("elman_grammar"))
    assert said.out == model.generate("the king", 30, 0.7, seed=4) + "\n"  # type: ignore[operator]
    assert len(said.out.replace("<unk>", "?")) == 8 + 30 + 1
    assert said.err == ""


@pytest.mark.slow
def test_a_fresh_process_writes_the_same(trained: RnnTasks) -> None:
    words = ["generate", "elman_grammar", "--temperature", "1", "--length", "50", "--seed", "9"]
    command = [sys.executable, "-m", "rnn_tasks", *words]
    paths = {"PYTHONPATH": ":".join(filter(None, sys.path)), "OMP_NUM_THREADS": "1"}
    fresh = subprocess.run(command, capture_output=True, text=True, env=paths, check=True).stdout
    assert fresh == trained(*words).out
    assert fresh.startswith("the boy")


def test_without_the_book_a_run_still_writes(trained: RnnTasks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RNN_TASKS_DATA", "/nowhere")
    said = trained("generate", "time_machine", "--length", "5")
    assert (said.status, said.err) == (0, "")
    assert said.out.startswith("time traveller")


def test_unknown_characters_are_noted(trained: RnnTasks) -> None:
    said = trained("generate", "elman_grammar", "--prefix", "The boy?", "--length", "3")
    assert said.err == "note: 'T' '?' not in this network's vocabulary, read as <unk>\n"
    assert said.out.startswith("The boy?")


def test_the_vocabulary_can_be_shown(trained: RnnTasks) -> None:
    said = trained("generate", "time_machine", "--vocabulary")
    assert said.out.startswith("28 symbols: <unk> ' ' 'a' 'b'")


def test_the_summary_holds_what_scripts_rely_on_and_names_the_next_step(trained: RnnTasks) -> None:
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
    ("words", "said"),
    [
        (["elman_grammar", "--temperature", "-1"], "temperature must be at least 0, got -1.0"),
        (["elman_grammar", "--prefix", ""], "give a prefix of at least one character"),
        (["elman_grammar", "--length", "-3"], "length must be at least 0"),
        (["echo"], "not trained on text: ask it with rnn-tasks respond"),
        (["nothing"], "is not a run folder, a checkpoint or a task with a run"),
        (["elman_grammar", "--lenght", "3"], "unrecognized arguments"),
    ],
)
def test_mistakes_are_one_line(trained: RnnTasks, words: list[str], said: str) -> None:
    answer = trained("generate", *words)
    assert answer.status == 2
    assert said in answer.err
    assert answer.err.count("\n") == 1
    assert answer.out == ""


def test_respond_sends_a_language_model_on(trained: RnnTasks) -> None:
    assert "use rnn-tasks generate" in trained("respond", "time_machine", "a").err
