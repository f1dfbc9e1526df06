import csv
import signal
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from rnn_tasks.runs.files import CONFIG, SUMMARY
from rnn_tasks.studies.plan_file import read_plan
from rnn_tasks.studies.queue import RunQueue
from rnn_tasks.studies.rows import RUN_NAME
from tests.helpers.command_line import RnnTasks
from tests.helpers.processes import wait_until
from tests.helpers.studies import plan_file, start_worker

pytestmark = pytest.mark.slow

STUDY = Path("lightning_logs/studies/tiny")


def table() -> list[dict[str, str]]:
    """Return the rows of the report without the column ``seconds``."""
    with (STUDY / "report/runs.csv").open() as file:
        rows = [*csv.DictReader(file)]
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


def done() -> list[str]:
    """Return the names of the runs of all completed trials."""
    with closing(RunQueue(read_plan("tiny.yaml"), f"sqlite:///{STUDY / 'study.db'}")) as queue:
        return sorted(trial.user_attrs[RUN_NAME] for trial in queue.trials() if trial.state.name == "COMPLETE")


def kill_conditions() -> Iterator[Callable[[], object]]:
    """Yield conditions for killing a study: before its first run, while runs start and train, and after a run."""
    yield (STUDY / "study.db").is_file
    yield lambda: [*STUDY.glob("runs/*.log")]
    yield lambda: [*STUDY.glob(f"runs/*/{CONFIG}")]
    yield lambda: [*STUDY.glob(f"runs/*/{SUMMARY}")]
    yield lambda: len([*STUDY.glob(f"runs/*/{CONFIG}")]) == 2


def test_study_killed_five_times_equals_undisturbed_one(rnn_tasks: RnnTasks) -> None:
    plan_file(budget={"steps": 30})
    kills = 0
    for reached in kill_conditions():
        worker = start_worker()
        wait_until(lambda reached=reached, worker=worker: reached() or worker.poll() is not None)
        worker.send_signal(signal.SIGKILL)
        kills += worker.wait() == -signal.SIGKILL
    assert kills == 5
    assert rnn_tasks("study", "run", "tiny.yaml").status == 0
    assert done() == ["qr-seed0", "rnn-seed0"]
    assert sorted(p.name for p in (STUDY / "runs").iterdir() if p.is_dir()) == ["qr-seed0", "rnn-seed0"]
    killed = table()
    Path("lightning_logs").rename("killed")
    workers = [start_worker(), start_worker()]
    assert [worker.wait(timeout=180) for worker in workers] == [0, 0]
    assert done() == ["qr-seed0", "rnn-seed0"]
    assert table() == killed
