"""Exported networks, run by ONNX Runtime."""

from typing import Any

import numpy as np
import onnxruntime
import torch
from torch import Tensor

from rnn_tasks.export.onnx_model import onnx_model
from rnn_tasks.export.step import Step
from rnn_tasks.networks import Network
from rnn_tasks.runs.trained_network import build_network
from tests.helpers.configs import class_named, compose, short_name


def perturbed_network(task: str, model: str, options: dict[str, Any] | None = None) -> Network:
    """Return the untrained network of a recipe with an overlay, with random numbers added to all parameters.

    Without the numbers, parameters that start at zero would have no effect.

    Args:
        task: The name of the recipe.
        model: The name of the overlay.
        options: Arguments of the layer that replace those of the overlay.
    """
    config = compose(task, model)
    data, section = config["data"], config["model"]
    section["class_path"] = f"rnn_tasks.models.{short_name(section)}"
    section["init_args"]["core"].setdefault("init_args", {}).update(options or {})
    network = build_network(section, class_named(short_name(data))(**data.get("init_args", {})).spec)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in network.parameters():
            scale = 0.02 if parameter.ndim < 2 else 0.03 / parameter.shape[-1] ** 0.5
            parameter.add_(scale * torch.randn(parameter.shape, generator=generator))
    return network


def step_by_step(model: bytes, step: Step, inputs: Tensor, condition: Tensor | None) -> Any:
    """Return the scores of an exported model, ``(batch, time, output_size)``, from a state of zeros.

    Args:
        model: The ONNX model.
        step: The step from which the model was made.
        inputs: ``(batch, time)`` or ``(batch, time, features)``.
        condition: ``(batch,)`` or None.
    """
    session = onnxruntime.InferenceSession(model)
    names = [value.name for value in session.get_inputs()]
    state = [tensor.zeros(len(inputs)).numpy() for tensor in step.tensors]
    scores = []
    for time in range(inputs.shape[1]):
        values = [inputs[:, time].numpy(), *([] if condition is None else [condition.numpy()]), *state]
        score, *state = session.run(None, dict(zip(names, values, strict=True)))
        scores.append(score)
    return np.stack(scores, 1)


def largest_difference(network: Network, same_network: Network, batch_size: int = 2, steps: int = 50) -> float:
    """Return the largest difference between the scores of a network and those of its export.

    Args:
        network: The network.
        same_network: The same network, which the export changes.
        batch_size: Number of sequences; not that of the export's example.
        steps: Number of time steps.
    """
    step = Step(same_network)
    inputs, condition = step.inputs(batch_size, steps, seed=1)
    with torch.no_grad():
        expected = network(inputs, condition)[0].numpy()
    scores = step_by_step(onnx_model(step, {}), step, inputs, condition)
    assert scores.shape == expected.shape
    assert np.isfinite(expected).all()
    return float(np.abs(scores - expected).max())
