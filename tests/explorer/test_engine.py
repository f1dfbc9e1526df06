"""Tests that the JavaScript engine computes what PyTorch computes."""

import base64
import copy
import math
import struct
from collections.abc import Callable, Iterable
from functools import cache, partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from rnn_tasks.analysis.flow import encoded, gradient_by_lag, hidden_states, state_trajectory
from rnn_tasks.analysis.gates import CANDIDATES, gate_activity
from rnn_tasks.cores import GRU, LSTM, RNN, Core, Elman, ResetOnlyGRU, ScratchGRU, ScratchLSTM, UpdateOnlyGRU
from rnn_tasks.models.scores import Scores
from rnn_tasks.networks import LanguageNetwork, Network, RegressorNetwork, SequenceNetwork, TaggerNetwork
from rnn_tasks.spec import NOT_SCORED, Batch, TaskSpec
from rnn_tasks.tasks import VariableDelayEcho
from tests.helpers.engine import SCRIPT, assert_equal, case, engine, numbers
from tests.helpers.node import run_node

TASK = VariableDelayEcho(max_delay=3, sequence_length=7, alphabet_size=4, batch_size=3)
SPEC = TASK.spec
BATCH = TASK.train_batch(0).expanded()
TIME = BATCH.inputs.shape[1]

Factory = Callable[..., Core]
Edits = dict[str, Any]

ELMANS: dict[str, Factory] = {
    "RNN": partial(RNN, hidden_size=5),
    "RNN relu, 2 layers": partial(RNN, hidden_size=6, num_layers=2, nonlinearity="relu"),
    "Elman": partial(Elman, hidden_size=6),
    "Elman relu, 3 layers": partial(Elman, hidden_size=5, activation="relu", num_layers=3),
    "Elman sigmoid": partial(Elman, hidden_size=5, activation="sigmoid"),
    "Elman identity, one bias": partial(Elman, hidden_size=4, activation="identity", single_bias=True),
}
GATED: dict[str, Factory] = {
    "GRU": partial(GRU, hidden_size=5),
    "GRU, 2 layers": partial(GRU, hidden_size=5, num_layers=2),
    "ScratchGRU after, one bias": partial(ScratchGRU, hidden_size=5, single_bias=True),
    "ScratchGRU after, 2 layers": partial(ScratchGRU, hidden_size=4, num_layers=2),
    "ScratchGRU before": partial(ScratchGRU, hidden_size=5, reset="before"),
    "ScratchGRU before, one bias, 2 layers": partial(
        ScratchGRU, hidden_size=5, reset="before", single_bias=True, num_layers=2
    ),
    "ResetOnlyGRU after": partial(ResetOnlyGRU, hidden_size=5),
    "ResetOnlyGRU before, one bias": partial(ResetOnlyGRU, hidden_size=5, reset="before", single_bias=True),
    "UpdateOnlyGRU": partial(UpdateOnlyGRU, hidden_size=5),
    "UpdateOnlyGRU, one bias, 2 layers": partial(UpdateOnlyGRU, hidden_size=5, single_bias=True, num_layers=2),
    "LSTM": partial(LSTM, hidden_size=5),
    "LSTM, 2 layers": partial(LSTM, hidden_size=4, num_layers=2),
    "ScratchLSTM, one bias": partial(ScratchLSTM, hidden_size=5, single_bias=True),
    "ScratchLSTM, 2 layers": partial(ScratchLSTM, hidden_size=4, num_layers=2),
}
ORTHOGONAL: dict[str, Factory] = {
    name: partial(Elman, hidden_size=6, orthogonal_map=name) for name in ("matrix_exp", "cayley", "householder")
}
CORES = {**ELMANS, **GATED, **ORTHOGONAL}

INPUTS: dict[str, Callable[[Factory], Network]] = {
    "one-hot, condition at input": lambda core: TaggerNetwork(core, SPEC),
    "embedded, condition at input": lambda core: TaggerNetwork(core, SPEC, embedding_size=3),
    "one-hot, condition at readout": lambda core: TaggerNetwork(core, SPEC, condition_at="readout"),
    "embedded, condition at readout": lambda core: TaggerNetwork(core, SPEC, embedding_size=3, condition_at="readout"),
    "one-hot, condition at both": lambda core: TaggerNetwork(core, SPEC, condition_at="both"),
    "embedded, condition at both": lambda core: TaggerNetwork(core, SPEC, embedding_size=3, condition_at="both"),
    "text, one-hot": lambda core: LanguageNetwork(core, TaskSpec(SPEC.input_size, 7)),
    "text, embedded": lambda core: LanguageNetwork(core, TaskSpec(SPEC.input_size, 7), embedding_size=3),
}


def network_of(core: str, inputs: str) -> Network:
    """Return a network in double precision with weights twice as large as torch's."""
    network = INPUTS[inputs](CORES[core]).double()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(2)
    return network


