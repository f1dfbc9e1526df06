"""Tests of the arithmetic of the benchmarks, and that their peers do the same work as the package."""

import copy
import doctest
import json
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import Trainer
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader

from benchmarks import growth, table, timing
from benchmarks.__main__ import main
from benchmarks.cores import CONSTRAINTS, Step, layer_passes, project
from benchmarks.explorer import LAYERS, engine_seconds
from benchmarks.growth import exponent
from benchmarks.layers import layers as layers_by_name
from benchmarks.layers import loop, scan_leaves, scan_pass
from benchmarks.layers import main as measure_layers
from benchmarks.peers import copy as copy_peer
from benchmarks.peers import echo as echo_peer
from benchmarks.peers import variable_delay_echo as variable_delay_echo_peer
from benchmarks.peers.samples import CopySamples, EchoSamples, accuracy_on_strings
from benchmarks.step import PlainLoop, step_seconds
from benchmarks.table import COLUMNS, NotMeasuredError, Row, as_json, as_markdown, as_text
from benchmarks.timing import ratio_row
from rnn_tasks.callbacks import Reorthogonalize
from rnn_tasks.cores import Elman
from rnn_tasks.cores.linear_scan import linear_scan
from rnn_tasks.models import SequenceTagger
from rnn_tasks.spec import NOT_SCORED
from rnn_tasks.tasks import Copy, VariableDelayEcho


@pytest.mark.parametrize("module", [table, timing, growth])
def test_docstring_examples_are_correct(module: object) -> None:
    assert doctest.testmod(module).failed == 0  # type: ignore[arg-type]


def test_exponent_equals_least_squares_of_logarithms() -> None:
    sizes, values = [10, 20, 50, 90], [1.0, 2.9, 4.1, 12.0]
    assert exponent(sizes, values) == pytest.approx(np.polyfit(np.log(sizes), np.log(values), 1)[0])


def test_verdict_compares_the_median_with_the_bounds() -> None:
    assert Row("", "", "", (1.0, 1.12, 90.0), at_most=1.12).verdict == "holds"
    assert Row("", "", "", (1.0, 1.13, 1.2), at_most=1.12).verdict == "does not hold"
    assert Row("", "", "", (7.0, 8.0, 9.0), at_least=8).verdict == "holds"
    assert Row("", "", "", (7.9,), at_least=8).verdict == "does not hold"
    assert Row("", "", "", (), at_least=8).verdict == "not measured"
    assert Row("", "", "", (7.0,)).verdict == ""


def test_ratio_row_divides_seconds_round_by_round() -> None:
    row = ratio_row("step", "copy", {"fit": [2.0, 30.0], "plain loop": [1.0, 10.0]}, "fit", "plain loop", at_most=2)
    assert (row.quantity, row.values, row.times) == ("fit / plain loop", [2.0, 3.0], [16.0, 5.5])
    assert row.verdict == "does not hold"


TABLE = [
    Row("step", "copy", "fit / plain loop", (1.1, 1.2, 1.0), at_most=1.12, times=(0.0021, 0.002)),
    Row("growth", "all", "", note="no memory"),
]


def test_table_shows_each_cell_in_its_column() -> None:
    text = as_markdown(TABLE, {"cpu": "of this test"})
    assert text.startswith("- cpu: of this test\n")
    lines = [[cell.strip() for cell in line[1:-2].split("|")] for line in text.splitlines() if line.startswith("| ")]
    first = dict(zip(COLUMNS, lines[1], strict=True))
    assert (first["median"], first["range"], first["times"]) == ("1.100", "1.000 to 1.200", "2.100 ms / 2.000 ms")
    assert (first["bound"], first["verdict"]) == ("<= 1.12", "holds")
    assert lines[2][COLUMNS.index("verdict")] == "not measured"
    assert as_text(TABLE[1:]).splitlines()[0].split() == ["group", "case", "verdict", "note"]
    row = json.loads(as_json(TABLE, {"cpu": "of this test"}))["rows"][0]
    assert (row["values"], row["median"], row["verdict"]) == ([1.1, 1.2, 1.0], 1.1, "holds")


def test_echo_samples_equal_those_of_the_task() -> None:
    batch = VariableDelayEcho(sequence_length=15).train_batch(0)
    assert batch.condition is not None
    ours = [*zip(batch.inputs, batch.condition.tolist(), batch.targets, strict=True)]
    for letters, delay, shifted in [*ours, *EchoSamples(40, 15, (0, 8))]:
        assert torch.equal(letters[: 15 - delay], shifted[delay:])
        assert (int(letters.min()) >= 1, int(letters.max()) <= 26, 0 <= delay <= 8) == (True, True, True)


def test_copy_samples_equal_those_of_the_task() -> None:
    source, target = CopySamples(1)[0]
    batch = Copy(batch_size=1).train_batch(0)
    symbols = batch.inputs[0, :10]
    blanks = torch.full((11,), 8)
    assert torch.equal(batch.inputs[0], torch.cat([symbols, blanks]))
    assert torch.equal(source[10:], blanks)
    assert torch.equal(target, torch.cat([blanks, source[:10]]))
    assert torch.equal(batch.targets[0], torch.cat([blanks, symbols]))
    assert NOT_SCORED not in batch.targets


def test_copy_peer_projects_onto_q_of_numpy() -> None:
    weight = torch.randn(6, 6, dtype=torch.float64)
    q, r = np.linalg.qr(weight.numpy())
    copy_peer.make_orthogonal(weight)
    np.testing.assert_allclose(weight.numpy(), q * np.sign(np.diag(r)), atol=1e-12)


