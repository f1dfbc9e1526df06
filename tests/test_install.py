"""Tests of tools/install.sh with a fake Python that installs nothing."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent
PYTHON = f"""#!/bin/sh
case "$*" in
    *flock*) exec {sys.executable} "$@" ;;
    *"%d.%d"*) echo "${{VERSION-3.11}}" ;;
    *"(3, 11)"*) [ "${{VERSION-3.11}}" != 3.10 ] ;;
    *"import ensurepip"*) [ -z "${{NO_ENSUREPIP-}}" ] ;;
    "-m venv"*)
        cp "$0" new && rm -rf .venv && mkdir -p .venv/bin && mv new .venv/bin/python && echo venv >>calls
        ;;
    "-m pip"*) echo pip >>calls; sleep 0.1; [ -z "${{PIP_FAILS-}}" ] || {{ echo "ERROR: No space left"; exit 1; }} ;;
    *) exit 99 ;;
esac
"""


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """Return a folder with the files that the script needs, and the fake ``python3``."""
    for name in ("tools/install.sh", "pyproject.toml", "constraints.txt", "requirements.lock"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/python3").write_text(PYTHON)
    (tmp_path / "bin/python3").chmod(0o755)
    return tmp_path


def start(clone: Path, python: str = "", **environment: str) -> subprocess.Popen[str]:
    """Start the script as the Makefile does."""
    path = f"{clone / 'bin'}{os.pathsep}{os.environ['PATH']}"
    return subprocess.Popen(
        ["sh", "tools/install.sh", python],
        cwd=clone,
        env={**os.environ, "PATH": path, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def install(clone: Path, python: str = "", **environment: str) -> tuple[int, str, str]:
    """Run the script; return its exit status, standard output and standard error."""
    process = start(clone, python, **environment)
    out, err = process.communicate()
    return process.returncode, out, err


def calls(clone: Path) -> list[str]:
    """Return the calls of venv and pip since the last call of this function."""
    file = clone / "calls"
    names = file.read_text().split() if file.exists() else []
    file.unlink(missing_ok=True)
    return names


NEW, UPDATE = ["venv", "pip", "pip"], ["pip", "pip"]


def test_install_is_silent_when_ready(clone: Path) -> None:
    status, out, err = install(clone)
    assert (status, err) == (0, "")
    assert out.startswith("Setting up .venv (about two minutes, once) ...\nDone in ")
    assert calls(clone) == NEW
    assert install(clone) == (0, "", "")
    assert calls(clone) == []


@pytest.mark.parametrize("name", ["pyproject.toml", "constraints.txt", "requirements.lock"])
def test_install_updates_when_a_file_changed(clone: Path, name: str) -> None:
    install(clone)
    calls(clone)
    with (clone / name).open("a") as file:
        file.write("# changed\n")
    assert install(clone)[1].startswith("Updating .venv ...\nDone in ")
    assert calls(clone) == UPDATE


def test_install_creates_a_new_venv_for_another_python(clone: Path) -> None:
    install(clone)
    calls(clone)
    assert install(clone, "python3") == (0, "", "")
    assert install(clone, "python3", VERSION="3.12")[0] == 0
    assert calls(clone) == NEW
    assert install(clone, VERSION="3.13") == (0, "", "")  # without PYTHON, .venv keeps its version


def test_install_creates_a_new_venv_in_a_moved_clone(clone: Path) -> None:
    install(clone)
    moved = clone.rename(clone.parent / f"{clone.name}_moved")
    calls(moved)
    assert install(moved)[0] == 0
    assert calls(moved) == NEW


def test_install_starts_again_after_being_killed(clone: Path) -> None:
    process = start(clone)
    while not (clone / "calls").exists():
        assert process.poll() is None
    process.kill()
    process.communicate()
    assert not (clone / ".venv/installed").exists()
    calls(clone)
    assert install(clone)[0] == 0
    assert calls(clone)[-3:] == NEW


def test_install_runs_once_for_two_callers(clone: Path) -> None:
    processes = [start(clone), start(clone)]
    outputs = sorted(process.communicate()[0] for process in processes)
    assert [process.returncode for process in processes] == [0, 0]
    assert calls(clone) == NEW
    assert outputs[0] in ("", "Another process is setting up .venv; waiting for it ...\n")
    assert outputs[1].startswith("Setting up")


@pytest.mark.parametrize(
    ("python", "environment", "message"),
    [
        ("/no/such/python", {}, "no Python at '/no/such/python'"),
        ("", {"VERSION": "3.10"}, "Python 3.10 is too old, 3.11 or newer is needed"),
        ("", {"NO_ENSUREPIP": "1"}, "this Python has no module venv or ensurepip"),
        ("", {"PIP_FAILS": "1"}, "pip failed: ERROR: No space left; its output is in .venv/install.log"),
    ],
)
def test_install_reports_a_failure_in_one_line(
    clone: Path, python: str, environment: dict[str, str], message: str
) -> None:
    status, _, err = install(clone, python, **environment)
    assert status == 1
    assert err.startswith(f"error in setting up .venv: {message}")
    assert err.count("\n") == 1
    assert install(clone)[0] == 0


def test_install_does_not_change_a_foreign_venv(clone: Path) -> None:
    (clone / ".venv").mkdir()
    assert "was not created by this script" in install(clone)[2]
    assert list((clone / ".venv").iterdir()) == []
