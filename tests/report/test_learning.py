import dataclasses
import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from torch import Tensor

from rnn_tasks.plots.learning_curves import draw_learning_curves
from rnn_tasks.plots.style import NARROW, WIDE
from rnn_tasks.report import examples as report_examples
from rnn_tasks.report.answers import answers
from rnn_tasks.report.blocks import Lines, Picture, Table
from rnn_tasks.report.examples import LINE, PREDICTED, SAMPLED, examples, predictions, samples
from rnn_tasks.report.learning import baseline, learning_section, results, table, verdict
from rnn_tasks.report.learning_curves import MAX_POINTS, learning_run, thinned
from rnn_tasks.report.run_data import RunData, load_runs
from rnn_tasks.runs import summary_text
from rnn_tasks.runs.find import RunPlace
from rnn_tasks.runs.tensorboard_log import Curve
from rnn_tasks.spec import Baseline, Batch
from rnn_tasks.tasks import Copy, ElmanGrammar, VariableDelayEcho
from tests.helpers.report_runs import curve, made


@pytest.fixture
def echo(trained_logs: Path) -> RunData:
    return load_runs([RunPlace(trained_logs / "echo" / "version_0")])[0]


@pytest.fixture
def grammar(trained_logs: Path) -> RunData:
    return load_runs([RunPlace(trained_logs / "elman_grammar" / "version_0")])[0]


def cells(table: Table) -> dict[str, list[str]]:
    return {row[0]: list(row[1:]) for row in table.rows}


@pytest.mark.parametrize("name", ["echo", "grammar"])
def test_figures_are_those_of_the_closing_lines(name: str, request: pytest.FixtureRequest) -> None:
    run: RunData = request.getfixturevalue(name)
    found = results(run)
    assert found.stage == "test"
    of = summary_text.figures_of_text if name == "grammar" else summary_text.figures
    said = " ".join(of(run.summary["metrics"], run.summary["baseline"], "test"))
    shown = {value for row in table([run], [found]).rows for value in row[1:]}
    wanted = set(re.findall(r"\d+\.\d+%?", said))
    assert len(wanted) >= 4
    assert wanted <= shown


def test_a_verdict_in_words() -> None:
    metrics = {"test/loss": 0.5, "test/accuracy": 0.75, "test/worst_accuracy": 0.5, "test/exact_match": 0.1}
    summary = {
        "metrics": metrics,
        "verdict": "learning",
        "solved_at": 20,
        "baseline": {"loss": 2.0, "accuracy": 0.125},
    }
    run = made(Copy(test_sequences=20), summary=summary)
    said = verdict(run, results(run))
    assert "learning (better than the baseline, not solved)" in said
    assert "75.00%" in said
    assert "12.50%" in said
    assert "25.0% of the baseline's" in said
    assert "step 20" in said
    assert cells(table([run], [results(run)]))["loss, share of the baseline"] == ["25.0%"]


def test_a_killed_run_has_its_last_validation_and_its_curves(echo: RunData) -> None:
    killed = dataclasses.replace(echo, summary={})
    found = results(killed)
    assert found.stage == "val" or "test/loss" in echo.curves
    validated = {name: c for name, c in echo.curves.items() if not name.startswith("test/")}
    killed = dataclasses.replace(killed, curves=validated)
    found = results(killed)
    assert found.stage == "val"
    assert found.metrics["loss"] == echo.curves["val/loss"].values[-1]
    section = learning_section([killed])
    assert "no verdict yet" in section.blocks[0].text  # type: ignore[union-attr]
    assert any(isinstance(block, Picture) for block in section.blocks)
    assert section.missing == []


def test_where_a_baseline_comes_from(echo: RunData) -> None:
    known = Baseline(math.log(26), 1 / 26)
    unsaid = dataclasses.replace(echo, summary={})
    for run in (echo, unsaid, dataclasses.replace(unsaid, task=None)):
        found = baseline(run, "val")
        assert found is not None
        assert found[:3] == pytest.approx((*known[:2], "chance"))
    assert baseline(dataclasses.replace(echo, summary={}, task=None, curves={}), "val") is None


