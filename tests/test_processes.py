"""Tests of whole processes: distributed training, concurrent starts, signals, and the wheel."""

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.helpers.command_line import SMALL, small
from tests.helpers.processes import environment_of, finish, start

pytestmark = pytest.mark.slow

SPY = """
import torch
from lightning.pytorch import Callback

class Spy(Callback):
    def __init__(self):
        self.seen, self.drift = [], 0.0

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.seen.append(batch.expanded().inputs.clone())
        weight = pl_module.network.core.weight_hh_l0.detach()
        self.drift = max(self.drift, (pl_module.all_gather(weight) - weight).abs().max().item())

    def on_train_end(self, trainer, pl_module):
        torch.save({"seen": self.seen, "drift": self.drift}, f"spied_{trainer.world_size}_{trainer.global_rank}.pt")
"""


def test_two_processes_equal_one_with_twice_the_batch_size(tmp_path: Path) -> None:
    (tmp_path / "spy.py").write_text(SPY)
    arguments = ["fit", "--config", "variable_delay_echo", "--config", "models/qr_rnn", *SMALL]
    arguments += ["--trainer.max_steps=200"]
    arguments += ["--trainer.val_check_interval=100", "--trainer.log_every_n_steps=100", "--trainer.accelerator=cpu"]
    arguments += ["--trainer.callbacks+=spy.Spy"]
    one = start(tmp_path, *arguments, "--data.batch_size=8")
    two = start(tmp_path, *arguments, "--data.batch_size=4", "--trainer.devices=2", "--trainer.strategy=ddp_fork",
                "--trainer.logger.save_dir=two")  # fmt: skip
    for process in (one, two):
        status, _, err = finish(process)
        assert status == 0, err

    alone = torch.load(tmp_path / "spied_1_0.pt")["seen"]
    ranks = [torch.load(tmp_path / f"spied_2_{rank}.pt") for rank in (0, 1)]
    assert len(alone) == len(ranks[0]["seen"]) == len(ranks[1]["seen"]) == 200
    for whole, *parts in zip(alone, *(rank["seen"] for rank in ranks), strict=True):
        assert torch.equal(whole, torch.cat(parts))
    # Both processes have equal recurrent weights after each of the 200 projections.
    assert [rank["drift"] for rank in ranks] == [0, 0]

    runs = [tmp_path / logs / "variable_delay_echo/version_0" for logs in ("lightning_logs", "two")]
    summaries = [json.loads((run / "summary.json").read_text()) for run in runs]
    for key in ("steps", "sequences", "solved_at", "stopped", "verdict"):
        assert summaries[0][key] == summaries[1][key]
    for name, value in summaries[0]["metrics"].items():
        assert summaries[1]["metrics"][name] == pytest.approx(value, abs=2e-3), name
    weights = [torch.load(run / "checkpoints/last.ckpt", weights_only=True)["state_dict"] for run in runs]
    for name, weight in weights[0].items():
        assert torch.allclose(weight, weights[1][name], atol=1e-3), name
    assert [path.name for path in (tmp_path / "two/variable_delay_echo").iterdir()] == ["version_0"]


