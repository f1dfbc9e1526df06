from pathlib import Path

import numpy as np

from rnn_tasks.report.blocks import Picture
from rnn_tasks.report.run_data import load_runs
from rnn_tasks.report.weights import weights_section
from rnn_tasks.runs.find import RunPlace
from rnn_tasks.tasks import Echo
from tests.helpers.report_runs import made, remembers

ECHO = Echo(delay=1, alphabet_size=4, test_sequences=20)


def test_the_section_of_a_run(trained_logs: Path) -> None:
    (run,) = load_runs([RunPlace(trained_logs / "time_machine" / "version_0")])
    section = weights_section([run])
    pictures = {block.name: block.caption for block in section.blocks if isinstance(block, Picture)}
    assert list(pictures) == ["eigenvalues", "recurrent_matrices", "saturation", "gates"]
    assert section.missing == []
    found = section.numbers["eigenvalues"][run.label]
    assert list(found) == [f"weight_hh_l0/{gate}" for gate in ("input", "forget", "cell", "output")]
    cell = found["weight_hh_l0/cell"]
    assert f"cell {np.abs(cell.first).max():.3f}, then {np.abs(cell.last).max():.3f}" in pictures["eigenvalues"]
    share = section.numbers["saturation"][run.label].trained.mean()
    assert f"trained {share:.1%}" in pictures["saturation"]
    means = section.numbers["gates"][run.label].means
    assert list(means) == ["layer0/input", "layer0/forget", "layer0/output"]


def test_runs_side_by_side_are_named_in_every_field() -> None:
    section = weights_section([made(ECHO, "A: one"), made(ECHO, "B: two")])
    picture = next(block for block in section.blocks if isinstance(block, Picture))
    titles = [field.get_title(loc="left") for field in picture.draw(7).axes]
    assert titles == ["A: one", "B: two"]
    assert "A: one 0." in picture.caption
    assert "B: two 0." in picture.caption


def test_a_layer_that_names_no_matrix_has_no_eigenvalues() -> None:
    section = weights_section([made(ECHO, network=remembers(ECHO, 2), untrained=remembers(ECHO, 2))])
    assert section.missing == ["eigenvalues: its layer names no recurrent matrix"]
    assert "eigenvalues" not in [block.name for block in section.blocks if isinstance(block, Picture)]
