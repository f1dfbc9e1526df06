"""The engine of explorer pages, in Node."""

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rnn_tasks.analysis.snapshots import effective_weights
from rnn_tasks.explorer.live import network_values
from rnn_tasks.networks import Network
from tests.helpers.node import run_node

SCRIPT = f"require({json.dumps(str(Path(__file__).parents[1] / 'explorer' / 'run_engine.cjs'))})"
"""The script that calls functions of the engine."""


def numbers(tensor: Tensor) -> dict[str, Any]:
    """Return the numbers of a tensor as a typed array of the script."""
    return {"float64": tensor.flatten().tolist()}


def case(network: Network, *calls: tuple[Any, ...]) -> dict[str, Any]:
    """Return a case for the script: functions of the network with their arguments."""
    weights = {
        name: {"shape": list(weight.shape), "data": numbers(weight.detach())}
        for name, weight in effective_weights(network).items()
    }
    description = {**network_values(network), "num_inputs": network.spec.input_size}
    return {"description": description, "weights": weights, "calls": calls}


def engine(cases: dict[str, Any]) -> dict[str, Any]:
    """Return the results of all cases; fail if a call failed."""
    results: dict[str, Any] = run_node(SCRIPT, cases)
    for name, result in results.items():
        errors = [part["error"] for part in result if isinstance(part, dict) and "error" in part]
        assert not errors, f"{name}: {errors}"
    return results


def assert_equal(actual: Tensor, expected: Tensor, name: str, tolerance: float = 1e-12) -> None:
    """Check that two tensors are equal up to a tolerance; an error names the network."""
    torch.testing.assert_close(
        actual, expected.detach(), atol=tolerance, rtol=tolerance, msg=lambda text: f"{name}: {text}"
    )
