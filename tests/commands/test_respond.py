import io
from pathlib import Path

import pytest

from rnn_tasks.models.loading import load_model
from rnn_tasks.runs.find import find_run
from tests.helpers.command_line import RnnTasks


def test_one_line_for_each_string_equal_to_the_method(trained: RnnTasks) -> None:
    said = trained("respond", "variable_delay_echo", "abacaba", "hello", "--delay", "3")
    lines = said.out.splitlines()
    model = load_model(find_run("variable_delay_echo"))
    assert lines == model.respond(["abacaba", "hello"], delay=3)  # type: ignore[operator]
    assert [len(line) for line in lines] == [7, 5]
    assert all(line.startswith("   ") for line in lines)


def test_lines_of_standard_input(trained: RnnTasks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("abcdefg\r\n\nzz\n"))
    lines = trained("respond", "echo").out.split("\n")
    assert [len(line) for line in lines] == [7, 0, 2, 0]


def test_blanks_and_marker_of_copy_are_added(trained: RnnTasks) -> None:
    said = trained("respond", "copy", "0123456701")
    answer = said.out.rstrip("\n")
    assert len(answer) == 21
    assert answer[:11].isspace()
    assert said.err == ""


def test_another_number_of_symbols_is_noted(trained: RnnTasks) -> None:
    said = trained("respond", "copy", "01")
    assert said.status == 0
    assert said.err == "note: trained on 10 symbols, '01' has 2\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["echo", "Abc"], "'A' is not in this network's alphabet"),
        (["echo", "abc", "--delay", "3"], "not trained on a delay of 3; it knows 4"),
        (["variable_delay_echo", "abc"], "give --delay, one of 0..8"),
        (["variable_delay_echo", "abc", "--delay", "9"], "not trained on a delay of 9"),
        (["nothing", "abc"], "is not a run folder, a checkpoint or a task with a run"),
        ([], "the following arguments are required: run"),
        (["echo", "abc", "--dely", "3"], "unrecognized arguments"),
    ],
)
def test_mistakes_are_one_line(trained: RnnTasks, words: list[str], said: str) -> None:
    answer = trained("respond", *words)
    assert answer.status == 2
    assert said in answer.err
    assert answer.err.count("\n") == 1
    assert answer.out == ""


def test_on_a_terminal_empty_steps_are_dots(trained: RnnTasks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert trained("respond", "echo", "abcdefg").out.startswith("····")


def test_a_damaged_checkpoint_is_one_line(trained: RnnTasks) -> None:
    path = Path("lightning_logs/echo/version_0/checkpoints/best.ckpt")
    path.write_bytes(path.read_bytes()[:1000])
    said = trained("respond", "echo", "abc")
    assert said.status == 2
    assert said.err.count("\n") == 1
    assert "damaged" in said.err
