"""The processes in which the runs of a study are trained."""

import csv
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.helpers.processes import wait_until
from tests.helpers.studies import plan_file

pytestmark = pytest.mark.slow

RUNS = Path("lightning_logs/studies/tiny/runs")

MAIN = """
if __name__ == "__main__":
    from rnn_tasks.commands import main

    main()
"""
"""A program that runs the command line, as the installed script does."""

WITHOUT = """
import multiprocessing, os, signal


def kill(pid, signum):
    raise SystemExit(f"os.kill({pid}, {signum})")  # on Windows, os.kill ends the process for any signal


for module, names in {os: ("setsid", "killpg"), signal: ("SIGHUP", "pthread_sigmask")}.items():
    for name in names:
        delattr(module, name)
os.kill = kill
multiprocessing.get_all_start_methods = lambda: ["spawn"]
"""
"""What Windows lacks."""

ONE = {"network": {"rnn": {"configs": "models/rnn"}}}


def start(folder: Path, text: str = MAIN, *arguments: str) -> "subprocess.Popen[str]":
    """Start a program that runs the tiny study of the working folder."""
    program = folder / "program.py"
    program.write_text(text)
    command = [sys.executable, str(program), "study", "run", "tiny.yaml", *arguments]
    paths = os.pathsep.join(filter(None, sys.path))
    return subprocess.Popen(
        command,
        env={**os.environ, "PYTHONPATH": paths},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def states() -> list[str]:
    """Return the states of the runs in the report."""
    with Path("lightning_logs/studies/tiny/report/runs.csv").open(encoding="utf-8") as file:
        return [row["state"] for row in csv.DictReader(file)]


@pytest.fixture
def programs(tmp_path_factory: pytest.TempPathFactory, working_folder: Path) -> Path:
    """Return a folder beside the working folder."""
    return tmp_path_factory.mktemp("programs")


def test_files_of_working_folder_replace_no_module(programs: Path) -> None:
    plan_file(axes=ONE)
    Path("triton").mkdir()
    for name in ("copy", "random", "signal", "queue", "regex", "pandas", "triton/__init__"):
        Path(f"{name}.py").write_text(f"open('imported', 'a').write('{name}')\nraise RuntimeError\n")
    out, err = start(programs).communicate(timeout=180)
    assert "1 runs: 1 done." in out, err
    assert not Path("imported").exists()


def test_study_runs_without_what_windows_lacks(programs: Path) -> None:
    plan_file(axes=ONE)
    out, err = start(programs, textwrap.dedent(WITHOUT) + MAIN).communicate(timeout=180)
    assert "1 runs: 1 done." in out, err
    out, err = start(programs, textwrap.dedent(WITHOUT) + MAIN).communicate(timeout=180)
    assert "0 of 1 runs to do" in out, err


def test_signal_to_all_processes_saves_the_run(programs: Path) -> None:
    plan_file(axes=ONE, budget={"steps": 100_000}, set={"data.val_sequences": 9, "trainer.val_check_interval": 10})
    study = start(programs)
    wait_until(lambda: list(RUNS.glob("*/checkpoints/best.ckpt")) or study.poll() is not None)
    children = Path(f"/proc/{study.pid}/task/{study.pid}/children").read_text().split()
    for pid in (*map(int, children), study.pid):
        os.kill(pid, signal.SIGHUP)
    out, err = study.communicate(timeout=60)
    assert study.returncode == 128 + signal.SIGHUP, err
    assert "each run saves its state" in out
    assert '"stopped": "interrupted"' in (RUNS / "rnn-seed0/summary.json").read_text()
    assert (RUNS / "rnn-seed0/checkpoints/last.ckpt").is_file()


def test_study_continues_when_nobody_reads_its_output(programs: Path) -> None:
    plan_file()
    with start(programs) as study:
        assert study.stdout is not None
        study.stdout.readline()
        study.stdout.close()
        assert study.stderr is not None
        error = study.stderr.read()
    assert (study.returncode, error) == (0, "")
    assert states() == ["done", "done"]
