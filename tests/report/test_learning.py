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
from rnn_tasks.runs.curves import Curve
from rnn_tasks.runs.find import RunLocation
from rnn_tasks.spec import NOT_SCORED, Baseline, Batch
from rnn_tasks.tasks import Copy, Counting, ElmanGrammar, TemporalOrder, VariableDelayEcho
from tests.helpers.report_runs import curve, make_run


@pytest.fixture
def echo(trained_logs: Path) -> RunData:
    return load_runs([RunLocation(trained_logs / "echo" / "version_0")])[0]


@pytest.fixture
def grammar(trained_logs: Path) -> RunData:
    return load_runs([RunLocation(trained_logs / "elman_grammar" / "version_0")])[0]


def cells(table: Table) -> dict[str, list[str]]:
    return {row[0]: list(row[1:]) for row in table.rows}


@pytest.mark.parametrize("name", ["echo", "grammar"])
def test_results_equal_those_of_the_closing_lines(name: str, request: pytest.FixtureRequest) -> None:
    run: RunData = request.getfixturevalue(name)
    found = results(run)
    assert found.stage == "test"
    closing_lines = summary_text.text_metric_rows if name == "grammar" else summary_text.metric_rows
    text = " ".join(closing_lines(run.summary["metrics"], run.summary["baseline"], "test").values())
    in_table = {value for row in table([run], [found]).rows for value in row[1:]}
    in_text = set(re.findall(r"\d+\.\d+%?", text))
    assert len(in_text) >= 4
    assert in_text <= in_table


def test_verdict_contains_the_main_results() -> None:
    metrics = {"test/loss": 0.5, "test/accuracy": 0.75, "test/worst_accuracy": 0.5, "test/exact_match": 0.1}
    summary = {
        "metrics": metrics,
        "verdict": "learning",
        "solved_at": 20,
        "baseline": {"loss": 2.0, "accuracy": 0.125},
    }
    run = make_run(Copy(test_sequences=20), summary=summary)
    text = verdict(run, results(run))
    assert "learning (better than the baseline, not solved)" in text
    assert "The test accuracy is 75.00% at the steps that need memory (chance: 12.50%)." in text
    assert "25.0% of the baseline loss" in text
    assert "step 20" in text
    assert cells(table([run], [results(run)]))["loss / baseline loss"] == ["25.0%"]


def test_results_of_a_killed_run_are_of_its_last_validation(echo: RunData) -> None:
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


def test_baseline_is_the_same_from_every_source(echo: RunData) -> None:
    expected = Baseline(math.log(26), 1 / 26)
    unsummarized = dataclasses.replace(echo, summary={})
    for run in (echo, unsummarized, dataclasses.replace(unsummarized, task=None)):
        found = baseline(run, "val")
        assert found is not None
        assert found[:3] == pytest.approx((*expected[:2], "chance"))
    assert baseline(dataclasses.replace(echo, summary={}, task=None, curves={}), "val") is None


def test_section_of_an_unvalidated_run_lists_missing_parts() -> None:
    section = learning_section([make_run(Copy(test_sequences=20))])
    assert section.missing == ["learning curves: the run has no TensorBoard files that contain them"]
    assert "never validated" in section.blocks[0].text  # type: ignore[union-attr]
    assert not any(isinstance(block, Picture | Table) for block in section.blocks)


def test_thinned_keeps_at_most_max_points() -> None:
    long = Curve(np.arange(25_000), np.arange(25_000) / 7)
    found = thinned(long)
    assert len(found.steps) <= MAX_POINTS
    assert (found.steps[-1], found.values[-1]) == (25_000, 24_999 / 7)
    assert np.array_equal(found.values, (found.steps - 1) / 7)


