import json
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from rnn_tasks.errors import UsageError
from rnn_tasks.studies.plan import Plan
from rnn_tasks.studies.queue import CELL, RESULT, Ledger, State
from tests.studies.fake_workers import KILLED, TOGETHER, TRAINED

ROOT = Path(__file__).parents[2]


def assert_every_run_was_done_once(plan: Plan, address: str, folder: Path) -> None:
    names = sorted(cell.name for cell in plan.cells())
    with closing(Ledger(plan, address)) as ledger:
        states, trials, results = ledger.states(), ledger.trials(), ledger.results()
    assert set(states.values()) == {State.DONE}
    done = [trial.user_attrs[CELL] for trial in trials if trial.state.name == "COMPLETE"]
    assert sorted(done) == names
    trained = (folder / plan.name / TRAINED).read_text().split()
    assert sorted(trained) == names
    steps = {name: of[RESULT]["steps"] for name, of in results.items()}
    assert steps == {cell.name: 100 + cell.seed for cell in plan.cells()}


def test_processes_on_one_database_do_every_run_once_even_if_killed_at_any_statement(
    address: str, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "tests.studies.fake_workers", address, str(tmp_path)]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=300)
    shared, killed, last = json.loads(said.stdout.splitlines()[-1])
    assert shared == last == [0, 0]
    assert killed.count(-signal.SIGKILL) >= 5
    for plan in (TOGETHER, KILLED):
        assert_every_run_was_done_once(plan, address, tmp_path)


def test_a_server_that_is_not_there_is_one_line(postgresql: str) -> None:
    nowhere = postgresql.replace("studies@", "studies:secret@").rpartition(":")[0] + ":1/postgres"
    with pytest.raises(UsageError, match="cannot be opened") as caught:
        Ledger(TOGETHER, nowhere)
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)
