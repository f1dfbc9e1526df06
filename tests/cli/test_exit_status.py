import errno
import os
import signal

import pytest

from rnn_tasks.cli.exit_status import NOT_WRITABLE, exit_with, one_line_errors
from rnn_tasks.errors import DivergedError, InterruptedRunError, UsageError


def end_of(error: BaseException, capsys: pytest.CaptureFixture[str]) -> tuple[object, str]:
    """The exit status and the line on standard error of a command that raises an exception."""
    with pytest.raises(SystemExit) as end, one_line_errors():
        raise error
    return end.value.code, capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (UsageError("delay must be\n  less than 20"), 2, "rnn-tasks: error: delay must be less than 20\n"),
        (DivergedError("the loss is nan"), 1, "rnn-tasks: error: the run diverged: the loss is nan\n"),
        (InterruptedRunError(signal.SIGTERM), 143, ""),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_each_exception_has_its_status_and_message(
    error: BaseException, status: int, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert end_of(error, capsys) == (status, line)


@pytest.mark.parametrize("number", NOT_WRITABLE)
def test_unwritable_file_is_reported_in_one_line(number: int, capsys: pytest.CaptureFixture[str]) -> None:
    status, line = end_of(OSError(number, os.strerror(number), "logs/a"), capsys)
    assert status == 1
    assert line == f"rnn-tasks: error: logs/a: {os.strerror(number)}; {NOT_WRITABLE[number]}, then try again\n"


@pytest.mark.parametrize(
    "error", [OSError(errno.EIO, "I/O error"), FileNotFoundError(errno.ENOENT, "x"), OSError("no")]
)
def test_other_system_errors_are_raised(error: OSError) -> None:
    with pytest.raises(type(error)), one_line_errors():
        raise error


@pytest.mark.parametrize(
    "error",
    [MemoryError(), RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried 8 bytes")],
)
def test_lack_of_memory_is_reported_in_one_line(error: Exception, capsys: pytest.CaptureFixture[str]) -> None:
    status, line = end_of(error, capsys)
    assert status == 1
    assert line.startswith("rnn-tasks: error: not enough memory")
    assert line.count("\n") == 1


def test_missing_package_is_reported_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    status, line = end_of(ModuleNotFoundError("No module named 'wandb'"), capsys)
    assert status == 1
    assert line.startswith("rnn-tasks: error: No module named 'wandb'; install it")


@pytest.mark.parametrize("error", [RuntimeError("a bug"), RecursionError("a bug"), KeyError("a bug")])
def test_unexpected_errors_are_raised(error: Exception) -> None:
    with pytest.raises(type(error), match="a bug"), one_line_errors():
        raise error


def test_error_line_has_no_control_characters(capsys: pytest.CaptureFixture[str]) -> None:
    _, line = end_of(UsageError("no run '\x1b]52;c;x\x07\u202e'"), capsys)
    assert line == "rnn-tasks: error: no run '\\x1b]52;c;x\\x07\\u202e'\n"


def test_closed_pipe_ends_quietly(capsys: pytest.CaptureFixture[str]) -> None:
    assert end_of(BrokenPipeError(), capsys) == (1, "")


def test_debug_mode_raises_the_exception(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RNN_TASKS_DEBUG", "1")
    with pytest.raises(UsageError, match="no such task"), one_line_errors():
        raise UsageError("no such task")


def test_exit_without_a_message_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        exit_with(3)
    assert end.value.code == 3
    assert capsys.readouterr().err == ""
