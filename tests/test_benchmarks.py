import copy
import doctest
import json
import math
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning.pytorch import Trainer
from torch import nn
from torch.nn import functional

from benchmarks import growth, rows, turns
from benchmarks.__main__ import main
from benchmarks.cores import FAST_SIZES, SIZES, Step, pair
from benchmarks.growth import exponent
from benchmarks.interleaved import Case, step_laps
from benchmarks.peers import copy as copy_peer
from benchmarks.peers import echo as echo_peer
from benchmarks.peers.samples import CopySamples, EchoSamples
from benchmarks.peers.text import ConciseLoop, clip
from benchmarks.plain import PlainLoop
from benchmarks.rows import COLUMNS, Bound, Row, as_json, as_markdown, as_text
from benchmarks.turns import Lap, ratio_row
from rnn_tasks.callbacks import Reorthogonalize
from rnn_tasks.cores import Elman
from rnn_tasks.models import SequenceTagger
from rnn_tasks.spec import NOT_SCORED
from rnn_tasks.tasks import Copy
from rnn_tasks.tasks.copy import LAYOUTS
from rnn_tasks.tasks.copy import copy as our_copy
from rnn_tasks.tasks.echo import echo as our_echo


@pytest.mark.parametrize("module", [rows, turns, growth])
def test_examples_of_docstrings_are_right(module: object) -> None:
    assert doctest.testmod(module).failed == 0  # type: ignore[arg-type]


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0, 1.7])
def test_exponent_of_a_power_is_its_exponent(power: float) -> None:
    sizes = [100, 300, 1_000, 10_000]
    assert exponent(sizes, [3.7 * size**power for size in sizes]) == pytest.approx(power)


def test_exponent_of_scattered_values_is_that_of_least_squares() -> None:
    sizes, values = [10, 20, 50, 90], [1.0, 2.9, 4.1, 12.0]
    assert exponent(sizes, values) == pytest.approx(np.polyfit(np.log(sizes), np.log(values), 1)[0])


def test_verdict_is_that_of_the_median_and_a_bound_is_allowed_itself() -> None:
    assert Row("", "", "", (1.0, 1.12, 90.0), Bound("<=", 1.12)).verdict == "holds"
    assert Row("", "", "", (1.0, 1.13, 1.2), Bound("<=", 1.12)).verdict == "does not hold"
    assert Row("", "", "", (7.0, 8.0, 9.0), Bound(">=", 8)).verdict == "holds"
    assert Row("", "", "", (7.9,), Bound(">=", 8)).verdict == "does not hold"
    assert Row("", "", "", (), Bound(">=", 8)).verdict == "not measured"
    assert Row("", "", "", (7.0,)).verdict == ""


def test_ratios_are_taken_turn_by_turn() -> None:
    laps = {"fit": [Lap(2.0, 2.0), Lap(30.0, 30.0)], "plain": [Lap(1.0, 2.0), Lap(10.0, 15.0)]}
    row = ratio_row("step", "copy", laps, "fit", "plain")
    assert row.values == (2.0, 3.0)
    assert (row.cpu, row.ours, row.peer) == (1.5, 16.0, 5.5)
    other = ratio_row("cores", "copy", laps, "plain", "fit", ours="fit")
    assert other.figure == "plain / fit"
    assert (other.ours, other.peer) == (row.ours, row.peer)


TABLE = [
    Row("step", "copy", "fit / plain", (1.1, 1.2, 1.0), Bound("<=", 1.12), 1.05, 0.0021, 0.002),
    Row("gpu", "all", "", note="no GPU"),
]


def test_markdown_has_every_cell_in_its_column() -> None:
    text = as_markdown(TABLE, {"cpu": "of this test"})
    assert text.startswith("- cpu: of this test\n")
    lines = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("| ")]
    assert [len(cells) for cells in lines] == [len(COLUMNS)] * 3
    first = dict(zip(COLUMNS, (cell.strip() for cell in lines[1]), strict=True))
    assert first["median"] == "1.100"
    assert first["range"] == "1.000 to 1.200"
    assert (first["bound"], first["verdict"]) == ("<= 1.12", "holds")
    assert (first["ours"], first["peer"]) == ("2.100 ms", "2.000 ms")
    assert lines[2][COLUMNS.index("verdict")].strip() == "not measured"


