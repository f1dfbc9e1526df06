"""The run folder belongs to the run, whatever its loggers are; SLURM's jobs continue their runs."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from lightning.pytorch.loggers import Logger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from rnn_tasks.runs.curves import read_curves
from rnn_tasks.runs.files import LOCK, read_summary
from tests.helpers.command_line import SMALL, RnnTasks
from tests.helpers.interruptions import Interrupt, run_differences

FIT = ("fit", "--config", "echo", *SMALL)
RUN = Path("lightning_logs/echo/version_0")
CSV = "{class_path: lightning.pytorch.loggers.CSVLogger, init_args: {save_dir: csv}}"
FOREIGN = "tests.cli.test_run_folder.TrackerLogger"


class TrackerLogger(Logger):
    """A logger that sends everything elsewhere; it writes into the working folder, as those of other packages."""

    save_dir = "."
    name = "project"
    version = "3"

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        self._write({"settings": dict(params)})

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        self._write({"step": step, **metrics})

    @staticmethod
    def _write(row: dict[str, Any]) -> None:
        with Path("tracked.jsonl").open("a") as file:
            file.write(json.dumps(row) + "\n")


SLOW = [pytest.param(logger, marks=pytest.mark.slow) for logger in ("null", "true", f"[{CSV}, RunLogger]")]


@pytest.mark.parametrize("logger", ["false", f"[RunLogger, {CSV}]", FOREIGN, *SLOW], ids=str)
def test_a_run_has_one_folder_with_any_logger(rnn_tasks: RnnTasks, logger: str) -> None:
    result = rnn_tasks(*FIT, f"--trainer.logger={logger}")
    assert (result.status, result.err) == (0, "")
    assert "run            lightning_logs/echo/version_0" in result.out
    summary = read_summary(RUN)
    assert "test/loss" in summary["metrics"]
    assert {path.name for path in RUN.iterdir()} >= {"config.yaml", "summary.json", "checkpoints", "curves.jsonl"}
    assert read_curves(RUN)["val/loss"].steps.tolist() == [1, 3]
    assert rnn_tasks("respond", "echo", "abc").status == 0
    assert rnn_tasks("resume", "echo", "--trainer.max_steps=6").status == 0
    assert read_summary(RUN)["steps"] == 6
    arguments = ("--config", str(RUN / "config.yaml"), "--ckpt_path", str(RUN / "checkpoints/best.ckpt"))
    assert rnn_tasks("test", *arguments).status == 0
    assert [path.name for path in Path("lightning_logs/echo").iterdir()] == ["version_0"]
    assert not Path("checkpoints").exists()
    if logger == FOREIGN:
        rows = [json.loads(line) for line in Path("tracked.jsonl").read_text().splitlines()]
        assert rows[0]["settings"]["task"] == "Echo"
        names = {name for row in rows for name in row}
        assert {"train/loss", "val/loss", "test/loss", "run/steps"} <= names


def test_default_root_dir_is_the_folder_of_all_runs(rnn_tasks: RnnTasks, tmp_path: Path) -> None:
    assert rnn_tasks(*FIT, "--trainer.logger=false", "--trainer.default_root_dir=mine").status == 0
    assert (tmp_path / "mine/echo/version_0/checkpoints/best.ckpt").is_file()
    assert not Path("lightning_logs").exists()


def test_a_run_is_not_trained_in_the_folder_of_another(trained: RnnTasks) -> None:
    result = trained(*FIT, "--trainer.logger.init_args.version=version_0")
    assert (result.status, result.out) == (2, "")
    assert "has a run already" in result.err


def test_a_second_process_cannot_resume_a_run(trained: RnnTasks) -> None:
    with FileLock(RUN / LOCK):
        result = trained("resume", "echo", "--trainer.max_steps=6")
    assert result.status == 2
    assert "another process trains the run" in result.err
    assert trained("resume", "echo", "--trainer.max_steps=6").status == 0


@pytest.fixture
def slurm(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Set the variables of a SLURM job with one task; return the file to which its ``scontrol`` writes."""
    job = {"JOB_ID": "7", "NTASKS": "1", "PROCID": "0", "LOCALID": "0", "NODEID": "0", "JOB_NAME": "train"}
    for name, value in job.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    scontrol, calls = tmp_path / "bin/scontrol", tmp_path / "calls"
    scontrol.parent.mkdir()
    scontrol.write_text(f'#!/bin/sh\necho "$@" >> "{calls}"\n')
    scontrol.chmod(0o755)
    monkeypatch.setenv("PATH", os.pathsep.join([str(scontrol.parent), os.environ["PATH"]]))
    return calls


