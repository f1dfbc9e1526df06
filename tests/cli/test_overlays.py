"""What a later config changes: files that an overlay adds, and arguments that a new class does not inherit."""

import inspect
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from rnn_tasks import callbacks, cores, models
from rnn_tasks.cli.overlays import is_same_class
from rnn_tasks.cli.shipped import CONFIGS
from rnn_tasks.tasks import ElmanGrammar
from tests.helpers.config_edits import parse
from tests.helpers.configs import MODELS, TASKS, compose, merge, read_config, short_name
from tests.helpers.rotation import slow_tenth

PAIRS = [(task, model) for task in TASKS for model in MODELS]

pytestmark = pytest.mark.usefixtures("working_folder")


def classes(config: dict[str, Any]) -> dict[str, Any]:
    """Return the sections of a config that name a class, and that an overlay may replace."""
    arguments = config.get("model", {}).get("init_args", {})
    sections = {name: arguments.get(name) for name in ("core", "optimizer", "schedule")}
    return {**sections, "constraint": config.get("constraint")}


def class_of(section: dict[str, Any]) -> Any:
    name = short_name(section)
    return next(getattr(module, name) for module in (cores, models, callbacks, torch.optim) if hasattr(module, name))


def same(expected: Any, actual: Any) -> bool:
    """Return whether a parsed value is the value of a YAML file, or a default value."""
    if isinstance(expected, str) and isinstance(actual, dict):
        return expected == short_name(actual)
    if isinstance(expected, str) and isinstance(actual, type):  # the layer of another package
        return expected == f"{actual.__module__.partition('.')[0]}.{actual.__qualname__}"
    if isinstance(expected, dict) and isinstance(actual, dict):
        return all(name == "class_path" or same(value, actual[name]) for name, value in expected.items())
    return bool(actual == expected or (isinstance(actual, tuple) and list(actual) == expected))


def test_overlay_inherits_no_argument_of_another_class() -> None:
    for task, model in PAIRS:
        recipe, merged = classes(read_config(CONFIGS / f"{task}.yaml")), classes(compose(task, model))
        own = classes(merge([read_config(path) for path in files_of(task, model)]))
        for name, section in merged.items():
            if isinstance(section, dict) and short_name(section) != short_name(as_section(recipe[name])):
                inherited = section.get("init_args", {}).keys() - as_section(own[name]).get("init_args", {}).keys()
                assert inherited <= {"hidden_size"}, (task, model, name)


@pytest.mark.parametrize(("task", "model"), slow_tenth(PAIRS, "-".join))
def test_overlay_leaves_other_arguments_at_their_defaults(task: str, model: str) -> None:
    expected, parsed = classes(compose(task, model)), classes(parse("--config", task, "--config", f"models/{model}"))
    for name, section in parsed.items():
        if section is None:
            assert expected[name] is None
            continue
        arguments = as_section(expected[name]).get("init_args", {})
        parameters = inspect.signature(class_of(section)).parameters
        assert short_name(section) == short_name(as_section(expected[name]))
        for argument, value in section["init_args"].items():
            assert same(arguments.get(argument, parameters[argument].default), value), (name, argument)


def as_section(value: Any) -> dict[str, Any]:
    """Return the section of a class; a name alone stands for a class without arguments."""
    return value if isinstance(value, dict) else {"class_path": str(value)}


def files_of(task: str, model: str) -> list[Path]:
    """Return an overlay and its file for a task, according to the documentation of ``--config``."""
    names = [task]
    if short_name(read_config(CONFIGS / f"{task}.yaml")["model"]) == "LanguageModel":
        names.append("language_model")
    own = [path for name in names if (path := CONFIGS / f"models/{model}/{name}.yaml").is_file()]
    return [CONFIGS / f"models/{model}.yaml", *own[:1]]


@pytest.mark.parametrize(
    "core", ["{class_path: GRU}", "GRU", "rnn_tasks.cores.GRU", "{class_path: GRU, init_args: {num_layers: 1}}"]
)
@pytest.mark.parametrize("key", ["model: {init_args: {core: %s}}", "model: {core: %s}", "model.init_args.core: %s"])
def test_new_class_in_a_config_keeps_only_hidden_size(working_folder: Path, core: str, key: str) -> None:
    Path("mine.yaml").write_text(key % core)
    parsed = classes(parse("--config", "copy", "--config", "mine.yaml"))["core"]
    assert short_name(parsed) == "GRU"
    assert (parsed["init_args"]["hidden_size"], parsed["init_args"]["recurrent_init"]) == (128, None)


@pytest.mark.parametrize("option", [["--model.core", "GRU"], ["--model.core=GRU"], ["--model.core.class_path=GRU"]])
def test_new_class_in_an_option_keeps_only_hidden_size(option: list[str]) -> None:
    parsed = classes(parse("--config", "copy", *option))["core"]
    assert short_name(parsed) == "GRU"
    assert (parsed["init_args"]["hidden_size"], parsed["init_args"]["recurrent_init"]) == (128, None)


def test_new_class_keeps_options_of_the_command_line() -> None:
    options = ["--model.optimizer.weight_decay", "0.5", "--model.optimizer", "SGD", "--model.core.hidden_size=7"]
    parsed = classes(parse("--config", "echo", *options))
    default = inspect.signature(torch.optim.SGD).parameters["lr"].default
    assert (parsed["optimizer"]["init_args"]["weight_decay"], parsed["optimizer"]["init_args"]["lr"]) == (0.5, default)
    assert (short_name(parsed["core"]), parsed["core"]["init_args"]["hidden_size"]) == ("Elman", 7)
    assert short_name(parsed["core"]["init_args"]["recurrent_init"]) == "Orthogonal"


