from pathlib import Path

import pytest

from rnn_tasks.errors import UsageError
from rnn_tasks.profile.plan import QUICK_TASKS, layer_of, other_settings, profile_plan, read_suite

SUITE = read_suite()


@pytest.mark.parametrize(("model", "name"), [("gru", "gru"), ("models/lru", "lru"), ("ortho_init", "rnn_orthogonal")])
def test_overlay_has_the_name_of_its_row(model: str, name: str) -> None:
    layer = layer_of(model, SUITE)
    assert layer.name == name
    assert layer in SUITE.axes["layer"]


def test_overlay_outside_the_suite_has_its_own_name() -> None:
    layer = layer_of("mgu", SUITE)
    assert (layer.name, layer.configs) == ("mgu", ("models/mgu",))


def test_layer_by_path_has_the_name_of_the_file(working_folder: Path) -> None:
    Path("my layer.yaml").write_text("model: {}")
    layer = layer_of("my layer.yaml", SUITE)
    assert (layer.name, layer.configs) == ("my_layer", ("my layer.yaml",))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("data: {class_path: Echo}", "own.yaml has a section data, but a profile brings its own tasks"),
        ("data.init_args.delay: 4", "own.yaml has a section data"),
        ("constraint: null", "own.yaml has no section model"),
        ("[1, 2]", "own.yaml must hold sections"),
    ],
)
def test_config_must_name_a_layer_and_no_task(working_folder: Path, text: str, message: str) -> None:
    Path("own.yaml").write_text(text)
    with pytest.raises(UsageError, match=message):
        layer_of("own.yaml", SUITE)


@pytest.mark.parametrize("model", ["grue", "echo", "../echo", "models/../echo", "missing.yaml", "."])
def test_unknown_layer_is_reported(working_folder: Path, model: str) -> None:
    with pytest.raises(UsageError, match="there is no layer"):
        layer_of(model, SUITE)


def test_plan_is_the_suite_with_one_layer_and_two_seeds() -> None:
    gru = layer_of("gru", SUITE)
    plan = profile_plan(gru, SUITE)
    assert len(plan.runs()) == 8 * (3 + 2)
    of_suite = {run.name: run for run in SUITE.runs()}
    for run in plan.runs():
        assert plan.arguments(run) == SUITE.arguments(of_suite[run.name])
        assert plan.overlay(run) == SUITE.overlay(of_suite[run.name])


def test_quick_plan_has_runs_of_the_whole_plan() -> None:
    gru = layer_of("gru", SUITE)
    quick, whole = profile_plan(gru, SUITE, quick=True), profile_plan(gru, SUITE)
    assert {variant.name for variant in quick.axes["task"]} == set(QUICK_TASKS)
    assert len(quick.runs()) == 3 * (3 + 1)
    assert {run.name for run in quick.runs()} < {run.name for run in whole.runs()}
    assert quick.name == whole.name


def test_chrono_start_receives_the_length_only_as_a_row_of_the_suite(working_folder: Path) -> None:
    chrono = profile_plan(layer_of("gru_chrono", SUITE), SUITE, quick=True)
    assert chrono.options_of(chrono.runs()[0])["model.core.gate_bias.max_delay"] == 60
    Path("gru_chrono.yaml").write_text("model: {init_args: {core: {class_path: Elman}}}")
    own = profile_plan(layer_of("gru_chrono.yaml", SUITE), SUITE, quick=True)
    assert "model.core.gate_bias.max_delay" not in own.options_of(own.runs()[0])


def test_other_settings_are_those_that_take_effect(working_folder: Path) -> None:
    Path("own.yaml").write_text(
        "model: {init_args: {embedding_size: 16, core: {class_path: Elman, init_args: {activation: relu}}, "
        "optimizer: {class_path: Adam, init_args: {lr: 0.1, weight_decay: 0.01}}, schedule: null}}\n"
        "constraint: {class_path: Reorthogonalize}\n"
        "trainer: {max_steps: 5, gradient_clip_val: 9}\n"
    )
    assert other_settings(profile_plan(layer_of("own.yaml", SUITE), SUITE)) == {
        "model.embedding_size": 16,
        "model.optimizer.weight_decay": 0.01,
        "trainer.gradient_clip_val": 9,
    }
    assert other_settings(profile_plan(layer_of("mgu", SUITE), SUITE)) == {}
