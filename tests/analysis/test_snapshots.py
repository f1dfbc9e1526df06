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
    from_values,
    has_bounds,
    joined,
    read_snapshots,
    selected,
    take_snapshot,
    to_values,
    write_snapshots,
)
from rnn_tasks.cores import GRU, LSTM, RNN, Core, Elman, Foreign, ScratchGRU
from rnn_tasks.errors import UsageError
from rnn_tasks.models import LanguageModel, RecurrentModel, SequenceTagger
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


class Deaf(nn.Module):
    """A layer without recurrent weights, whose state is a number."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.linear = nn.Linear(input_size, hidden_size)

    def forward(self, inputs: Tensor, state: int | None = None) -> tuple[Tensor, int]:
        return self.linear(inputs), (state or 0) + inputs.shape[1]


def tagger(core: Callable[[int], Core] = CORES["Elman"]) -> SequenceTagger:
    return SequenceTagger(core, TASK.spec, torch.optim.Adam)


def reader(core: Callable[[int], Core] = CORES["Elman"]) -> LanguageModel:
    spec = TaskSpec(5, 5, vocabulary=TEXT)
    return LanguageModel(core, spec, torch.optim.Adam, dropout=0.5, embedding_size=3)


def batch_for(model: RecurrentModel) -> Batch:
    if isinstance(model, SequenceTagger):
        return TASK.train_batch(0)
    symbols = torch.randint(5, (3, 8), generator=torch.Generator().manual_seed(0))
    return Batch(symbols[:, :-1], symbols[:, 1:])


def three() -> Snapshots:
    """Three moments of a text model that changes."""
    torch.manual_seed(0)
    model = reader()
    parts = []
    for step in (0, 5, 20):
        with torch.no_grad():
            for weight in model.parameters():
                weight.mul_(1.1)
        norms = {name: torch.tensor(float(step)) for name, _ in model.named_parameters()} if step else None
        parts.append(take_snapshot(model, batch_for(model), step, norms, sample_length=3))
    return joined(parts)


def assert_same(one: Snapshots, other: Snapshots) -> None:
    """All of it, bit for bit."""
    assert vars(one).keys() == vars(other).keys()
    for name, value in vars(one).items():
        if isinstance(value, Tensor | dict):
            torch.testing.assert_close(vars(other)[name], value, rtol=0, atol=0, equal_nan=True)
        else:
            assert vars(other)[name] == value


# --- one moment -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [tagger, reader])
@pytest.mark.parametrize("core", CORES)
def test_a_snapshot_holds_what_the_pure_functions_say(make: Any, core: str) -> None:
    model = make(CORES[core])
    batch = batch_for(model)
    taken = take_snapshot(model, batch, 17, sample_length=4)
    first = batch.rows(0, 1)
    torch.testing.assert_close(taken.states, hidden_states(model, first))
    torch.testing.assert_close(taken.gradient_by_time_step, gradient_by_time_step(model, first).float()[None])
    for name, weight in model.core.recurrent_weights().items():
        expected = np.linalg.eigvals(weight.detach().double().numpy())
        found = taken.eigenvalues[name][0].numpy()
        assert np.sort(np.abs(found)) == pytest.approx(np.sort(np.abs(expected)), abs=1e-5)
    if core == "RNN":
        assert taken.saturation is None
    else:
        torch.testing.assert_close(taken.saturation, saturation(hidden_states(model, batch))[None])
    model.eval()
    with torch.no_grad():
        logits = model(first.inputs, first.condition) if isinstance(model, SequenceTagger) else model(first.inputs)[0]
    torch.testing.assert_close(taken.predictions, logits.softmax(-1))
    assert taken.steps.tolist() == [17]
    assert torch.equal(taken.inputs, batch.inputs[0])
    assert torch.equal(taken.targets, batch.targets[0])
    if isinstance(model, LanguageModel):
        assert taken.samples == (model.generate("ab", 4),)
        assert taken.condition is None
        assert taken.alphabet == ("<unk>", "a", "b", "c", " ")
    else:
        assert taken.samples == ()
        assert taken.condition == int(batch.condition[0])  # type: ignore[index]
        assert taken.alphabet == tuple(TASK.spec.codec.symbols)  # type: ignore[union-attr]


@pytest.mark.parametrize("core", CORES)
def test_the_weights_are_those_that_the_network_uses(core: str) -> None:
    model = tagger(CORES[core])
    weights = take_snapshot(model, batch_for(model), 0).weights
    if core == "orthogonal":
        used = weights["core.weight_hh_l0"][0]
        torch.testing.assert_close(used, model.core.recurrent_weights()["weight_hh_l0"])
        torch.testing.assert_close(used.T @ used, torch.eye(6))
        assert not [name for name in weights if "parametrizations" in name]
        return
    assert weights.keys() == dict(model.named_parameters()).keys()
    for name, weight in model.named_parameters():
        assert torch.equal(weights[name][0], weight)


def test_a_snapshot_does_not_change_with_the_network() -> None:
    model = reader()
    taken = take_snapshot(model, batch_for(model), 0)
    before = selected(taken, torch.tensor([True]))
    with torch.no_grad():
        for weight in model.parameters():
            weight.fill_(7)
    assert_same(taken, before)


def test_taking_one_leaves_the_network_as_it_is() -> None:
    model = reader(CORES["GRU"])
    model.core.eval()
    modes = [module.training for module in model.modules()]
    numbers = torch.get_rng_state()
    with torch.inference_mode():
        take_snapshot(model, batch_for(model), 0)
    assert [module.training for module in model.modules()] == modes
    assert torch.equal(torch.get_rng_state(), numbers)
    assert model.carried == {}
    assert all(weight.grad is None for weight in model.parameters())


def test_gradient_norms_are_as_given_and_nan_before_first_step() -> None:
    taken = three()
    assert taken.gradient_norms.keys() == dict(reader().named_parameters()).keys()
    for norms in taken.gradient_norms.values():
        assert norms[0].isnan()
        assert norms[1:].tolist() == [5, 20]


def test_a_frozen_weight_has_no_gradient() -> None:
    model = tagger(partial(Elman, hidden_size=4, freeze_recurrent=True))
    taken = take_snapshot(model, batch_for(model), 0)
    assert "core.weight_hh_l0" in taken.weights
    assert "core.weight_hh_l0" not in taken.gradient_norms


def test_sample_begins_with_a_character_when_there_is_no_prefix() -> None:
    spec = TaskSpec(4, 4, vocabulary=Vocabulary("bca"))
    model = LanguageModel(CORES["Elman"], spec, torch.optim.Adam)
    symbols = torch.ones(1, 5, dtype=torch.long)
    taken = take_snapshot(model, Batch(symbols, symbols), 0, sample_length=6)
    assert taken.samples == (model.generate("b", 6),)


def test_what_a_layer_does_not_have_is_left_out() -> None:
    model = tagger(partial(Foreign, hidden_size=6, layer=Deaf))
    taken = take_snapshot(model, batch_for(model), 0)
    assert taken.eigenvalues == {}
    assert taken.gradient_by_time_step is None
    assert len(from_values(to_values(taken))) == 1


def test_half_precision_is_kept_in_single_precision() -> None:
    model = tagger().to(torch.bfloat16)
    taken = take_snapshot(model, batch_for(model), 0)
    assert {tensor.dtype for tensor in (*taken.weights.values(), taken.states, taken.predictions)} == {torch.float32}
    assert torch.equal(taken.weights["readout.bias"][0], model.readout.bias.float())


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
        (partial(Foreign, layer=Deaf), True),
    ],
)
def test_bounds_are_known(core: Any, expected: bool) -> None:
    layer = core(3, hidden_size=4)
    assert has_bounds(layer) == expected
    if expected and not (isinstance(layer, Foreign) and isinstance(layer.layer, Deaf)):
        assert layer(100 * torch.randn(5, 7, 3))[0].abs().max() <= 1


def test_effective_weights_of_a_plain_network_are_its_parameters() -> None:
    network = nn.Sequential(nn.Linear(2, 3), nn.GRU(3, 4))
    weights = effective_weights(network)
    assert weights.keys() == dict(network.named_parameters()).keys()
    assert all(weights[name] is parameter for name, parameter in network.named_parameters())


# --- many moments -----------------------------------------------------------------------------------------------------


def test_joined_moments_stand_one_after_another() -> None:
    parts = [selected(three(), torch.tensor(row)) for row in ([True, False, False], [False, True, True])]
    assert_same(joined(parts), three())


def test_selected_moments_are_those_that_were_asked_for() -> None:
    everything = three()
    some = selected(everything, torch.tensor([True, False, True]))
    assert (len(some), some.steps.tolist()) == (2, [0, 20])
    assert some.samples == (everything.samples[0], everything.samples[2])
    assert torch.equal(some.states[1], everything.states[2])
    assert torch.equal(some.weights["readout.bias"][1], everything.weights["readout.bias"][2])
    assert torch.equal(some.inputs, everything.inputs)


def test_the_size_is_that_of_the_numbers() -> None:
    taken = three()
    assert taken.nbytes == 3 * selected(taken, torch.tensor([True, False, False])).nbytes
    weights = sum(weight.numel() * 4 for weight in reader().parameters())
    assert taken.nbytes > 3 * weights


def test_moments_of_different_trainings_are_not_joined() -> None:
    model = reader()
    first = take_snapshot(model, batch_for(model), 0)
    later = replace(first, steps=torch.tensor([9]))
    assert joined([first, later]).steps.tolist() == [0, 9]
    wider = reader(partial(Elman, hidden_size=7))
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


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    taken = replace(three(), thinning=4)
    write_snapshots(tmp_path / "snapshots.pt", taken)
    for path in (tmp_path / "snapshots.pt", str(tmp_path / "snapshots.pt")):
        assert_same(read_snapshots(path), taken)
    assert [path.name for path in tmp_path.iterdir()] == ["snapshots.pt"]


def test_the_file_is_a_dictionary_of_tensors_and_plain_values(tmp_path: Path) -> None:
    write_snapshots(tmp_path / "snapshots.pt", three())
    values = torch.load(tmp_path / "snapshots.pt", weights_only=True)
    assert values["steps"].tolist() == [0, 5, 20]
    assert values["weights"]["readout.weight"].shape == (3, 5, 6)


def test_the_file_has_nothing_that_is_not_needed(tmp_path: Path) -> None:
    taken = selected(three(), torch.tensor([False, True, False]))  # views of larger tensors would bring these along
    write_snapshots(tmp_path / "snapshots.pt", taken)
    assert (tmp_path / "snapshots.pt").stat().st_size < taken.nbytes + 20_000


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.9, 0.999])
def test_a_truncated_file_is_one_line(tmp_path: Path, share: float) -> None:
    path = tmp_path / "snapshots.pt"
    write_snapshots(path, three())
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(UsageError, match="damaged") as caught:
        read_snapshots(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


class Bomb:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> Any:
        return Path.touch, (self.target,)


@pytest.mark.parametrize("plain", [False, True])
def test_nothing_in_a_file_is_executed(tmp_path: Path, plain: bool) -> None:
    path, target = tmp_path / "snapshots.pt", tmp_path / "executed"
    values = {**to_values(three()), "samples": Bomb(target)}
    if plain:
        path.write_bytes(pickle.dumps(values))
    else:
        torch.save(values, path)
    with pytest.raises(UsageError, match="damaged, or holds more than tensors and plain values"):
        read_snapshots(path)
    assert not target.exists()


@pytest.mark.parametrize("contents", [{"state_dict": {}}, [1, 2], torch.zeros(3), {"format": "rnn_tasks.snapshots/9"}])
def test_another_file_is_one_line(tmp_path: Path, contents: Any) -> None:
    path = tmp_path / "other.pt"
    torch.save(contents, path)
    with pytest.raises(UsageError, match=r"other\.pt cannot be used: these are no snapshots"):
        read_snapshots(path)


def test_a_file_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "snapshots.pt"):
        with pytest.raises(UsageError, match="there is no file of snapshots"):
            read_snapshots(path)


WRONG: dict[str, Callable[[dict[str, Any]], Any]] = {
    "steps": lambda v: v | {"steps": v["steps"].flip(0)},
    "steps of another type": lambda v: v | {"steps": v["steps"].float()},
    "no steps": lambda v: v | {"steps": v["steps"][:0]},
    "steps of another shape": lambda v: v | {"steps": v["steps"][:, None]},
    "a step that is no tensor": lambda v: v | {"steps": [0, 5, 20]},
    "fewer states": lambda v: v | {"states": v["states"][:2]},
    "states of another sequence": lambda v: v | {"states": v["states"][:, 1:].contiguous()},
    "states that share one number": lambda v: v | {"states": torch.zeros(1).expand(v["states"].shape)},
    "sparse states": lambda v: v | {"states": v["states"].to_sparse()},
    "whole states": lambda v: v | {"states": v["states"].long()},
    "a parameter": lambda v: v | {"predictions": nn.Parameter(v["predictions"])},
    "inputs": lambda v: v | {"inputs": v["inputs"][1:].clone()},
    "targets": lambda v: v | {"targets": v["targets"].double()},
    "a condition": lambda v: v | {"condition": "three"},
    "an alphabet": lambda v: v | {"alphabet": (1, 2)},
    "weights": lambda v: v | {"weights": [v["states"]]},
    "a weight's name": lambda v: v | {"weights": {7: v["states"]}},
    "fewer weights": lambda v: v | {"weights": {"w": v["states"][:1]}},
    "real eigenvalues": lambda v: v | {"eigenvalues": {"w": v["states"][:, 0].contiguous()}},
    "gradient norms": lambda v: v | {"gradient_norms": None},
    "gradient by time step": lambda v: v | {"gradient_by_time_step": v["steps"]},
    "saturation": lambda v: v | {"saturation": v["saturation"][:, :2].contiguous()},
    "samples": lambda v: v | {"samples": ("one",)},
    "samples that are no texts": lambda v: v | {"samples": (1, 2, 3)},
    "thinning": lambda v: v | {"thinning": 0},
    "too much": lambda v: v | {"more": 1},
    "too little": lambda v: {name: value for name, value in v.items() if name != "targets"},
}


@pytest.mark.parametrize("what", WRONG)
def test_contents_that_do_not_belong_together_are_one_line(tmp_path: Path, what: str) -> None:
    path = tmp_path / "snapshots.pt"
    torch.save(WRONG[what](to_values(three())), path)
    with pytest.raises(UsageError, match="incomplete, or do not belong together") as caught:
        read_snapshots(path)
    assert "\n" not in str(caught.value)
