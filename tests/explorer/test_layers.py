"""Tests that the page computes layers that are linear in their state as PyTorch does."""

import copy
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from rnn_tasks.analysis.flow import (
    encoded,
    flatten_state,
    gradient_by_lag,
    hidden_states,
    state_trajectory,
    unflatten_state,
)
from rnn_tasks.cores import LRU, Core, DeltaNet, MinGRU
from rnn_tasks.networks import Network, RegressorNetwork, TaggerNetwork
from rnn_tasks.spec import NOT_SCORED, Batch, TaskSpec
from tests.helpers.engine import assert_equal, case, engine

pytestmark = pytest.mark.slow

CORES: dict[str, Callable[[int], Core]] = {
    "MinGRU": partial(MinGRU, hidden_size=5),
    "MinGRU positive": partial(MinGRU, hidden_size=4, positive=True),
    "LRU": partial(LRU, hidden_size=5),
    "LRU with other sizes": partial(LRU, hidden_size=4, num_states=3, r_min=0.5, max_phase=1.0),
    "LRU with a diagonal skip": partial(LRU, hidden_size=8),
    "DeltaNet": partial(DeltaNet, hidden_size=6, heads=2),
    "DeltaNet with a window of 1": partial(DeltaNet, hidden_size=4, window=1, max_beta=2.0),
    "DeltaNet with decay and products": partial(
        DeltaNet, hidden_size=6, heads=2, window=3, decay="learned", products=2, max_beta=1.5
    ),
    "DeltaNet with fixed decay": partial(DeltaNet, hidden_size=6, heads=3, decay="fixed"),
    "linear attention": partial(DeltaNet, hidden_size=4, delta=False, products=2),
    "RetNet": partial(DeltaNet, hidden_size=6, heads=2, delta=False, decay="fixed", window=1),
    "DeltaNet without delta, with decay": partial(DeltaNet, hidden_size=4, delta=False, decay="learned"),
}
COUNT, TIME = 3, 6
SPEC = TaskSpec(5, 4, 3)
REAL_SPEC = TaskSpec(2, 2, real_inputs=True, real_targets=True)


def network_of(core: str, real: bool = False, **options: Any) -> Network:
    """Return a network in double precision with weights twice as large as the initial ones."""
    torch.manual_seed(1)
    network: Network
    if real:
        network = RegressorNetwork(CORES[core], REAL_SPEC)
    else:
        network = TaggerNetwork(CORES[core], SPEC, condition_at="both", **options)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(2)
    return network.double()


NETWORKS = {
    **{core: network_of(core) for core in CORES},
    **{f"{core}, embedded": network_of(core, embedding_size=3) for core in CORES},
    **{f"{core}, real": network_of(core, real=True) for core in CORES},
}


def batch_of(network: Network) -> Batch:
    generator = torch.Generator().manual_seed(2)
    targets = torch.full((COUNT, TIME), NOT_SCORED)
    if network.spec.real_inputs:
        inputs = torch.randn(COUNT, TIME, 2, generator=generator, dtype=torch.float64)
        return Batch(inputs, torch.zeros(COUNT, TIME, 2, dtype=torch.float64))
    inputs = torch.randint(5, (COUNT, TIME), generator=generator)
    return Batch(inputs, targets, condition=torch.arange(COUNT))


def sequences(batch: Batch) -> dict[str, Any]:
    """Return the argument of the engine's functions."""
    return {
        "inputs": batch.inputs.tolist(),
        "conditions": None if batch.condition is None else batch.condition.tolist(),
    }


def by_sequence(steps: list[list[float]], count: int = COUNT) -> Tensor:
    """Return a result of the engine as ``(batch, time, size)``."""
    return torch.tensor(steps, dtype=torch.float64).view(len(steps), count, -1).transpose(0, 1)


def test_run_equals_torch() -> None:
    call: dict[str, Any] = {"record": True}
    results = engine({name: case(net, ("run", sequences(batch_of(net)), call)) for name, net in NETWORKS.items()})
    for name, network in NETWORKS.items():
        batch, (result,) = batch_of(network), results[name]
        assert_equal(by_sequence(result["outputs"]), network(batch.inputs, batch.condition)[0], name)
        assert_equal(by_sequence(result["states"]), state_trajectory(network, batch), name)
        assert_equal(by_sequence(result["hidden"]), hidden_states(network, batch), name)


