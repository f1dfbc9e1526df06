import io
import shlex
from pathlib import Path

import pytest
import torch

from rnn_tasks.models.loading import load_model
from rnn_tasks.networks import TaggerNetwork
from rnn_tasks.runs.find import find_run
from rnn_tasks.runs.trained_network import load_network
from rnn_tasks.spec import NOT_SCORED
from tests.helpers.command_line import RnnTasks
from tests.helpers.explorer_runs import small_network
from tests.helpers.tasks import GENERATED


def test_respond_prints_one_answer_per_string(trained: RnnTasks) -> None:
    result = trained("respond", "variable_delay_echo", "abacaba", "hello", "--delay", "3")
    lines = result.out.splitlines()
    model = load_model(find_run("variable_delay_echo"))
    assert lines == model.respond(["abacaba", "hello"], delay=3)  # type: ignore[operator]
    assert [len(line) for line in lines] == [7, 5]
    assert all(line.startswith("   ") for line in lines)


def test_respond_reads_standard_input(trained: RnnTasks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("abcdefg\r\n\nzz\n"))
    lines = trained("respond", "echo").out.split("\n")
    assert [len(line) for line in lines] == [7, 0, 2, 0]


def test_respond_adds_blanks_and_marker_of_copy(trained: RnnTasks) -> None:
    result = trained("respond", "copy", "0123456701")
    answer = result.out.rstrip("\n")
    assert len(answer) == 21
    assert answer[:11].isspace()
    assert result.err == ""


def test_respond_notes_an_unusual_number_of_symbols(trained: RnnTasks) -> None:
    result = trained("respond", "copy", "01")
    assert result.status == 0
    assert result.err == "note: trained on strings of 10 symbols, '01' has 2\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["echo", "Abc"], "'A' is not in this network's alphabet"),
        (["echo", "abc", "--delay", "3"], "not trained on delay 3: set --delay to 4, or leave it out"),
        (["variable_delay_echo", "abc"], "trained on several delays: set --delay to one of 0..8"),
        (["variable_delay_echo", "abc", "--delay", "9"], "not trained on delay 9: set --delay to one of 0..8"),
        (["nothing", "abc"], "no run 'nothing': give a run folder, a checkpoint, or a task that has a run"),
        ([], "the following arguments are required: run"),
        (["echo", "abc", "--dely", "3"], "unrecognized arguments"),
    ],
)
def test_respond_reports_a_usage_error_in_one_line(trained: RnnTasks, arguments: list[str], message: str) -> None:
    result = trained("respond", *arguments)
    assert result.status == 2
    assert message in result.err
    assert result.err.count("\n") == 1
    assert result.out == ""


def test_respond_prints_blanks_as_dots_on_a_terminal(trained: RnnTasks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert trained("respond", "echo", "abcdefg").out.startswith("····")


def test_respond_reports_a_damaged_checkpoint_in_one_line(trained: RnnTasks) -> None:
    path = Path("lightning_logs/echo/version_0/checkpoints/best.ckpt")
    path.write_bytes(path.read_bytes()[:1000])
    result = trained("respond", "echo", "abc")
    assert result.status == 2
    assert result.err.count("\n") == 1
    assert "damaged" in result.err


def test_respond_answers_long_lines_in_input_order(trained: RnnTasks, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ["abc" * 20_000, "d", "ef" * 30_000, "", "ghi"]
    monkeypatch.setattr("sys.stdin", io.StringIO("\n".join(texts) + "\n"))
    assert [len(line) for line in trained("respond", "echo").out.split("\n")] == [60_000, 1, 60_000, 0, 3, 0]


def test_respond_without_standard_input_answers_nothing(trained: RnnTasks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", None)
    result = trained("respond", "echo")
    assert (result.status, result.out, result.err) == (0, "", "")


def test_respond_reports_input_that_is_no_text(trained: RnnTasks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"abc\n\xff\n"), encoding="utf-8"))
    result = trained("respond", "echo")
    assert result.status == 2
    assert "standard input is not valid utf-8" in result.err


def test_respond_prints_the_characters_of_the_outputs(trained: RnnTasks) -> None:
    texts = ["EabXcdYaB", "XB", "cB"]
    result = trained("respond", "temporal_order", *texts)
    network = load_network(find_run("temporal_order"))
    assert isinstance(network, TaggerNetwork)
    codec = network.spec.codec
    assert codec is not None
    for text, line in zip(texts, result.out.splitlines(), strict=True):
        with torch.no_grad():
            symbol = network(codec.encode([text]).inputs)[0][0, -1].argmax()
        assert line == " " * (len(text) - 1) + codec.output_symbols[symbol]
    assert result.err == ""


def test_respond_answers_at_the_letters_that_ask(trained: RnnTasks) -> None:
    result = trained("respond", "flip_flop", "w1i0r1w0r0", "rrr", "10iw", "w1")
    lines = result.out.splitlines()
    assert [[i for i, answer in enumerate(line) if answer != " "] for line in lines] == [[4, 8], [0, 1, 2], [], []]
    assert set("".join(lines)) <= set("01 ")
    assert result.err == "note: no answer is due in '10iw' (answers are due at r)\n"  # once


def test_respond_names_commands_for_real_values(trained: RnnTasks) -> None:
    result = trained("respond", "flip_flop_bits", "0.5")
    assert (result.status, result.out, result.err.count("\n")) == (2, "", 1)
    assert "has no strings: its inputs or outputs are not characters; use rnn-tasks explore, analyze or" in result.err


def test_examples_of_all_tasks_are_answered() -> None:
    tasks = [task for task in (make() for make in GENERATED.values()) if task.spec.codec is not None]
    assert len(tasks) > 20
    for task in tasks:
        codec, network = task.spec.codec, small_network(task)
        assert codec is not None
        assert isinstance(network, TaggerNetwork)
        text, *delay = (word for word in shlex.split(codec.example()) if word != "--delay")
        batch = codec.encode([text], int(delay[0]) if delay else None)
        with torch.no_grad():
            answers = network(batch.inputs, batch.condition)[0].argmax(-1).where(batch.scored, NOT_SCORED)
        assert bool(batch.scored.any()), task.name
        assert [network.respond(text, int(delay[0]) if delay else None)] == codec.decode_outputs(answers)


class Terminal(io.StringIO):
    """Standard input that a user types."""

    def isatty(self) -> bool:
        """Return that this is a terminal."""
        return True


def test_respond_dialogue_continues_after_an_unknown_letter(trained: RnnTasks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", Terminal("abcdefg\nabC\nbbbbbbb\n"))
    result = trained("respond", "echo")
    assert (result.status, [len(line) for line in result.out.splitlines()]) == (0, [7, 7])
    assert result.err.count("\n") == 1
    assert "error: 'C' is not in this network's alphabet: use only abcdefghijklmnopqrstuvwxyz" in result.err


def test_respond_dialogue_needs_a_delay_first(trained: RnnTasks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", Terminal("abc\n"))
    result = trained("respond", "variable_delay_echo")
    assert (result.status, result.out, result.err.count("\n")) == (2, "", 1)
    assert "set --delay to one of 0..8" in result.err
