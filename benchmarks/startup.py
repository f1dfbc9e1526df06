"""5: from the command to its first result, over what importing Lightning alone takes; a process each."""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import yaml

from benchmarks.rows import Bound, Row
from benchmarks.turns import Setting, in_turn, process_lap, python, ratio_row

BOUNDS = {"--help": 1.2, "fit to its first step": 1.35, "respond": 1.2}
SHORT = (
    "--trainer.max_steps=2",
    "--trainer.val_check_interval=2",
    "--data.val_sequences=50",
    "--data.test_sequences=50",
)


def measure(setting: Setting) -> Iterator[Row]:
    """A row for each command."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        callback = {"trainer": {"callbacks+": {"class_path": "benchmarks.leave.LeaveAtFirstStep"}}}
        (folder / "leave.yaml").write_text(yaml.safe_dump(callback))
        python(["-m", "rnn_tasks", "fit", "--config", "echo", *SHORT], folder)
        commands = {
            "import lightning": ["-c", "import lightning.pytorch"],
            "--help": ["-m", "rnn_tasks", "--help"],
            "fit to its first step": ["-m", "rnn_tasks", "fit", "--config", "copy", "--config", "leave.yaml"],
            "respond": ["-m", "rnn_tasks", "respond", "echo", "abacaba"],
        }
        works: dict[str, Callable[[], object]] = {
            what: lambda words=words: python(words, folder)  # type: ignore[misc]  # one of its own for each
            for what, words in commands.items()
        }
        if not setting.quick:
            for work in works.values():
                work()
        laps = in_turn(works, setting.count(7, 2), process_lap)
    for what, value in BOUNDS.items():
        yield ratio_row("startup", f"rnn-tasks {what}", laps, what, "import lightning", Bound("<=", value))
