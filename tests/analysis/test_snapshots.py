import pickle
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from rnn_tasks.analysis import gradient_by_time_step, hidden_states, saturation
from rnn_tasks.analysis.snapshots import (
    Snapshots,
    effective_weights,
    from_dict,
    has_bounds,
    joined,
    read_snapshots,
    selected,
    take_snapshot,
    to_dict,
    write_snapshots,
)
from rnn_tasks.cores import GRU, LEM, LMU, LRU, LSTM, RNN, Core, Elman, Foreign, IndRNN, MinGRU, ScratchGRU
from rnn_tasks.errors import UsageError
from rnn_tasks.networks import LanguageNetwork, Network, TaggerNetwork
from rnn_tasks.spec import Batch, TaskSpec
from rnn_tasks.spec.vocabulary import Vocabulary
from rnn_tasks.tasks import VariableDelayEcho

CORES: dict[str, Callable[[int], Core]] = {
    "Elman": partial(Elman, hidden_size=6),
    "orthogonal": partial(Elman, hidden_size=6, orthogonal_map="matrix_exp"),
    "RNN": partial(RNN, hidden_size=6, nonlinearity="relu"),
    "GRU": partial(GRU, hidden_size=6, num_layers=2, dropout=0.5),
    "LSTM": partial(LSTM, hidden_size=6),
    "ScratchGRU": partial(ScratchGRU, hidden_size=6),
    "Foreign": partial(Foreign, hidden_size=6, layer=nn.LSTM),
}
TASK = VariableDelayEcho(max_delay=3, sequence_length=7, alphabet_size=4, batch_size=3)
TEXT = Vocabulary("abc ", prefix="ab")