class KnownAccuracy(nn.Module):
    """A network that copies with one error in ten symbols and echoes with a delay of 4 without errors."""

    def forward(self, inputs: torch.Tensor, delays: torch.Tensor | None = None) -> torch.Tensor:
        if delays is not None:
            return functional.one_hot(inputs.roll(4, 1), 27).float()
        answers = torch.where(torch.arange(21) < 11, 0, inputs.roll(11, 1))
        answers[:, -1] = 8
        return functional.one_hot(answers, 9).float()


def test_peers_measure_a_known_accuracy() -> None:
    assert copy_peer.recall(KnownAccuracy(), 40) == pytest.approx(0.9)
    assert accuracy_on_strings(KnownAccuracy(), (15, 25), (4, 4)) == 1
    assert accuracy_on_strings(KnownAccuracy(), (15, 25), (3, 3)) < 0.1


@pytest.mark.parametrize(
    ("peer", "samples"),
    [
        (copy_peer, CopySamples(64)),
        (echo_peer, EchoSamples(64, 15, (4, 4))),
        (variable_delay_echo_peer, EchoSamples(64, 20, (0, 8))),
    ],
)
def test_peers_learn(peer: Any, samples: Any) -> None:
    torch.manual_seed(0)
    network = peer.Network()
    *inputs, targets = next(iter(DataLoader(samples, 64)))

    @torch.no_grad()
    def loss() -> float:
        return float(functional.cross_entropy(network(*inputs).flatten(0, 1), targets.flatten()))

    before = loss()
    peer.train_epoch(network, torch.optim.Adam(network.parameters(), lr=0.01), 1_280)
    assert loss() < before - 0.02


def test_plain_loop_trains_like_the_trainer() -> None:
    task = Copy(num_symbols=3, batch_size=4)
    adam = partial(torch.optim.Adam, lr=0.05)
    model = SequenceTagger(partial(Elman, hidden_size=8), task.spec, adam, input_lr_factor=0.1)
    project(next(module for module in model.modules() if isinstance(module, Elman)))
    model_of_loop = copy.deepcopy(model)
    Trainer(
        accelerator="cpu",
        max_steps=5,
        limit_val_batches=0,
        gradient_clip_val=0.1,
        callbacks=[Reorthogonalize()],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    ).fit(model, task)
    task.trainer = None
    PlainLoop(model_of_loop, task, 0.1, project_every=1)(5)
    for name, parameter in model_of_loop.named_parameters():
        torch.testing.assert_close(parameter, model.get_parameter(name), msg=name)


def test_layer_passes_have_equal_outputs_and_gradients() -> None:
    passes = layer_passes(units=6, length=5, batch=2, features=4)
    torch.testing.assert_close(passes["ours"](), passes["torch"]())


@pytest.mark.parametrize("is_constant", [False, True])
def test_scan_passes_have_equal_states_and_gradients(is_constant: bool) -> None:
    leaves = scan_leaves((70, 2, 3), torch.complex128, is_constant)
    torch.manual_seed(0)
    ours = scan_pass(linear_scan, *leaves)()
    torch.manual_seed(0)
    torch.testing.assert_close(ours, scan_pass(loop, *leaves)())


def test_layers_are_measured_beside_the_gru_of_torch(capsys: pytest.CaptureFixture[str]) -> None:
    assert {"Elman", "LRU", "MinGRU", "RGLRU"} <= set(layers_by_name())
    assert not {"Foreign", "Unrolled", "Core"} & set(layers_by_name())
    measure_layers(["--layers", "MinGRU", "--quick"])
    assert "torch.nn.GRU / MinGRU" in capsys.readouterr().out


@pytest.mark.parametrize("constraint", CONSTRAINTS)
def test_constrained_step_learns_and_stays_orthogonal(constraint: str) -> None:
    step = Step(8, constraint)
    losses = [float(step()) for _ in range(5)]
    assert losses[-1] < losses[0]
    weight = step.layer.recurrent_weights()["weight_hh_l0"].detach()
    torch.testing.assert_close(weight.T @ weight, torch.eye(8), atol=1e-5, rtol=0)


@pytest.mark.slow
def test_step_seconds_measures_each_contestant_each_round() -> None:
    seconds = step_seconds("copy", block=2, rounds=4)
    assert {name: len(rounds) for name, rounds in seconds.items()} == {"fit": 4, "plain loop": 4, "batches": 4}
    assert all(value > 0 for rounds in seconds.values() for value in rounds)


@pytest.mark.skipif(shutil.which("node") is None, reason="Node.js is not installed")
@pytest.mark.parametrize("kind", LAYERS)
def test_engine_seconds_measures_each_function(kind: str) -> None:
    result = engine_seconds(kind, hidden_size=8, symbols=9, time=3)
    core = {"elman": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}[kind](9, 8)
    assert result.pop("weights") == sum(weight.numel() for weight in core.parameters()) + 9 * 8 + 9
    assert set(result) == {"first", "forward", "gradient", "exchange", "score"}
    assert min(result.values()) > 0


def test_main_writes_a_row_for_a_failed_benchmark(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def measure(quick: bool) -> None:
        raise NotMeasuredError("no memory")

    monkeypatch.setattr(growth, "measure", measure)
    main(["--quick", "--only", "growth", "--output", str(tmp_path)])
    assert "not measured  no memory" in capsys.readouterr().out
    row = json.loads((tmp_path / "benchmarks.json").read_text())["rows"][0]
    assert (row["group"], row["verdict"], row["note"]) == ("growth", "not measured", "no memory")
    assert "no memory" in (tmp_path / "benchmarks.md").read_text()
