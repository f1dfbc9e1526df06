"""Write the exported network of a run: model, metadata, and a short program that uses it."""

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

from rnn_tasks.export.metadata import metadata_of
from rnn_tasks.export.onnx_model import onnx_model
from rnn_tasks.export.step import Step
from rnn_tasks.networks import Network, layer_name
from rnn_tasks.report.json_values import plain
from rnn_tasks.runs.files import read_summary, require_writable, write_atomically
from rnn_tasks.runs.find import RunLocation, read_config
from rnn_tasks.runs.trained_network import load_network

MODEL, METADATA, EXAMPLE = "model.onnx", "metadata.json", "example.py"
"""The names of the files."""


def write_export(run: RunLocation, folder: Path, trust: bool = False) -> list[Path]:
    """Export the network of a run.

    Args:
        run: The run; if no checkpoint is given, its best, or else its last one.
        folder: The folder of the files, created if it does not exist.
        trust: Whether config.yaml may name classes of packages other than rnn_tasks and torch.

    Returns:
        The files.

    Raises:
        UsageError: The run is damaged or needs trust, a package is missing, or the layer cannot be exported.
        OSError: The folder cannot be written to.
    """
    network = load_network(run, trust)
    require_writable(folder)
    layer, example = layer_name(network.core), example_of(network)
    step = Step(network)
    metadata: Any = plain(metadata_of(step, layer, read_config(run.folder), read_summary(run.folder)))
    contents: dict[str, str | bytes] = {
        MODEL: onnx_model(step, {name: text_of(value) for name, value in metadata.items()}),
        METADATA: json.dumps(metadata, indent=2) + "\n",
        EXAMPLE: files("rnn_tasks.export").joinpath("examples", f"{example}.py").read_text(encoding="utf-8"),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        write_atomically(folder / name, content)
    return [folder / name for name in contents]


def example_of(network: Network) -> str:
    """Return the name of the example for a network, a file in the folder ``examples``."""
    if network.spec.vocabulary is not None:
        return "generate"
    return "scores" if network.spec.codec is None else "respond"


def text_of(value: Any) -> str:
    """Return a value of the metadata as the ONNX file holds it: a text as it is, others as JSON."""
    return value if isinstance(value, str) else json.dumps(value)
