"""The template of docs/plugins.md: its wheel in a new environment, beside plug-ins that are broken."""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
import yaml

from tests.helpers.plugins import install

ROOT = Path(__file__).parent.parent
TEMPLATE = ROOT / "docs/plugin_template"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not TEMPLATE.is_dir(), reason="the source distribution has no docs/"),
]

SAME_NAMES = """
from lightning.pytorch import Callback
from rnn_tasks.cores import Elman

class GRU(Elman):
    pass

class Progress(Callback):
    pass
"""
TINY = ["--trainer.max_steps=2", "--trainer.val_check_interval=1", "--data.test_sequences=9"]


def build_wheel(source: Path, folder: Path) -> Path:
    """Build the wheel of a project in a folder; return its path."""
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(source)]
    subprocess.run(command, check=True, capture_output=True)
    return next(folder.glob("*.whl"))


class Environment:
    """A virtual environment that has the packages of this one, except for the editable ones.

    Args:
        folder: The folder of the environment.
    """

    def __init__(self, folder: Path) -> None:
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
        self.python = folder / "bin/python"
        (self.site,) = folder.glob("lib/python*/site-packages")
        (self.site / "others.pth").write_text(sysconfig.get_path("purelib"))

    def install(self, *wheels: Path) -> None:
        """Install wheels with pip."""
        pip = [sys.executable, "-m", "pip", "--python", self.python, "install", "--no-deps", "--no-index", "-q"]
        subprocess.run([*map(str, [*pip, *wheels])], check=True)

    def run(self, folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run ``rnn-tasks`` in a folder."""
        clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        command = [str(self.python.parent / "rnn-tasks"), *arguments]
        return subprocess.run(command, cwd=folder, env=clean, capture_output=True, text=True, check=False)


def test_template_works_by_short_names(wheel: Path, tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    shutil.copytree(TEMPLATE, tmp_path / "template")
    environment = Environment(tmp_path / "environment")
    environment.install(wheel, build_wheel(tmp_path / "template", tmp_path))
    install(environment.site, "broken", "broken", {"broken/__init__.py": "import nowhere_at_all"})
    install(environment.site, "same", "same_names", {"same_names/__init__.py": SAME_NAMES})

    fit = environment.run(work, "fit", "--config", "first_letter", "--config", "models/leaky_rnn", *TINY)
    assert fit.returncode == 0, fit.stderr
    assert fit.stderr.splitlines() == [
        "warning: the plug-in broken (broken 1.0) cannot be imported, so its classes are missing: "
        "ModuleNotFoundError: No module named 'nowhere_at_all'",
        "warning: Progress means rnn_tasks.callbacks.progress.Progress; name the class of a plug-in in full: "
        "same_names.Progress",
    ]
    config = yaml.safe_load((work / "lightning_logs/first_letter/version_0/config.yaml").read_text())
    assert config["data"]["class_path"] == "rnn_tasks_example.task.FirstLetter"
    assert config["model"]["init_args"]["core"]["class_path"] == "rnn_tasks_example.layer.LeakyRNN"

    respond = environment.run(work, "respond", "first_letter", "abcdefghab")
    assert (respond.returncode, respond.stderr, len(respond.stdout)) == (0, "", len("abcdefghab?\n"))

    study = environment.site / "rnn_tasks_example/configs/studies/leaky_rnn_vs_gru.yaml"
    assert "leaky_rnn_vs_gru  6 runs, 1 minutes" in environment.run(work, "study", "list").stdout
    study.write_text(study.read_text().replace("steps: 1000", "steps: 2").replace("[0, 1, 2]", "[0]"))
    tiny = environment.run(work, "study", "run", "leaky_rnn_vs_gru")
    assert tiny.returncode == 0, tiny.stderr
    for layer, core in {"leaky_rnn": "rnn_tasks_example.layer.LeakyRNN", "gru": "rnn_tasks.cores.GRU"}.items():
        run = work / f"lightning_logs/studies/leaky_rnn_vs_gru/runs/first_letter-{layer}-seed0"
        config = yaml.safe_load((run / "config.yaml").read_text())
        assert config["model"]["init_args"]["core"]["class_path"] == core
