"""Layers of torchrecurrent, as the overlays build them."""

import inspect
import sys
from collections.abc import Mapping
from typing import Any

import pytest
import torch
import torchrecurrent
import yaml
from torch import Tensor

from rnn_tasks.cli.shipped import CONFIGS
from rnn_tasks.cores import Foreign
from rnn_tasks.errors import UsageError
from tests.helpers.command_line import RnnTasks

OVERLAYS = ("janet", "mgu", "minimal_rnn")


def foreign(overlay: str) -> Foreign:
    """Return the layer of an overlay, with 3 inputs and 4 units, in double precision, with random biases."""
    core = yaml.safe_load((CONFIGS / f"models/{overlay}.yaml").read_text())["model"]["init_args"]["core"]["init_args"]
    layer: Any = getattr(torchrecurrent, core.pop("layer").removeprefix("torchrecurrent."))
    torch.manual_seed(0)
    result = Foreign(3, 4, layer, **core).double()
    for name, parameter in result.named_parameters():
        if "bias" in name:
            torch.nn.init.normal_(parameter)
    return result


def step(overlay: str, weights: Mapping[str, Tensor], inputs: Tensor, hidden: Tensor) -> Tensor:
    """Compute one step by the equations of the papers."""
    read = inputs @ weights["weight_ih"].T + weights["bias_ih"]
    kept = hidden @ weights["weight_hh"].T + weights["bias_hh"]
    if overlay == "mgu":
        forget = torch.sigmoid(read[:, :4] + kept[:, :4])
        recurrent = (forget * hidden) @ weights["weight_hh"][4:].T + weights["bias_hh"][4:]
        return (1 - forget) * hidden + forget * torch.tanh(read[:, 4:] + recurrent)
    if overlay == "janet":
        gate, new = (read + kept).chunk(2, 1)
        return torch.sigmoid(gate) * hidden + (1 - torch.sigmoid(gate - 1)) * torch.tanh(new)
    encoded = torch.tanh(read)
    update = torch.sigmoid(kept + encoded @ weights["weight_mm"].T)
    return update * hidden + (1 - update) * encoded


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_layer_of_torchrecurrent_equals_its_paper(overlay: str) -> None:
    core, inputs = foreign(overlay), torch.randn(2, 7, 3, dtype=torch.double)
    weights = {name.rpartition(".")[2]: weight for name, weight in core.named_parameters()}
    hidden, expected = torch.zeros(2, 4, dtype=torch.double), []
    for step_inputs in inputs.unbind(1):
        hidden = step(overlay, weights, step_inputs, hidden)
        expected.append(hidden)
    torch.testing.assert_close(core(inputs)[0], torch.stack(expected, 1), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(("overlay", "matrices"), [("janet", 2), ("mgu", 2), ("minimal_rnn", 1)])
def test_weights_of_torchrecurrent_are_found(overlay: str, matrices: int) -> None:
    core = foreign(overlay)
    assert [weight.shape for weight in core.recurrent_weights().values()] == matrices * [(4, 4)]
    assert [weight.shape for weight in core.input_weights()] == [(4 * matrices, 3)]


def test_two_layers_of_torchrecurrent_are_refused() -> None:
    """One cannot continue from its state, the other one needs as many inputs as units; all others can be trained."""
    refused = {}
    for name, layer in vars(torchrecurrent).items():
        if inspect.isclass(layer) and issubclass(layer, torch.nn.Module) and not name.endswith("Cell"):
            try:
                Foreign(3, 8, layer)
            except UsageError as error:
                refused[name] = str(error)
    assert refused.keys() == {"IntersectionRNN", "tauGRU"}
    assert "input_size == hidden_size" in refused["IntersectionRNN"]
    assert "does not continue from its state" in refused["tauGRU"]


def test_overlay_without_torchrecurrent_names_it(rnn_tasks: RnnTasks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchrecurrent", None)
    result = rnn_tasks("fit", "--config", "echo", "--config", "models/mgu")
    assert result.status == 2
    (line,) = result.err.splitlines()
    assert line.startswith("rnn-tasks: error: model.core: ")
    assert "torchrecurrent" in line