def all_networks() -> dict[str, Network]:
    """Return a network for each core and each kind of input."""
    return {f"{core}; {inputs}": network_of(core, inputs) for core in CORES for inputs in INPUTS}


def condition_of(network: Network, batch: Batch = BATCH) -> Tensor | None:
    return batch.condition if isinstance(network, TaggerNetwork) else None


def sequences(network: Network, batch: Batch = BATCH) -> dict[str, Any]:
    """Return the argument of the engine's functions."""
    condition = condition_of(network, batch)
    return {"inputs": batch.inputs.tolist(), "conditions": None if condition is None else condition.tolist()}


def by_sequence(steps: list[list[float]], batch: Batch = BATCH) -> Tensor:
    """Return a result of the engine as ``(batch, time, size)``."""
    return torch.tensor(steps, dtype=torch.float64).view(len(steps), len(batch.inputs), -1).transpose(0, 1)


def test_run_equals_torch() -> None:
    networks = all_networks()
    results = engine({name: case(net, ("run", sequences(net), {"record": True})) for name, net in networks.items()})
    for name, network in networks.items():
        batch, (result,) = BATCH._replace(condition=condition_of(network)), results[name]
        assert_equal(by_sequence(result["outputs"]), network(batch.inputs, batch.condition)[0], name)
        assert_equal(by_sequence(result["states"]), state_trajectory(network, batch), name)
        assert_equal(by_sequence(result["hidden"]), hidden_states(network, batch), name)
        gates = gate_activity(network, batch)
        assert list(result["gates"]) == list(gates)
        for gate, values in gates.items():
            assert_equal(by_sequence(result["gates"][gate]), values, f"{name}, {gate}")


def test_run_continues_from_a_state() -> None:
    networks = {name: network_of(name, "one-hot, condition at both") for name in ("GRU, 2 layers", "LSTM, 2 layers")}
    edits = {"noise": {"level": 0.3, "seed": 5}, "reset": [5]}
    whole = engine({name: case(net, ("run", sequences(net), {"edits": edits})) for name, net in networks.items()})
    cases = {}
    for name, network in networks.items():
        start = {"step": 3, "state": {"float64": whole[name][0]["states"][2]}}
        rest = sequences(network, BATCH._replace(inputs=BATCH.inputs[:, 3:]))
        cases[name] = case(network, ("run", rest, {"edits": edits, "start": start}))
    for name, (result,) in engine(cases).items():
        assert result["states"] == whole[name][0]["states"][3:]
        assert result["outputs"] == whole[name][0]["outputs"][3:]


def edited_weights(network: Network, edits: Edits) -> Network:
    """Return a copy of a network whose weights have the effect of the edits of gates and matrices."""
    network = copy.deepcopy(network)
    with torch.no_grad():
        for block, scale in edits.get("scale", {}).items():
            network.core.recurrent_weights()[block] *= scale
        for block, connections in edits.get("connections", {}).items():
            for i, j in connections:
                network.core.recurrent_weights()[block][i, j] = 0
        for key, value in sorted(edits.get("gates", {}).items(), key=lambda item: item[0].count("/")):
            hold_gate(network.core, *key.split("/"), value=value)
    return network


def hold_gate(core: Any, layer: str, gate: str, unit: str | None = None, *, value: float) -> None:
    """Set the weights of a gate, or of one unit of the gate, to 0 and the bias so that the gate has the value."""
    start = core.gates.index(gate) * core.hidden_size
    rows = slice(start, start + core.hidden_size) if unit is None else slice(start + int(unit), start + int(unit) + 1)
    number = torch.tensor(value, dtype=torch.float64)
    for name, parameter in core.named_parameters():
        if name.endswith(layer.replace("layer", "_l")):
            parameter[rows] = 0
            if name.startswith("bias_ih"):
                parameter[rows] = number.atanh() if gate in CANDIDATES else number.logit()


def single_layers(factory: Factory, core: Any) -> list[Core]:
    """Return each layer of a stacked layer as a layer of its own."""
    if core.num_layers == 1:
        return [core]
    layers = []
    for index in range(core.num_layers):
        layer = factory(core.hidden_size if index else core.input_size, num_layers=1).double()
        suffix = f"_l{index}"
        own = {key.replace(suffix, "_l0"): value for key, value in core.state_dict().items() if key.endswith(suffix)}
        layer.load_state_dict(own)
        layers.append(layer)
    return layers


@cache
def noise(seed: int, sequence: int, step: int, number: int) -> float:
    from sklearn.utils import murmurhash3_32  # takes two seconds to import

    words = [struct.pack("<4i", sequence, step, number, draw) for draw in (0, 1)]
    radius, angle = ((murmurhash3_32(word, seed, positive=True) + 0.5) / 2**32 for word in words)
    return math.sqrt(-2 * math.log(radius)) * math.cos(2 * math.pi * angle)


