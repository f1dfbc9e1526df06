"""Random edits of the shipped configs: each is accepted, or refused in one line; no misspelt key is accepted."""

import os
from pathlib import Path

import pytest

from tests.helpers.config_edits import arguments_of, edits, prepare

COUNT = int(os.environ.get("RNN_TASKS_EDITS", "500"))
"""Number of edits of the slow test."""


@pytest.mark.parametrize(
    ("seed", "count"), [pytest.param(0, 50, id="few"), pytest.param(1, COUNT, id="many", marks=pytest.mark.slow)]
)
def test_edited_config_is_accepted_or_refused_in_one_line(
    working_folder: Path, stand_in: Path, capsys: pytest.CaptureFixture[str], seed: int, count: int
) -> None:
    accepted = 0
    for edit in edits(seed, count):
        status: object = 0
        try:
            prepare(arguments_of(edit, working_folder / "edited.yaml", stand_in))
        except SystemExit as ended:
            status = ended.code
        except BaseException as error:
            raise AssertionError(edit.description) from error
        lines = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("note: ")]
        if status == 0:
            assert edit.kind not in ("misspelt", "duplicated"), edit.description
            accepted += 1
        else:
            assert status == 2, edit.description
            assert len(lines) == 1, (edit.description, lines)
            assert lines[0].startswith("rnn-tasks: error: "), edit.description
    assert 0.1 * count < accepted < 0.5 * count