def sums(core: Core, name: str, features: Tensor) -> Tensor:
    """Return what a linear map of a layer makes of its inputs, ``(batch, time, rows)``."""
    layer = getattr(core, name)
    rows: list[Tensor] = []
    hook = layer.register_forward_hook(lambda module, inputs, result: rows.append(result.detach()))
    core(features)
    hook.remove()
    return rows[0]


def expected_gates(core: Core, features: Tensor) -> dict[str, Tensor]:
    """Return the gates of a layer along sequences, from the results of its linear maps."""
    if isinstance(core, MinGRU):
        update, new = nn.functional.linear(features, core.linear.weight, core.linear.bias).chunk(2, -1)
        if core.positive:
            new = torch.where(new >= 0, new + 0.5, new.sigmoid())
        return {"layer0/update": update.sigmoid(), "layer0/new": new}
    gates: dict[str, Tensor] = {}
    if isinstance(core, DeltaNet) and core.delta:
        betas = core.max_beta * sums(core, "beta", features).sigmoid()
        parts = torch.split(betas, core.heads, -1)
        names = ["beta"] if len(parts) == 1 else [f"beta{i + 1}" for i in range(len(parts))]
        gates |= {f"layer0/{name}": beta for name, beta in zip(names, parts, strict=True)}
    if isinstance(core, DeltaNet) and core.decay == "learned":
        growth = nn.functional.softplus(sums(core, "rate", features) + core.rate_bias)
        gates["layer0/decay"] = torch.exp(-core.log_rate.exp() * growth)
    if isinstance(core, DeltaNet):
        keys = torch.split(nn.functional.silu(sums(core, "key", features)), core.hidden_size, -1)
        for i, key in enumerate(keys):
            by_head = key.reshape(*key.shape[:-1], core.heads, -1)
            unit = by_head / torch.sqrt(by_head.square().sum(-1, keepdim=True) + 1e-6)
            gates["layer0/key" if len(keys) == 1 else f"layer0/key{i + 1}"] = unit.flatten(-2)
    return gates


def test_gates_equal_torch() -> None:
    networks = {core: NETWORKS[core] for core in CORES}
    call = {"record": True}
    cases = {name: case(net, ("run", sequences(batch_of(net)), call), ("gateSizes",)) for name, net in networks.items()}
    for name, (result, sizes) in engine(cases).items():
        network = networks[name]
        expected = expected_gates(network.core, encoded(network, batch_of(network)))
        assert sizes == {gate: values.shape[-1] for gate, values in expected.items()}
        assert list(result["gates"]) == list(expected)
        for gate, values in expected.items():
            assert_equal(by_sequence(result["gates"][gate]), values, f"{name}, {gate}")


def test_gradient_equals_autograd() -> None:
    step, target = TIME - 2, {True: [0.5, -1.0], False: 1}
    cases = {}
    for name, network in NETWORKS.items():
        first = batch_of(network).rows(0, 1)
        call: tuple[Any, ...] = ("gradient", sequences(first), {}, step, target[network.spec.real_targets])
        cases[name] = case(network, call)
    for name, (result,) in engine(cases).items():
        network, first = NETWORKS[name], batch_of(NETWORKS[name]).rows(0, 1)
        first = first._replace(inputs=first.inputs[:, : step + 1], targets=first.targets[:, : step + 1].clone())
        if network.spec.real_targets:
            first.targets[:] = torch.nan
        first.targets[:, step] = torch.tensor(target[network.spec.real_targets])
        by_lag = gradient_by_lag(network, first).flip(0)
        assert_equal(torch.tensor(result["states"], dtype=torch.float64), by_lag, name, 1e-11)
        features = network.encode(first.inputs, first.condition).detach().requires_grad_()
        outputs = network.read_out(network.core(features)[0], first.condition)[0, step]
        loss = nn.functional.mse_loss if network.spec.real_targets else nn.functional.cross_entropy
        torch.autograd.backward(loss(outputs, first.targets[0, step]))
        assert features.grad is not None
        own = network.spec.input_size if network.symbol_embedding is None else 3
        by_input = features.grad[0, :, :own]
        assert bool((by_input != 0).any())
        assert_equal(torch.tensor(result["inputs"], dtype=torch.float64), by_input.norm(dim=-1), name, 1e-11)


def reader(core: Core) -> Core:
    """Return a copy of a layer that does not change its state, but outputs what the layer reads from it."""
    core = copy.deepcopy(core)
    with torch.no_grad():
        match core:
            case MinGRU():
                core.linear.weight.zero_()
                core.linear.bias.copy_(torch.tensor([torch.inf, 0.0]).repeat_interleave(core.hidden_size))
            case LRU():
                core.weight_in.zero_()
                core.nu_log.fill_(-torch.inf)
                core.theta_log.fill_(-torch.inf)
            case DeltaNet():
                core.value.weight.zero_()
                core.max_beta, core.decay, core.rate = 0.0, None, None
    return core


