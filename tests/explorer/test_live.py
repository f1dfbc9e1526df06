from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from rnn_tasks.analysis.flow import hidden_states, state_trajectory
from rnn_tasks.cores import LRU, Core, Elman
from rnn_tasks.explorer.live import is_live, network_values, state_parts, unknown_class
from rnn_tasks.networks import Network, RegressorNetwork, TaggerNetwork
from rnn_tasks.spec import TaskSpec
from tests.helpers.explorer_runs import GENERATED_TASKS, LIVE_CORES, RECORDED_CORES, small_grammar, small_network

TASK = GENERATED_TASKS["variable_delay_echo"]
BATCH = next(iter(TASK.val_dataloader())).rows(0, 4).expanded()


class Faster(Elman):
    """A subclass, which may have other equations."""


class OtherNetwork(TaggerNetwork):
    """A network of a user, which may encode its inputs in another way."""


@pytest.mark.parametrize("core", LIVE_CORES.values(), ids=LIVE_CORES.keys())
def test_layers_of_the_package_are_live(core: Callable[[int], Core]) -> None:
    assert is_live(small_network(TASK, core))


@pytest.mark.parametrize("core", [*RECORDED_CORES.values(), partial(Faster, hidden_size=3)])
def test_other_layers_are_not_live(core: Callable[[int], Core]) -> None:
    network = small_network(TASK, core)
    assert unknown_class(network) == type(network.core).__name__


def test_network_of_another_class_is_not_live() -> None:
    assert unknown_class(OtherNetwork(LIVE_CORES["Elman"], TASK.spec)) == "OtherNetwork"
    modrelu = partial(Elman, hidden_size=4, activation="modrelu")
    assert unknown_class(TaggerNetwork(modrelu, TASK.spec)) == "Elman with modrelu"


@pytest.mark.parametrize(("real_inputs", "real_targets"), [(True, True), (True, False), (False, True)])
def test_networks_of_real_numbers_are_live(real_inputs: bool, real_targets: bool) -> None:
    spec = TaskSpec(3, 2, real_inputs=real_inputs, real_targets=real_targets)
    network = (RegressorNetwork if real_targets else TaggerNetwork)(LIVE_CORES["Elman"], spec)
    assert is_live(network)
    values = network_values(network)
    assert (values["real_inputs"], values["real_targets"]) == (real_inputs, real_targets)
    assert values["layer"]["input_size"] == 3


@pytest.mark.parametrize(
    ("core", "kind", "gates", "activation", "reset", "layers"),
    [
        ("RNN with relu and two layers", "elman", ["hidden"], "relu", "after", 2),
        ("Elman with sigmoid", "elman", ["hidden"], "sigmoid", "after", 1),
        ("Elman with matrix_exp and two layers", "elman", ["hidden"], "tanh", "after", 2),
        ("GRU with two layers", "gru", ["reset", "update", "new"], "tanh", "after", 2),
        ("ScratchGRU before", "gru", ["reset", "update", "new"], "tanh", "before", 1),
        ("ResetOnlyGRU", "gru", ["reset", "new"], "tanh", "before", 1),
        ("UpdateOnlyGRU", "gru", ["update", "new"], "tanh", "after", 2),
        ("LSTM with two layers", "lstm", ["input", "forget", "cell", "output"], "tanh", "after", 2),
        ("ScratchLSTM", "lstm", ["input", "forget", "cell", "output"], "tanh", "after", 1),
    ],
)
def test_network_values_describe_the_layer(
    core: str, kind: str, gates: list[str], activation: str, reset: str, layers: int
) -> None:
    assert network_values(small_network(TASK, LIVE_CORES[core]))["layer"] == {
        "kind": kind,
        "gates": gates,
        "activation": activation,
        "reset": reset,
        "num_layers": layers,
        "input_size": TASK.spec.input_size + TASK.spec.num_conditions,
        "hidden_size": 5,
    }


