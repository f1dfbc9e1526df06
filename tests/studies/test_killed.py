import csv
import signal
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

from rnn_tasks.runs.files import CONFIG, SUMMARY
from rnn_tasks.studies.plan import read_plan
from rnn_tasks.studies.queue import CELL, Ledger
from tests.conftest import RnnTasks
from tests.studies.test_worker import plan_file, start, wait_until

STUDY = Path("lightning_logs/studies/tiny")


def table() -> list[dict[str, str]]:
    """The rows of the report, but for how long each run took."""
    with (STUDY / "report/runs.csv").open() as file:
        rows = [*csv.DictReader(file)]
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


def done() -> list[str]:
    """The names of all trials that ended well."""
    with closing(Ledger(read_plan("tiny.yaml"), f"sqlite:///{STUDY / 'study.db'}")) as ledger:
        return sorted(trial.user_attrs[CELL] for trial in ledger.trials() if trial.state.name == "COMPLETE")


def moments() -> Iterator[Callable[[], object]]:
    """When a study is killed: before its first run, then while runs start, train and are written down."""
    yield (STUDY / "study.db").is_file
    yield lambda: [*STUDY.glob("runs/*.log")]
    yield lambda: [*STUDY.glob(f"runs/*/{CONFIG}")]
    yield lambda: [*STUDY.glob(f"runs/*/{SUMMARY}")]
    yield lambda: len([*STUDY.glob(f"runs/*/{CONFIG}")]) == 2


def test_a_study_killed_five_times_ends_as_one_that_two_workers_shared_undisturbed(rnn_tasks: RnnTasks) -> None:
    plan_file(budget={"steps": 30})
    kills = 0
    for reached in moments():
        worker = start()
        wait_until(lambda reached=reached, worker=worker: reached() or worker.poll() is not None, seconds=180)
        worker.send_signal(signal.SIGKILL)
        kills += worker.wait() == -signal.SIGKILL
    assert kills == 5
    assert rnn_tasks("study", "run", "tiny.yaml").status == 0
    assert done() == ["qr-seed0", "rnn-seed0"]
    assert sorted(p.name for p in (STUDY / "runs").iterdir() if p.is_dir()) == ["qr-seed0", "rnn-seed0"]
    killed = table()
    Path("lightning_logs").rename("killed")
    workers = [start(), start()]
    assert [worker.wait(timeout=180) for worker in workers] == [0, 0]
    assert done() == ["qr-seed0", "rnn-seed0"]
    assert table() == killed
