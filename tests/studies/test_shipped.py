"""The studies that come with the package."""

from dataclasses import fields, replace
from pathlib import Path

import pytest
import yaml

from rnn_tasks.studies.plan import STUDIES, Cell, read_plan, study_names
from rnn_tasks.studies.published import SomeRuns
from rnn_tasks.studies.queue import Ledger
from rnn_tasks.studies.report import SUMMARY, write_study
from rnn_tasks.studies.table import rows_of
from rnn_tasks.studies.worker import work_on
from tests.conftest import RnnTasks

LARGE = [name for name in study_names() if "large" in yaml.safe_load((STUDIES / f"{name}.yaml").read_text())]


def first_of_each_variant(name: str, large: bool = False) -> list[Cell]:
    """Few runs of a study in which each variant with a config of its own or several values occurs once."""
    plan = read_plan(name, large)
    first = {axis: variants[0] for axis, variants in plan.axes.items()}
    named = [
        (axis, variant)
        for axis, variants in plan.axes.items()
        for variant in variants
        if variant.overlay or len(variant.options) > 1  # others are overlays, which the tests of configs try
    ]
    return [Cell({**first, axis: variant}, plan.seeds[0]) for axis, variant in named] or [plan.cells()[-1]]


@pytest.mark.parametrize("name", study_names())
def test_a_study_says_what_it_asks_and_how_long_it_takes(name: str) -> None:
    plan = read_plan(name)
    assert plan.about.endswith(".") or plan.about.endswith("?")
    assert plan.takes is not None
    assert len(plan.cells()) > 1


@pytest.mark.parametrize("name", LARGE)
def test_a_larger_setting_has_more_to_do(name: str) -> None:
    small, large = read_plan(name), read_plan(name, large=True)
    assert (large.takes or 0) > (small.takes or 0)
    assert large.name != small.name


@pytest.mark.parametrize(
    ("name", "number"), [(name, number) for name in study_names() for number in range(len(first_of_each_variant(name)))]
)
def test_every_variant_is_a_command_line_that_is_understood(name: str, number: int, rnn_tasks: RnnTasks) -> None:
    plan, cell = read_plan(name), first_of_each_variant(name)[number]
    Path("overlay.yaml").write_text(yaml.safe_dump(plan.overlay(cell)))
    said = rnn_tasks(*plan.words(cell, ["overlay.yaml"] if plan.overlay(cell) else []), "--print_config")
    assert (said.status, said.err) == (0, "")
    assert "class_path: rnn_tasks.models" in said.out


def test_four_cells_of_the_large_grid_are_run_and_drawn(tmp_path: Path) -> None:
    large = read_plan("time_machine_grid", large=True)
    assert len(large.cells()) == 100
    names = {f"{lr}-{steps}-8-seed0" for lr in ("0.01", "10") for steps in ("8", "16")}
    given = {field.name: getattr(large, field.name) for field in fields(large)}
    short = {"trainer.max_epochs": 1, "trainer.check_val_every_n_epoch": 1}
    plan = replace(SomeRuns(**given, names=frozenset(names)), options={**large.options, **short})
    address = f"sqlite:///{tmp_path / 'study.db'}"
    assert work_on(plan, address, tmp_path / "runs", 2)
    ledger = Ledger(plan, address)
    rows = rows_of(plan, ledger.states(), ledger.results())
    assert {row.cell.name for row in rows} == names
    page = write_study(plan, rows, tmp_path / "report", "a command").read_text()
    assert "cannot be drawn" not in page
    for what in ("Perplexity in the test", "Seconds of training", "What they write"):
        assert what in page
    assert "time traveller" in (tmp_path / "report" / SUMMARY).read_text()
