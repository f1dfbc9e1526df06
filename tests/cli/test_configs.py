"""Every YAML that a user can run is run; of the pairs of a recipe and an overlay, a tenth each day."""

import json
from inspect import signature
from pathlib import Path
from typing import Any

import pytest
import yaml

from rnn_tasks.cli.shipped import CONFIGS, shipped_names
from tests.helpers.command_line import RnnTasks, small
from tests.helpers.configs import MODELS, PUBLISHED, TASKS, class_named, compose, read_config, short_name
from tests.helpers.rotation import rotating, slow_tenth

CONSTRAINED = {
    "qr_rnn": "Reorthogonalize",
    "linear_qr": "Reorthogonalize",
    "cayley_rnn": "cayley",
    "exprnn": "matrix_exp",
}
"""The overlays whose recurrent matrix stays orthogonal, and by what."""

PAIRS = [(task, model) for task in TASKS for model in MODELS]


def test_no_config_is_left_out() -> None:
    overlays_of_tasks = {path.stem for path in CONFIGS.glob("models/*/*.yaml")}
    assert {"copy", "echo", "variable_delay_echo", "time_machine", "text", "elman_grammar"} <= set(TASKS)
    assert set(CONSTRAINED) <= set(MODELS)
    assert len(PUBLISHED) == 21
    assert overlays_of_tasks <= {*TASKS, "language_model"}
    assert {f"published/{name}" for name in PUBLISHED} | {f"models/{name}" for name in MODELS} < set(shipped_names())


@pytest.mark.parametrize(
    ("task", "model", "left_out"),
    [
        ("echo", "linear_qr", {"SaturationMonitor", "GateMonitor"}),
        pytest.param("copy", "cayley_rnn", {"GateMonitor"}, marks=pytest.mark.slow),
        pytest.param("variable_delay_echo", "gru", set(), marks=pytest.mark.slow),
        ("time_machine", "scratch_lstm", set()),
    ],
)
def test_every_network_can_be_watched(rnn_tasks: RnnTasks, task: str, model: str, left_out: set[str]) -> None:
    options = [*small(task), "--trainer.val_check_interval=4"]
    said = rnn_tasks("fit", "--config", task, "--config", f"models/{model}", "--config", "watch", *options)
    assert (said.status, said.err) == (0, "")
    assert {line.split()[0] for line in said.out.splitlines() if line.endswith(": skipped")} == left_out
    assert Path(f"lightning_logs/{task}/version_0/snapshots.pt").is_file()


@pytest.mark.parametrize("task", TASKS)
def test_a_task_trains_and_leaves_a_whole_run_folder(trained_logs: Path, task: str) -> None:
    folder = trained_logs / task / "version_0"
    assert {path.name for path in folder.iterdir() if "events" not in path.name} == {
        ".lock",
        "config.yaml",
        "curves.jsonl",
        "summary.json",
        "checkpoints",
    }
    assert {path.name for path in (folder / "checkpoints").iterdir()} == {"best.ckpt", "last.ckpt"}


@pytest.mark.parametrize(("task", "model"), PAIRS)
def test_overlay_decides_layer_and_constraint(task: str, model: str) -> None:
    overlay, merged = read_config(CONFIGS / f"models/{model}.yaml"), compose(task, model)
    core, own_core = merged["model"]["init_args"]["core"], overlay["model"]["init_args"]["core"]
    assert short_name(core) == short_name(own_core)
    left_over = set(core["init_args"]) - set(own_core["init_args"])
    assert left_over <= {"hidden_size"}, "the overlay does not set these arguments of the recipe's layer"
    assert merged["constraint"] == overlay["constraint"]  # null if there is none
    constraint = short_name(overlay["constraint"] or {}) or core["init_args"].get("orthogonal_map")
    assert constraint == CONSTRAINED.get(model)
    if "orthogonal_map" in signature(class_named(short_name(core))).parameters:
        assert "orthogonal_map" in own_core["init_args"]


@pytest.mark.parametrize(("task", "model"), slow_tenth(PAIRS, "-".join))
def test_overlay_trains_what_its_yaml_says(rnn_tasks: RnnTasks, task: str, model: str) -> None:
    said = rnn_tasks("fit", "--config", task, "--config", f"models/{model}", *small(task))
    assert (said.status, said.err) == (0, "")
    run = Path(f"lightning_logs/{task}/version_0")
    config, expected = yaml.safe_load((run / "config.yaml").read_text()), compose(task, model)
    del expected["model"]["init_args"]["core"]["init_args"]["hidden_size"]  # the run is small
    for section in ("model", "constraint"):
        assert_within(expected[section], config[section], section)


def assert_within(expected: Any, actual: Any, where: str) -> None:
    """Assert that a config has all values of another one; a name alone stands for a class without arguments."""
    if isinstance(expected, dict):
        for key, value in expected.items():
            assert_within(value, actual[key], f"{where}.{key}")
    elif isinstance(actual, dict):
        assert expected == short_name(actual), where
    else:
        assert actual == expected or str(actual).rpartition(".")[2] == expected, where


