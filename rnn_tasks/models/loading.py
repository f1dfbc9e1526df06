"""Load the model of a run from its config.yaml and a checkpoint."""

from collections.abc import Mapping
from typing import Any

import torch
from jsonargparse import ArgumentParser

from rnn_tasks.models.recurrent_model import RecurrentModel
from rnn_tasks.runs.find import RunLocation
from rnn_tasks.runs.trained_network import mismatch_errors, read_weights
from rnn_tasks.spec import TaskSpec


def load_model(place: RunLocation) -> RecurrentModel:
    """Build the model of a run and load its weights; classes come from config.yaml, never from the checkpoint.

    Args:
        place: The run; if it names no checkpoint, the best checkpoint, or the last one if there is no best.

    Returns:
        The model, on the CPU, in evaluation mode.

    Raises:
        UsageError: The config or the checkpoint is missing or damaged, or they do not belong together.
    """
    section, spec, weights, mismatch = read_weights(place)
    with mismatch_errors(place, mismatch):
        model = build_model(section, spec)
        model.load_state_dict(weights)
    return model


def build_model(section: Mapping[str, Any], spec: TaskSpec, seed: int = 0) -> RecurrentModel:
    """Build the model of a config section, with random initial weights.

    Args:
        section: The section ``model`` of config.yaml.
        spec: Sizes of the task, and the conversion of its symbols to strings.
        seed: Seed of the weights.

    Returns:
        The model, on the CPU, in evaluation mode.

    Raises:
        jsonargparse.ArgumentError: The section names a class or an option that does not exist.
    """
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(RecurrentModel, "model")
    init_args = {**section.get("init_args", {}), "spec": spec.to_dict()}
    parsed = parser.parse_object({"model": {**section, "init_args": init_args}})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model: RecurrentModel = parser.instantiate(parsed).model
    return model.eval()
