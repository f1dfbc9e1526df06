"""Tests of the Makefile with programs that only print their arguments."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent
PROGRAM = f"#!{sys.executable}\nimport json, sys\nprint(json.dumps(sys.argv[1:]))\n"
HOSTILE = [
    "x;touch hacked",
    "x;touch${IFS}hacked",
    "x`touch hacked`$(shell touch hacked)$$(touch hacked)",
    "x';touch hacked;'",
    "x' \n\ttouch hacked\n'",
]


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """Return a folder with the Makefile, the configs and a ``.venv`` of programs that print their arguments."""
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    shutil.copytree(ROOT / "tools", tmp_path / "tools")
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "tools/install.sh").write_text("")
    programs = tmp_path / ".venv/bin"
    programs.mkdir(parents=True)
    (programs / "python").symlink_to(sys.executable)
    for name in ("rnn-tasks", "tensorboard"):
        (programs / name).write_text(PROGRAM)
        (programs / name).chmod(0o755)
    return tmp_path


def make(clone: Path, target: str, **values: str) -> list[str] | None:
    """Run a target; return the arguments of the program that it calls, or None if make fails."""
    assignments = [f"{name}={value}" for name, value in values.items()]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}  # make ran pytest
    command = ["make", target, *assignments]
    result = subprocess.run(command, cwd=clone, env=environment, capture_output=True, text=True, check=False)
    return json.loads(result.stdout) if result.returncode == 0 else None


@pytest.mark.parametrize("value", HOSTILE)
def test_make_runs_nothing_that_a_variable_holds(clone: Path, value: str) -> None:
    for target, name in [
        ("analyze", "RUN"),
        ("explore", "RUN"),
        ("explore", "TASK"),
        ("resume", "TASK"),
        ("study", "STUDY"),
        ("train", "TASK"),
    ]:
        make(clone, target, **{name: value})
    for name in ("MODEL", "ARGS", "PYTHON"):
        make(clone, "train", **{"TASK": "echo", name: value})
    assert not (clone / "hacked").exists()


@pytest.mark.parametrize(
    ("target", "values", "arguments"),
    [
        ("train", {"TASK": "echo"}, ["fit", "--config", "echo"]),
        ("train", {"TASK": " echo", "MODEL": "gru"}, ["fit", "--config", "echo", "--config", "models/gru"]),
        ("train", {"TASK": "its_task", "MODEL": "its"}, ["fit", "--config", "its_task", "--config", "models/its"]),
        ("resume", {"TASK": "echo", "ARGS": "--trainer.max_steps 9"}, ["resume", "echo", "--trainer.max_steps", "9"]),
        ("analyze", {"RUN": "a b", "ARGS": "--output c"}, ["analyze", "a", "b", "--output", "c"]),
        ("analyze", {"RUN": "'my runs/a' x;id"}, ["analyze", "my runs/a", "x;id"]),
        ("explore", {"TASK": "echo", "ARGS": "--open"}, ["explore", "echo", "--open"]),
        (
            "study",
            {"STUDY": "copy_constraints", "ARGS": "--jobs 2"},
            ["study", "run", "copy_constraints", "--jobs", "2"],
        ),
        ("study", {"STUDY": "its_study"}, ["study", "run", "its_study"]),
        ("board", {"ARGS": """--a "b  c" '$d'"""}, ["--logdir", "lightning_logs", "--a", "b  c", "$d"]),
    ],
)
def test_make_passes_arguments(clone: Path, target: str, values: dict[str, str], arguments: list[str]) -> None:
    assert make(clone, target, **values) == arguments


@pytest.mark.parametrize(
    ("target", "values"), [("train", {}), ("train", {"TASK": "a b"}), ("resume", {}), ("study", {"STUDY": "a b"})]
)
def test_make_needs_one_name(clone: Path, target: str, values: dict[str, str]) -> None:
    assert make(clone, target, **values) is None


def test_make_reports_an_open_quote_in_one_line(clone: Path) -> None:
    command = ["make", "board", "ARGS=it's"]
    result = subprocess.run(command, cwd=clone, capture_output=True, text=True, check=False)
    assert result.returncode != 0
    assert result.stderr.startswith("error in ARGS: No closing quotation\n")