@pytest.mark.parametrize("recipe", rotating(PUBLISHED))
def test_a_recipe_of_the_seeds_trains(rnn_tasks: RnnTasks, tmp_path: Path, recipe: str) -> None:
    data = yaml.safe_load((CONFIGS / f"published/{recipe}.yaml").read_text())["data"]["class_path"]
    options = ["--trainer.limit_train_batches=2", "--trainer.limit_val_batches=2", "--trainer.limit_test_batches=2"]
    options += ["--trainer.max_epochs=2", "--trainer.log_every_n_steps=1", "--trainer.check_val_every_n_epoch=1"]
    if data in ("TimeMachine", "ElmanGrammar"):
        options += ["--data.sequence_length=7", "--data.batch_size=16", "--data.eval_batch_size=16"]
        options += ["--model.core.hidden_size=8", "--trainer.val_check_interval=1.0"]
    else:
        options += ["--data.val_sequences=9", "--data.test_sequences=9"]
    if data == "Adding":
        options += ["--data.length=20"]
    said = rnn_tasks("fit", "--config", f"published/{recipe}", *options)
    assert (said.status, said.err) == (0, "")
    summary = json.loads(max(tmp_path.glob("lightning_logs/*/version_*/summary.json")).read_text())
    assert (summary["steps"], summary["stopped"]) == (4, "epochs")


def test_an_overlay_has_a_file_of_its_own_for_some_tasks(rnn_tasks: RnnTasks) -> None:
    said = rnn_tasks("fit", "--config", "copy", "--config", "models/linear_qr", "--print_config")
    expected = yaml.safe_load((CONFIGS / "models/linear_qr/copy.yaml").read_text())["model"]["init_args"]
    printed = yaml.safe_load(said.out)["model"]["init_args"]
    assert printed["recurrent_lr_factor"] == expected["recurrent_lr_factor"]


def test_an_overlay_has_a_file_of_its_own_for_all_texts(rnn_tasks: RnnTasks) -> None:
    said = rnn_tasks("fit", "--config", "elman_grammar", "--config", "models/gru", "--print_config")
    model = yaml.safe_load(said.out)["model"]["init_args"]
    assert model["optimizer"]["init_args"]["lr"] == 0.02
    assert model["core"]["init_args"]["gate_bias"] is None
    said = rnn_tasks(
        "fit", "--config", "published/time_machine_windows_gru", "--config", "models/gru", "--print_config"
    )
    assert yaml.safe_load(said.out)["model"]["init_args"]["optimizer"]["class_path"] == "torch.optim.SGD"


@pytest.mark.parametrize("task", ["copy", "echo", "variable_delay_echo"])
@pytest.mark.parametrize("model", ["rnn", "scratch_rnn", "ortho_init"])
def test_tanh_overlay_keeps_the_rates_of_the_recipe(rnn_tasks: RnnTasks, task: str, model: str) -> None:
    printed = [
        yaml.safe_load(rnn_tasks("fit", "--config", task, *overlay, "--print_config").out)["model"]["init_args"]
        for overlay in ([], ["--config", f"models/{model}"])
    ]
    for name in ("optimizer", "schedule", "recurrent_lr_factor", "input_lr_factor"):
        assert printed[0][name] == printed[1][name]


@pytest.mark.parametrize("task", ["copy", "echo", "variable_delay_echo"])
@pytest.mark.parametrize("model", ["gru", "lstm_chrono", "scratch_lstm", "update_only_gru"])
def test_gated_overlay_has_one_rate_and_torchs_start(rnn_tasks: RnnTasks, task: str, model: str) -> None:
    said = rnn_tasks("fit", "--config", task, "--config", f"models/{model}", "--print_config")
    printed = yaml.safe_load(said.out)["model"]["init_args"]
    core = printed["core"]["init_args"]
    assert (printed["recurrent_lr_factor"], printed["input_lr_factor"], printed["schedule"]) == (1.0, 1.0, None)
    assert printed["optimizer"]["init_args"]["betas"] == [0.9, 0.999]
    assert (core["recurrent_init"], core["input_scale"]) == (None, 1.0)
    assert (core["gate_bias"] is not None) == model.endswith("_chrono")


def test_later_configs_and_then_options_win(rnn_tasks: RnnTasks, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("data: {init_args: {delay: 2, batch_size: 7}}\n")
    words = ["fit", "--config", "echo", "--config", "mine.yaml", "--data.batch_size", "5", "--print_config"]
    data = yaml.safe_load(rnn_tasks(*words).out)["data"]["init_args"]
    assert (data["delay"], data["batch_size"], data["sequence_length"]) == (2, 5, 15)


def test_lists_of_callbacks_are_extended_with_a_plus(rnn_tasks: RnnTasks) -> None:
    words = ["fit", "--config", "echo", "--trainer.callbacks+=LearningRateMonitor", "--print_config"]
    names = [
        callback["class_path"].rpartition(".")[2]
        for callback in yaml.safe_load(rnn_tasks(*words).out)["trainer"]["callbacks"]
    ]
    assert names[0] == "RunSummary"
    assert names[-2:] == ["StopAtAccuracy", "LearningRateMonitor"]