def test_two_processes_on_text_equal_one_with_twice_the_batch(tmp_path: Path) -> None:
    (tmp_path / "spy.py").write_text(SPY)
    arguments = ["fit", "--config", "time_machine", *small("time_machine"), "--trainer.max_steps=60"]
    arguments += ["--trainer.val_check_interval=30", "--trainer.log_every_n_steps=30", "--trainer.accelerator=cpu"]
    arguments += ["--data.sequence_length=40", "--trainer.limit_val_batches=1.0", "--trainer.limit_test_batches=1.0"]
    arguments += ["--model.dropout=0", "--trainer.callbacks+=spy.Spy"]
    one = start(tmp_path, *arguments, "--data.batch_size=16")  # 49 batches in an epoch
    two = start(tmp_path, *arguments, "--data.batch_size=8", "--trainer.devices=2", "--trainer.strategy=ddp_fork",
                "--trainer.logger.save_dir=two")  # fmt: skip
    for process in (one, two):
        status, _, err = finish(process)
        assert status == 0, err
    alone = torch.load(tmp_path / "spied_1_0.pt")["seen"]
    ranks = [torch.load(tmp_path / f"spied_2_{rank}.pt") for rank in (0, 1)]
    assert len(alone) == 60
    for whole, *parts in zip(alone, *(rank["seen"] for rank in ranks), strict=True):
        assert torch.equal(whole, torch.cat(parts))
    runs = [tmp_path / logs / "time_machine/version_0" for logs in ("lightning_logs", "two")]
    summaries = [json.loads((run / "summary.json").read_text()) for run in runs]
    assert summaries[0]["baseline"] == summaries[1]["baseline"]
    assert summaries[0]["time_steps"] == summaries[1]["time_steps"] == 60 * 16 * 40
    # The losses of an epoch are equal only if each process carries the states of its own rows.
    for name, value in summaries[0]["metrics"].items():
        assert summaries[1]["metrics"][name] == pytest.approx(value, rel=1e-4), name
    states = [torch.load(run / "checkpoints/last.ckpt", weights_only=True)["rnn_tasks"]["train"] for run in runs]
    for tensor, *parts in zip(states[0][0], *states[1], strict=True):
        assert torch.allclose(tensor, torch.cat(parts, 1), atol=1e-4)


def test_concurrent_runs_have_different_folders(tmp_path: Path) -> None:
    for process in [start(tmp_path, "fit", "--config", "echo", *SMALL) for _ in range(2)]:
        assert finish(process)[0] == 0
    for number in (0, 1):
        run = tmp_path / f"lightning_logs/echo/version_{number}"
        assert json.loads((run / "summary.json").read_text())["steps"] == 4
        assert {path.name for path in (run / "checkpoints").iterdir()} == {"best.ckpt", "last.ckpt"}


LONG = ["fit", "--config", "echo", *SMALL, "--trainer.max_steps=100000", "--trainer.val_check_interval=100000"]