def edited_run(network: Network, batch: Batch, edits: dict[str, Any]) -> tuple[Tensor, Tensor]:
    """Run a network step by step; hold numbers of the state and set it to 0; return outputs and states."""
    core, features = network.core, encoded(network, batch)
    before: Any = core(features[:, :1])[1]
    flat = torch.zeros_like(flatten_state(before, len(features)))
    flats, hidden = [], []
    for step in range(TIME):
        if step in edits.get("reset", []):
            flat = torch.zeros_like(flat)
        start = unflatten_state(flat, before)
        _, after = core(features[:, step : step + 1], start)
        flat = flatten_state(after, len(features))
        for number, value in edits.get("units", {}).items():
            flat[:, int(number)] = value
        matrix = unflatten_state(flat, before)
        if isinstance(core, DeltaNet):  # it reads its matrix by a query from the inputs before this step
            matrix = (matrix[0], start[1])
        hidden.append(reader(core)(features[:, step : step + 1], matrix)[0])
        flats.append(flat)
    return network.read_out(torch.cat(hidden, 1), batch.condition), torch.stack(flats, 1)


@torch.no_grad()
def test_run_equals_torch_with_edits_of_the_state() -> None:
    networks = {core: NETWORKS[core] for core in CORES}
    edits, cases = {}, {}
    for name, network in networks.items():
        size = state_trajectory(network, batch_of(network)).shape[-1]
        edits[name] = {"units": {"1": 0.3, str(size - 2): 0}, "reset": [2, 4]}
        cases[name] = case(network, ("run", sequences(batch_of(network)), {"edits": edits[name]}))
    for name, (result,) in engine(cases).items():
        network = networks[name]
        outputs, states = edited_run(network, batch_of(network), edits[name])
        assert_equal(by_sequence(result["outputs"]), outputs, name)
        assert_equal(by_sequence(result["states"]), states, name)


@torch.no_grad()
def test_noise_is_added_to_each_number_of_the_state() -> None:
    network = copy.deepcopy(NETWORKS["DeltaNet"])
    for parameter in network.core.parameters():
        parameter.zero_()  # so that only the inputs that the state keeps are not noise
    edits = {"noise": {"level": 0.1, "seed": 3}, "reset": list(range(TIME))}
    call: tuple[Any, ...] = ("run", sequences(batch_of(network)), {"edits": edits})
    (result,) = engine({"": case(network, call)})[""]
    noise = by_sequence(result["states"]) - state_trajectory(network, batch_of(network))
    assert len(torch.unique(noise)) == noise.numel()
    assert float(noise.std()) == pytest.approx(0.1, rel=0.15)


@torch.no_grad()
def test_run_equals_torch_with_held_gates() -> None:
    values = {"layer0/update": 0.3, "layer0/new": -0.4, "layer0/beta": 0.2, "layer0/beta2": 0.7, "layer0/decay": 0.6}
    networks, cases = {}, {}
    for name in ("MinGRU", "DeltaNet", "DeltaNet with decay and products"):
        network, batch = NETWORKS[name], batch_of(NETWORKS[name])
        for gate in expected_gates(network.core, encoded(network, batch)):
            if gate in values:
                networks[f"{name}; {gate}"] = network
                edits = [{"gates": {gate: values[gate]}}, {"gates": {f"{gate}/1": values[gate]}}]
                cases[f"{name}; {gate}"] = case(
                    network, *(("run", sequences(batch), {"edits": edit}) for edit in edits)
                )
    assert len(cases) == 5
    for key, results in engine(cases).items():
        network, gate = networks[key], key.partition("; ")[2]
        batch = batch_of(network)
        number = torch.tensor(values[gate], dtype=torch.float64)
        for units, result in zip((slice(None), slice(1, 2)), results, strict=True):
            changed = with_held_gate(network, gate, number, units)
            outputs = changed(batch.inputs, batch.condition)[0]
            assert_equal(by_sequence(result["outputs"]), outputs, key)
            assert_equal(by_sequence(result["states"]), state_trajectory(changed, batch), key)
            assert not torch.allclose(outputs, network(batch.inputs, batch.condition)[0])


