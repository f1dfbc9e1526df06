import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import nn

from rnn_tasks.errors import UsageError
from rnn_tasks.models import LanguageModel, RecurrentModel, SequenceRegressor, SequenceTagger
from rnn_tasks.models.loading import build_model, load_model
from rnn_tasks.networks import LanguageNetwork, Network, TaggerNetwork
from rnn_tasks.runs.find import RunLocation, best_checkpoint, config_hash, find_run, read_config
from rnn_tasks.runs.trained_network import NETWORKS, build_network, load_network, network_class_of
from rnn_tasks.spec import TaskSpec
from tests.helpers.command_line import RnnTasks

TASKS = ("copy", "echo", "variable_delay_echo", "time_machine", "elman_grammar")
LOAD: list[Callable[[RunLocation], nn.Module]] = [load_network, load_model]
load_by_both = pytest.mark.parametrize("load", LOAD, ids=lambda load: load.__name__)


@pytest.fixture
def run(trained: RnnTasks) -> Path:
    return Path("lightning_logs/variable_delay_echo/version_0")


def assert_same_weights(one: nn.Module, other: nn.Module) -> None:
    weights = other.state_dict()
    assert one.state_dict().keys() == weights.keys()
    for name, value in one.state_dict().items():
        assert torch.equal(value, weights[name]), name


def to_old_names(path: Path) -> None:
    """Rename the weights of a checkpoint to those of version 0.1.0, which had no prefix ``network.``."""
    checkpoint = torch.load(path, weights_only=True)
    weights = checkpoint["state_dict"]
    checkpoint["state_dict"] = {name.removeprefix("network."): value for name, value in weights.items()}
    assert "core.weight_hh_l0" in checkpoint["state_dict"]
    torch.save(checkpoint, path)


def answers(network: Network) -> Any:
    """Return the output of a network for an example of its task."""
    if isinstance(network, LanguageNetwork):
        return network.generate("the", 20)
    assert isinstance(network, TaggerNetwork)
    codec = network.spec.codec
    assert codec is not None
    return network.respond(codec.letters[:4], codec.max_delay)


@pytest.mark.parametrize("task", TASKS)
def test_load_network_equals_the_network_of_load_model(trained: RnnTasks, task: str) -> None:
    location = find_run(task)
    network, model = load_network(location), load_model(location)
    assert type(network) is type(model.network)
    assert network.spec == model.spec
    assert_same_weights(network, model.network)
    assert answers(network) == answers(model.network)
    assert not any(module.training for module in [*network.modules(), *model.modules()])


@pytest.mark.parametrize("task", TASKS)
def test_load_model_has_the_weights_of_the_best_checkpoint(trained: RnnTasks, task: str) -> None:
    location = find_run(task)
    saved = torch.load(best_checkpoint(location.folder), weights_only=True)["state_dict"]
    model = load_model(location)
    assert saved.keys() == model.state_dict().keys()
    assert all(torch.equal(saved[name], value) for name, value in model.state_dict().items())


@load_by_both
def test_requested_checkpoint_is_loaded(run: Path, load: Callable[[RunLocation], nn.Module]) -> None:
    path = run / "checkpoints" / "last.ckpt"
    checkpoint = torch.load(path, weights_only=True)
    for value in checkpoint["state_dict"].values():
        value.fill_(0.5)
    torch.save(checkpoint, path)
    assert all(bool((weight == 0.5).all()) for weight in load(find_run(str(path))).parameters())
    assert not all(bool((weight == 0.5).all()) for weight in load(find_run(str(run))).parameters())


@pytest.mark.parametrize("task", ["variable_delay_echo", "time_machine"])
def test_checkpoint_of_version_0_1_0_is_loaded(trained: RnnTasks, task: str) -> None:
    location = find_run(task)
    expected, model = load_network(location), load_model(location)
    to_old_names(best_checkpoint(location.folder))
    assert_same_weights(load_network(location), expected)
    assert_same_weights(load_model(location), model)