def edited_state(part: Tensor, step: int, first: int, edits: Edits) -> Tensor:
    """Return a part of the state ``(batch, hidden)``, which starts at a number of the flat state, after the edits."""
    if "noise" in edits:
        level, seed = edits["noise"]["level"], edits["noise"]["seed"]
        part = part + torch.tensor(
            [[level * noise(seed, b, step, first + i) for i in range(part.shape[1])] for b in range(len(part))],
            dtype=part.dtype,
        )
    for unit, value in edits.get("units", {}).items():
        own = torch.arange(first, first + part.shape[1]) == int(unit)
        part = torch.where(own, torch.tensor(value, dtype=part.dtype), part)
    return part


def edited_run(
    core: str, network: Network, features: Tensor, condition: Tensor | None, edits: Edits
) -> tuple[Tensor, Tensor, list[list[Tensor]]]:
    """Run a network with edits, step by step and layer by layer.

    Args:
        core: The name of the core in ``CORES``.
        network: The network without edits.
        features: The inputs of the core, ``(batch, time, features)``.
        condition: The condition of each sequence.
        edits: The edits, as for the engine.

    Returns:
        Logits ``(batch, time, outputs)``, flat states ``(batch, time, state_size)``, and for each step a list of zeros
        that were added to the parts of the state: the gradient with respect to them is that of the state.
    """
    network = edited_weights(network, edits)
    layers, size = single_layers(CORES[core], network.core), network.core.hidden_size
    states: list[Any] = [None] * len(layers)
    flats, outputs, all_zeros = [], [], []
    for step, below in enumerate(features.unbind(1)):
        if step in edits.get("reset", []):
            states = [None] * len(layers)
        flat: dict[int, Tensor] = {}
        zeros: list[Tensor] = []
        for index, layer in enumerate(layers):
            _, after = layer(below[:, None], states[index])
            parts = list(after) if isinstance(after, tuple) else [after]
            for number, part in enumerate(parts):
                first = (number * len(layers) + index) * size
                flat[first] = edited_state(part[0], step, first, edits)
                zeros.append(torch.zeros_like(flat[first], requires_grad=True))
                parts[number] = (flat[first] + zeros[-1])[None]
            below = flat[index * size]
            states[index] = tuple(parts) if isinstance(after, tuple) else parts[0]
        flats.append(torch.cat([flat[first] for first in sorted(flat)], 1))
        outputs.append(states[-1][0] if isinstance(states[-1], Tensor) else states[-1][0][0])
        all_zeros.append(zeros)
    logits = network.read_out(torch.stack(outputs, 1), condition)
    return logits, torch.stack(flats, 1), all_zeros


def all_edits(network: Network) -> dict[str, Edits]:
    """Return edits of each kind for a network, by name."""
    core: Any = network.core
    blocks = list(core.recurrent_weights())
    state_size = state_trajectory(network, BATCH._replace(condition=condition_of(network))).shape[-1]
    gates = list(gate_activity(network, BATCH._replace(condition=condition_of(network))))
    edits: dict[str, Edits] = {
        "unit": {"units": {"1": 0, str(state_size - 2): -0.4}},
        "connection": {"connections": {block: [[0, 1], [2, 2]] for block in blocks}},
        "scale": {"scale": {blocks[-1]: 0.7}},
        "scale and connection": {"scale": {blocks[0]: -1.5}, "connections": {blocks[0]: [[1, 0]]}},
        "noise": {"noise": {"level": 0.2, "seed": 7}},
        "reset": {"reset": [2, 5]},
        **{f"{gate} of all units": {"gates": {gate: 0.3}} for gate in gates},
        **{f"{gate} of one unit": {"gates": {f"{gate}/2": 0}} for gate in gates},
        **{
            f"{gate} of all units and of one": {"gates": {f"{gate}/1": -0.5, gate: 0.5}}
            for gate in gates
            if "new" in gate
        },
    }
    edits["all at once"] = {
        "units": {"1": 0.1, str(state_size - 1): 0.2},
        "gates": {gates[0]: 1, f"{gates[-1]}/0": 0.25} if gates else {},
        "connections": {blocks[0]: [[0, 0], [3, 1]]},
        "scale": {blocks[-1]: 0.9},
        "noise": {"level": 0.05, "seed": 3},
        "reset": [4],
    }
    return edits


EDITED = (
    "Elman",
    "RNN relu, 2 layers",
    "GRU, 2 layers",
    "ScratchGRU before, one bias, 2 layers",
    "ResetOnlyGRU after",
    "ResetOnlyGRU before, one bias",
    "UpdateOnlyGRU, one bias, 2 layers",
    "LSTM, 2 layers",
    "ScratchLSTM, one bias",
)
"""Names of cores whose edits are tested."""