def with_held_gate(network: Network, gate: str, value: Tensor, units: slice) -> Network:
    """Return a copy of a network in which some units of a gate have a fixed value."""
    network = copy.deepcopy(network)
    core = network.core
    if isinstance(core, MinGRU):
        first = 0 if gate == "layer0/update" else core.hidden_size
        rows = range(first, first + core.hidden_size)[units]
        core.linear.weight[rows] = 0
        core.linear.bias[rows] = value.logit() if first == 0 else value
        return network
    assert isinstance(core, DeltaNet)
    if gate == "layer0/decay":
        assert core.rate is not None
        replace_results(
            core.rate, units, (-value.log() / core.log_rate[units].exp()).expm1().log() - core.rate_bias[units]
        )
        return network
    assert core.beta is not None
    first = core.heads if gate == "layer0/beta2" else 0
    rows = range(first, first + core.heads)[units]
    replace_results(core.beta, slice(rows.start, rows.stop), (value / core.max_beta).logit())
    return network


def replace_results(module: nn.Module, columns: slice, values: Tensor) -> None:
    """Replace some results of a linear map from now on."""

    def replaced(module: nn.Module, inputs: Any, result: Tensor) -> Tensor:
        result = result.clone()
        result[..., columns] = values
        return result

    module.register_forward_hook(replaced)


@torch.no_grad()
def test_diagonal_is_scaled() -> None:
    network = copy.deepcopy(NETWORKS["LRU"])
    batch, edits = batch_of(network), {"scale": {"diagonal": 0.7}}
    calls = [("run", sequences(batch), {"edits": edits}), ("matrix", "diagonal", edits), ("blocks",), ("squareBlocks",)]
    result, diagonal, blocks, square = engine({"": case(network, *calls)})[""]
    core = network.core
    assert isinstance(core, LRU)
    core.nu_log.copy_((core.nu_log.exp() - torch.tensor(0.7).log()).log())  # |lambda| = exp(-exp(nu))
    expected = torch.view_as_real(core.eigenvalues(torch.zeros(1))["diagonal"]).flatten()
    assert_equal(torch.tensor(diagonal, dtype=torch.float64), expected, "diagonal", 1e-7)
    assert_equal(by_sequence(result["outputs"]), network(batch.inputs, batch.condition)[0], "outputs", 1e-6)
    assert (blocks, square) == (["diagonal"], [])


def test_connections_of_a_diagonal_are_refused() -> None:
    network = NETWORKS["LRU"]
    edits = {"connections": {"diagonal": [[0, 1]]}}
    with pytest.raises(AssertionError, match="matrix must be one of"):
        engine({"": case(network, ("run", sequences(batch_of(network)), {"edits": edits}))})


def test_exchange_and_score_equal_torch() -> None:
    networks = {core: NETWORKS[core] for core in ("LRU", "DeltaNet with decay and products")}
    step, symbol, replacements = TIME - 1, 2, [0, 3, 1]
    targets = torch.randint(4, (COUNT, TIME), generator=torch.Generator().manual_seed(4))
    cases = {}
    for name, network in networks.items():
        batch = batch_of(network)
        data = {
            "inputs": batch.inputs.flatten().tolist(),
            "targets": targets.flatten().tolist(),
            "memory": torch.ones(COUNT * TIME).int().tolist(),
            "conditions": list(range(COUNT)),
            "time": TIME,
        }
        exchange: tuple[Any, ...] = ("exchange", sequences(batch.rows(0, 1)), {}, step, symbol, replacements)
        cases[name] = case(network, exchange, ("score", data, {}, 0, COUNT))
    for name, (exchanged, score) in engine(cases).items():
        network, batch = networks[name], batch_of(networks[name])
        outputs = network(batch.inputs, batch.condition)[0].detach()
        losses = nn.functional.cross_entropy(outputs.mT, targets, reduction="sum")
        assert score["loss"] == pytest.approx(float(losses), rel=1e-12)
        assert score["right"] == int((outputs.argmax(-1) == targets).sum())
        for time, changes in enumerate(exchanged["changes"]):
            inputs = batch.inputs[:1].repeat(len(replacements), 1)
            inputs[:, time] = torch.tensor(replacements)
            after = network(inputs, batch.condition[:1].expand(len(replacements)))[0].detach()  # type: ignore[index]
            change = -after[:, step].log_softmax(-1)[:, symbol] + outputs[0, step].log_softmax(-1)[symbol]
            assert_equal(torch.tensor(changes, dtype=torch.float64), change, f"{name}, {time}")
