"""What an exported model says about itself: task, inputs, outputs, state, versions, and the result of its run."""

import shlex
from collections.abc import Mapping
from typing import Any

import torch

from rnn_tasks import __version__
from rnn_tasks.export.onnx_model import CONDITION, NEXT, SCORES, input_name
from rnn_tasks.export.step import Step
from rnn_tasks.spec import Codec, TaskSpec
from rnn_tasks.spec.vocabulary import UNKNOWN

FORMAT = 1
"""The version of the format."""


def metadata_of(step: Step, layer: str, config: Mapping[str, Any], summary: Mapping[str, Any]) -> dict[str, Any]:
    """Return the metadata of an exported network as plain values. In a shape, null is the batch.

    Args:
        step: The exported step.
        layer: The name of the layer, see :func:`rnn_tasks.networks.layer_name`.
        config: The contents of the run's config.yaml.
        summary: The contents of its summary.json; empty if it has none.
    """
    spec = step.network.spec
    data = config.get("data")
    task = data if isinstance(data, dict) else {}
    input_symbols, output_symbols = symbols_of(spec)
    return {
        "format": FORMAT,
        "task": {"class": task.get("class_path"), "options": task.get("init_args")},
        "layer": layer,
        "parameters": summary.get("parameters"),
        "verdict": summary.get("verdict"),
        "metrics": summary.get("metrics"),
        "versions": {
            **summary.get("versions", {}),
            "exported_by": f"rnn_tasks {__version__}, torch {torch.__version__}",
        },
        "inputs": inputs_of(step),
        "outputs": [
            {
                "name": SCORES,
                "shape": [None, spec.output_size],
                "type": "float32",
                "meaning": "real values" if spec.real_targets else "logits of the output symbols",
            }
        ],
        "state": [
            {"name": tensor.name, "next": NEXT + tensor.name, "shape": list(tensor.shape), "type": "float32"}
            for tensor in step.tensors
        ],
        "input_symbols": input_symbols,
        "output_symbols": output_symbols,
        "strings": None if spec.codec is None else strings_of(spec.codec),
        "prefix": None if spec.vocabulary is None else spec.vocabulary.prefix,
    }


def inputs_of(step: Step) -> list[dict[str, Any]]:
    """Return the inputs of a step besides its state."""
    spec = step.network.spec
    if spec.real_inputs:
        inputs: list[dict[str, Any]] = [
            {"name": input_name(step), "shape": [None, spec.input_size], "type": "float32", "meaning": "real features"}
        ]
    else:
        inputs = [
            {
                "name": input_name(step),
                "shape": [None],
                "type": "int64",
                "count": spec.input_size,
                "meaning": "an input symbol, 0 to count - 1",
            }
        ]
    if spec.num_conditions:
        inputs.append(
            {
                "name": CONDITION,
                "shape": [None],
                "type": "int64",
                "count": spec.num_conditions,
                "meaning": "the condition, such as the delay, 0 to count - 1, equal at all steps",
            }
        )
    return inputs


def symbols_of(spec: TaskSpec) -> tuple[list[str] | None, list[str] | None]:
    """Return the text of each input symbol and of each output symbol; None where the task has no characters."""
    if spec.vocabulary is not None:
        texts = [UNKNOWN, *spec.vocabulary.characters]
        return texts[: spec.input_size], texts[: spec.output_size]
    if spec.codec is not None:
        outputs = spec.codec.output_symbols or spec.codec.symbols
        return list(spec.codec.symbols[: spec.input_size]), list(outputs[: spec.output_size])
    return None, None


def strings_of(codec: Codec) -> dict[str, Any]:
    """Return how a string becomes inputs, and at which steps an answer is due, see :class:`rnn_tasks.spec.Codec`."""
    text, *delay = shlex.split(codec.example())
    names = ("letters", "answer_per_letter", "answer_at", "not_before", "min_delay", "max_delay", "conditional")
    return {
        **{name: getattr(codec, name) for name in names},
        "cue": [part._asdict() for part in codec.cue],
        "example": text,
        "example_delay": int(delay[-1]) if delay else codec.min_delay,
    }
