"""Building the network of a run from its config.yaml and a checkpoint, without Lightning."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from typing import Any, NamedTuple

import torch
from jsonargparse import ArgumentError, ArgumentParser
from torch import Tensor, nn

from rnn_tasks.errors import UsageError, brief, require
from rnn_tasks.networks import LanguageNetwork, Network, RegressorNetwork, TaggerNetwork
from rnn_tasks.runs.checkpoints import read_checkpoint
from rnn_tasks.runs.files import CONFIG
from rnn_tasks.runs.find import RunLocation, best_checkpoint, config_hash, read_config, read_stored_config
from rnn_tasks.runs.trust import require_known_classes
from rnn_tasks.spec import TaskSpec

CHECKPOINT_KEY = "rnn_tasks"
"""The key of a checkpoint under which the task's sizes and the hash of the model section are stored."""

NETWORKS: dict[str, type[Network]] = {
    "rnn_tasks.models.SequenceTagger": TaggerNetwork,
    "rnn_tasks.models.SequenceRegressor": RegressorNetwork,
    "rnn_tasks.models.LanguageModel": LanguageNetwork,
}
"""The network class of each model of the package: the modules of the models would import Lightning."""

PARTS = ("core", "readout", "symbol_embedding", "condition_embedding")
"""The parts of a network."""


class TrainedWeights(NamedTuple):
    """The stored network of a run.

    Attributes:
        section: The section ``model`` of config.yaml.
        spec: The sizes and strings of the task.
        weights: The weights of the model by name.
        mismatch: The error message if the weights do not fit the section.
    """

    section: dict[str, Any]
    spec: TaskSpec
    weights: dict[str, Tensor]
    mismatch: str


