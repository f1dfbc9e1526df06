"""Tests of the shipped studies."""

from dataclasses import fields, replace
from pathlib import Path

import pytest
import yaml

from rnn_tasks.studies.plan import PlannedRun
from rnn_tasks.studies.plan_file import STUDIES, read_plan, study_names
from rnn_tasks.studies.published import SomeRuns
from rnn_tasks.studies.published_file import RESULTS_FILE, read_published
from rnn_tasks.studies.report import SUMMARY, write_study
from rnn_tasks.studies.table import read_runs, run_names
from rnn_tasks.studies.worker import work_on
from tests.helpers.command_line import RnnTasks
from tests.helpers.rotation import rotating

LARGE = [name for name in study_names() if "large" in yaml.safe_load((STUDIES / f"{name}.yaml").read_text())]


def first_of_each_variant(name: str, large: bool = False) -> list[PlannedRun]:
    """Return a run for each variant of a study that has an overlay or several options."""
    plan = read_plan(name, large)
    first = {axis: variants[0] for axis, variants in plan.axes.items()}
    named = [
        (axis, variant)
        for axis, variants in plan.axes.items()
        for variant in variants
        if variant.overlay or len(variant.options) > 1  # the others only name configs, which other tests cover
    ]
    return [PlannedRun({**first, axis: variant}, plan.seeds[0]) for axis, variant in named] or [plan.runs()[-1]]


@pytest.mark.parametrize("name", study_names())
def test_shipped_study_states_question_and_minutes(name: str) -> None:
    plan = read_plan(name)
    assert plan.about.endswith(".") or plan.about.endswith("?")
    assert plan.takes is not None
    assert len(plan.runs()) > 1


@pytest.mark.parametrize("name", LARGE)
def test_large_setting_takes_longer(name: str) -> None:
    small, large = read_plan(name), read_plan(name, large=True)
    assert (large.takes or 0) > (small.takes or 0)
    assert large.name != small.name


VARIANTS = [(name, number) for name in study_names() for number in range(len(first_of_each_variant(name)))]


@pytest.mark.parametrize(("name", "number"), rotating(VARIANTS, lambda variant: f"{variant[0]}-{variant[1]}"))
def test_arguments_of_each_variant_are_accepted(name: str, number: int, rnn_tasks: RnnTasks) -> None:
    plan, run = read_plan(name), first_of_each_variant(name)[number]
    Path("overlay.yaml").write_text(yaml.safe_dump(plan.overlay(run)))
    result = rnn_tasks(*plan.arguments(run, ["overlay.yaml"] if plan.overlay(run) else []), "--print_config")
    assert (result.status, result.err) == (0, "")
    assert "class_path: rnn_tasks.models" in result.out


def test_changed_layer_names_its_recurrent_init() -> None:
    overlays = [variant.overlay for axis in read_published(RESULTS_FILE).study.axes.values() for variant in axis]
    for name in study_names():
        for large in (False, True) if name in LARGE else (False,):
            overlays += [variant.overlay for axis in read_plan(name, large).axes.values() for variant in axis]
    cores = [overlay.get("model", {}).get("init_args", {}).get("core", {}) for overlay in overlays]
    changed = [core["init_args"] for core in cores if "class_path" in core]
    assert len(changed) == 8  # two each in copy_constraints(_tuned) and published results, one in copy_delays(_rates)
    assert all("recurrent_init" in arguments for arguments in changed)


@pytest.mark.parametrize("name", ["copy_delays", "copy_delays_rates"])
def test_lstm_of_copy_delays_starts_as_torch(name: str, rnn_tasks: RnnTasks) -> None:
    plan = read_plan(name)
    run = next(run for run in plan.runs() if run.variants["method"].name == "lstm")
    Path("overlay.yaml").write_text(yaml.safe_dump(plan.overlay(run)))
    printed = yaml.safe_load(rnn_tasks(*plan.arguments(run, ["overlay.yaml"]), "--print_config").out)
    core = printed["model"]["init_args"]["core"]
    assert core["class_path"] == "rnn_tasks.cores.LSTM"
    arguments = core["init_args"]
    assert arguments == {**arguments, "hidden_size": 192, "recurrent_init": None, "input_scale": 1.0}
    assert printed["constraint"] is None


@pytest.mark.slow
def test_four_runs_of_large_grid_are_done_and_drawn(tmp_path: Path) -> None:
    large = read_plan("time_machine_grid", large=True)
    assert len(large.runs()) == 100
    names = {f"{lr}-{steps}-8-seed0" for lr in ("0.01", "10") for steps in ("8", "16")}
    values = {field.name: getattr(large, field.name) for field in fields(large)}
    short = {"trainer.max_epochs": 1, "trainer.check_val_every_n_epoch": 1}
    plan = replace(SomeRuns(**values, names=frozenset(names)), options={**large.options, **short})
    url = f"sqlite:///{tmp_path / 'study.db'}"
    assert work_on(plan, url, tmp_path / "runs", 2)
    runs = read_runs(plan, url)
    assert {*run_names(runs)} == names
    page = write_study(plan, runs, tmp_path / "report", "a command").read_text()
    assert "cannot be drawn" not in page
    for what in ("Test perplexity", "Training time in seconds", "Generated text"):
        assert what in page
    assert "time traveller" in (tmp_path / "report" / SUMMARY).read_text()
