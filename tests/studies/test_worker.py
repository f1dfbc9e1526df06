import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import cast

import pytest

from rnn_tasks.errors import InterruptedRunError
from rnn_tasks.report.page import NUMBERS, PAGE
from rnn_tasks.studies import run_process
from rnn_tasks.studies.outcome import Failure
from rnn_tasks.studies.plan import Plan, Variant
from rnn_tasks.studies.plan_file import read_plan
from rnn_tasks.studies.progress import Progress
from rnn_tasks.studies.queue import RunQueue, RunState, Timing
from rnn_tasks.studies.worker import Worker, signals_interrupt
from rnn_tasks.studies.worker_id import start_time
from tests.helpers.command_line import RnnTasks
from tests.helpers.processes import wait_until
from tests.helpers.studies import plan_file, start_worker


def states() -> dict[str, RunState]:
    return RunQueue(read_plan("tiny.yaml"), "sqlite:///lightning_logs/studies/tiny/study.db").states()


@pytest.mark.slow
def test_study_runs_once_and_writes_its_report(rnn_tasks: RnnTasks) -> None:
    path = plan_file()
    result = rnn_tasks("study", "run", path, "--jobs", "2")
    assert (result.status, result.err) == (0, "")
    assert result.out.startswith("tiny: 2 of 2 runs to do, 0 already done\n")
    assert re.search(r"; 2 done; 0:00:00 left; best (qr|rnn)-seed0: \d\.\d+ of the baseline loss\n", result.out)
    assert "2 runs: 2 done." in result.out
    folder = Path("lightning_logs/studies/tiny")
    assert sorted(p.name for p in (folder / "runs").iterdir() if p.is_dir()) == ["qr-seed0", "rnn-seed0"]
    summary = json.loads((folder / "runs/qr-seed0/summary.json").read_text())
    assert summary["steps"] == 4
    assert "| qr | 0 of 1 | > 4 |" in (folder / "report/summary.md").read_text()
    numbers = json.loads((folder / "report" / NUMBERS).read_text())
    assert numbers["summary"]["columns"][:3] == ["network", "solved", "steps to solve"]
    page = (folder / "report" / PAGE).read_text()
    assert "cannot be drawn" not in page
    assert page.count("<picture>") >= 2  # validation loss and accuracy
    result = rnn_tasks("study", "run", path)
    assert "(0 s)" not in result.out  # nothing was run
    assert result.out.startswith("tiny: 0 of 2 runs to do, 2 already done\n# tiny")
    assert rnn_tasks("respond", "echo", "abc").status == 2  # runs of a study do not count as the newest run of a task


@pytest.mark.slow
def test_failed_runs_are_rows_and_stop_no_others(rnn_tasks: RnnTasks) -> None:
    axes = {
        "network": {
            "wrong": {"set": {"data.dealy": 3}},
            "breaks": {"set": {"model.optimizer.lr": 1.0e38, "model.core.activation": "identity"}},
            "diverges": {"set": {"model.optimizer.lr": 1.0e30, "model.core.activation": "identity"}},
            "qr": {"configs": "models/qr_rnn"},
        }
    }
    result = rnn_tasks("study", "run", plan_file(axes=axes))
    assert result.status == 1
    assert set(states().values()) == {RunState.DONE, RunState.FAILED}
    text = Path("lightning_logs/studies/tiny/report", PAGE).read_text()
    assert "did you mean" in text
    assert "the run diverged" in text
    assert "RuntimeError: value cannot be converted" in text  # an error of torch; its traceback is in the log
    assert "4 runs: 1 done, 3 failed." in result.out
    rows = Path("lightning_logs/studies/tiny/report/runs.csv").read_text().splitlines()
    assert len(rows) == 5


def test_retry_from_scratch_keeps_the_failed_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = Plan("small", "", ("echo",), {}, {"network": (Variant("rnn"),)}, (0,), None, None)
    (run,) = plan.runs()
    worker = Worker(plan, "", tmp_path, Progress(plan, 1), threading.Event())
    commands: list[list[str]] = []

    def train(self: Worker, arguments: list[str], folder: Path) -> Failure:
        commands.append(arguments)
        return Failure("it failed")

    monkeypatch.setattr(Worker, "train", train)
    folder = tmp_path / run.name
    for content in ("first", "second"):
        folder.mkdir()
        (folder / "config.yaml").write_text(content)
        worker.train_or_resume(run, scratch_attempt=1)
    assert [arguments[0] for arguments in commands] == ["fit", "resume"]  # the second call is after a kill
    assert (tmp_path / "rnn-seed0.earlier1/config.yaml").read_text() == "first"


def processes_in(folder: Path) -> list[str]:
    """Return the IDs of the other processes whose working directory is a folder."""
    pids = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError, PermissionError):  # ended, or another user's
            if os.readlink(process / "cwd") == str(folder.resolve()) and process.name != str(os.getpid()):
                pids.append(process.name)
    return pids