@pytest.mark.parametrize(
    ("core", "kind", "size", "options"),
    [
        ("MinGRU", "mingru", 5, {"positive": True}),
        ("LRU", "lru", 5, {"num_states": 3}),
        (
            "DeltaNet",
            "deltanet",
            6,
            {"heads": 2, "window": 3, "max_beta": 2.0, "decay": "learned", "delta": True, "products": 2},
        ),
    ],
)
def test_network_values_hold_the_options(core: str, kind: str, size: int, options: dict[str, Any]) -> None:
    layer = network_values(small_network(TASK, LIVE_CORES[core]))["layer"]
    inputs = TASK.spec.input_size + TASK.spec.num_conditions
    assert layer == {"kind": kind, "num_layers": 1, "input_size": inputs, "hidden_size": size, **options}


def test_network_values_describe_encoding_and_readout() -> None:
    def encoding(**options: Any) -> tuple[Any, ...]:
        values = network_values(small_network(TASK, **options))
        parts = ("condition_at_input", "conditional_readout")
        return (*(values[name] for name in parts), values["layer"]["input_size"])

    size, conditions = TASK.spec.input_size, TASK.spec.num_conditions
    assert encoding() == (True, False, size + conditions)
    assert encoding(condition_at="readout") == (False, True, size)
    assert encoding(condition_at="both", embedding_size=3) == (True, True, 6)
    values = network_values(small_network(small_grammar(), embedding_size=3))
    assert (values["condition_at_input"], values["conditional_readout"]) == (False, False)


def columns_of(network: Network) -> dict[str, Tensor]:
    """Return each part of the states of a network on some sequences, by name; each number must be in one part."""
    states = state_trajectory(network, BATCH)
    parts = state_parts(network)
    numbers = [part.start + part.step * i for part in parts for i in range(part.size)]
    assert sorted(numbers) == list(range(states.shape[-1]))
    return {part.name: states[..., part.start :: part.step][..., : part.size] for part in parts}


@pytest.mark.parametrize("core", LIVE_CORES.values(), ids=LIVE_CORES.keys())
def test_state_parts_follow_the_flat_state(core: Callable[[int], Core]) -> None:
    network = small_network(TASK, core)
    columns = columns_of(network)
    hidden = [name for name in columns if name.endswith("hidden")]
    if hidden:
        torch.testing.assert_close(columns[max(hidden)], hidden_states(network, BATCH))
    cells = [name for name in columns if name.endswith("cell")]
    assert cells == [name.replace("hidden", "cell") for name in hidden if "LSTM" in str(network.core)]


def test_state_parts_of_an_lru_are_real_and_imaginary() -> None:
    network = small_network(TASK, LIVE_CORES["LRU"])
    columns = columns_of(network)
    assert isinstance(network.core, LRU)
    pairs = torch.stack([columns[f"layer 1 state, {part} part"] for part in ("real", "imaginary")], -1).flatten(2)
    inputs = network.encode(BATCH.inputs, BATCH.condition)
    outputs = pairs @ network.core.weight_out.T + inputs @ network.core.skip.T
    torch.testing.assert_close(outputs, hidden_states(network, BATCH))


def test_state_parts_of_a_deltanet_are_matrices_and_inputs() -> None:
    network = small_network(TASK, LIVE_CORES["DeltaNet"])
    columns = columns_of(network)
    assert [(part.name, part.size, part.columns) for part in state_parts(network)] == [
        ("head 1 matrix", 9, 3),
        ("head 2 matrix", 9, 3),
        ("previous input", network.core.input_size, 1),
        ("input 2 steps earlier", network.core.input_size, 1),
    ]
    inputs = network.encode(BATCH.inputs, BATCH.condition)
    torch.testing.assert_close(columns["previous input"], inputs)
    torch.testing.assert_close(columns["input 2 steps earlier"][:, 1:], inputs[:, :-1])
