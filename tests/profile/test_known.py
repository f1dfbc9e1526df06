from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from rnn_tasks.errors import UsageError
from rnn_tasks.profile.known import COLUMNS, KNOWN, comparable, known_results

OWN = pd.DataFrame({"task": ["parity", "parity"], "seed": [0, 1], "data_digest": ["a0", "a1"]})


def row(**changes: Any) -> dict[str, Any]:
    values = {"task": "parity", "layer": "lstm", "stage": "final", "seed": 0, "rates": "fast", "budget": 3000}
    more = {"steps": 100, "solved_at": 100, "parameters": 9, "state_size": 4, "data_digest": "a0", "worst_accuracy": 1}
    return {**values, **more, **changes}


def test_final_runs_of_known_layers_are_read(tmp_path: Path) -> None:
    path = tmp_path / "results.csv"
    rows = [row(), row(stage="tune", seed=100), row(layer="gru"), row(task="copy"), row(seed=1, solved_at=None)]
    pd.DataFrame(rows).to_csv(path, index=False)
    found = known_results(path, ["parity", "recall"])
    assert found[["layer", "seed"]].values.tolist() == [["lstm", 0], ["lstm", 1]]
    assert found["solved_at"].isna().tolist() == [False, True]


def test_results_that_do_not_exist_are_empty(tmp_path: Path) -> None:
    found = known_results(tmp_path / "missing.csv", ["parity"])
    assert found.empty
    kept, gaps = comparable(found, OWN, {"parity": 3000})
    assert kept.empty
    assert gaps == [f"parity: the committed results have no {', '.join(KNOWN)}"]


def test_damaged_results_are_reported(tmp_path: Path) -> None:
    path = tmp_path / "results.csv"
    path.write_text("task,layer\nparity,lstm\n")
    with pytest.raises(UsageError, match="has no column stage, seed"):
        known_results(path, ["parity"])
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="cannot be read"):
        known_results(path, ["parity"])


@pytest.mark.parametrize(
    ("changes", "kept"),
    [({}, 1), ({"data_digest": "b0"}, 0), ({"seed": 7, "data_digest": "other"}, 1), ({"budget": 500}, 0)],
)
def test_results_of_another_version_of_a_task_are_left_out(changes: dict[str, Any], kept: int) -> None:
    known = pd.DataFrame([row(**changes)], columns=list(COLUMNS))
    found, gaps = comparable(known, OWN, {"parity": 3000})
    assert len(found) == kept
    assert any("had other sequences or another budget" in line for line in gaps) == (not kept)
