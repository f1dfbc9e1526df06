"""Fixtures that all tests share.

Torch and the tasks are imported inside fixtures: xdist's main process runs no test and need not wait for them.
"""

import os
import random
import shutil
import string
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from rnn_tasks.commands import main
from rnn_tasks.texts.book import FILE_NAME, PATH_VARIABLE
from tests.helpers import rotation
from tests.helpers.command_line import CommandResult, RnnTasks, run_command, small
from tests.helpers.plugins import SAMPLE, install


def pytest_configure() -> None:
    """Choose the part of rotating parameters once for all processes of pytest, which may start around midnight."""
    os.environ[rotation.VARIABLE] = str(rotation.chosen_part())


@pytest.fixture(autouse=True)
def seeded() -> None:
    """Seed torch, so that weights do not depend on earlier tests; use one thread, since tests run at the same time."""
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a text of about 54,000 characters to use instead of the book: lines of words from few syllables."""
    draw = random.Random(0)
    words = ["".join(draw.choices(["ti", "me", "tra", "vel", "ler", "o", "bscu", "re"], k=3)) for _ in range(300)]
    lines = [" ".join(draw.choices(words, k=9)).capitalize() + "." for _ in range(700)]
    file = tmp_path_factory.mktemp("data") / FILE_NAME
    file.write_text(f"The Time Machine, by H. G. Wells. {string.ascii_lowercase}\n" + "\n".join(lines))
    return file


@pytest.fixture(autouse=True)
def no_download(stand_in: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Use the stand-in as the book, also in processes that a test starts."""
    monkeypatch.setenv(PATH_VARIABLE, str(stand_in))


@pytest.fixture
def working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Work in an empty folder, as a process without arguments would; forget the modules of the folder at the end."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["rnn-tasks"])
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield tmp_path
    for name, module in list(sys.modules.items()):
        if str(tmp_path) in str(getattr(getattr(module, "__spec__", None), "origin", "")):
            del sys.modules[name]


@pytest.fixture
def rnn_tasks(working_folder: Path, capsys: pytest.CaptureFixture[str]) -> RnnTasks:
    """Return a function that runs a command line in this process, in an empty folder."""

    def run(*arguments: str) -> CommandResult:
        return run_command(main, [*arguments], capsys)

    return run


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel of the package once."""
    folder, root = tmp_path_factory.mktemp("wheel"), Path(__file__).parent.parent
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(root)]
    subprocess.run(build, check=True, capture_output=True)
    return next(folder.glob("rnn_tasks-*.whl"))


@pytest.fixture(scope="session")
def sample_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install a plug-in in a folder of its own; its modules stay imported, since others may have seen its classes."""
    return install(tmp_path_factory.mktemp("site"), "sample", "sample_plugin.classes", SAMPLE)


@pytest.fixture
def sample_plugin(sample_site: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let Python find an installed plug-in; return the folder of its package."""
    monkeypatch.setattr(sys, "path", [*sys.path, str(sample_site)])
    return sample_site / "sample_plugin"


@pytest.fixture(scope="session")
def trained_logs(tmp_path_factory: pytest.TempPathFactory, stand_in: Path) -> Path:
    """Train a small run of each task once; tests copy the runs and do not change them."""
    from tests.helpers.configs import TASKS

    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(sys, "argv", ["rnn-tasks"])
        patch.setenv(PATH_VARIABLE, str(stand_in))
        for task in TASKS:
            main(["fit", "--config", task, *small(task)])
    return folder / "lightning_logs"


@pytest.fixture
def trained(rnn_tasks: RnnTasks, trained_logs: Path) -> RnnTasks:
    """Return the command line in a folder that holds a run of each task."""
    shutil.copytree(trained_logs, "lightning_logs")
    return rnn_tasks
