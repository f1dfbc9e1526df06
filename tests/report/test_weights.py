from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rnn_tasks.cores import LRU, Elman, MinGRU
from rnn_tasks.networks import TaggerNetwork
from rnn_tasks.report.blocks import Picture
from rnn_tasks.report.run_data import load_runs
from rnn_tasks.report.weights import weights_section
from rnn_tasks.runs.curves import Curve
from rnn_tasks.runs.find import RunLocation
from rnn_tasks.tasks import Echo
from tests.helpers.report_runs import make_run, register_network

ECHO = Echo(delay=1, alphabet_size=4, test_sequences=20)


def test_section_of_a_run_has_all_parts(trained_logs: Path) -> None:
    (run,) = load_runs([RunLocation(trained_logs / "time_machine" / "version_0")])
    section = weights_section([run])
    pictures = {block.name: block.caption for block in section.blocks if isinstance(block, Picture)}
    assert list(pictures) == ["eigenvalues", "recurrent_matrices", "saturation", "gates"]
    assert section.missing == []
    found = section.numbers["eigenvalues"][run.label]
    assert list(found) == [f"weight_hh_l0/{gate}" for gate in ("input", "forget", "cell", "output")]
    cell = found["weight_hh_l0/cell"]
    assert f"cell ({np.abs(cell.first).max():.4f} to {np.abs(cell.last).max():.4f})" in pictures["eigenvalues"]
    share = section.numbers["saturation"][run.label].trained.mean()
    assert f"trained {share:.1%}" in pictures["saturation"]
    means = section.numbers["gates"][run.label].means
    assert list(means) == ["layer0/input", "layer0/forget", "layer0/output"]


def test_section_of_two_runs_names_each_panel() -> None:
    section = weights_section([make_run(ECHO, "A: one"), make_run(ECHO, "B: two")])
    picture = next(block for block in section.blocks if isinstance(block, Picture))
    titles = [ax.get_title(loc="left") for ax in picture.draw(7).axes]
    assert titles == ["A: one", "B: two"]
    assert "A: one (0." in picture.caption
    assert "B: two (0." in picture.caption


def test_curves_of_one_point_are_not_drawn() -> None:
    points = {
        "spectral_norm/weight_hh_l0": Curve(np.array([1, 2]), np.array([1.0, 2.0])),
        "spectral_radius/weight_hh_l0": Curve(np.array([2]), np.array([0.9])),
    }
    section = weights_section([make_run(ECHO, curves=points)])
    picture = next(b for b in section.blocks if isinstance(b, Picture) and b.name == "recurrent_matrices")
    assert [ax.get_title(loc="left") for ax in picture.draw(7).axes] == ["Spectral norm"]


@pytest.mark.parametrize(
    ("layer", "caption"),
    [
        (Elman, "Eigenvalues of the recurrent matrices, before"),
        (LRU, "Eigenvalues of the matrix or diagonal by which the layer multiplies its state, before"),
        (
            MinGRU,
            "Eigenvalues of the transitions of the layer at steps of one sequence, whose inputs decide them, before",
        ),
    ],
)
def test_caption_names_what_has_the_eigenvalues(layer: Any, caption: str) -> None:
    network: Any = TaggerNetwork(lambda size: layer(size, 6), ECHO.spec).eval()
    section = weights_section([make_run(ECHO, network=network, untrained=network)])
    picture = next(block for block in section.blocks if isinstance(block, Picture))
    assert picture.caption.startswith(caption)
    assert ("its conjugate" in picture.caption) == (layer is LRU)
    assert section.missing == []


def test_section_has_no_eigenvalues_without_a_matrix() -> None:
    section = weights_section([make_run(ECHO, network=register_network(ECHO, 2), untrained=register_network(ECHO, 2))])
    assert section.missing == ["eigenvalues: the layer has neither a recurrent matrix nor another known transition"]
    assert "eigenvalues" not in [block.name for block in section.blocks if isinstance(block, Picture)]