def test_embeddings_of_version_0_1_0_are_loaded(rnn_tasks: RnnTasks) -> None:
    small = ["--trainer.max_steps=2", "--trainer.val_check_interval=1", "--data.val_sequences=9"]
    small += ["--data.test_sequences=9", "--data.batch_size=4", "--model.core.hidden_size=8"]
    options = ["--model.embedding_size=3", "--model.condition_at=both"]
    assert rnn_tasks("fit", "--config", "variable_delay_echo", *small, *options).status == 0
    location = find_run("variable_delay_echo")
    expected = load_network(location)
    assert {"symbol_embedding.weight", "condition_embedding.weight"} <= expected.state_dict().keys()
    to_old_names(best_checkpoint(location.folder))
    assert_same_weights(load_network(location), expected)
    assert_same_weights(load_model(location).network, expected)


@load_by_both
def test_loading_does_not_change_the_random_state(run: Path, load: Callable[[RunLocation], nn.Module]) -> None:
    before = torch.get_rng_state()
    load(find_run(str(run)))
    assert torch.equal(torch.get_rng_state(), before)


@load_by_both
def test_loading_rejects_a_changed_model_section(run: Path, load: Callable[[RunLocation], nn.Module]) -> None:
    config = read_config(run)
    config["model"]["init_args"]["zero_blank_weights"] = True
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    with pytest.raises(UsageError, match="their model sections differ"):
        load(find_run(str(run)))


@load_by_both
def test_loading_rejects_a_missing_or_invalid_config(run: Path, load: Callable[[RunLocation], nn.Module]) -> None:
    for text, message in (("a: [", "not valid YAML"), ("data: {}", "no section 'model'"), ("- 1", "no section")):
        (run / "config.yaml").write_text(text)
        with pytest.raises(UsageError, match=message):
            load(find_run(str(run)))
    (run / "config.yaml").unlink()
    with pytest.raises(UsageError, match="the model cannot be built without it"):
        load(find_run(str(run)))


@load_by_both
def test_loading_imports_no_class_of_a_checkpoint(
    run: Path, tmp_path: Path, load: Callable[[RunLocation], nn.Module]
) -> None:
    target = tmp_path / "imported"
    (tmp_path / "evil.py").write_text(
        f"import pathlib\npathlib.Path({str(target)!r}).touch()\nclass Cell:\n    def __init__(self, **k): pass\n"
    )
    path = run / "checkpoints" / "best.ckpt"
    checkpoint = torch.load(path, weights_only=True)
    checkpoint["hyper_parameters"] = {
        "_class_path": "evil.Cell",
        "_instantiator": "evil.Cell",
        "core": {"class_path": "evil.Cell", "init_args": {}},
    }
    torch.save(checkpoint, path)
    load(find_run(str(run)))
    assert not target.exists()


@load_by_both
def test_loading_rejects_a_foreign_checkpoint(run: Path, load: Callable[[RunLocation], nn.Module]) -> None:
    path = run / "checkpoints" / "best.ckpt"
    torch.save({"state_dict": {}}, path)
    with pytest.raises(UsageError, match="not a checkpoint of rnn_tasks"):
        load(find_run(str(run)))
    section = read_config(run)["model"]
    spec = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["rnn_tasks"]["spec"]
    for weights in ({}, {"network.core.weight_hh_l0": torch.zeros(1)}, {1: torch.zeros(1)}, None):
        torch.save({"state_dict": weights, "rnn_tasks": {"spec": spec, "config": config_hash(section)}}, path)
        with pytest.raises(UsageError, match="does not fit"):
            load(find_run(str(run)))
    torch.save({"state_dict": {}, "rnn_tasks": {"spec": {"size": 3}, "config": config_hash(section)}}, path)
    with pytest.raises(UsageError, match="does not fit"):
        load(find_run(str(run)))