@pytest.mark.parametrize(("signum", "expected"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_run_stopped_by_a_signal_can_be_resumed(tmp_path: Path, signum: int, expected: int) -> None:
    process = start(tmp_path, *LONG)
    last = tmp_path / "lightning_logs/echo/version_0/checkpoints/last.ckpt"
    while not last.exists() and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(signum)
    code, out, err = finish(process)
    assert (code, err) == (expected, "")
    assert "interrupted" in out
    summary = json.loads((last.parent.parent / "summary.json").read_text())
    assert summary["stopped"] == "interrupted"
    saved: dict[str, Any] = torch.load(last, weights_only=True)
    assert saved["global_step"] == summary["steps"]
    if signum == signal.SIGINT:
        return
    more = str(summary["steps"] + 2)
    status, _, err = finish(start(tmp_path, "resume", "echo", "--trainer.max_steps", more))
    assert (status, err) == (0, "")
    assert json.loads((last.parent.parent / "summary.json").read_text())["steps"] == summary["steps"] + 2


def test_resume_restarts_a_run_killed_before_a_checkpoint(tmp_path: Path) -> None:
    process = start(tmp_path, *LONG, "--trainer.max_steps=20")
    config = tmp_path / "lightning_logs/echo/version_0/config.yaml"
    while not config.exists() and process.poll() is None:
        time.sleep(0.01)
    process.kill()
    process.communicate()
    (config.parent / "checkpoints/last.ckpt").unlink(missing_ok=True)  # in case the run was faster than this test
    (config.parent / "summary.json").unlink(missing_ok=True)
    assert finish(start(tmp_path, "resume", "echo"))[0] == 0
    assert json.loads((config.parent / "summary.json").read_text())["steps"] == 20
    assert [path.name for path in config.parent.parent.iterdir()] == ["version_0"]


PARITY = '''
"""Parity: how many ones so far, modulo two."""

import math

import torch

from rnn_tasks.spec import Baseline, Batch, Codec, TaskSpec
from rnn_tasks.tasks.generated import GeneratedTask


class Parity(GeneratedTask):
    """Predict whether the number of ones so far is odd.

    Args:
        sequence_length: Length of each sequence.
        batch_size: Sequences in a batch.
        val_sequences: Sequences in the validation set.
        test_sequences: Sequences in the test set.
    """

    def __init__(
        self, sequence_length: int = 5, batch_size: int = 32, val_sequences: int = 50, test_sequences: int = 50
    ) -> None:
        super().__init__(batch_size, None, val_sequences, test_sequences, 50, None)
        self.sequence_length = sequence_length

    @property
    def spec(self) -> TaskSpec:
        return TaskSpec(2, 2, codec=Codec("01", "01"))

    @property
    def baseline(self) -> Baseline:
        return Baseline(math.log(2), 0.5)

    def sample(self, num_sequences: int, split: str, generator: torch.Generator) -> Batch:
        bits = torch.randint(0, 2, (num_sequences, self.sequence_length), generator=generator)
        return Batch(bits, bits.cumsum(1) % 2)
'''

PARITY_CONFIG = """
data: {class_path: Parity}
model:
  class_path: SequenceTagger
  init_args:
    core: {class_path: GRU, init_args: {hidden_size: 8}}
    optimizer: {class_path: Adam, init_args: {lr: 0.01}}
trainer: {max_steps: 4, val_check_interval: 2, check_val_every_n_epoch: null}
"""

ROOT = Path(__file__).parents[1]


def test_new_task_changes_only_one_existing_file(tmp_path: Path) -> None:
    for folder in ("rnn_tasks", "configs"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "rnn_tasks/tasks/parity.py").write_text(PARITY)
    (tmp_path / "configs/parity.yaml").write_text(PARITY_CONFIG)
    with (tmp_path / "rnn_tasks/tasks/__init__.py").open("a") as init:
        init.write("\nfrom rnn_tasks.tasks.parity import Parity\n\n__all__ += ['Parity']\n")
    status, out, err = finish(start(tmp_path, "fit", "--config", "parity"))
    assert (status, err) == (0, "")
    assert any(line.startswith("parity: ") for line in out.splitlines())
    status, out, err = finish(start(tmp_path, "respond", "parity", "0110"))
    assert (status, len(out.rstrip("\n")), set(out.strip()) <= {"0", "1"}) == (0, 4, True)


def test_wheel_trains_in_another_folder(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "installed")
    configs = {path.relative_to(ROOT / "configs") for path in (ROOT / "configs").rglob("*.yaml")}
    packed = tmp_path / "installed/rnn_tasks"
    assert {path.relative_to(packed / "configs") for path in (packed / "configs").rglob("*.yaml")} == configs
    assert (packed / "py.typed").is_file()
    for pattern in ("*.js", "*.html", "*.css"):
        page = {path.relative_to(ROOT) for path in (ROOT / "rnn_tasks/explorer").rglob(pattern)}
        assert {path.relative_to(packed.parent) for path in (packed / "explorer").rglob(pattern)} == page
    work = tmp_path / "work"
    work.mkdir()
    status, _, err = finish(start(work, "fit", "--config", "echo", *SMALL, first=tmp_path / "installed"))
    assert (status, err) == (0, "")
    assert (work / "lightning_logs/echo/version_0/summary.json").is_file()


WATCH = """
from lightning.pytorch import Callback

import own_helper

class Watch(Callback):
    def on_train_end(self, trainer, pl_module):
        print("watched", own_helper.WORD)
"""

ACCIDENTS = ("copy", "random", "typing", "regex", "toml", "pandas", "tensorflow", "psutil", "lightning", "yaml")
"""Names of files that replace a module of Python or of a package, or that some package looks for."""


@pytest.fixture
def trap(tmp_path: Path) -> Path:
    """Return a folder with files that must not be imported, and with a callback that may."""
    for name in ACCIDENTS:
        (tmp_path / f"{name}.py").write_text(f"raise SystemExit('{name}.py was imported')")
    (tmp_path / "triton").mkdir()
    (tmp_path / "triton/__init__.py").write_text("raise SystemExit('triton was imported')")
    (tmp_path / "own_watch.py").write_text(WATCH)
    (tmp_path / "own_helper.py").write_text("WORD = 'well'")
    return tmp_path


FROM_CODE = "import sys; from rnn_tasks.commands import main; sys.argv[0] = 'rnn-tasks'; main()"


@pytest.mark.parametrize("by", [["-m", "rnn_tasks"], ["-c", FROM_CODE]])
def test_files_of_the_working_folder_are_not_imported(trap: Path, by: list[str]) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(["", *filter(None, sys.path), ""])}
    fit = ["fit", "--config", "echo", *SMALL, "--trainer.callbacks+=own_watch.Watch"]
    commands = [
        ["study", "list"],
        ["--help"],
        fit,
        ["respond", "echo", "abcdefg"],
        ["resume", "echo"],
        ["analyze", "echo"],
    ]
    for arguments in commands if by[0] == "-m" else [fit]:
        command = [sys.executable, *by, *arguments]
        result = subprocess.run(command, cwd=trap, env=environment, capture_output=True, text=True, check=False)
        assert (result.returncode, result.stderr) == (0, ""), arguments
        assert ("watched well" in result.stdout) == (arguments is fit)


@pytest.mark.parametrize("streams", ["<&- >&- 2>&-", "| head -n 1"])
def test_run_ends_as_usual_when_nobody_reads(tmp_path: Path, streams: str) -> None:
    command = shlex.join([sys.executable, "-m", "rnn_tasks", "fit", "--config", "echo", *SMALL])
    script = f"({command}; echo $? >status) {streams}"
    subprocess.run(["sh", "-c", script], cwd=tmp_path, env=environment_of(), check=True, stdout=subprocess.DEVNULL)
    assert (tmp_path / "status").read_text() == "0\n"
    run = tmp_path / "lightning_logs/echo/version_0"
    assert json.loads((run / "summary.json").read_text())["stopped"] == "steps"
    assert (run / "checkpoints/last.ckpt").stat().st_size > 1000


def test_respond_ends_quietly_when_nobody_reads(trained_logs: Path) -> None:
    script = f"yes abcdefg | {shlex.join([sys.executable, '-m', 'rnn_tasks', 'respond', 'echo'])} | head -c 5"
    folder = trained_logs.parent
    result = subprocess.run(
        ["sh", "-c", script], cwd=folder, env=environment_of(), capture_output=True, text=True, check=False, timeout=100
    )
    assert (len(result.stdout), result.stderr) == (5, "")


def test_letters_that_the_output_lacks_are_escaped(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("съешь ещё этих мягких французских булок " * 60, encoding="utf-8")
    environment = {**environment_of(), "PYTHONIOENCODING": "cp1252", "LC_ALL": "C"}
    options = [*small("text"), "--data.path=text.txt", "--data.cleaning=none"]
    for arguments in (["fit", "--config", "text", *options], ["generate", "text", "--length=9"]):
        command = [sys.executable, "-m", "rnn_tasks", *arguments]
        result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert (result.returncode, result.stderr) == (0, "")
        assert "\\u0441" in result.stdout


def test_deleted_working_folder_is_reported_in_one_line(tmp_path: Path) -> None:
    program = shlex.join([sys.executable, "-m", "rnn_tasks"])
    script = f"rmdir {shlex.quote(str(tmp_path))}; {program} --version; {program} study list"
    result = subprocess.run(
        ["sh", "-c", script], cwd=tmp_path, env=environment_of(), capture_output=True, text=True, check=False
    )
    assert result.stdout.startswith("rnn-tasks ")
    assert result.stderr == "rnn-tasks: error: the working folder has been deleted; change to a folder that exists\n"
    assert result.returncode == 2