@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_learning_curves_of_two_runs_share_panels(width: float) -> None:
    one = {"val/loss": curve(1.0, 0.5, 0.01), "train/loss": curve(1.1, 0.4, 0.02), "val/accuracy": curve(0.1, 0.5, 1.0)}
    two = {"val/loss": curve(1.0, 0.9, 0.8), "val/accuracy": curve(0.1, 0.1, 0.2)}
    task = Copy(test_sequences=20)
    runs = [
        make_run(task, "A: one", curves=one, summary={"solved_at": 30}),
        make_run(task, "B: two", curves=two, summary={}),
    ]
    figure = draw_learning_curves([learning_run(run, task.baseline) for run in runs], "nats per step", width)
    losses, accuracies = figure.axes
    assert (losses.get_ylabel(), losses.get_xlabel()) == ("loss, nats per step", "optimizer steps")
    assert losses.get_yscale() == "log"
    for ax, value in ((losses, task.baseline.loss), (accuracies, 1 / 8)):
        assert sum(constant(ax, value)) == 1
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["A: one", "B: two", "baseline", "solved"]
    points = [data.tolist() for line in accuracies.lines if len(data := np.asarray(line.get_xydata())) == 1]
    assert points == [[[30.0, 1.0]]]
    ends = [data[-1].tolist() for line in losses.lines if len(data := np.asarray(line.get_xydata())) == 3]
    assert sorted(ends) == [[30.0, 0.01], [30.0, 0.02], [30.0, 0.8]]


def constant(ax: Axes, value: float) -> list[bool]:
    """Return for each line of a panel whether it is a horizontal line at this height."""
    heights = [np.asarray(line.get_ydata()) for line in ax.lines]
    return [len(height) == 2 and bool(np.allclose(height, value)) for height in heights]


def test_floor_of_a_text_is_drawn_and_in_the_table(grammar: RunData) -> None:
    val_baseline = baseline(grammar, "val")
    assert val_baseline is not None
    assert val_baseline.floor is not None
    figure = draw_learning_curves([learning_run(grammar, val_baseline)], "nats per character", WIDE)
    assert sum(constant(figure.axes[0], val_baseline.floor)) == 1
    assert {"n-gram", "lowest possible loss", "training", "validation"} <= {
        text.get_text() for text in figure.legends[0].get_texts()
    }
    assert cells(table([grammar], [results(grammar)]))["entropy rate, nats per character"] == [
        f"{val_baseline.floor:.4f}"
    ]


def test_loss_axis_is_linear_when_losses_are_similar() -> None:
    run = make_run(Copy(test_sequences=20), curves={"val/loss": curve(1.0, 0.9)})
    figure = draw_learning_curves([learning_run(run, None)], "nats per step", WIDE)
    assert figure.axes[0].get_yscale() == "linear"


def answered(lines: Lines) -> list[tuple[str, str, set[int]]]:
    """Return the target, the answer and the marked positions of each example."""
    examples = []
    for index, line in enumerate(lines.lines):
        if line.startswith("answer"):
            examples.append((lines.lines[index - 1], line, set(lines.marked.get(index, ()))))
    return examples


def test_examples_mark_exactly_the_wrong_answers(trained_logs: Path) -> None:
    (run,) = load_runs([RunLocation(trained_logs / "copy" / "version_0")])
    (shown,) = examples([run])
    found = answered(shown)
    assert len(found) == 3
    assert sum(len(marked) for *_, marked in found) > 0
    for target, answer, marked in found:
        indent = len("target  ")
        assert len(target) == len(answer)
        assert marked == {i for i in range(indent, len(target)) if target[i] != answer[i]}


def test_examples_shorten_blanks_without_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run(Copy(layout="arjovsky", num_symbols=4, delay=60, test_sequences=20))

    def one_mistake(model: object, batch: Batch) -> Tensor:
        symbols = batch.targets.clone()
        symbols[0, 30] = 5  # a blank, which needs no memory
        symbols[0, -1] = (symbols[0, -1] + 1) % 4
        return symbols

    monkeypatch.setattr(report_examples, "answers", one_mistake)
    (shown,) = examples([run])
    (_, answer, marked), other, _ = answered(shown)
    assert marked == {len(answer) - 1}
    counts = [int(count) for count in re.findall(r"… (\d+) blanks …", answer)]
    assert counts == [26, 32]  # the symbols, 26 blanks, the mistake at step 30, 32 blanks, the marker
    rest = re.sub(r"… \d+ blanks …", "", answer).removeprefix("answer  ")
    assert len(rest) + sum(counts) == 68
    assert other[2] == set()
    assert "… 59 blanks …" in other[1]
    assert max(map(len, shown.lines)) < 68
    assert "1 of 12 answers are wrong" in shown.caption