def some_networks(cores: Iterable[str] = CORES) -> dict[str, tuple[str, Network]]:
    """Return the name of the core and the network for each core; each network has another kind of input."""
    kinds = list(INPUTS)
    return {
        f"{core}; {kinds[i % len(kinds)]}": (core, network_of(core, kinds[i % len(kinds)]))
        for i, core in enumerate(cores)
    }


def test_run_equals_torch_with_edits() -> None:
    networks = some_networks(EDITED)
    edits = {name: all_edits(network) for name, (_, network) in networks.items()}
    cases = {
        name: case(net, *(("run", sequences(net), {"edits": edit}) for edit in edits[name].values()))
        for name, (_, net) in networks.items()
    }
    results = engine(cases)
    for name, (core, network) in networks.items():
        batch = BATCH._replace(condition=condition_of(network))
        features = encoded(network, batch)
        for (kind, edit), result in zip(edits[name].items(), results[name], strict=True):
            logits, states, _ = edited_run(core, network, features, batch.condition, edit)
            assert_equal(by_sequence(result["outputs"]), logits, f"{name}, {kind}")
            assert_equal(by_sequence(result["states"]), states, f"{name}, {kind}")
            change = states.detach() - state_trajectory(network, batch)
            assert float(change.abs().max()) > 1e-3, f"{name}, {kind} has no effect"


def first_sequence(network: Network, time: int = TIME) -> Batch:
    condition = condition_of(network)
    return Batch(
        BATCH.inputs[:1, :time], BATCH.targets[:1, :time], condition=None if condition is None else condition[:1]
    )


def loss_of(logits: Tensor, step: int, symbol: int) -> Tensor:
    """Return ``-log softmax(logits)[symbol]`` of each sequence at a step."""
    losses: Tensor = -logits[:, step].log_softmax(-1)[:, symbol]
    return losses


def check_gradients(networks: dict[str, Network], step: int = TIME - 2, symbol: int = 2) -> None:
    """Compare loss and gradients of networks with :func:`gradient_by_lag`."""
    results = engine(
        {
            name: case(network, ("gradient", sequences(network, first_sequence(network)), {}, step, symbol))
            for name, network in networks.items()
        }
    )
    for name, network in networks.items():
        batch, (result,) = first_sequence(network), results[name]
        targets = torch.full_like(batch.targets, NOT_SCORED)
        targets[:, step] = symbol
        norms = gradient_by_lag(network, batch._replace(targets=targets)).flip(0)
        assert_equal(torch.tensor(result["states"], dtype=torch.float64), norms, name, 1e-11)
        logits = network(batch.inputs, batch.condition)[0]
        assert result["loss"] == pytest.approx(float(loss_of(logits, step, symbol).detach()), rel=1e-12)


def test_gradient_equals_gradient_by_lag() -> None:
    check_gradients({name: network for name, (_, network) in some_networks().items()})


def test_engine_equals_torch_after_training() -> None:
    networks = {}
    for name, (core, _) in some_networks().items():
        network = INPUTS[name.partition("; ")[2]](CORES[core])
        optimizer = torch.optim.Adam(network.parameters(), lr=0.1)
        for step in range(10):
            batch = TASK.train_batch(step).expanded()
            logits = network(batch.inputs, batch.condition)[0].flatten(0, 1)
            optimizer.zero_grad()
            functional.cross_entropy(logits, batch.targets.flatten(), ignore_index=NOT_SCORED).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        networks[name] = network.double()
    results = engine({name: case(net, ("run", sequences(net), {})) for name, net in networks.items()})
    for name, network in networks.items():
        logits = network(BATCH.inputs, condition_of(network))[0].detach()
        assert float(logits.abs().max()) > 1
        assert_equal(by_sequence(results[name][0]["outputs"]), logits, name)
    check_gradients(networks)


def features_of(network: Network, symbols: Tensor, condition: Tensor | None) -> Tensor:
    """Return the inputs of the core for encoded symbols ``(batch, time, features)``, differentiable by the symbols."""
    batch = Batch(torch.zeros(symbols.shape[:2], dtype=torch.long), torch.zeros(0), condition=condition)
    condition_features = encoded(network, batch)[..., symbols.shape[-1] :]
    return torch.cat([symbols, condition_features], -1)


def gradient_norm(parts: list[Tensor]) -> Tensor:
    """Return the L2 norm of the gradient by parts of a state; 0 if the loss does not depend on them, after a reset."""
    gradients = [torch.zeros_like(part) if part.grad is None else part.grad for part in parts]
    norm: Tensor = torch.cat(gradients).norm()
    return norm