def test_same_class_keeps_its_arguments(working_folder: Path) -> None:
    core, optimizer = {"class_path": "rnn_tasks.cores.elman.Elman"}, {"class_path": "torch.optim.adam.Adam"}
    Path("mine.yaml").write_text(yaml.safe_dump({"model": {"init_args": {"core": core, "optimizer": optimizer}}}))
    parsed = classes(parse("--config", "echo", "--config", "mine.yaml", "--model.optimizer=torch.optim.Adam"))
    assert short_name(parsed["core"]["init_args"]["recurrent_init"]) == "Orthogonal"
    assert parsed["optimizer"]["init_args"]["betas"] == (0.9, 0.98)


def test_new_model_keeps_layer_and_optimizer(working_folder: Path) -> None:
    Path("mine.yaml").write_text("model: {class_path: LanguageModel}\ndata: {class_path: ElmanGrammar}\n")
    config = parse("--config", "echo", "--config", "mine.yaml")
    model = config["model"]["init_args"]
    assert (model["core"]["init_args"]["hidden_size"], model["optimizer"]["init_args"]["lr"]) == (256, 0.02)
    assert (model["recurrent_lr_factor"], model["schedule"]) == (1.0, None)
    default = inspect.signature(ElmanGrammar).parameters["batch_size"].default
    assert config["data"]["init_args"]["batch_size"] == default


@pytest.mark.parametrize(
    ("path", "name", "equal"),
    [
        ("torch.optim.Adam", "Adam", True),
        ("torch.optim.Adam", "torch.optim.adam.Adam", True),
        ("torch.optim.Adam", "AdamW", False),
        ("torch.optim.Adam", "nowhere.Adam", False),
        ("rnn_tasks.callbacks.ThroughputMonitor", "lightning.pytorch.callbacks.ThroughputMonitor", False),
    ],
)
def test_is_same_class_compares_classes(path: str, name: str, equal: bool) -> None:
    assert is_same_class(path, name) == equal


def test_config_by_path_is_the_config_by_name(working_folder: Path) -> None:
    shutil.copy(CONFIGS / "copy.yaml", "my.yaml")
    shutil.copy(CONFIGS / "models/gru.yaml", "my_gru.yaml")
    Path("link.yaml").symlink_to(CONFIGS / "models/gru.yaml")
    Path("spelt.yaml").write_text(yaml.safe_dump(read_config(CONFIGS / "copy.yaml"), sort_keys=True))
    Path("here").symlink_to(CONFIGS, target_is_directory=True)
    expected = parse("--config", "copy", "--config", "models/gru")
    expected.pop("config")
    overlays = [str(CONFIGS / "models/gru.yaml"), "my_gru.yaml", "link.yaml", "here/models/gru.yaml"]
    recipes = [str(CONFIGS / "copy.yaml"), "./my.yaml", "spelt.yaml", "here/copy.yaml"]
    for recipe, overlay in zip(recipes, overlays, strict=True):
        parsed = parse("--config", recipe, "--config", overlay)
        parsed.pop("config")
        assert parsed == expected, (recipe, overlay)


def test_overlay_adds_the_file_beside_it(working_folder: Path) -> None:
    shutil.copytree(CONFIGS / "models", "mine")
    Path("mine/gru/copy.yaml").write_text("trainer: {max_steps: 7}")
    assert parse("--config", "copy", "--config", "mine/gru.yaml")["trainer"]["max_steps"] == 7
    assert parse("--config", "echo", "--config", "mine/gru.yaml")["trainer"]["max_steps"] == 1000


def test_overlay_adds_the_file_for_the_task_of_a_recipe(working_folder: Path) -> None:
    recipe = read_config(CONFIGS / "copy.yaml")
    Path("mine.yaml").write_text(yaml.safe_dump({**recipe, "trainer": {"max_steps": 3}}))
    steps = read_config(CONFIGS / "models/gru/copy.yaml")["trainer"]["max_steps"]
    assert parse("--config", "mine.yaml", "--config", "models/gru")["trainer"]["max_steps"] == steps
    data = {"class_path": "Text", "init_args": {"path": "a.txt"}}
    Path("text.yaml").write_text(yaml.safe_dump({"data": data}))
    text = ["--config", "time_machine", "--config", "text.yaml", "--config", "models/gru"]
    rates = read_config(CONFIGS / "models/gru/language_model.yaml")["model"]["init_args"]["optimizer"]["init_args"]
    assert parse(*text)["model"]["init_args"]["optimizer"]["init_args"]["lr"] == rates["lr"]


@pytest.mark.parametrize("copied", [False, True])
def test_published_recipe_keeps_its_rates(working_folder: Path, copied: bool) -> None:
    shutil.copy(CONFIGS / "published/copy_rnn.yaml", "mine.yaml")
    recipe = "mine.yaml" if copied else "published/copy_rnn"
    parsed = parse("--config", recipe, "--config", "models/gru")
    assert short_name(parsed["model"]["init_args"]["core"]) == "GRU"
    assert parsed["model"]["init_args"]["optimizer"]["init_args"]["lr"] == 0.001


def test_overlay_before_its_recipe_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse("--config", "models/gru", "--config", "copy")
    printed = capsys.readouterr().err
    assert "name a task before an overlay" in printed
    assert printed.count("\n") == 1
