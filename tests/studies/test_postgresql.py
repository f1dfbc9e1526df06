import json
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from rnn_tasks.errors import UsageError
from rnn_tasks.studies.plan import Plan
from rnn_tasks.studies.queue import RunQueue, RunState
from rnn_tasks.studies.rows import RESULT, RUN_NAME
from tests.studies.fake_workers import KILLED, TOGETHER, TRAINED

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


def assert_every_run_was_done_once(plan: Plan, url: str, folder: Path) -> None:
    names = sorted(run.name for run in plan.runs())
    with closing(RunQueue(plan, url)) as queue:
        states, trials, results = queue.states(), queue.trials(), queue.results()
    assert set(states.values()) == {RunState.DONE}
    done = [trial.user_attrs[RUN_NAME] for trial in trials if trial.state.name == "COMPLETE"]
    assert sorted(done) == names
    trained = (folder / plan.name / TRAINED).read_text().split()
    assert sorted(trained) == names
    steps = {name: of[RESULT]["steps"] for name, of in results.items()}
    assert steps == {run.name: 100 + run.seed for run in plan.runs()}


def test_killed_processes_do_each_run_once(url: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.studies.fake_workers", url, str(tmp_path)]
    process = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=300)
    shared, killed, last = json.loads(process.stdout.splitlines()[-1])
    assert shared == last == [0, 0]
    assert killed.count(-signal.SIGKILL) >= 5
    for plan in (TOGETHER, KILLED):
        assert_every_run_was_done_once(plan, url, tmp_path)


def test_missing_server_is_reported_on_one_line(postgresql: str) -> None:
    nowhere = postgresql.replace("studies@", "studies:secret@").rpartition(":")[0] + ":1/postgres"
    with pytest.raises(UsageError, match="cannot be opened") as caught:
        RunQueue(TOGETHER, nowhere)
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)
