from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import Tensor

from rnn_tasks.analysis.look_ahead import first_look_ahead
from rnn_tasks.cli.shipped import CONFIGS
from rnn_tasks.cores import Core, Elman
from rnn_tasks.errors import UsageError
from rnn_tasks.profile.layer import check_layer
from rnn_tasks.runs.trained_network import build_network
from rnn_tasks.tasks import TemporalOrder
from tests.helpers.command_line import RnnTasks
from tests.helpers.layers import CORES

OVERLAYS = sorted(path.stem for path in CONFIGS.glob("models/*.yaml"))

MY_LAYER = """
import torch
from rnn_tasks.cores import Elman
from torch import nn

class LooksAhead(Elman):
    def forward(self, inputs, state=None):
        outputs, state = super().forward(inputs, state)
        return torch.cat([outputs[:, 20:], outputs[:, :20]], 1), state

class Raises(Elman):
    def __init__(self, input_size: int, hidden_size: int = 8):
        raise RuntimeError("no such table")

class Bidirectional(nn.Module):
    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.gru = nn.GRU(input_size, hidden_size // 2, bidirectional=True, batch_first=True)

    def forward(self, inputs, state=None):
        return self.gru(inputs, state)
"""


class NoBackward(Elman):
    def forward(self, inputs: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        outputs, state = super().forward(inputs, state)
        if outputs.requires_grad:
            outputs.register_hook(lambda gradient: 1 / 0)  # type: ignore[no-untyped-call]
        return outputs, state


class WrongShape(Elman):
    def forward(self, inputs: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        outputs, state = super().forward(inputs, state)
        return outputs[:, -1], state


class NotItsState(Elman):
    def forward(self, inputs: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        if state is not None:
            raise TypeError("no state expected")
        return super().forward(inputs)


class NoPair(Elman):
    def forward(self, inputs: Tensor, state: Any = None) -> Any:
        return super().forward(inputs, state)[0]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_no_overlay_looks_ahead(overlay: str) -> None:
    core = yaml.safe_load((CONFIGS / "models" / f"{overlay}.yaml").read_text())["model"]["init_args"]["core"]
    core = {**core, "init_args": {**core.get("init_args", {}), "hidden_size": 8}}
    section = {"class_path": "rnn_tasks.models.SequenceTagger", "init_args": {"core": core}}
    layer = build_network(section, TemporalOrder().spec).core
    assert first_look_ahead(layer, layer.input_size, time_steps=8) is None


@pytest.mark.parametrize("name", ["GRU with two layers", "Elman", "foreign LSTM"])
def test_good_layer_passes_and_is_unchanged(name: str) -> None:
    layer = CORES[name](3)
    before = {key: value.clone() for key, value in layer.state_dict().items()}
    check_layer(layer, name)
    assert all(torch.equal(before[key], value) for key, value in layer.state_dict().items())
    assert all(parameter.grad is None for parameter in layer.parameters())


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (NoBackward, "mine cannot be trained: division by zero"),
        (WrongShape, r"mine must return outputs of shape \(3, 12, 4\) for such a batch, got \(3, 4\)"),
        (NotItsState, "mine cannot be trained: no state expected"),
        (NoPair, "mine cannot be trained: too many values to unpack"),
    ],
)
def test_wrong_layer_is_refused(layer: Callable[[int, int], Core], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        check_layer(layer(3, 4), "mine")


@pytest.mark.parametrize(
    ("core", "message"),
    [
        ("{class_path: my_layer.LooksAhead}", "looks ahead, so a profile would not show its memory: the output at"),
        ("{class_path: my_layer.Raises}", "my_layer.Raises cannot be built: no such table"),
        (
            "{class_path: Foreign, init_args: {layer: my_layer.Bidirectional}}",
            "my_layer.Bidirectional looks ahead: its output at step 3 changes by ",
        ),
        ("{class_path: Elman, init_args: {activatoin: relu}}", "did you mean 'activation'?"),
    ],
)
def test_profile_refuses_in_one_line(rnn_tasks: RnnTasks, core: str, message: str) -> None:
    Path("my_layer.py").write_text(MY_LAYER)
    Path("own.yaml").write_text(f"model: {{init_args: {{core: {core}}}}}")
    result = rnn_tasks("profile", "own.yaml")
    assert result.status == 2
    assert message in result.err
    assert result.err.count("\n") == 1
    assert not Path("lightning_logs").exists()