class StatelessLayer(nn.Module):
    """A layer without recurrent weights; its state is only a step count."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.linear = nn.Linear(input_size, hidden_size)

    def forward(self, inputs: Tensor, state: int | None = None) -> tuple[Tensor, int]:
        return self.linear(inputs), (state or 0) + inputs.shape[1]


def tagger(core: Callable[[int], Core] = CORES["Elman"]) -> TaggerNetwork:
    return TaggerNetwork(core, TASK.spec)


def language_network(core: Callable[[int], Core] = CORES["Elman"]) -> LanguageNetwork:
    spec = TaskSpec(5, 5, vocabulary=TEXT)
    return LanguageNetwork(core, spec, dropout=0.5, embedding_size=3)


def batch_for(network: Network) -> Batch:
    if isinstance(network, TaggerNetwork):
        return TASK.train_batch(0)
    symbols = torch.randint(5, (3, 8), generator=torch.Generator().manual_seed(0))
    return Batch(symbols[:, :-1], symbols[:, 1:])


def three_snapshots() -> Snapshots:
    """Return three snapshots of a text network whose weights grow."""
    torch.manual_seed(0)
    network = language_network()
    parts = []
    for step in (0, 5, 20):
        with torch.no_grad():
            for weight in network.parameters():
                weight.mul_(1.1)
        norms = {name: torch.tensor(float(step)) for name, _ in network.named_parameters()} if step else None
        parts.append(take_snapshot(network, batch_for(network), step, norms, sample_length=3))
    return joined(parts)


def assert_same(one: Snapshots, other: Snapshots) -> None:
    """Assert that all fields are equal, bit for bit."""
    assert vars(one).keys() == vars(other).keys()
    for name, value in vars(one).items():
        if isinstance(value, Tensor | dict):
            torch.testing.assert_close(vars(other)[name], value, rtol=0, atol=0, equal_nan=True)
        else:
            assert vars(other)[name] == value


# --- one snapshot -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [tagger, language_network])
@pytest.mark.parametrize("core", CORES)
def test_take_snapshot_equals_the_analysis_functions(make: Any, core: str) -> None:
    network = make(CORES[core])
    batch = batch_for(network)
    snapshot = take_snapshot(network, batch, 17, sample_length=4)
    first = batch.rows(0, 1)
    torch.testing.assert_close(snapshot.states, hidden_states(network, first))
    torch.testing.assert_close(snapshot.gradient_by_time_step, gradient_by_time_step(network, first).float()[None])
    for name, weight in network.core.recurrent_weights().items():
        expected = np.linalg.eigvals(weight.detach().double().numpy())
        result = snapshot.eigenvalues[name][0].numpy()
        assert np.sort(np.abs(result)) == pytest.approx(np.sort(np.abs(expected)), abs=1e-5)
    if core == "RNN":
        assert snapshot.saturation is None
    else:
        torch.testing.assert_close(snapshot.saturation, saturation(hidden_states(network, batch))[None])
    network.eval()
    with torch.no_grad():
        logits, _ = network(first.inputs, first.condition)
    torch.testing.assert_close(snapshot.predictions, logits.softmax(-1))
    assert snapshot.steps.tolist() == [17]
    assert torch.equal(snapshot.inputs, batch.inputs[0])
    assert torch.equal(snapshot.targets, batch.targets[0])
    if isinstance(network, LanguageNetwork):
        assert snapshot.samples == (network.generate("ab", 4),)
        assert snapshot.condition is None
        assert snapshot.alphabet == ("<unk>", "a", "b", "c", " ")
    else:
        assert snapshot.samples == ()
        assert snapshot.condition == int(batch.condition[0])  # type: ignore[index]
        assert snapshot.alphabet == tuple(TASK.spec.codec.symbols)  # type: ignore[union-attr]


@pytest.mark.parametrize("core", CORES)
def test_snapshot_weights_are_the_weights_in_use(core: str) -> None:
    network = tagger(CORES[core])
    weights = take_snapshot(network, batch_for(network), 0).weights
    if core == "orthogonal":
        used = weights["core.weight_hh_l0"][0]
        torch.testing.assert_close(used, network.core.recurrent_weights()["weight_hh_l0"])
        torch.testing.assert_close(used.T @ used, torch.eye(6))
        assert not [name for name in weights if "parametrizations" in name]
        return
    assert weights.keys() == dict(network.named_parameters()).keys()
    for name, weight in network.named_parameters():
        assert torch.equal(weights[name][0], weight)


@pytest.mark.parametrize("condition_at", ["input", "readout", "both"])
def test_snapshot_of_shared_inputs_equals_expanded_inputs(condition_at: Any) -> None:
    """Compare a batch that holds each string once with a batch that holds it once per delay."""
    task = VariableDelayEcho(max_delay=3, sequence_length=7, alphabet_size=4, batch_size=8, every_delay=True)
    network = TaggerNetwork(CORES["GRU"], task.spec, condition_at=condition_at)
    batch = task.train_batch(0)
    assert (len(batch.inputs), batch.num_sequences) == (2, 8)
    assert_same(take_snapshot(network, batch, 0), take_snapshot(network, batch.expanded(), 0))


def test_a_snapshot_does_not_change_with_the_network() -> None:
    network = language_network()
    snapshot = take_snapshot(network, batch_for(network), 0)
    before = selected(snapshot, torch.tensor([True]))
    with torch.no_grad():
        for weight in network.parameters():
            weight.fill_(7)
    assert_same(snapshot, before)


def test_take_snapshot_leaves_the_network_unchanged() -> None:
    network = language_network(CORES["GRU"])
    network.core.eval()
    modes = [module.training for module in network.modules()]
    numbers = torch.get_rng_state()
    with torch.inference_mode():
        take_snapshot(network, batch_for(network), 0)
    assert [module.training for module in network.modules()] == modes
    assert torch.equal(torch.get_rng_state(), numbers)
    assert all(weight.grad is None for weight in network.parameters())


def test_gradient_norms_are_nan_before_the_first_step() -> None:
    snapshot = three_snapshots()
    assert snapshot.gradient_norms.keys() == dict(language_network().named_parameters()).keys()
    for norms in snapshot.gradient_norms.values():
        assert norms[0].isnan()
        assert norms[1:].tolist() == [5, 20]


def test_a_frozen_weight_has_no_gradient() -> None:
    network = tagger(partial(Elman, hidden_size=4, freeze_recurrent=True))
    snapshot = take_snapshot(network, batch_for(network), 0)
    assert "core.weight_hh_l0" in snapshot.weights
    assert "core.weight_hh_l0" not in snapshot.gradient_norms


def test_sample_starts_with_a_character_without_a_prefix() -> None:
    spec = TaskSpec(4, 4, vocabulary=Vocabulary("bca"))
    network = LanguageNetwork(CORES["Elman"], spec)
    symbols = torch.ones(1, 5, dtype=torch.long)
    snapshot = take_snapshot(network, Batch(symbols, symbols), 0, sample_length=6)
    assert snapshot.samples == (network.generate("b", 6),)


def test_a_snapshot_omits_unavailable_quantities() -> None:
    network = tagger(partial(Foreign, hidden_size=6, layer=StatelessLayer))
    snapshot = take_snapshot(network, batch_for(network), 0)
    assert snapshot.eigenvalues == {}
    assert snapshot.gradient_by_time_step is None
    assert len(from_dict(to_dict(snapshot))) == 1


def test_half_precision_is_kept_in_single_precision() -> None:
    network = tagger().to(torch.bfloat16)
    snapshot = take_snapshot(network, batch_for(network), 0)
    assert {tensor.dtype for tensor in (*snapshot.weights.values(), snapshot.states, snapshot.predictions)} == {
        torch.float32
    }
    assert torch.equal(snapshot.weights["readout.bias"][0], network.get_parameter("readout.bias").float())


@pytest.mark.parametrize(
    ("core", "expected"),
    [
        (partial(Elman, activation="sigmoid"), True),
        (partial(Elman, activation="identity"), False),
        (partial(RNN, nonlinearity="relu"), False),
        (RNN, True),
        (LSTM, True),
        (partial(Foreign, layer=nn.RNN, options={"nonlinearity": "relu"}), False),
        (partial(Foreign, layer=nn.GRU), True),
        (IndRNN, False),
        (partial(IndRNN, activation="tanh"), True),
        (LEM, True),
        (LMU, True),
        (LRU, False),
        (MinGRU, False),
        (partial(Foreign, layer=StatelessLayer), True),
    ],
)
def test_has_bounds_depends_on_the_activation(core: Any, expected: bool) -> None:
    layer = core(3, hidden_size=4)
    assert has_bounds(layer) == expected
    if expected and not (isinstance(layer, Foreign) and isinstance(layer.layer, StatelessLayer)):
        assert layer(100 * torch.randn(5, 7, 3))[0].abs().max() <= 1


def test_effective_weights_of_a_plain_network_are_its_parameters() -> None:
    network = nn.Sequential(nn.Linear(2, 3), nn.GRU(3, 4))
    weights = effective_weights(network)
    assert weights.keys() == dict(network.named_parameters()).keys()
    assert all(weights[name] is parameter for name, parameter in network.named_parameters())


# --- several snapshots ------------------------------------------------------------------------------------------------


def test_joined_snapshots_are_in_order() -> None:
    parts = [selected(three_snapshots(), torch.tensor(row)) for row in ([True, False, False], [False, True, True])]
    assert_same(joined(parts), three_snapshots())


def test_selected_returns_the_chosen_snapshots() -> None:
    snapshots = three_snapshots()
    some = selected(snapshots, torch.tensor([True, False, True]))
    assert (len(some), some.steps.tolist()) == (2, [0, 20])
    assert some.samples == (snapshots.samples[0], snapshots.samples[2])
    assert torch.equal(some.states[1], snapshots.states[2])
    assert torch.equal(some.weights["readout.bias"][1], snapshots.weights["readout.bias"][2])
    assert torch.equal(some.inputs, snapshots.inputs)


def test_nbytes_is_the_size_of_all_rows() -> None:
    snapshot = three_snapshots()
    assert snapshot.nbytes == 3 * selected(snapshot, torch.tensor([True, False, False])).nbytes
    weights = sum(weight.numel() * 4 for weight in language_network().parameters())
    assert snapshot.nbytes > 3 * weights


def test_joined_raises_for_snapshots_of_different_runs() -> None:
    network = language_network()
    first = take_snapshot(network, batch_for(network), 0)
    later = replace(first, steps=torch.tensor([9]))
    assert joined([first, later]).steps.tolist() == [0, 9]
    wider = language_network(partial(Elman, hidden_size=7))
    for other in (
        replace(later, steps=first.steps),
        replace(later, inputs=first.inputs + 1),
        replace(later, condition=3),
        replace(later, samples=(), saturation=None),
        take_snapshot(wider, batch_for(wider), 9),
    ):
        with pytest.raises(UsageError):
            joined([first, other])


# --- the file ---------------------------------------------------------------------------------------------------------


def test_read_snapshots_returns_what_was_written(tmp_path: Path) -> None:
    snapshot = replace(three_snapshots(), thinning=4)
    write_snapshots(tmp_path / "snapshots.pt", snapshot)
    for path in (tmp_path / "snapshots.pt", str(tmp_path / "snapshots.pt")):
        assert_same(read_snapshots(path), snapshot)
    assert [path.name for path in tmp_path.iterdir()] == ["snapshots.pt"]


def test_the_file_is_a_dictionary_of_tensors_and_plain_values(tmp_path: Path) -> None:
    write_snapshots(tmp_path / "snapshots.pt", three_snapshots())
    values = torch.load(tmp_path / "snapshots.pt", weights_only=True)
    assert values["steps"].tolist() == [0, 5, 20]
    assert values["weights"]["readout.weight"].shape == (3, 5, 6)


def test_the_file_has_only_the_selected_rows(tmp_path: Path) -> None:
    snapshot = selected(three_snapshots(), torch.tensor([False, True, False]))  # views would save the whole tensors
    write_snapshots(tmp_path / "snapshots.pt", snapshot)
    assert (tmp_path / "snapshots.pt").stat().st_size < snapshot.nbytes + 20_000


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.9, 0.999])
def test_read_snapshots_raises_for_a_truncated_file(tmp_path: Path, share: float) -> None:
    path = tmp_path / "snapshots.pt"
    write_snapshots(path, three_snapshots())
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(UsageError, match="damaged") as caught:
        read_snapshots(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


class MaliciousPickle:
    """An object whose unpickling creates a file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> Any:
        return Path.touch, (self.target,)


