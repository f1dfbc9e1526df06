"""Build the model of a run again, from its config.yaml and a checkpoint."""

from typing import Any

import torch
from jsonargparse import ArgumentError, ArgumentParser

from rnn_tasks.errors import UsageError, brief
from rnn_tasks.models.recurrent_model import CHECKPOINT_KEY, RecurrentModel
from rnn_tasks.runs.checkpoint_io import read_checkpoint
from rnn_tasks.runs.files import CONFIG
from rnn_tasks.runs.find import RunPlace, best_checkpoint, config_hash, read_config
from rnn_tasks.spec import TaskSpec


def load_model(place: RunPlace) -> RecurrentModel:
    """Build the model of a run and load its weights; classes come from config.yaml, never from the checkpoint.

    Args:
        place: The run; without a checkpoint its best one, or else its last one.

    Returns:
        The model, on the CPU, in evaluation mode.

    Raises:
        UsageError: Something is missing, damaged, or does not belong together.
    """
    section = read_config(place.folder)["model"]
    path = place.checkpoint or best_checkpoint(place.folder)
    checkpoint = read_checkpoint(path)
    stored = checkpoint.get(CHECKPOINT_KEY)
    if not isinstance(stored, dict) or "spec" not in stored:
        raise UsageError(f"{path} was not made by rnn_tasks")
    if stored.get("config") != config_hash(section):
        raise UsageError(f"{path} does not belong to {place.folder / CONFIG}: the model section is another one")
    try:
        model = build_model(section, TaskSpec.from_dict(stored["spec"]))
        model.load_state_dict(checkpoint["state_dict"])
    except ArgumentError as error:
        raise UsageError(f"{place.folder / CONFIG}: {brief(str(error))}") from error
    except (KeyError, TypeError, AttributeError, IndexError, ValueError, RuntimeError) as error:
        raise UsageError(f"{path} does not fit the model of {place.folder / CONFIG}") from error
    return model.eval()


def build_model(section: dict[str, Any], spec: TaskSpec, seed: int = 0) -> RecurrentModel:
    """The model of a config section, with the weights that training may begin with.

    Args:
        section: The section ``model``.
        spec: Sizes and strings of the task.
        seed: Of the weights.

    Returns:
        The model, on the CPU, in evaluation mode.

    Raises:
        jsonargparse.ArgumentError: The section names a class or an option that is not there.
    """
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(RecurrentModel, "model")
    init_args = {**section.get("init_args", {}), "spec": spec.to_dict()}
    built = parser.parse_object({"model": {**section, "init_args": init_args}})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model: RecurrentModel = parser.instantiate(built).model
    return model.eval()
