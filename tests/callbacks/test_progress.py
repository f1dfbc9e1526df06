import io
import os
import sys
from typing import Any

import pytest
from lightning.pytorch import Callback

from rnn_tasks.callbacks import Progress
from rnn_tasks.callbacks.progress import PatientConsole


class Terminal(io.StringIO):
    """A terminal whose output is kept."""

    def isatty(self) -> bool:
        return True


class LostOutput(io.StringIO):
    """An output that nobody reads."""

    def write(self, text: str) -> int:
        raise BrokenPipeError


def progress() -> Progress:
    bar = Progress()
    bar.seconds = 0.0
    return bar


@pytest.fixture
def train(fit: Any) -> Any:
    """Return a function that trains a small network with a progress bar."""

    def run(*callbacks: Callback, steps: int = 2) -> Any:
        return fit(*callbacks, max_steps=steps, val_check_interval=steps, enable_progress_bar=True)

    return run


def test_progress_of_a_long_validation_is_shown(train: Any, capsys: pytest.CaptureFixture[str]) -> None:
    trainer, _ = train(progress())
    lines = capsys.readouterr().out.splitlines()
    batches = trainer.num_val_batches[0]
    shown = [line.rpartition("  ")[2] for line in lines if "validation" in line]
    assert shown == [f"validation {done}/{batches}" for done in range(1, batches + 1)]
    assert lines[-1].startswith("echo  2/2 steps")


def test_progress_of_a_short_validation_is_not_shown(train: Any, capsys: pytest.CaptureFixture[str]) -> None:
    train(Progress())
    assert len(capsys.readouterr().out.splitlines()) == 1


@pytest.mark.parametrize("command", ["validate", "test", "predict"])
def test_progress_of_other_commands_is_shown(train: Any, capsys: pytest.CaptureFixture[str], command: str) -> None:
    trainer, model = train(progress(), steps=1)
    capsys.readouterr()
    getattr(trainer, command)(model, trainer.datamodule)
    first = capsys.readouterr().out.splitlines()[0]
    assert first.startswith({"validate": "echo  validation 1/"}.get(command, f"echo  {command} 1/"))


@pytest.mark.parametrize("closed", ["closed", "lost", "none"])
def test_training_continues_when_nobody_reads(train: Any, monkeypatch: pytest.MonkeyPatch, closed: str) -> None:
    stream = LostOutput() if closed == "lost" else io.StringIO()
    stream.close() if closed == "closed" else None
    monkeypatch.setattr(sys, "stdout", None if closed == "none" else stream)
    bar = progress()

    class Talker(Callback):
        def on_train_batch_end(self, *_: Any) -> None:
            bar.print("a message")

    trainer, _ = train(bar, Talker())
    assert trainer.global_step == 2


def test_console_outlives_a_broken_pipe() -> None:
    """Rich would end the process."""
    console = PatientConsole(file=LostOutput())
    for _ in range(2):
        console.print("text")


@pytest.mark.parametrize(("term", "redraws"), [("xterm", True), ("dumb", False)])
def test_progress_is_redrawn_on_a_capable_terminal(
    train: Any, monkeypatch: pytest.MonkeyPatch, term: str, redraws: bool
) -> None:
    monkeypatch.setenv("TERM", term)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr(os, "get_terminal_size", lambda *_: os.terminal_size((0, 0)))
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    train(progress())
    assert ("\x1b[2K" in terminal.getvalue()) == redraws
    assert "2/2 steps" in terminal.getvalue()


def test_messages_are_escaped_for_the_encoding(monkeypatch: pytest.MonkeyPatch) -> None:
    buffer = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(buffer, encoding="cp1252"))
    bar = Progress()
    bar.print("Ж", markup=False)
    sys.stdout.flush()
    assert buffer.getvalue() == b"\\u0416\n"


def test_name_of_a_task_is_no_markup(train: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stdout", Terminal())
    bar = progress()
    monkeypatch.setattr(bar, "_name", lambda trainer: "[/red]")
    trainer, _ = train(bar, steps=1)
    assert trainer.global_step == 1