@pytest.mark.parametrize("plain", [False, True])
def test_read_snapshots_executes_no_code_from_the_file(tmp_path: Path, plain: bool) -> None:
    path, target = tmp_path / "snapshots.pt", tmp_path / "executed"
    values = {**to_dict(three_snapshots()), "samples": MaliciousPickle(target)}
    if plain:
        path.write_bytes(pickle.dumps(values))
    else:
        torch.save(values, path)
    with pytest.raises(UsageError, match="damaged, or holds objects other than tensors and plain values"):
        read_snapshots(path)
    assert not target.exists()


@pytest.mark.parametrize("contents", [{"state_dict": {}}, [1, 2], torch.zeros(3), {"format": "rnn_tasks.snapshots/9"}])
def test_read_snapshots_raises_for_other_contents(tmp_path: Path, contents: Any) -> None:
    path = tmp_path / "other.pt"
    torch.save(contents, path)
    with pytest.raises(UsageError, match=r"other\.pt cannot be used: not snapshots in the format"):
        read_snapshots(path)


def test_read_snapshots_raises_for_a_missing_file(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "snapshots.pt"):
        with pytest.raises(UsageError, match=r"there is no file .*; the callback SnapshotRecorder writes it"):
            read_snapshots(path)


INCONSISTENT: dict[str, Callable[[dict[str, Any]], Any]] = {
    "decreasing steps": lambda v: v | {"steps": v["steps"].flip(0)},
    "steps of another type": lambda v: v | {"steps": v["steps"].float()},
    "empty steps": lambda v: v | {"steps": v["steps"][:0]},
    "steps of another shape": lambda v: v | {"steps": v["steps"][:, None]},
    "steps in a list": lambda v: v | {"steps": [0, 5, 20]},
    "fewer states": lambda v: v | {"states": v["states"][:2]},
    "states of a shorter sequence": lambda v: v | {"states": v["states"][:, 1:].contiguous()},
    "expanded states": lambda v: v | {"states": torch.zeros(1).expand(v["states"].shape)},
    "sparse states": lambda v: v | {"states": v["states"].to_sparse()},
    "integer states": lambda v: v | {"states": v["states"].long()},
    "a parameter as predictions": lambda v: v | {"predictions": nn.Parameter(v["predictions"])},
    "shorter inputs": lambda v: v | {"inputs": v["inputs"][1:].clone()},
    "real targets": lambda v: v | {"targets": v["targets"].double()},
    "a string as condition": lambda v: v | {"condition": "three"},
    "integers as alphabet": lambda v: v | {"alphabet": (1, 2)},
    "weights in a list": lambda v: v | {"weights": [v["states"]]},
    "an integer as weight name": lambda v: v | {"weights": {7: v["states"]}},
    "fewer weights": lambda v: v | {"weights": {"w": v["states"][:1]}},
    "real eigenvalues": lambda v: v | {"eigenvalues": {"w": v["states"][:, 0].contiguous()}},
    "no gradient norms": lambda v: v | {"gradient_norms": None},
    "integer gradient by time step": lambda v: v | {"gradient_by_time_step": v["steps"]},
    "saturation of fewer units": lambda v: v | {"saturation": v["saturation"][:, :2].contiguous()},
    "fewer samples": lambda v: v | {"samples": ("one",)},
    "integers as samples": lambda v: v | {"samples": (1, 2, 3)},
    "thinning 0": lambda v: v | {"thinning": 0},
    "an unknown field": lambda v: v | {"more": 1},
    "a missing field": lambda v: {name: value for name, value in v.items() if name != "targets"},
}


@pytest.mark.parametrize("fault", INCONSISTENT)
def test_read_snapshots_raises_for_inconsistent_contents(tmp_path: Path, fault: str) -> None:
    path = tmp_path / "snapshots.pt"
    torch.save(INCONSISTENT[fault](to_dict(three_snapshots())), path)
    with pytest.raises(UsageError, match="incomplete or inconsistent") as caught:
        read_snapshots(path)
    assert "\n" not in str(caught.value)