def test_a_run_without_anything_says_so() -> None:
    section = learning_section([made(Copy(test_sequences=20))])
    assert section.missing == ["learning curves: they are not in TensorBoard files of the run"]
    assert "never validated" in section.blocks[0].text  # type: ignore[union-attr]
    assert not any(isinstance(block, Picture | Table) for block in section.blocks)


def test_a_long_curve_is_thinned() -> None:
    long = Curve(np.arange(25_000), np.arange(25_000) / 7)
    found = thinned(long)
    assert len(found.steps) <= MAX_POINTS
    assert (found.steps[-1], found.values[-1]) == (25_000, 24_999 / 7)
    assert np.array_equal(found.values, (found.steps - 1) / 7)


@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_curves_of_two_runs(width: float) -> None:
    one = {"val/loss": curve(1.0, 0.5, 0.01), "train/loss": curve(1.1, 0.4, 0.02), "val/accuracy": curve(0.1, 0.5, 1.0)}
    two = {"val/loss": curve(1.0, 0.9, 0.8), "val/accuracy": curve(0.1, 0.1, 0.2)}
    task = Copy(test_sequences=20)
    runs = [
        made(task, "A: one", curves=one, summary={"solved_at": 30}),
        made(task, "B: two", curves=two, summary={}),
    ]
    figure = draw_learning_curves([learning_run(run, task.baseline) for run in runs], False, width)
    losses, accuracies = figure.axes
    assert (losses.get_ylabel(), losses.get_xlabel()) == ("loss, nats per step", "optimizer steps")
    assert losses.get_yscale() == "log"
    for field, value in ((losses, task.baseline.loss), (accuracies, 1 / 8)):
        assert sum(constant(field, value)) == 1
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["A: one", "B: two", "baseline", "solved"]
    points = [data.tolist() for line in accuracies.lines if len(data := np.asarray(line.get_xydata())) == 1]
    assert points == [[[30.0, 1.0]]]
    ends = [data[-1].tolist() for line in losses.lines if len(data := np.asarray(line.get_xydata())) == 3]
    assert sorted(ends) == [[30.0, 0.01], [30.0, 0.02], [30.0, 0.8]]


def constant(field: Axes, value: float) -> list[bool]:
    """Which lines of a field are a level of that height."""
    heights = [np.asarray(line.get_ydata()) for line in field.lines]
    return [len(height) == 2 and bool(np.allclose(height, value)) for height in heights]


def test_the_floor_of_a_text_is_drawn_and_said(grammar: RunData) -> None:
    known = baseline(grammar, "val")
    assert known is not None
    assert known.floor is not None
    figure = draw_learning_curves([learning_run(grammar, known)], True, WIDE)
    assert sum(constant(figure.axes[0], known.floor)) == 1
    assert {"n-gram", "least possible", "training", "validation"} <= {
        text.get_text() for text in figure.legends[0].get_texts()
    }
    assert cells(table([grammar], [results(grammar)]))["entropy rate, nats per character"] == [f"{known.floor:.4f}"]


def test_losses_of_one_size_have_a_plain_axis() -> None:
    run = made(Copy(test_sequences=20), curves={"val/loss": curve(1.0, 0.9)})
    figure = draw_learning_curves([learning_run(run, None)], False, WIDE)
    assert figure.axes[0].get_yscale() == "linear"


def answered(lines: Lines) -> list[tuple[str, str, set[int]]]:
    """Target, answer and marked places of each example."""
    found = []
    for index, line in enumerate(lines.lines):
        if line.startswith("answer"):
            found.append((lines.lines[index - 1], line, set(lines.marked.get(index, ()))))
    return found


def test_exactly_the_wrong_answers_are_marked(trained_logs: Path) -> None:
    (run,) = load_runs([RunPlace(trained_logs / "copy" / "version_0")])
    (shown,) = examples([run])
    found = answered(shown)
    assert len(found) == 3
    assert sum(len(marked) for *_, marked in found) > 0
    for target, answer, marked in found:
        indent = len("target  ")
        assert len(target) == len(answer)
        assert marked == {i for i in range(indent, len(target)) if target[i] != answer[i]}