def test_gradient_equals_autograd_with_edits() -> None:
    networks, step, symbol = some_networks(EDITED), TIME - 2, 1
    edits = {name: {"none": {}, **all_edits(network)} for name, (_, network) in networks.items()}
    cases = {
        name: case(
            net,
            *(
                ("gradient", sequences(net, first_sequence(net)), {"edits": edit}, step, symbol)
                for edit in edits[name].values()
            ),
        )
        for name, (_, net) in networks.items()
    }
    results = engine(cases)
    for name, (core, network) in networks.items():
        batch = first_sequence(network)
        for (kind, edit), result in zip(edits[name].items(), results[name], strict=True):
            indicators = functional.one_hot(batch.inputs, SPEC.input_size).double().requires_grad_()
            embedding = network.symbol_embedding
            symbols = (indicators if embedding is None else indicators @ embedding.weight).clone()
            symbols.retain_grad()
            features = features_of(network, symbols, batch.condition)
            logits, _, zeros = edited_run(core, network, features, batch.condition, edit)
            loss = loss_of(logits, step, symbol).sum()
            loss.backward()  # type: ignore[no-untyped-call]
            assert result["loss"] == pytest.approx(float(loss.detach()), rel=1e-12)
            assert indicators.grad is not None
            assert symbols.grad is not None
            expected = {
                "states": torch.stack([gradient_norm(parts) for parts in zeros[: step + 1]]),
                "values": indicators.grad[0, : step + 1],
                "inputs": symbols.grad[0, : step + 1].norm(dim=-1),
            }
            for key, value in expected.items():
                actual = torch.tensor(result[key], dtype=torch.float64)
                assert_equal(actual, value, f"{name}, {kind}, {key}", 1e-11)


def test_exchange_equals_torch() -> None:
    networks, step, symbol, replacements = some_networks(), TIME - 2, 2, [0, 3, 1]
    cases = {
        name: case(net, ("exchange", sequences(net, first_sequence(net)), {}, step, symbol, replacements))
        for name, (_, net) in networks.items()
    }
    results = engine(cases)
    for name, (_, network) in networks.items():
        batch, (result,) = first_sequence(network), results[name]
        logits = network(batch.inputs, batch.condition)[0]
        original = loss_of(logits, step, symbol)
        changes = []
        for time in range(step + 1):
            inputs = batch.inputs.repeat(len(replacements), 1)
            inputs[:, time] = torch.tensor(replacements)
            condition = None if batch.condition is None else batch.condition.expand(len(replacements))
            changes.append(loss_of(network(inputs, condition)[0], step, symbol) - original)
        actual = torch.tensor(result["changes"], dtype=torch.float64)
        assert_equal(actual, torch.stack(changes), name)
        assert result["loss"] == pytest.approx(original.item(), rel=1e-12)
        same = batch.inputs[0, : step + 1, None] == torch.tensor(replacements)
        assert bool((actual[same] == 0).all())
        assert bool(same.any())


@pytest.mark.parametrize("core", ["Elman", "GRU, 2 layers", "LSTM, 2 layers"])
def test_exchange_equals_torch_with_edits(core: str) -> None:
    network, step, symbol, replacements = network_of(core, "one-hot, condition at both"), 5, 2, [3, 1]
    edit, batch = all_edits(network)["all at once"], first_sequence(network)

    def loss(inputs: Tensor) -> Tensor:
        features = encoded(network, batch._replace(inputs=inputs))
        logits, _, _ = edited_run(core, network, features, batch.condition, edit)
        return loss_of(logits, step, symbol)[0].detach()

    call = ("exchange", sequences(network, batch), {"edits": edit}, step, symbol, replacements)
    (result,) = engine({core: case(network, call)})[core]
    for time, changes in enumerate(result["changes"]):
        for replacement, change in zip(replacements, changes, strict=True):
            inputs = batch.inputs.clone()
            inputs[0, time] = replacement
            assert change == pytest.approx(float(loss(inputs) - loss(batch.inputs)), abs=1e-12)


def test_exchange_returns_the_changes_of_some_steps() -> None:
    network = network_of("GRU", "one-hot, condition at input")
    call: tuple[Any, ...] = ("exchange", sequences(network, first_sequence(network)), {}, 5, 1, [0, 2])
    whole, part = engine({"": case(network, call, (*call, 2, 4))})[""]
    assert len(whole["changes"]) == 6
    assert part == {"loss": whole["loss"], "changes": whole["changes"][2:4]}