def current_names(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights of a model by their current names; in version 0.1.0 names had no prefix ``network.``.

    Args:
        state_dict: The weights of a checkpoint.

    Example:
        >>> list(current_names({"network.core.weight_hh_l0": torch.zeros(1), "readout.bias": torch.zeros(1)}))
        ['network.core.weight_hh_l0', 'network.readout.bias']
    """
    return {
        f"network.{name}" if name.partition(".")[0] in PARTS else name: weight for name, weight in state_dict.items()
    }


def read_weights(location: RunLocation) -> TrainedWeights:
    """Read the config and the weights of a run, and check that they belong together.

    Args:
        location: The run; if no checkpoint is given, its best, or else its last one.

    Raises:
        UsageError: A file is missing or damaged, or the checkpoint does not belong to the config.
    """
    stored_section, section = read_stored_config(location.folder)["model"], read_config(location.folder)["model"]
    path = location.checkpoint or best_checkpoint(location.folder)
    checkpoint = read_checkpoint(path)
    stored = checkpoint.get(CHECKPOINT_KEY)
    if not isinstance(stored, dict) or "spec" not in stored:
        raise UsageError(f"{path} is not a checkpoint of rnn_tasks")
    if stored.get("config") not in (config_hash(stored_section), config_hash(section)):
        raise UsageError(f"{path} does not belong to {location.folder / CONFIG}: their model sections differ")
    mismatch = f"{path} does not fit the model of {location.folder / CONFIG}"
    try:
        spec, weights = TaskSpec.from_dict(stored["spec"]), current_names(checkpoint["state_dict"])
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise UsageError(mismatch) from error
    require(is_valid_spec(spec), f"{mismatch}: the sizes and strings of its task are damaged")
    return TrainedWeights(section, spec, weights, mismatch)


def is_valid_spec(spec: TaskSpec) -> bool:
    """Return whether all values of a spec have the right types and fit each other.

    Args:
        spec: The spec, read from a file.
    """
    sizes = (spec.input_size, spec.output_size, spec.num_conditions)
    if not all(type(size) is int and size >= least for size, least in zip(sizes, (1, 1, 0), strict=True)):
        return False
    if not all(type(flag) is bool for flag in (spec.real_inputs, spec.real_targets)):
        return False
    if spec.blank is not None and not (type(spec.blank) is int and 0 <= spec.blank < spec.input_size):
        return False
    vocabulary = spec.vocabulary
    if vocabulary is not None and not (
        isinstance(vocabulary.characters, str)
        and isinstance(vocabulary.prefix, str)
        and spec.output_size <= len(vocabulary) <= spec.input_size
    ):
        return False
    has_real_values = spec.real_inputs or spec.real_targets
    return spec.codec is None or (not has_real_values and spec.codec.fits(*sizes))


def load_network(location: RunLocation, trust: bool = False, must_be_finite: bool = True) -> Network:
    """Build the network of a run and load its weights; classes come from config.yaml, never from the checkpoint.

    Args:
        location: The run; if no checkpoint is given, its best, or else its last one.
        trust: Whether config.yaml may name classes of packages other than rnn_tasks, torch and lightning, and so may
            execute any code.
        must_be_finite: Whether to raise for a weight that is not finite, such as those of a diverged network.

    Returns:
        The network, on the CPU, in evaluation mode.

    Raises:
        UsageError: A file is missing or damaged, the checkpoint does not belong to the config, or the config names a
            class of another package and is not trusted.
    """
    section, spec, weights, mismatch = read_weights(location)
    if not trust:
        require_known_classes({"model": section}, location.folder)
    with mismatch_errors(location, mismatch):
        network = build_network(section, spec)
        parts = {name.removeprefix("network."): weights[name] for name in weights if name.startswith("network.")}
        load_weights(network, parts)
    if must_be_finite and not all(bool(weight.isfinite().all()) for weight in network.parameters()):
        raise UsageError(f"the weights of {location.checkpoint or best_checkpoint(location.folder)} are not finite")
    return network


def load_weights(module: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Load weights into a module, as its method ``load_state_dict``, which would ignore the imaginary part of weights.

    Args:
        module: The module.
        weights: The weights by name.

    Raises:
        RuntimeError: Names, shapes or types of the weights are not those of the module.
    """
    for name, expected in module.state_dict().items():
        weight = weights.get(name)
        if isinstance(weight, Tensor) and (weight.is_complex(), weight.is_floating_point()) != (
            expected.is_complex(),
            expected.is_floating_point(),
        ):
            raise RuntimeError(f"{name} has the type {weight.dtype} instead of {expected.dtype}")
    module.load_state_dict(weights)


@contextmanager
def mismatch_errors(location: RunLocation, mismatch: str) -> Iterator[None]:
    """Report a config and weights that do not fit each other as a usage error.

    Args:
        location: The run.
        mismatch: The error message if the weights do not fit.

    Raises:
        UsageError: The block raised an error of a wrong config or of wrong weights.
    """
    try:
        yield
    except ArgumentError as error:
        raise UsageError(f"{location.folder / CONFIG}: {brief(str(error))}") from error
    except (KeyError, TypeError, AttributeError, IndexError, ValueError, RuntimeError) as error:
        raise UsageError(mismatch) from error


def build_network(section: Mapping[str, Any], spec: TaskSpec, seed: int = 0) -> Network:
    """Build the network of a config section with initial weights.

    Args:
        section: The section ``model``.
        spec: The sizes and strings of the task.
        seed: Random seed of the weights.

    Returns:
        The network, on the CPU, in evaluation mode.

    Raises:
        jsonargparse.ArgumentError: The section has an unknown class or an invalid value.
    """
    network_class = network_class_of(str(section.get("class_path")))
    parser = ArgumentParser(exit_on_error=False)
    added = parser.add_class_arguments(network_class, "network", skip={"spec"}, instantiate=False)
    options = {name.removeprefix("network.") for name in added}  # the other options of the section are for training
    chosen = {name: value for name, value in section.get("init_args", {}).items() if name in options}
    parsed = parser.instantiate(parser.parse_object({"network": chosen}))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = network_class(spec=spec, **parsed.network)
    return network.eval()


def network_class_of(model: str) -> type[Network]:
    """Return the network class of a model.

    Args:
        model: The import path of the model class.

    Raises:
        UsageError: The model does not exist.
    """
    if model in NETWORKS:
        return NETWORKS[model]
    module, _, name = model.rpartition(".")
    try:
        network_class: type[Network] = getattr(import_module(module), name).network_class
    except (ImportError, ValueError, AttributeError) as error:
        raise UsageError(f"no such model class: {model}") from error
    return network_class
