"""The tasks, layers, configs and studies of a plug-in by their short names."""

import json
import shutil
from pathlib import Path

import pytest
import yaml

from rnn_tasks import plugins
from rnn_tasks.cli.overlays import is_published
from rnn_tasks.cli.shipped import CONFIGS, config_folders, shipped, shipped_names
from rnn_tasks.errors import UsageError
from rnn_tasks.profile.layer import build_layer
from rnn_tasks.profile.plan import layer_of, profile_plan
from rnn_tasks.runs.trust import is_known, needs_trust, require_known_classes
from rnn_tasks.studies.plan_file import read_plan, study_names
from rnn_tasks.studies.settings import settings_of
from tests.helpers.command_line import SMALL, RnnTasks
from tests.helpers.config_edits import parse

LAYER = "sample_plugin.layer.SampleLayer"


def test_plugin_names_work_in_all_commands(rnn_tasks: RnnTasks, sample_plugin: Path) -> None:
    fit = ["fit", "--config", "sample_task", "--config", "models/sample_layer", *SMALL]
    assert rnn_tasks(*fit).status == 0
    run = Path("lightning_logs/sample_task/version_0")
    config = yaml.safe_load((run / "config.yaml").read_text())
    assert config["data"]["class_path"] == "sample_plugin.task.SampleTask"
    assert config["model"]["init_args"]["core"]["class_path"] == LAYER
    summary = json.loads((run / "summary.json").read_text())
    assert (summary["task"], summary["core"], summary["steps"]) == ("sample_task", "SampleLayer", 4)
    assert len(rnn_tasks("respond", "sample_task", "abcdefg").out) == len("abcdefg\n")
    assert rnn_tasks("resume", "sample_task", "--trainer.max_steps", "6").status == 0
    assert rnn_tasks("test", "--config", str(run / "config.yaml")).status == 0


def test_help_names_configs_and_classes_of_plugins(rnn_tasks: RnnTasks, sample_plugin: Path) -> None:
    printed = rnn_tasks("fit", "--help").out
    assert {"models/sample_layer,", "sample_task."} <= set(printed.split())
    assert "sample_plugin.task.SampleTask" in "".join(printed.split())
    assert "SampleLayer" in rnn_tasks("fit", "--config", "echo", "--model.core.help", "SampleLayer").out


@pytest.mark.parametrize(
    ("configs", "steps"),
    [
        (["echo", "models/sample_layer"], 77),
        (["sample_task", "models/gru"], 78),
        (["sample_task", "models/sample_layer"], 4),
        (["echo", "models/lem"], 60),
    ],
)
def test_overlays_add_files_for_tasks(
    working_folder: Path, sample_plugin: Path, configs: list[str], steps: int
) -> None:
    arguments = [argument for config in configs for argument in ("--config", config)]
    assert parse(*arguments)["trainer"]["max_steps"] == steps


def test_copy_of_a_plugin_overlay_is_the_overlay(working_folder: Path, sample_plugin: Path) -> None:
    shutil.copy(sample_plugin / "configs/models/sample_layer.yaml", "mine.yaml")
    assert parse("--config", "echo", "--config", "mine.yaml")["trainer"]["max_steps"] == 77


def test_misspelt_names_get_a_suggestion(rnn_tasks: RnnTasks, sample_plugin: Path) -> None:
    printed = rnn_tasks("fit", "--config", "sample_tusk")
    assert (printed.status, printed.err) == (
        2,
        "rnn-tasks: error: no config sample_tusk; did you mean 'sample_task'?\n",
    )
    printed = rnn_tasks("fit", "--config", "echo", "--model.core", "SampelLayer")
    assert printed.err == "rnn-tasks: error: model.core: no such class: SampelLayer; did you mean 'SampleLayer'?\n"


def test_names_of_plugins_follow_ours(sample_plugin: Path) -> None:
    assert config_folders() == [CONFIGS, sample_plugin / "configs"]
    names = shipped_names()
    assert names[-2:] == ["models/sample_layer", "sample_task"]
    assert len(set(names)) == len(names)
    assert study_names()[-2:] == ["sample_broken", "sample_study"]
    assert shipped("models/sample_layer") == sample_plugin / "configs/models/sample_layer.yaml"


def test_our_config_wins_with_one_warning(sample_plugin: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plugins.warn.cache_clear()
    assert shipped("copy") == CONFIGS / "copy.yaml"
    assert capsys.readouterr().err == ""
    assert shipped("echo") == shipped("echo") == CONFIGS / "echo.yaml"
    printed = capsys.readouterr().err
    assert printed.startswith("warning: the config echo is ")
    assert printed.count("\n") == 1


@pytest.mark.parametrize("name", ["", "missing", "/etc/passwd", "../configs/echo", "a\0b", "x" * 5000])
def test_shipped_finds_no_other_files(sample_plugin: Path, name: str) -> None:
    assert shipped(name) is None


def test_published_recipes_of_a_plugin_keep_their_rates(sample_plugin: Path, tmp_path: Path) -> None:
    recipe = sample_plugin / "configs/published/sample_recipe.yaml"
    assert is_published(recipe)
    assert not is_published(sample_plugin / "configs/sample_task.yaml")


def test_study_of_a_plugin_has_a_name(rnn_tasks: RnnTasks, sample_plugin: Path) -> None:
    plugins.warn.cache_clear()
    plan = read_plan("sample_study")
    settings = [settings_of(plan, run) for run in plan.runs()]
    assert "the contents of models/gru/sample_task" in settings[1]
    printed = rnn_tasks("study", "list")
    assert printed.status == 0
    assert printed.out.splitlines()[-1] == "sample_study  2 runs  Which layer is the better sample?"
    assert printed.err.startswith(f"warning: {sample_plugin / 'configs/studies/sample_broken.yaml'} is not valid YAML")
    assert printed.err.count("\n") == 1


def test_profile_takes_the_layer_of_a_plugin(working_folder: Path, sample_plugin: Path) -> None:
    suite = read_plan("memory_suite_core")
    layer = build_layer(profile_plan(layer_of("sample_layer", suite), suite, quick=True), {})
    assert (layer.name, layer.class_name) == ("sample_layer", LAYER)


def test_classes_of_an_installed_plugin_are_known(sample_plugin: Path) -> None:
    assert is_known(LAYER)
    assert not needs_trust({"model": {"class_path": LAYER}})
    assert not is_known("sample_plugin.classes.os.system")
    with pytest.raises(UsageError, match=r"which the plug-in sample \(sample 1\.0\) does not have or which cannot be"):
        require_known_classes({"model": {"class_path": "sample_plugin.layer.Missing"}}, Path("run"))


def test_missing_plugin_is_named_in_one_line(rnn_tasks: RnnTasks) -> None:
    config = {"model": {"class_path": "missing_plugin.layer.Layer"}}
    with pytest.raises(UsageError, match="install the plug-in with the package missing_plugin, or add --trust"):
        require_known_classes(config, Path("run"))
    Path("mine.yaml").write_text(yaml.safe_dump({"model": {"init_args": {"core": "missing_plugin.layer.Layer"}}}))
    printed = rnn_tasks("fit", "--config", "echo", "--config", "mine.yaml")
    assert printed.status == 2
    assert printed.err.count("\n") == 1
    assert "missing_plugin" in printed.err