def test_a_long_wait_is_shortened_and_hides_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    run = made(Copy(layout="arjovsky", num_symbols=4, delay=60, test_sequences=20))

    def one_mistake(model: object, batch: Batch) -> Tensor:
        said = batch.targets.clone()
        said[0, 30] = 5
        return said

    monkeypatch.setattr(report_examples, "answers", one_mistake)
    (shown,) = examples([run])
    (_, answer, marked), other, _ = answered(shown)
    assert (answer[min(marked)], len(marked)) == ("5", 1)
    counts = [int(count) for count in re.findall(r"… (\d+) blanks …", answer)]
    assert counts == [26, 32]  # the symbols, 26 blanks, the mistake at step 30, 32 blanks, the marker
    left = re.sub(r"… \d+ blanks …", "", answer).removeprefix("answer  ")
    assert len(left) + sum(counts) == 68
    assert other[2] == set()
    assert "… 59 blanks …" in other[1]
    assert max(map(len, shown.lines)) < 68
    assert "1 of 204 answers are wrong" in shown.caption


def test_examples_are_of_different_delays_and_side_by_side() -> None:
    task = VariableDelayEcho(max_delay=4, test_sequences=20)
    (shown,) = examples([made(task, "A: one"), made(task, "B: two")])
    assert [line for line in shown.lines if line.startswith("delay")] == ["delay   0", "delay   2", "delay   4"]
    assert sum(line.startswith("A ") for line in shown.lines) == sum(line.startswith("B ") for line in shown.lines) == 3
    other = made(VariableDelayEcho(max_delay=3, test_sequences=20), "B: two")
    assert len(examples([made(task, "A: one"), other])) == 2  # they were not asked the same


def test_predictions_of_a_text(grammar: RunData) -> None:
    assert grammar.batch is not None
    (shown,) = predictions([grammar])
    texts = [line.removeprefix("text   ") for line in shown.lines if line.startswith("text")]
    assert "".join(texts) == "".join(grammar.shown(grammar.batch.targets[0, :PREDICTED].tolist()))
    guesses = answers(grammar.network, grammar.batch)[0, :PREDICTED]
    wrong = int((guesses != grammar.batch.targets[0, :PREDICTED]).sum())
    assert sum(map(len, shown.marked.values())) == wrong > 0
    for index, line in enumerate(shown.lines):
        if line.startswith("guess"):
            above = shown.lines[index - 1]
            assert set(shown.marked[index]) == {i for i in range(7, len(line)) if line[i] != above[i]}
    assert max(map(len, shown.lines)) <= LINE + 7


def test_what_a_network_writes(grammar: RunData) -> None:
    shown = samples([grammar])
    assert shown is not None
    assert "".join(shown.lines).startswith("the boy")
    assert len("".join(shown.lines)) >= SAMPLED + len("the boy")
    assert samples([made(Copy(test_sequences=20))]) is None


def test_answers_are_the_networks_and_leave_it_as_it_was() -> None:
    for task in (VariableDelayEcho(test_sequences=20), ElmanGrammar(test_characters=2000)):
        run = made(task)
        assert run.batch is not None
        found = answers(run.network.train(), run.batch)
        assert run.network.training
        logits = run.network.eval()(run.batch.inputs, run.batch.condition)[0]
        assert torch.equal(found, logits.argmax(-1))


def test_figures_that_are_not_all_there_are_no_traceback() -> None:
    run = made(Copy(test_sequences=20), curves={"val/loss": curve(0.5)})
    found = results(run)
    assert "Its figures are not all there" in verdict(run, found)
    assert table([run], [found]).rows
    summary = {"metrics": {"test/loss": math.nan, "test/accuracy": 0.5}, "baseline": {"loss": 1.0, "accuracy": 0.1}}
    run = made(Copy(test_sequences=20), summary=summary)
    assert "nan" not in verdict(run, results(run))