@load_by_both
def test_loading_rejects_an_extra_weight(run: Path, load: Callable[[RunLocation], nn.Module]) -> None:
    path = run / "checkpoints" / "best.ckpt"
    checkpoint = torch.load(path, weights_only=True)
    checkpoint["state_dict"]["network.core.more"] = torch.zeros(1)
    torch.save(checkpoint, path)
    with pytest.raises(UsageError, match="does not fit"):
        load(find_run(str(run)))


@load_by_both
def test_loading_rejects_a_run_without_a_checkpoint(run: Path, load: Callable[[RunLocation], nn.Module]) -> None:
    for name in ("best", "last"):
        (run / "checkpoints" / f"{name}.ckpt").unlink()
    with pytest.raises(UsageError, match="has no checkpoint; resume"):
        load(find_run(str(run)))


@load_by_both
def test_loading_rejects_an_unknown_class(run: Path, load: Callable[[RunLocation], nn.Module]) -> None:
    config = read_config(run)
    config["model"]["init_args"]["core"]["class_path"] = "rnn_tasks.cores.Missing"
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    path = run / "checkpoints" / "best.ckpt"
    checkpoint = torch.load(path, weights_only=True)
    checkpoint["rnn_tasks"]["config"] = config_hash(config["model"])
    torch.save(checkpoint, path)
    with pytest.raises(UsageError, match=r"config\.yaml: .*Missing") as caught:
        load(find_run(str(run)))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("task", TASKS)
def test_build_network_equals_the_network_of_build_model(trained: RnnTasks, task: str) -> None:
    location = find_run(task)
    section, spec = read_config(location.folder)["model"], load_network(location).spec
    before = torch.get_rng_state()
    network = build_network(section, spec, seed=3)
    assert torch.equal(torch.get_rng_state(), before)
    assert_same_weights(network, build_model(section, spec, seed=3).network)
    other = build_network(section, spec, seed=4).state_dict()
    assert not all(torch.equal(value, other[name]) for name, value in network.state_dict().items())


class UserNetwork(TaggerNetwork):
    """A user's network."""


class UserModel(SequenceTagger):
    """A user's model."""

    network_class = UserNetwork


def test_networks_lists_every_model_of_the_package() -> None:
    models: list[type[RecurrentModel]] = [SequenceTagger, SequenceRegressor, LanguageModel]
    assert {f"rnn_tasks.models.{model.__name__}": model.network_class for model in models} == NETWORKS  # type: ignore[attr-defined]


def test_build_network_builds_the_network_of_a_custom_model() -> None:
    core = {"class_path": "rnn_tasks.cores.Elman", "init_args": {"hidden_size": 4}}
    init_args = {"core": core, "optimizer": {"class_path": "torch.optim.Adam"}, "embedding_size": 2}
    section = {"class_path": f"{UserModel.__module__}.UserModel", "init_args": init_args}
    network = build_network(section, TaskSpec(3, 3))
    assert type(network) is UserNetwork
    assert network.symbol_embedding is not None


@pytest.mark.parametrize("name", ["nothing.Here", "NoModule", "torch.nn.Linear", "None", "rnn_tasks.models.Missing"])
def test_network_class_of_rejects_an_unknown_model(name: str) -> None:
    with pytest.raises(UsageError, match=f"no such model class: {name}"):
        network_class_of(name)


@pytest.mark.slow
def test_load_network_does_not_import_lightning(trained: RnnTasks) -> None:
    tasks = ("variable_delay_echo", "time_machine")
    program = (
        "import sys, rnn_tasks.runs.trained_network as trained\n"
        "heavy = {'lightning', 'pytorch_lightning', 'torchmetrics', 'tensorboard', 'matplotlib'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
        "from rnn_tasks.runs.find import find_run\n"
        f"networks = [trained.load_network(find_run(task)) for task in {tasks!r}]\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
        "print(*(type(network).__name__ for network in networks))\n"
    )
    process = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr
    assert process.stdout.split() == [type(load_network(find_run(task))).__name__ for task in tasks]
