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
    optimizer = {"class_path": "torch.optim.Adam"}
    layer = {"class_path": f"rnn_tasks.cores.{core}", "init_args": {"hidden_size": 3, **options}}
    return {
        "class_path": "rnn_tasks.models.SequenceTagger",
        "init_args": {"core": layer, "optimizer": optimizer},
    }


@pytest.mark.parametrize(
    ("core", "most"),
    [("Elman", 20_001), ("GRU", 500), ("LSTM", 500), ("ScratchGRU", 700)],
)
def test_the_size_is_the_largest_that_fits(core: str, most: int) -> None:
    size = hidden_size_within(section(core), SPEC, most)
    assert parameters_with(section(core), SPEC, size) <= most < parameters_with(section(core), SPEC, size + 1)


def test_an_elman_network_has_as_many_parameters_as_its_equations_say() -> None:
    inputs, outputs, hidden = SPEC.input_size, SPEC.output_size, 7
    wanted = hidden * (inputs + hidden + 2) + outputs * (hidden + 1)
    assert parameters_with(section("Elman"), SPEC, hidden) == wanted


@pytest.mark.parametrize(("most", "said"), [(0, "at least 1"), (20, "even one hidden unit")])
def test_a_budget_that_nothing_fits_is_refused(most: int, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        hidden_size_within(section("GRU"), SPEC, most)


def test_a_layer_without_a_size_is_refused() -> None:
    model = section("GRU")
    del model["init_args"]["core"]["init_args"]["hidden_size"]
    with pytest.raises(UsageError, match="hidden_size"):
        hidden_size_within(model, SPEC, 1000)


def test_a_run_with_a_budget_is_the_run_with_that_size(rnn_tasks: RnnTasks) -> None:
    few = [option for option in SMALL if "hidden_size" not in option]
    common = ("fit", "--config", "echo", "--config", "models/gru", *few)
    assert rnn_tasks(*common, "--max_parameters", "1500").status == 0
    config = yaml.safe_load(Path("lightning_logs/echo/version_0/config.yaml").read_text())
    size = config["model"]["init_args"]["core"]["init_args"]["hidden_size"]
    assert config["max_parameters"] is None
    assert rnn_tasks(*common, "--model.core.hidden_size", str(size)).status == 0
    one, other = (
        torch.load(f"lightning_logs/echo/version_{number}/checkpoints/last.ckpt", weights_only=True)["state_dict"]
        for number in range(2)
    )
    assert sum(weight.numel() for weight in one.values()) <= 1500
    for name, weight in one.items():
        torch.testing.assert_close(weight, other[name], rtol=0, atol=0)