def test_score_equals_the_scores_of_a_model() -> None:
    networks = some_networks(EDITED)
    targets = BATCH.targets.clone()
    targets[1, 3] = NOT_SCORED
    memory = torch.rand(targets.shape, generator=torch.Generator().manual_seed(2)) < 0.7
    edits: dict[str, list[Edits]] = {
        name: [{}, all_edits(network)["all at once"]] for name, (_, network) in networks.items()
    }
    count = len(targets)
    cases = {}
    for name, (_, network) in networks.items():
        condition = condition_of(network)
        data = {
            "inputs": BATCH.inputs.flatten().tolist(),
            "targets": targets.flatten().tolist(),
            "memory": memory.int().flatten().tolist(),
            "conditions": None if condition is None else condition.tolist(),
            "time": TIME,
        }
        parts = [(0, 2), (2, count)]
        cases[name] = case(
            network, *(("score", data, {"edits": edit}, *part) for edit in edits[name] for part in parts)
        )
    results = engine(cases)
    for name, (core, network) in networks.items():
        batch = BATCH._replace(condition=condition_of(network), targets=targets, memory=memory)
        for index, edit in enumerate(edits[name]):
            logits, _, _ = edited_run(core, network, encoded(network, batch), batch.condition, edit)
            loss = functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="sum")
            answers = logits.argmax(-1)
            scores = Scores()
            scores.update(loss, answers, batch)
            parts = results[name][2 * index : 2 * index + 2]
            total = {key: parts[0][key] + parts[1][key] for key in parts[0]}
            assert total["loss"] == pytest.approx(float(loss.detach()), rel=1e-12)
            expected = scores.compute()
            assert total["scored"] == int(scores.scored)
            assert total["answers"] == expected["memory_steps"]
            assert total["right"] / total["answers"] == pytest.approx(expected["accuracy"])
            wrong = ((answers != targets) & memory & batch.scored).nonzero().tolist()
            assert sorted(total["wrong"]) == [[b, time, int(answers[b, time])] for b, time in wrong]


REAL: dict[str, tuple[bool, bool]] = {
    "features, real values": (True, True),
    "features, symbols": (True, False),
    "symbols, real values": (False, True),
}
"""By name: whether inputs are real features, and whether targets are real values."""


def real_network(core: str, real_inputs: bool, real_targets: bool, conditions: int = 0) -> SequenceNetwork:
    """Return a network of 3 features or symbols and 2 outputs in double precision."""
    spec = TaskSpec(3, 2, conditions, real_inputs=real_inputs, real_targets=real_targets)
    kind = RegressorNetwork if real_targets else TaggerNetwork
    network = kind(CORES[core], spec, condition_at="both").double()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(2)
    return network


def real_batch(network: SequenceNetwork, count: int = 4, time: int = 6) -> Batch:
    """Return sequences in which some steps are not scored."""
    spec, generator = network.spec, torch.Generator().manual_seed(3)
    inputs = torch.randint(3, (count, time), generator=generator)
    targets = torch.randint(2, (count, time), generator=generator)
    scored = torch.rand(count, time, generator=generator) < 0.7
    condition = torch.arange(count) % spec.num_conditions if spec.num_conditions else None
    if spec.real_inputs:
        inputs = torch.randn(count, time, 3, generator=generator, dtype=torch.float64)
    if spec.real_targets:
        targets = torch.randn(count, time, 2, generator=generator, dtype=torch.float64)
        targets = targets.masked_fill(~scored[..., None], math.nan)
    else:
        targets = targets.masked_fill(~scored, NOT_SCORED)
    return Batch(inputs, targets, condition=condition)


def real_networks(conditions: int = 0) -> dict[str, tuple[str, SequenceNetwork]]:
    """Return the name of the core and a network for some cores, and each kind of inputs and targets."""
    return {f"{core}; {kind}": (core, real_network(core, *REAL[kind], conditions)) for core in EDITED for kind in REAL}


def real_sequences(batch: Batch) -> dict[str, Any]:
    """Return the argument of the engine's functions."""
    condition = None if batch.condition is None else batch.condition.tolist()
    return {"inputs": batch.inputs.tolist(), "conditions": condition}


def real_loss(network: Network, outputs: Tensor, targets: Tensor) -> Tensor:
    """Return the loss of outputs ``(..., outputs)``: cross-entropy in nats, or the mean squared error."""
    if network.spec.real_targets:
        return (outputs - targets).square().mean(-1)
    losses: Tensor = -outputs.log_softmax(-1).gather(-1, targets[..., None])[..., 0]
    return losses


@pytest.mark.parametrize("conditions", [0, 2])
def test_run_equals_torch_for_real_values(conditions: int) -> None:
    networks = real_networks(conditions)
    edits = {name: [{}, real_edits(network)] for name, (core, network) in networks.items()}
    cases = {}
    for name, (_, network) in networks.items():
        calls = [("run", real_sequences(real_batch(network)), {"edits": edit}) for edit in edits[name]]
        cases[name] = case(network, *calls)
    results = engine(cases)
    for name, (core, network) in networks.items():
        batch = real_batch(network)
        plain, edited = results[name]
        assert_equal(by_sequence(plain["outputs"], batch), network(batch.inputs, batch.condition)[0], name)
        assert_equal(by_sequence(plain["states"], batch), state_trajectory(network, batch), name)
        outputs, states, _ = edited_run(core, network, encoded(network, batch), batch.condition, edits[name][1])
        assert_equal(by_sequence(edited["outputs"], batch), outputs, name)
        assert_equal(by_sequence(edited["states"], batch), states, name)


