"""Build the model of a run again, from its config.yaml and a checkpoint."""

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
        place: The run; without a checkpoint its best one, or else its last one.

    Returns:
        The model, on the CPU, in evaluation mode.

    Raises:
        UsageError: Something is missing, damaged, or does not belong together.
    """
    section, spec, weights, mismatch = read_weights(place)
    with mismatch_errors(place, mismatch):
        model = build_model(section, spec)
        model.load_state_dict(weights)
    return model


def build_model(section: Mapping[str, Any], spec: TaskSpec, seed: int = 0) -> RecurrentModel:
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