def test_examples_call_only_known_answers_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run(Counting(language="an_bn", max_n=9, test_sequences=20))
    assert run.batch is not None
    known = run.batch.needs_memory
    assert (known != run.batch.scored).any()
    wrong_where_unknown = run.batch.targets.where(known, (run.batch.targets + 1) % 3)
    monkeypatch.setattr(report_examples, "answers", lambda model, batch: wrong_where_unknown[: len(batch.targets)])
    (shown,) = examples([run])
    assert f"All {int(known[:3].sum())} answers are right." in shown.caption
    assert "Only the steps of the accuracy count" in shown.caption
    assert all(answer != target and not marked for target, answer, marked in answered(shown))


def test_examples_have_several_delays_and_all_runs() -> None:
    task = VariableDelayEcho(max_delay=4, test_sequences=20)
    (shown,) = examples([make_run(task, "A: one"), make_run(task, "B: two")])
    assert [line for line in shown.lines if line.startswith("delay")] == ["delay   0", "delay   2", "delay   4"]
    assert sum(line.startswith("A ") for line in shown.lines) == sum(line.startswith("B ") for line in shown.lines) == 3
    other = make_run(VariableDelayEcho(max_delay=3, test_sequences=20), "B: two")
    assert len(examples([make_run(task, "A: one"), other])) == 2  # different test sequences


def test_predictions_mark_wrong_characters(grammar: RunData) -> None:
    assert grammar.batch is not None
    (shown,) = predictions([grammar])
    texts = [line.removeprefix("text       ") for line in shown.lines if line.startswith("text")]
    assert "".join(texts) == "".join(grammar.characters(grammar.batch.targets[0, :PREDICTED].tolist()))
    guesses = answers(grammar.network, grammar.batch)[0, :PREDICTED]
    wrong = int((guesses != grammar.batch.targets[0, :PREDICTED]).sum())
    assert sum(map(len, shown.marked.values())) == wrong > 0
    for index, line in enumerate(shown.lines):
        if line.startswith("predicted"):
            above = shown.lines[index - 1]
            assert set(shown.marked[index]) == {i for i in range(11, len(line)) if line[i] != above[i]}
    assert max(map(len, shown.lines)) <= LINE + 11


def test_samples_begin_with_the_prefix(grammar: RunData) -> None:
    shown = samples([grammar])
    assert shown is not None
    assert "".join(shown.lines).startswith("the boy")
    assert len("".join(shown.lines)) >= SAMPLED + len("the boy")
    assert samples([make_run(Copy(test_sequences=20))]) is None


def test_answers_keep_the_training_mode_of_the_network() -> None:
    for task in (VariableDelayEcho(test_sequences=20), ElmanGrammar(test_characters=2000)):
        run = make_run(task)
        assert run.batch is not None
        found = answers(run.network.train(), run.batch)
        assert run.network.training
        logits = run.network.eval()(run.batch.inputs, run.batch.condition)[0]
        assert torch.equal(found, logits.argmax(-1))


def test_verdict_reports_missing_and_non_finite_results() -> None:
    run = make_run(Copy(test_sequences=20), curves={"val/loss": curve(0.5)})
    found = results(run)
    assert "Some results are missing or not finite." in verdict(run, found)
    assert table([run], [found]).rows
    summary = {"metrics": {"test/loss": math.nan, "test/accuracy": 0.5}, "baseline": {"loss": 1.0, "accuracy": 0.1}}
    run = make_run(Copy(test_sequences=20), summary=summary)
    assert "nan" not in verdict(run, results(run))


def test_examples_have_the_characters_of_output_symbols() -> None:
    run = make_run(TemporalOrder(test_sequences=20))
    (shown,) = examples([run])
    codec = run.network.spec.codec
    assert codec is not None
    assert codec.output_symbols
    for target, answer, marked in answered(shown):
        assert target[-1] in codec.output_symbols
        assert answer[-1] in codec.output_symbols
        assert marked == ({len(target) - 1} if target[-1] != answer[-1] else set())
    assert run.recall_lag is None  # answers are not earlier inputs


def test_examples_end_at_the_last_scored_step() -> None:
    run = make_run(Copy(layout="plain", num_symbols=3, delay=4, test_sequences=20))
    assert run.batch is not None
    targets = run.batch.targets.clone()
    targets[0, -2:] = NOT_SCORED
    shortened = dataclasses.replace(run, batch=run.batch._replace(targets=targets))
    lengths = [[len(line) for line in block[0].lines if line] for block in (examples([run]), examples([shortened]))]
    assert [full - cut for full, cut in zip(*lengths, strict=True)] == [2] * 3 + [0] * 6
