"""Build the network of a run again, from its config.yaml and a checkpoint, without Lightning."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from typing import Any, NamedTuple

import torch
from jsonargparse import ArgumentError, ArgumentParser
from torch import Tensor

from rnn_tasks.errors import UsageError, brief
from rnn_tasks.networks import LanguageNetwork, Network, TaggerNetwork
from rnn_tasks.runs.checkpoints import read_checkpoint
from rnn_tasks.runs.files import CONFIG
from rnn_tasks.runs.find import RunPlace, best_checkpoint, config_hash, read_config, read_stored_config
from rnn_tasks.spec import TaskSpec

CHECKPOINT_KEY = "rnn_tasks"
"""Where a checkpoint holds the task's sizes and the hash of the model section of config.yaml."""

NETWORKS: dict[str, type[Network]] = {
    "rnn_tasks.models.SequenceTagger": TaggerNetwork,
    "rnn_tasks.models.LanguageModel": LanguageNetwork,
}
"""The network of each model of the package, so that its module, which needs Lightning, is not imported."""

PARTS = ("core", "readout", "symbol_embedding", "condition_embedding")
"""The parts of a network."""


class TrainedWeights(NamedTuple):
    """What a run holds of its network.

    Attributes:
        section: The section ``model`` of config.yaml.
        spec: Sizes and strings of the task.
        weights: Of the model, by name.
        misfit: The message for weights that do not fit the section.
    """

    section: dict[str, Any]
    spec: TaskSpec
    weights: dict[str, Tensor]
    misfit: str


def current_names(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights of a model by their present names; in version 0.1.0 a model held the parts of its network itself.

    Args:
        state_dict: From a checkpoint.

    Example:
        >>> list(current_names({"network.core.weight_hh_l0": torch.zeros(1), "readout.bias": torch.zeros(1)}))
        ['network.core.weight_hh_l0', 'network.readout.bias']
    """
    return {
        f"network.{name}" if name.partition(".")[0] in PARTS else name: weight for name, weight in state_dict.items()
    }


def read_weights(place: RunPlace) -> TrainedWeights:
    """Read the config and the weights of a run, and check that they belong together.

    Args:
        place: The run; without a checkpoint its best one, or else its last one.

    Raises:
        UsageError: Something is missing, damaged, or does not belong together.
    """
    stored_section, section = read_stored_config(place.folder)["model"], read_config(place.folder)["model"]
    path = place.checkpoint or best_checkpoint(place.folder)
    checkpoint = read_checkpoint(path)
    stored = checkpoint.get(CHECKPOINT_KEY)
    if not isinstance(stored, dict) or "spec" not in stored:
        raise UsageError(f"{path} was not made by rnn_tasks")
    if stored.get("config") not in (config_hash(stored_section), config_hash(section)):
        raise UsageError(f"{path} does not belong to {place.folder / CONFIG}: the model section is another one")
    misfit = f"{path} does not fit the model of {place.folder / CONFIG}"
    try:
        spec, weights = TaskSpec.from_dict(stored["spec"]), current_names(checkpoint["state_dict"])
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise UsageError(misfit) from error
    return TrainedWeights(section, spec, weights, misfit)


def load_network(place: RunPlace) -> Network:
    """Build the network of a run and load its weights; classes come from config.yaml, never from the checkpoint.

    Args:
        place: The run; without a checkpoint its best one, or else its last one.

    Returns:
        The network, on the CPU, in evaluation mode.

    Raises:
        UsageError: Something is missing, damaged, or does not belong together.
    """
    section, spec, weights, misfit = read_weights(place)
    with refusing_misfits(place, misfit):
        network = build_network(section, spec)
        own = {name.removeprefix("network."): weights[name] for name in weights if name.startswith("network.")}
        network.load_state_dict(own)
    return network


@contextmanager
def refusing_misfits(place: RunPlace, misfit: str) -> Iterator[None]:
    """Turn the errors of a config and weights that do not fit one another into one line.

    Args:
        place: The run.
        misfit: The message for weights that do not fit.

    Raises:
        UsageError: Something inside the block does not fit.
    """
    try:
        yield
    except ArgumentError as error:
        raise UsageError(f"{place.folder / CONFIG}: {brief(str(error))}") from error
    except (KeyError, TypeError, AttributeError, IndexError, ValueError, RuntimeError) as error:
        raise UsageError(misfit) from error


def build_network(section: Mapping[str, Any], spec: TaskSpec, seed: int = 0) -> Network:
    """The network of a config section, with the weights that training may begin with.

    Args:
        section: The section ``model``.
        spec: Sizes and strings of the task.
        seed: Of the weights.

    Returns:
        The network, on the CPU, in evaluation mode.

    Raises:
        jsonargparse.ArgumentError: The section names a class that is not there, or a value that does not fit.
    """
    network_class = network_class_of(str(section.get("class_path")))
    parser = ArgumentParser(exit_on_error=False)
    added = parser.add_class_arguments(network_class, "network", skip={"spec"}, instantiate=False)
    options = {name.removeprefix("network.") for name in added}  # other options of the section are for its training
    chosen = {name: value for name, value in section.get("init_args", {}).items() if name in options}
    parsed = parser.instantiate(parser.parse_object({"network": chosen}))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = network_class(spec=spec, **parsed.network)
    return network.eval()


def network_class_of(model: str) -> type[Network]:
    """The class of a model's network.

    Args:
        model: Import path of the model's class.

    Raises:
        UsageError: There is no such model.
    """
    if model in NETWORKS:
        return NETWORKS[model]
    module, _, name = model.rpartition(".")
    try:
        found: type[Network] = getattr(import_module(module), name).network_class
    except (ImportError, ValueError, AttributeError) as error:
        raise UsageError(f"no such class: {model}, or it is no model of a network") from error
    return found