SLOW = """
import time
from lightning.pytorch import Callback


class SlowValidation(Callback):
    def on_validation_batch_start(self, *_):
        open("validates", "w").close()
        time.sleep(0.1)
"""
"""A module with a callback that makes validations slow: 100 seconds for 1,000 batches."""


@pytest.mark.slow
def test_ctrl_c_ends_a_run_within_its_validation(rnn_tasks: RnnTasks) -> None:
    Path("slow.py").write_text(SLOW)
    options = {"data.val_sequences": 1000, "data.eval_batch_size": 1, "trainer.callbacks+": "slow.SlowValidation"}
    plan_file(budget={"steps": 100_000}, set={"trainer.val_check_interval": 2, **options})
    worker = start_worker()
    wait_until(lambda: Path("validates").exists() or worker.poll() is not None)
    begin = time.monotonic()
    worker.send_signal(signal.SIGINT)
    assert worker.wait(timeout=60) == 128 + signal.SIGINT
    assert time.monotonic() - begin < 30
    wait_until(lambda: not processes_in(Path.cwd()))
    summary = json.loads(Path("lightning_logs/studies/tiny/runs/rnn-seed0/summary.json").read_text())
    assert (summary["stopped"], summary["steps"]) == ("interrupted", 2)


def test_signals_interrupt_only_while_a_study_runs() -> None:
    names = ("SIGTERM", "SIGHUP", "SIGUSR1")
    before = {name: signal.signal(getattr(signal, name), signal.SIG_DFL) for name in names}
    try:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
        with signals_interrupt():
            os.kill(os.getpid(), signal.SIGHUP)
            for signum in (signal.SIGTERM, signal.SIGUSR1):
                with pytest.raises(InterruptedRunError) as caught:
                    os.kill(os.getpid(), signum)
                assert caught.value.signum == signal.SIGTERM
        handlers = [signal.getsignal(getattr(signal, name)) for name in names]
        assert handlers == [signal.SIG_DFL, signal.SIG_IGN, signal.SIG_DFL]
        with ThreadPoolExecutor(1) as pool:  # handlers can be set in the main thread only
            pool.submit(lambda: signals_interrupt().__enter__()).result()
    finally:
        for name, handler in before.items():
            signal.signal(getattr(signal, name), handler)


def test_killed_run_takes_its_own_processes_with_it() -> None:
    program = "import subprocess; print(subprocess.Popen(['sleep', '1000']).pid, flush=True); input()"
    command = [sys.executable, "-S", "-c", program]
    parent = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    run_process.kill(cast(BaseProcess, parent))
    parent.communicate()
    wait_until(lambda: not start_time(child), seconds=10)


def test_run_that_does_not_end_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Stubborn:
        """A process that ends only when it is killed."""

        pid, exitcode, calls = None, None, list[str]()

        def terminate(self) -> None:
            self.calls.append("terminate")

        def kill(self) -> None:
            self.calls.append("kill")

    process = Stubborn()
    plan = Plan("small", "", ("echo",), {}, {"network": (Variant("rnn"),)}, (0,), None, None)
    worker = Worker(plan, "", tmp_path, Progress(plan, 1), threading.Event(), Timing(saving=0.05))
    worker.end(cast(BaseProcess, process))
    assert process.calls == ["terminate", "kill"]  # a second SIGTERM would keep the run from saving its state


@pytest.mark.slow
def test_edited_study_is_done_again_in_fresh_folders(rnn_tasks: RnnTasks) -> None:
    assert rnn_tasks("study", "run", plan_file()).status == 0
    path = plan_file(budget={"steps": 6})
    result = rnn_tasks("study", "report", path)
    assert "To do again: rnn-seed0, qr-seed0 (done with other settings: trainer.max_steps)" in result.out
    result = rnn_tasks("study", "run", path)
    assert "to do again, since settings have changed (trainer.max_steps): rnn-seed0, qr-seed0" in result.out
    runs = Path("lightning_logs/studies/tiny/runs")
    steps = {
        name: json.loads((runs / name / "summary.json").read_text())["steps"] for name in ("qr-seed0", "rnn-seed0")
    }
    assert steps == {"qr-seed0": 6, "rnn-seed0": 6}
    assert json.loads((runs / "rnn-seed0.earlier1/summary.json").read_text())["steps"] == 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "nothing"], "no study nothing"),
        (["report", "copy_constraints"], "copy_constraints has no runs yet"),
        (["run", "copy_constraints", "--jobs", "0"], "jobs must be at least 1"),
        (["run", "copy_constraints", "--storage", "sqlite:////nowhere/x.db"], "cannot be opened"),
        (["runn"], "runn"),
        ([], "action"),
    ],
)
def test_mistake_is_reported_on_one_line(rnn_tasks: RnnTasks, arguments: list[str], message: str) -> None:
    result = rnn_tasks("study", *arguments)
    assert (result.status, len(result.err.splitlines())) == (2, 1)
    assert message in result.err


def test_list_prints_shipped_studies(rnn_tasks: RnnTasks) -> None:
    assert re.match(r"copy_constraints  24 runs, \d+ minutes on two cores  \w", rnn_tasks("study", "list").out)
