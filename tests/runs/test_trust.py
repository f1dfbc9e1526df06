import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from rnn_tasks.errors import UsageError
from rnn_tasks.report.run_data import load_runs
from rnn_tasks.runs.find import RunLocation, config_hash
from rnn_tasks.runs.trained_network import load_network
from rnn_tasks.runs.trust import is_known, needs_trust, require_known_classes
from tests.helpers.configs import TASKS

MODULE = """
from pathlib import Path
from torch import nn

Path({executed!r}).touch()

class MyLayer(nn.RNN):
    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size, batch_first=True)
"""


@pytest.fixture
def run(trained_logs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Copy a run into an empty folder that has a module of a user."""
    shutil.copytree(trained_logs / "echo" / "version_0", tmp_path / "run")
    (tmp_path / "my_layer.py").write_text(MODULE.format(executed=str(tmp_path / "executed")))
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    monkeypatch.chdir(tmp_path)
    return tmp_path / "run"


def edit(run: Path, section: str, *path: str, value: Any) -> None:
    """Change a value of config.yaml, and the hash of the model section in the checkpoints."""
    config = yaml.safe_load((run / "config.yaml").read_text())
    *parents, name = path
    target = config[section]
    for parent in parents:
        target = target[parent]
    target[name] = value
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    for file in (run / "checkpoints").iterdir():
        checkpoint = torch.load(file, weights_only=True)
        checkpoint["rnn_tasks"]["config"] = config_hash(config["model"])
        torch.save(checkpoint, file)


FOREIGN = {"class_path": "rnn_tasks.cores.Foreign", "init_args": {"layer": "my_layer.MyLayer", "hidden_size": 8}}
EVIL: dict[str, Any] = {
    "class": {"class_path": "my_layer.MyLayer", "init_args": {}},
    "text": "my_layer.MyLayer",
    "yaml": "{class_path: my_layer.MyLayer}",
    "json": '{"class_path": "rnn_tasks.cores.Foreign", "init_args": {"layer": "my_layer.MyLayer"}}',
    "option": FOREIGN,
    "nested option": {**FOREIGN, "init_args": {"layer": "torch.nn.RNN", "options": {"x": ["my_layer.MyLayer"]}}},
    "keywords": {**FOREIGN, "init_args": {"layer": "torch.nn.RNN"}, "dict_kwargs": {"x": "my_layer.MyLayer"}},
    "module of another package": {"class_path": "torch.os.system"},
    "function": "torch.hub.load",
    "file": "./core.yaml",
}


@pytest.mark.parametrize("name", EVIL)
def test_load_network_executes_no_code_of_a_foreign_class(run: Path, name: str) -> None:
    (run.parent / "core.yaml").write_text("class_path: my_layer.MyLayer")
    edit(run, "model", "init_args", "core", value=EVIL[name])
    with pytest.raises(UsageError, match=r"config\.yaml names .*: add --trust to execute its code") as caught:
        load_network(RunLocation(run))
    assert "\n" not in str(caught.value)
    assert not (run.parent / "executed").exists()
    assert "my_layer" not in sys.modules


def test_load_network_executes_no_code_of_a_foreign_model(run: Path) -> None:
    edit(run, "model", "class_path", value="my_layer.MyLayer")
    with pytest.raises(UsageError, match=r"names 'my_layer\.MyLayer', which is not a class of rnn_tasks, torch or"):
        load_network(RunLocation(run))
    assert not (run.parent / "executed").exists()


@pytest.mark.parametrize("value", ["my_layer.MyLayer", {"class_path": "my_layer.MyLayer"}])
def test_load_runs_executes_no_code_of_a_foreign_task(run: Path, value: Any) -> None:
    edit(run, "data", "class_path", value=value)
    with pytest.raises(UsageError, match=r"names 'my_layer\.MyLayer'"):
        load_runs([RunLocation(run)])
    assert not (run.parent / "executed").exists()


def test_load_network_builds_a_foreign_class_with_trust(run: Path) -> None:
    edit(run, "model", "init_args", "core", value=FOREIGN)
    with pytest.raises(UsageError, match="does not fit"):  # the names of the weights differ
        load_network(RunLocation(run), trust=True)
    assert (run.parent / "executed").exists()
    sys.modules.pop("my_layer")


def test_load_network_does_not_need_the_classes_of_the_training(run: Path) -> None:
    expected = load_network(RunLocation(run)).state_dict()
    edit(run, "model", "init_args", "optimizer", value={"class_path": "my_layer.Optimizer"})
    edit(run, "model", "init_args", "schedule", value="my_layer.schedule")
    for name, weight in load_network(RunLocation(run)).state_dict().items():
        assert torch.equal(weight, expected[name])
    assert not (run.parent / "executed").exists()


def test_runs_of_the_package_need_no_trust(trained_logs: Path) -> None:
    for task in TASKS:
        folder = trained_logs / task / "version_0"
        config = yaml.safe_load((folder / "config.yaml").read_text())
        require_known_classes(config, folder)
        assert not needs_trust(config)


def test_layers_of_another_package_need_trust() -> None:
    assert needs_trust({"model": {"class_path": "rnn_tasks.models.SequenceTagger", "init_args": {"core": FOREIGN}}})


def test_texts_of_a_task_need_no_trust() -> None:
    data = {"class_path": "Text", "init_args": {"path": "my.book.txt", "prefix": "os.system"}}
    require_known_classes({"model": {"class_path": "rnn_tasks.models.LanguageModel"}, "data": data}, Path("run"))


@pytest.mark.parametrize("name", ["", "tanh", "1e-3", "-0.5", "GRU", "arjovsky", "torch.nn.GRU", "torch.nn.Missing"])
def test_is_known_accepts_words_numbers_and_known_classes(name: str) -> None:
    assert is_known(name)


@pytest.mark.parametrize(
    "name",
    ["os.system", "torch.os.system", "torchvision.x.Y", "a/b", "{a: b}", "torch. nn", "torch.nn.functional.relu"],
)
def test_is_known_rejects_other_names(name: str) -> None:
    assert not is_known(name)