def test_terminal_shows_no_column_that_says_nothing() -> None:
    lines = as_text(TABLE[1:]).splitlines()
    assert lines[0].split() == ["group", "what", "verdict", "note"]
    assert lines[1].index("no GPU") == lines[0].index("note")


def test_json_holds_the_value_of_every_turn() -> None:
    stored = json.loads(as_json(TABLE, {"cpu": "of this test"}))
    assert stored["cpu"] == "of this test"
    assert stored["rows"][0]["values"] == [1.1, 1.2, 1.0]
    assert (stored["rows"][0]["median"], stored["rows"][0]["verdict"]) == (1.1, "holds")
    assert stored["rows"][1]["median"] is None


@pytest.mark.parametrize("delays", [(4, 4), (0, 8)])
def test_echo_samples_are_those_of_our_task(delays: tuple[int, int]) -> None:
    drawn = list(EchoSamples(30, 15, delays))
    letters, late = torch.stack([one[0] for one in drawn]), torch.stack([one[2] for one in drawn])
    told = torch.tensor([one[1] for one in drawn])
    inputs, targets = our_echo(letters, told, torch.full((30,), 15))
    assert torch.equal(inputs, letters)
    assert torch.equal(targets[targets != NOT_SCORED], late[targets != NOT_SCORED])
    assert set(told.tolist()) == set(range(delays[0], delays[1] + 1))
    assert int(letters.min()) >= 1
    assert int(letters.max()) <= 26


def test_copy_samples_are_those_of_our_task() -> None:
    samples = CopySamples(20)
    inputs, targets = (torch.stack(part) for part in zip(*(samples[index] for index in range(20)), strict=True))
    ours = our_copy(inputs[:, :10], torch.ones(20, dtype=torch.long), LAYOUTS["seed"], 8, 8)
    assert torch.equal(inputs, ours[0])
    assert torch.equal(targets, ours[1])


def test_recipe_of_copy_projects_as_numpy_decomposes() -> None:
    weight = torch.randn(6, 6, dtype=torch.float64)
    q, r = np.linalg.qr(weight.numpy())
    copy_peer.make_orthogonal(weight)
    np.testing.assert_allclose(weight.numpy(), q * np.sign(np.diag(r)), atol=1e-12)


def test_recipe_of_copy_counts_the_recalled_symbols() -> None:
    class Blank(copy_peer.Network):
        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            answers = torch.where(torch.arange(21) < 11, 0, inputs.roll(11, 1))
            answers[:, -1] = 8  # one of ten is wrong
            return functional.one_hot(answers, 9).float()

    batches = torch.utils.data.DataLoader(CopySamples(40), batch_size=8)
    assert copy_peer.recall(Blank(), batches, 10) == pytest.approx(0.9)


def test_recipe_of_echo_encodes_as_torch_does() -> None:
    symbols = torch.randint(27, (3, 5))
    assert torch.equal(echo_peer.one_hot(symbols), functional.one_hot(symbols, 27).float())


def test_clipping_by_hand_is_that_of_torch() -> None:
    parameters = [nn.Parameter(torch.zeros(3)), nn.Parameter(torch.zeros(2, 2))]
    others = copy.deepcopy(parameters)
    for parameter, other in zip(parameters, others, strict=True):
        parameter.grad = torch.randn_like(parameter)
        other.grad = parameter.grad.clone()
    clip(parameters, 0.5)
    nn.utils.clip_grad_norm_(others, 0.5)
    for parameter, other in zip(parameters, others, strict=True):
        torch.testing.assert_close(parameter.grad, other.grad)