@pytest.mark.parametrize(
    ("kind", "calls"), [pytest.param("SIGTERM", None, marks=pytest.mark.slow), ("SIGUSR1", "requeue 7\n")]
)
def test_a_job_of_slurm_continues_its_run(
    rnn_tasks: RnnTasks, slurm: Path, monkeypatch: pytest.MonkeyPatch, kind: str, calls: str | None
) -> None:
    monkeypatch.setattr(Interrupt, "is_active", False)
    options = ["--trainer.callbacks+=tests.helpers.interruptions.Interrupt", "--trainer.callbacks.batch=3"]
    options += ["--trainer.callbacks.hook=on_train_batch_start", f"--trainer.callbacks.kind={kind}"]
    assert rnn_tasks(*FIT, *options).status == 0
    monkeypatch.setattr(Interrupt, "is_active", True)
    assert rnn_tasks(*FIT, *options).status == 143
    assert (slurm.read_text() if slurm.is_file() else None) == calls
    folder = RUN.with_name("version_1")
    assert read_summary(folder)["stopped"] == "interrupted"
    assert read_summary(folder)["steps"] == 3
    monkeypatch.setattr(Interrupt, "is_active", False)
    monkeypatch.setenv("SLURM_JOB_ID", "8")
    assert rnn_tasks(*FIT, *options).status == 0
    assert read_summary(RUN.with_name("version_2"))["stopped"] == "steps"
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    result = rnn_tasks(*FIT, *options)
    assert result.status == 0
    assert f"continues its run {folder.absolute()}" in result.out
    assert run_differences(RUN, folder) == []
    assert rnn_tasks(*FIT, *options).status == 0
    assert (RUN.with_name("version_3") / "summary.json").is_file()


@pytest.mark.parametrize("command", ["fit", "test"])
def test_a_stray_checkpoint_of_slurm_is_not_loaded(trained: RnnTasks, slurm: Path, command: str) -> None:
    Path("hpc_ckpt_1.ckpt").write_bytes((RUN / "checkpoints/last.ckpt").read_bytes())
    best = [f"--ckpt_path={RUN / 'checkpoints/best.ckpt'}"] if command == "test" else []
    result = trained(command, "--config", "echo", *SMALL, *best)
    assert (result.status, result.out) == (2, "")
    assert "hpc_ckpt_1.ckpt" in result.err


def texts_of(folder: Path, name: str) -> list[tuple[int, str]]:
    """Return the steps and texts of a name that TensorBoard shows."""
    written = EventAccumulator(str(folder)).Reload().Tensors(f"{name}/text_summary")
    return [(event.step, event.tensor_proto.string_val[0].decode()) for event in written]


def test_a_named_run_has_its_folder_and_shows_its_command(rnn_tasks: RnnTasks) -> None:
    result = rnn_tasks(*FIT, "--name", "gru_delay8")
    assert (result.status, result.err) == (0, "")
    assert "run            lightning_logs/echo/gru_delay8" in result.out
    folder = RUN.with_name("gru_delay8")
    assert "\nname: null\n" in (folder / "config.yaml").read_text()  # another run can have the same config
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    result = rnn_tasks(*FIT, "--name", "gru_delay8")
    assert (result.status, result.out) == (2, "")
    assert result.err.endswith("echo/gru_delay8 has a run already: resume it, or choose another name\n")
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    assert rnn_tasks("resume", "echo", "--trainer.max_steps=6").status == 0
    assert read_summary(folder)["steps"] == 6
    assert [path.name for path in folder.parent.iterdir()] == ["gru_delay8"]
    (first, fit), (second, resume) = texts_of(folder, "run/command")
    assert (first, second) == (0, 4)
    assert fit.startswith("```\nrnn-tasks fit \\\n  --config echo \\\n  --trainer.max_steps=4 \\\n")
    assert fit.endswith(" \\\n  --name gru_delay8\n```")
    assert resume == f"```\nrnn-tasks resume {folder} \\\n  --trainer.max_steps=6\n```"
    (_, config), (_, resumed) = texts_of(folder, "run/config")
    assert config == f"```\n{(folder / 'config.yaml').read_text().rstrip()}\n```"
    assert resumed == config.replace("max_steps: 4", "max_steps: 6")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([*FIT, "--name=a/b"], "must consist of letters, digits and the characters _ - + = . and begin with a letter"),
        ([*FIT, "--name=x", "--trainer.logger.init_args.version=y"], "give either name or trainer.logger.init_args"),
        (["resume", "echo", "--name=x"], "name is an option for a new run"),
    ],
)
def test_a_wrong_name_is_one_line_and_creates_no_run(trained: RnnTasks, arguments: list[str], message: str) -> None:
    runs = sorted(Path("lightning_logs/echo").iterdir())
    result = trained(*arguments)
    assert (result.status, result.out) == (2, "")
    assert message in result.err
    assert result.err.count("\n") == 1
    assert sorted(Path("lightning_logs/echo").iterdir()) == runs
