from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from rnn_tasks.cli.max_parameters import hidden_size_within, parameters_with
from rnn_tasks.errors import UsageError
from rnn_tasks.tasks import Echo
from tests.helpers.command_line import SMALL, RnnTasks

SPEC = Echo(delay=2).spec


def section(core: str, **options: Any) -> dict[str, Any]:
    """Return the model section of a config with this layer."""
    optimizer = {"class_path": "torch.optim.Adam"}
    layer = {"class_path": f"rnn_tasks.cores.{core}", "init_args": {"hidden_size": 3, **options}}
    return {
        "class_path": "rnn_tasks.models.SequenceTagger",
        "init_args": {"core": layer, "optimizer": optimizer},
    }


@pytest.mark.parametrize(
    ("core", "max_parameters"),
    [("Elman", 20_001), ("GRU", 500), ("LSTM", 500), ("ScratchGRU", 700)],
)
def test_hidden_size_within_returns_the_largest_size(core: str, max_parameters: int) -> None:
    size = hidden_size_within(section(core), SPEC, max_parameters)
    assert parameters_with(section(core), SPEC, size) <= max_parameters < parameters_with(section(core), SPEC, size + 1)


def test_hidden_size_is_a_multiple_of_the_heads() -> None:
    layer = section("DeltaNet", heads=4)
    size = hidden_size_within(layer, SPEC, 20_000)
    assert size % 4 == 0
    assert parameters_with(layer, SPEC, size) <= 20_000 < parameters_with(layer, SPEC, size + 4)


def test_parameters_with_counts_all_weights_of_elman() -> None:
    inputs, outputs, hidden = SPEC.input_size, SPEC.output_size, 7
    expected = hidden * (inputs + hidden + 2) + outputs * (hidden + 1)
    assert parameters_with(section("Elman"), SPEC, hidden) == expected


@pytest.mark.parametrize(("max_parameters", "message"), [(0, "between 1 and"), (20, "at least [0-9,]+ for this layer")])
def test_hidden_size_within_rejects_a_too_small_maximum(max_parameters: int, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        hidden_size_within(section("GRU"), SPEC, max_parameters)


def test_hidden_size_within_rejects_a_layer_without_hidden_size() -> None:
    model = section("GRU")
    del model["init_args"]["core"]["init_args"]["hidden_size"]
    with pytest.raises(UsageError, match="hidden_size"):
        hidden_size_within(model, SPEC, 1000)


def test_max_parameters_trains_like_the_chosen_hidden_size(rnn_tasks: RnnTasks) -> None:
    few = [option for option in SMALL if "hidden_size" not in option]
    common = ("fit", "--config", "echo", "--config", "models/gru", *few)
    assert rnn_tasks(*common, "--max_parameters", "1500").status == 0
    config = yaml.safe_load(Path("lightning_logs/echo/version_0/config.yaml").read_text())
    size = config["model"]["init_args"]["core"]["init_args"]["hidden_size"]
    assert config["max_parameters"] is None
    assert rnn_tasks(*common, "--model.core.hidden_size", str(size)).status == 0
    weights, expected = (
        torch.load(f"lightning_logs/echo/version_{number}/checkpoints/last.ckpt", weights_only=True)["state_dict"]
        for number in range(2)
    )
    assert sum(weight.numel() for weight in weights.values()) <= 1500
    for name, weight in weights.items():
        torch.testing.assert_close(weight, expected[name], rtol=0, atol=0)