def test_recipe_of_text_reads_rows_that_go_on_and_learns_them() -> None:
    text = torch.arange(1_000) % 5
    loop = ConciseLoop(text, 5, rows=4, length=10, hidden_size=16)
    epoch = list(loop.epoch())
    inputs, targets = (torch.cat(part, 1) for part in zip(*epoch, strict=True))
    assert torch.equal(inputs[:, 1:], targets[:, :-1])
    assert torch.equal((inputs + 1) % 5, targets)
    loop(20)
    before, seen = loop.loss_sum / loop.seen, loop.seen
    assert seen == 20 * 40
    loop(60)
    after = (loop.loss_sum - before * seen) / (loop.seen - seen)
    assert after < 0.5 * min(before, math.log(5))


def test_plain_loop_takes_the_steps_of_the_trainer() -> None:
    task = Copy(num_symbols=3, batch_size=4)
    adam = partial(torch.optim.Adam, lr=0.05)
    model = SequenceTagger(partial(Elman, hidden_size=8), task.spec, adam, input_lr_factor=0.1)
    twin = copy.deepcopy(model)
    constraint = Reorthogonalize()
    Trainer(
        accelerator="cpu",
        max_steps=5,
        limit_val_batches=0,
        gradient_clip_val=0.1,
        callbacks=[constraint],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    ).fit(model, task)
    task.trainer = None
    loop = PlainLoop(twin, task, 0.1, constraint)
    assert loop.constraint is not None
    loop.constraint.project()
    loop(5)
    for name, parameter in twin.named_parameters():
        torch.testing.assert_close(parameter, model.get_parameter(name), msg=name)


def test_both_layers_compute_the_same() -> None:
    ours, theirs = pair(units=6, features=4, device=torch.device("cpu"))
    inputs = torch.randn(2, 5, 4)
    for layer in (ours, theirs):
        layer(inputs)[0].square().sum().backward()
    torch.testing.assert_close(ours(inputs)[0], theirs(inputs)[0])
    gradients = dict(theirs.named_parameters())
    for name, parameter in ours.named_parameters():
        torch.testing.assert_close(parameter.grad, gradients[name].grad)
    assert len(SIZES) > FAST_SIZES


@pytest.mark.parametrize("how", ["qr", "cayley", "matrix_exp", "householder"])
def test_constrained_steps_learn_with_an_orthogonal_matrix(how: str) -> None:
    step = Step(8, None if how == "qr" else how, projected=how == "qr")  # type: ignore[arg-type]
    losses = [float(step()) for _ in range(5)]
    assert losses[-1] < losses[0]
    weight = step.layer.recurrent_weights()["weight_hh_l0"].detach()
    torch.testing.assert_close(weight.T @ weight, torch.eye(8), atol=1e-5, rtol=0)


def test_a_training_gives_every_contestant_every_turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    small = ("--model.core.hidden_size=8", "--data.batch_size=4", "--trainer.val_check_interval=1000")
    laps = step_laps(Case("copy", "copy", 2, 1, small), ["fit", "plain", "data"], turns=3, quick=False)
    assert {name: len(found) for name, found in laps.items()} == {"fit": 3, "plain": 3, "data": 3}
    assert all(found.seconds > 0 for some in laps.values() for found in some)
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_measured_is_a_row_that_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    main(["--quick", "--only", "gpu", "--output", str(tmp_path)])
    assert "not measured  no GPU" in capsys.readouterr().out
    stored = json.loads((tmp_path / "benchmarks.json").read_text())
    assert [(row["group"], row["verdict"], row["note"]) for row in stored["rows"]] == [
        ("gpu", "not measured", "no GPU")
    ]
    assert {"cpu", "cores", "versions", "date", "command", "torch threads by default"} <= stored.keys()
    assert "no GPU" in (tmp_path / "benchmarks.md").read_text()


def test_turns_below_one_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--turns", "0", "--output", str(tmp_path)])
    assert ended.value.code == 2
    assert "--turns must be at least 1" in capsys.readouterr().err