def real_edits(network: SequenceNetwork) -> Edits:
    """Return edits of several kinds at once."""
    block = next(iter(network.core.recurrent_weights()))
    return {"units": {"1": 0.1}, "scale": {block: 0.8}, "noise": {"level": 0.05, "seed": 3}, "reset": [2]}


def test_gradient_equals_autograd_for_real_values() -> None:
    networks, step = real_networks(2), 4
    targets: dict[bool, Any] = {True: [0.5, -1.0], False: 1}
    cases, edits = {}, {}
    for name, (_, network) in networks.items():
        edits[name] = real_edits(network)
        target = targets[network.spec.real_targets]
        sequence = real_sequences(real_batch(network).rows(1, 2))
        cases[name] = case(network, ("gradient", sequence, {"edits": edits[name]}, step, target))
    for name, (result,) in engine(cases).items():
        core, network = networks[name]
        batch = real_batch(network).rows(1, 2)
        features = encoded(network, batch).detach().requires_grad_()
        outputs, _, zeros = edited_run(core, network, features, batch.condition, edits[name])
        loss = real_loss(network, outputs[0, step], torch.tensor(targets[network.spec.real_targets]))
        loss.backward()  # type: ignore[no-untyped-call]
        assert features.grad is not None
        by_input = features.grad[0, : step + 1, :3]
        assert result["loss"] == pytest.approx(loss.item(), rel=1e-12)
        expected = {
            "states": torch.stack([gradient_norm(parts) for parts in zeros[: step + 1]]),
            "values": by_input,
            "inputs": by_input.norm(dim=-1),
        }
        for key, value in expected.items():
            assert_equal(torch.tensor(result[key], dtype=torch.float64), value, f"{name}, {key}", 1e-11)
        assert float(by_input.abs().max()) > 1e-4 or core.startswith("RNN relu")  # all units may be 0


def test_exchange_equals_torch_for_real_values() -> None:
    networks, step = real_networks(), 4
    targets: dict[bool, Any] = {True: [0.5, -1.0], False: 1}
    replacements: dict[bool, list[Any]] = {True: [[0.0, 1.0, -1.0], [2.0, 0.0, 0.5]], False: [0, 2]}
    cases = {}
    for name, (_, network) in networks.items():
        others, target = replacements[network.spec.real_inputs], targets[network.spec.real_targets]
        call: tuple[Any, ...] = ("exchange", real_sequences(real_batch(network).rows(1, 2)), {}, step, target, others)
        cases[name] = case(network, call)
    for name, (result,) in engine(cases).items():
        _, network = networks[name]
        batch, target = real_batch(network).rows(1, 2), torch.tensor(targets[network.spec.real_targets])
        before = real_loss(network, network(batch.inputs)[0][0, step], target)
        for time, changes in enumerate(result["changes"]):
            for other, change in zip(replacements[network.spec.real_inputs], changes, strict=True):
                inputs = batch.inputs.clone()
                inputs[0, time] = torch.tensor(other)
                after = real_loss(network, network(inputs)[0][0, step], target)
                assert change == pytest.approx((after - before).item(), abs=1e-12)
        assert len(result["changes"]) == step + 1


def test_score_equals_torch_for_real_values() -> None:
    networks, cases = real_networks(), {}
    for name, (_, network) in networks.items():
        batch = real_batch(network)
        data = {
            "inputs": numbers(batch.inputs),
            "targets": {"float64": ["NaN" if value != value else value for value in batch.targets.flatten().tolist()]},
            "memory": batch.scored.flatten().int().tolist(),
            "time": batch.targets.shape[1],
        }
        cases[name] = case(network, ("score", data, {}, 0, 4))
    for name, (result,) in engine(cases).items():
        _, network = networks[name]
        batch = real_batch(network)
        outputs = network(batch.inputs)[0][batch.scored]
        loss = real_loss(network, outputs, batch.targets[batch.scored]).sum()
        assert result["loss"] == pytest.approx(loss.item(), rel=1e-12)
        assert result["scored"] == int(batch.scored.sum())
        if network.spec.real_targets:
            assert (result["answers"], result["right"], result["wrong"]) == (0, 0, [])
        else:
            assert result["right"] == int((outputs.argmax(-1) == batch.targets[batch.scored]).sum())


def test_matrix_has_the_edits() -> None:
    network = network_of("ScratchGRU after, 2 layers", "text, one-hot")
    edits = {"scale": {"weight_hh_l1/update": 0.5}, "connections": {"weight_hh_l1/update": [[1, 3]]}}
    expected = edited_weights(network, edits).core.recurrent_weights()
    calls = [("matrix", block, edits) for block in expected]
    results = engine({"": case(network, ("blocks",), *calls)})[""]
    assert results[0] == list(expected)
    for result, matrix in zip(results[1:], expected.values(), strict=True):
        assert_equal(torch.tensor(result, dtype=torch.float64), matrix.flatten(), "matrix")


def test_sizes_equal_those_of_the_network() -> None:
    network = network_of("LSTM, 2 layers", "embedded, condition at input")
    names = ("stateSize", "outputSize", "hiddenSize", "numLayers", "numInputs", "gateSizes")
    gates = {name: 4 for name in gate_activity(network, BATCH)}
    sizes = [16, SPEC.output_size, 4, 2, SPEC.input_size, gates]
    assert engine({"": case(network, *((name,) for name in names))})[""] == sizes


def test_noise_has_a_normal_distribution() -> None:
    from scipy.stats import kstest

    network = network_of("Elman", "text, one-hot")
    with torch.no_grad():
        for parameter in network.core.parameters():
            parameter.zero_()  # so that the state is the noise
    inputs = {"inputs": torch.zeros(20, 50, dtype=torch.long).tolist()}
    edits = [{"noise": {"level": 0.5, "seed": seed}} for seed in (1, 1, 2)]
    results = engine({"": case(network, *(("run", inputs, {"edits": edit}) for edit in edits))})[""]
    first, again, other = (np.array(result["states"]) for result in results)
    assert np.array_equal(first, again)
    assert kstest(first.ravel() / 0.5, "norm").pvalue > 0.01
    neighbours = [np.corrcoef(first[1:].ravel(), first[:-1].ravel()), np.corrcoef(first.ravel(), other.ravel())]
    rows = first.reshape(50, 20, 6)
    neighbours.append(np.corrcoef(rows[:, 1:].ravel(), rows[:, :-1].ravel()))
    neighbours.append(np.corrcoef(rows[..., 1:].ravel(), rows[..., :-1].ravel()))
    assert max(abs(matrix[0, 1]) for matrix in neighbours) < 4 / math.sqrt(first.size)


def test_wrong_values_are_refused() -> None:
    network = network_of("GRU", "one-hot, condition at both")
    data = {"inputs": [[0, 1]], "conditions": [0]}
    edits = [{"gates": {"layer1/update": 0}}, {"units": {"5": 0}}, {"scale": {"weight_hh_l0": 2}}]
    calls: list[tuple[Any, ...]] = [
        ("run", {"inputs": [[0, 7]], "conditions": [0]}),
        ("run", {"inputs": [[0, 1]]}),
        ("run", {"inputs": [[0, 1]], "conditions": [4]}),
        *(("run", data, {"edits": edit}) for edit in edits),
        ("run", data),
    ]
    *failed, good = run_node(SCRIPT, {"": case(network, *calls)})[""]
    assert "outputs" in good
    gates = "layer0/reset, layer0/update, layer0/new"
    assert [result["error"] for result in failed] == [
        f"symbol must be in 0..{SPEC.input_size - 1}, got 7",
        "this network needs the condition of each sequence",
        "condition must be in 0..3, got 4",
        f"gate must be one of {gates}; got layer1/update",
        "number of the state must be in 0..4, got 5",
        "matrix must be one of weight_hh_l0/reset, weight_hh_l0/update, weight_hh_l0/new; got weight_hh_l0",
    ]


def test_decode_returns_the_numbers() -> None:
    values = np.array([[0, 1, 200], [3, 4, 5]])
    cases: dict[str, Any] = {}
    for dtype in ("uint8", "uint16", "int16", "int32", "float32"):
        cases[dtype] = values.astype(np.dtype(dtype).newbyteorder("<")) / (7 if dtype == "float32" else 1)
        cases[dtype] = cases[dtype].astype(np.dtype(dtype).newbyteorder("<"))
    cases["scaled16"] = (-values).astype("<i2")
    calls = {
        dtype: {
            "dtype": dtype,
            "shape": [2, 3],
            "data": base64.b64encode(array.tobytes()).decode(),
            **({"scale": 0.1} if dtype == "scaled16" else {}),
        }
        for dtype, array in cases.items()
    }
    (result,) = engine({"": {"calls": [("decodeAll", calls)]}})[""]
    for dtype, array in cases.items():
        expected = array.astype(float) * (0.1 if dtype == "scaled16" else 1)
        assert result[dtype] == {"shape": [2, 3], "data": expected.ravel().tolist()}


def test_softmax_equals_torch() -> None:
    logits = torch.tensor([3.0, -800.0, 2.5, 900.0, 899.0, 5.0], dtype=torch.float64)
    (result,) = engine({"": {"calls": [("softmax", numbers(logits), 2, 3)]}})[""]
    assert_equal(torch.tensor(result, dtype=torch.float64), logits[2:5].softmax(0), "softmax")
