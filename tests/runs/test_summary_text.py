import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from rnn_tasks.runs.summary_text import (
    VERDICTS,
    closing_lines,
    group_rows,
    metric_rows,
    next_step,
    plateau_text,
    verdict_text,
)
from rnn_tasks.runs.verdict import verdict
from rnn_tasks.spec import Baseline

SUMMARY: dict[str, Any] = {
    "task": "echo",
    "core": "Elman",
    "parameters": 80412,
    "steps": 1000,
    "solved_at": 25,
    "sequences": 64000,
    "seconds": 1.25,
    "stopped": "steps",
    "verdict": "solved",
    "example": "abc",
    "metrics": {
        "val/accuracy": 0.5,
        "test/accuracy": 0.998,
        "test/worst_accuracy": 0.99,
        "test/exact_match": 0.9,
        "test/loss": 0.25,
    },
    "baseline": {"accuracy": 1 / 26, "loss": 2.5},
}


def test_closing_lines_compare_metrics_with_baselines() -> None:
    text = closing_lines(SUMMARY, Path("lightning_logs/echo/version_0"))
    for piece in ("echo: solved", "0.9980", "worst condition 0.9900", "chance 0.0385", "10.0% of the baseline 2.5000"):
        assert piece in text
    for piece in (
        "1,000 steps, solved at step 25",
        "64,000 sequences",
        "80,412 parameters",
        "lightning_logs/echo/version_0",
        "analyze lightning_logs/echo/version_0",
        "explore lightning_logs/echo/version_0",
    ):
        assert piece in text


def test_closing_lines_begin_with_the_options_of_the_task() -> None:
    lines = closing_lines(SUMMARY, Path("run"), "Echo(delay=2)").splitlines()
    assert lines[1].split() == ["task", "Echo(delay=2)"]
    assert lines[2:] == closing_lines(SUMMARY, Path("run")).splitlines()[1:]


def test_closing_lines_name_the_explorer_of_a_network_only(tmp_path: Path) -> None:
    assert "explore" not in closing_lines(SUMMARY, tmp_path)
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints/last.ckpt").touch()
    assert closing_lines(SUMMARY, tmp_path).splitlines()[-1].startswith("  explore ")


def test_closing_lines_do_not_need_metrics() -> None:
    bare = {**SUMMARY, "metrics": {}, "solved_at": None, "verdict": "at_baseline"}
    assert "at baseline" in closing_lines(bare, Path("run"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, "respond run abc"),
        ({"stopped": "interrupted"}, "resume run"),
        ({"stopped": "diverged", "verdict": "diverged"}, "smaller --model.optimizer.lr"),
        ({"stopped": "steps", "verdict": "diverged"}, "smaller --model.optimizer.lr"),
        ({"verdict": "at_baseline"}, "resume run --trainer.max_steps 2000"),
        ({"verdict": "worse_than_baseline"}, "smaller --model.optimizer.lr, or longer: "),
        ({"verdict": "worse_than_baseline"}, "resume run --trainer.max_steps 2000"),
        ({"verdict": "worse_than_baseline", "stopped": "time"}, "smaller --model.optimizer.lr"),
        ({"example": None}, "explore run"),
    ],
)
def test_next_step_depends_on_the_outcome(changes: dict[str, Any], message: str) -> None:
    assert message in next_step({**SUMMARY, **changes}, "run")


@pytest.mark.parametrize(
    ("changes", "ends"), [({}, "respond run abc --trust"), ({"example": None}, "explore run --trust")]
)
def test_next_step_asks_for_trust_when_it_is_needed(changes: dict[str, Any], ends: str) -> None:
    assert next_step({**SUMMARY, **changes}, "run", trust=True).endswith(ends)


def test_closing_lines_ask_for_trust_when_it_is_needed() -> None:
    lines = closing_lines(SUMMARY, Path("run"), trust=True)
    assert [line.split()[0] for line in lines.splitlines() if "--trust" in line] == ["next", "report", "explore"]
    assert "--trust" not in closing_lines(SUMMARY, Path("run"))


def test_every_verdict_has_a_text() -> None:
    losses = [None, 0.1, 1.0, 2.0, float("nan")]
    verdicts = {verdict(solved, loss, Baseline(1.0, 0.5)) for loss in losses for solved in (True, False)} - {None}
    assert set(VERDICTS) == verdicts


@pytest.mark.parametrize(
    ("changes", "explanation"),
    [
        ({}, "solved    in validation at step 25, but not in the test"),
        ({"metrics": {"val/loss": 0.2, "val/accuracy": 0.98, "val/worst_accuracy": 0.9, "val/exact_match": 0}},
         "in validation at step 25, but not in the last validation"),
        ({"metrics": {}}, "in validation at step 25, but not in the last validation"),
        ({"verdict": "diverged"}, "in validation at step 25, before the run diverged"),
        ({"baseline": {"loss": 1.5, "name": "5-gram", "perplexity": 4.5}}, "the best n-gram is better"),
    ],
)  # fmt: skip
def test_closing_lines_explain_a_run_that_only_validation_solved(changes: dict[str, Any], explanation: str) -> None:
    metrics = {"test/loss": 0.1, "test/accuracy": 0.992, "test/worst_accuracy": 0.9886, "test/exact_match": 0.9}
    text = {"test/perplexity": 4.6, "test/bits_per_character": 2.0}
    summary = {**SUMMARY, "verdict": "learning", "metrics": metrics | text, "time_steps": 9, **changes}
    lines = closing_lines(summary, Path("run"))
    assert re.sub(" +", " ", explanation) in re.sub(" +", " ", lines)
    assert "solved at step" not in lines


def test_closing_lines_say_solved_once_when_the_test_agrees() -> None:
    lines = closing_lines(SUMMARY, Path("run")).splitlines()
    assert [line for line in lines if "solved" in line] == [
        "echo: solved",
        next(li for li in lines if "training" in li),
    ]


@pytest.mark.parametrize("name", ["my runs/echo", "x;id", "$(id)", "it's", "a`id`"])
def test_commands_in_the_closing_lines_are_quoted(name: str) -> None:
    for line in closing_lines({**SUMMARY, "example": "abc; id"}, Path(name)).splitlines()[-3:]:
        words = shlex.split(line)
        assert str(Path(name)) in words
        assert "id" not in words or words[-2:] == ["abc;", "id"]
    assert shlex.quote("abc;") in closing_lines({**SUMMARY, "example": "abc; id"}, Path(name))


@pytest.mark.parametrize("example", ["--prefix '\x1b]52;c;x\x07'", "'never closed", "a\u202eb"])
def test_next_step_omits_an_example_that_cannot_be_printed(example: str) -> None:
    assert next_step({**SUMMARY, "example": example}, "run").endswith("respond run")


def test_closing_lines_of_a_strange_summary_are_printable() -> None:
    strange = "\x1b[31m\u202e\n\ud800"
    summary = {**SUMMARY, "task": strange, "core": strange, "example": strange}
    summary |= {"baseline": {**TEXT["baseline"], "name": strange}, "metrics": TEXT["metrics"], "time_steps": 9}
    lines = closing_lines(summary, Path(strange)).split("\n")
    assert len(lines) == len(closing_lines({**summary, "task": "a", "core": "b"}, Path("run")).splitlines()) == 10
    assert all(line.isprintable() for line in lines)


TEXT: dict[str, Any] = {
    "task": "time_machine",
    "core": "LSTM",
    "parameters": 300060,
    "steps": 1000,
    "solved_at": 600,
    "sequences": 32000,
    "time_steps": 2048000,
    "seconds": 64.0,
    "stopped": "steps",
    "verdict": "solved",
    "example": "--prefix 'time traveller'",
    "metrics": {
        "val/loss": 1.3,
        "val/perplexity": 3.67,
        "val/bits_per_character": 1.876,
        "train_epoch/perplexity": 3.125,
    },
    "baseline": {
        "loss": 1.4317,
        "name": "5-gram",
        "perplexity": 4.186,
        "val": {"loss": 1.367, "name": "5-gram", "perplexity": 3.924},
    },
}


def test_closing_lines_on_text_show_the_n_gram_of_the_split() -> None:
    text = closing_lines(TEXT, Path("run"))
    for piece in ("solved (better than the best n-gram)", "val perplexity    3.670 (best n-gram, a 5-gram: 3.924)"):
        assert piece in text
    for piece in ("1.3000 nats per character, 1.876 bits per character", "3.125 (last epoch", "(32,000 characters/s)"):
        assert piece in text
    assert "generate run --prefix 'time traveller'" in text
    tested = {"test/loss": 1.36, "test/perplexity": 3.896, "test/bits_per_character": 1.962}
    baseline = {**TEXT["baseline"], "floor": 0.5}
    text = closing_lines({**TEXT, "metrics": {**TEXT["metrics"], **tested}, "baseline": baseline}, Path("run"))
    assert "test perplexity   3.896 (best n-gram, a 5-gram: 4.186)" in text
    assert "lowest possible 0.5000 nats" in text


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("learning", "(better than character frequencies"),
        ("at_baseline", "no better than character frequencies"),
        ("worse_than_baseline", "worse than character frequencies"),
        ("diverged", "not finite"),
    ],
)
def test_verdict_on_text_names_its_baseline(name: str, text: str) -> None:
    assert text in closing_lines({**TEXT, "verdict": name}, Path("run")).splitlines()[0]


TEMPORAL_ORDER: dict[str, Any] = {
    **SUMMARY,
    "task": "temporal_order",
    "solved_at": None,
    "verdict": "learning",
    "metrics": {
        "test/accuracy": 0.512,
        "test/worst_accuracy": 0.512,
        "test/exact_match": 0.512,
        "test/loss": 0.7,
        "test/accuracy_by_lag/30": 0.25,
        "test/accuracy_by_lag/2": 1.0,
        "test/accuracy_by_length/20": 0.5,
        "test/accuracy_by_length/64": 0.375,
        "test/accuracy_by_length/128": 0.25,
        "test/loss_by_length/64": 1.5,
    },
    "baseline": {
        "loss": 1.4,
        "accuracy": 0.25,
        "floor": 0.125,
        "unit": "nats per step",
        "plateaus": [{"name": "knows only the latest mark", "loss": 0.6931, "accuracy": 0.5}, {"name": "b", "loss": 1}],
        "by_length": {str(length): {"loss": 1.4, "accuracy": 0.25} for length in (64, 128)},
    },
}


def rows_of(summary: dict[str, Any]) -> dict[str, str]:
    """Return the closing lines by the first words; a line that continues a row is appended to the row."""
    rows: dict[str, str] = {}
    for line in closing_lines(summary, Path("run")).splitlines()[1:]:
        name, _, text = line.strip().partition("  ")
        if line.startswith("    "):
            rows[list(rows)[-1]] += f"; {line.strip()}"
        else:
            rows[name] = text.strip()
    return rows


def test_closing_lines_have_plateaus_floor_groups_and_lengths() -> None:
    rows = rows_of(TEMPORAL_ORDER)
    assert rows["test loss"] == "0.7000 nats per step, 50.0% of the baseline 1.4000; lowest possible 0.1250 nats"
    assert rows["plateau"] == "accuracy 0.5000, loss 0.6931: knows only the latest mark; loss 1.0000: b"
    assert rows["worst lag"] == "30 (of 2 to 30): accuracy 0.2500"
    assert rows["longer"] == "accuracy at length 64: 0.3750, 128: 0.2500 (chance 0.2500)"
    assert "worst length" not in rows  # one length in training is no comparison


def test_closing_lines_name_the_range_of_chance_at_lengths() -> None:
    by_length = {"64": {"loss": 1.4, "accuracy": 0.25}, "128": {"loss": 1.4, "accuracy": 0.125}}
    rows = rows_of({**TEMPORAL_ORDER, "baseline": {**TEMPORAL_ORDER["baseline"], "by_length": by_length}})
    assert rows["longer"] == "accuracy at length 64: 0.3750, 128: 0.2500 (chance 0.1250 to 0.2500)"


def test_many_lengths_are_broken_between_two_lengths() -> None:
    lengths = [16 * 2**power for power in range(12)]
    metrics = {f"test/accuracy_by_length/{length}": 0.5 for length in lengths}
    baseline = {
        **TEMPORAL_ORDER["baseline"],
        "by_length": {str(length): {"loss": 1, "accuracy": 0.5} for length in lengths},
    }
    summary = {**TEMPORAL_ORDER, "metrics": TEMPORAL_ORDER["metrics"] | metrics, "baseline": baseline}
    lines = [
        line
        for line in closing_lines(summary, Path("run")).splitlines()
        if ": 0.5000" in line and "plateau" not in line
    ]
    assert len(lines) > 1
    assert max(map(len, lines)) <= 100
    assert [int(length) for line in lines for length in re.findall(r"(\d+): 0\.5000", line)] == lengths


ADDING: dict[str, Any] = {
    **SUMMARY,
    "task": "adding",
    "model": "SequenceRegressor",
    "example": None,
    "metrics": {
        "test/loss": 0.001,
        "test/loss_share": 0.006,
        "test/loss_by_lag/3": 0.0005,
        "test/loss_by_lag/60": 0.00225,
        "test/loss_by_length/400": 0.05,
    },
    "baseline": {
        "loss": 1 / 6,
        "unit": "mean squared error",
        "plateaus": [{"name": "knows one of the two values", "loss": 1 / 12}],
        "by_length": {"400": {"loss": 1 / 6, "unit": "mean squared error"}},
    },
}


def test_closing_lines_of_real_values_have_errors() -> None:
    rows = rows_of(ADDING)
    assert rows["test error"] == "0.001 mean squared error, 0.6% of the baseline 0.1667"
    assert rows["plateau"] == "error 0.08333: knows one of the two values"
    assert rows["worst lag"] == "60 (of 3 to 60): error 0.00225"
    assert rows["longer"] == "error at length 400: 0.05 (baseline 0.1667)"
    assert "solved at step 25" in rows["training"]
    named = {**ADDING, "baseline": {**ADDING["baseline"], "name": "persistence", "floor": 0.0001}}
    assert rows_of(named)["test error"].endswith("0.1667 (persistence); lowest possible 0.0001")


def test_closing_lines_explain_an_error_only_in_validation() -> None:
    rows = rows_of({**ADDING, "verdict": "learning"})
    assert rows["solved"] == "in validation at step 25, but not in the test"


def test_groups_of_few_steps_are_not_called_the_worst() -> None:
    metrics = {f"test/accuracy_by_lag/{lag}": accuracy for lag, accuracy in ((3, 0.9), (4, 1.0), (50, 0.0))}
    assert group_rows(metrics, {}) == {"worst lag": "50 (of 3 to 50): accuracy 0.0000"}
    steps = {f"test/steps_by_lag/{lag}": float(count) for lag, count in ((3, 200), (4, 100), (50, 2))}
    assert group_rows({**metrics, **steps}, {}) == {"worst lag": "3 (of 3 to 4): accuracy 0.9000"}


def test_accuracy_is_compared_with_the_named_baseline() -> None:
    metrics = {"test/accuracy": 0.9, "test/worst_accuracy": 0.9, "test/exact_match": 0.5, "test/loss": 0.2}
    baseline = {"loss": 0.5, "accuracy": 0.5, "name": "position"}
    assert metric_rows(metrics, baseline, "test")["test accuracy"] == "0.9000 (position 0.5000); exact match 0.5000"


@pytest.mark.parametrize(
    ("accuracy", "text"),
    [
        (0.512, "learning (at the plateau: knows only the latest mark)"),
        (0.40, "learning (below the plateau: knows only the latest mark)"),
        (0.60, "learning (better than the baseline, not solved)"),
    ],
)
def test_verdict_names_the_plateau_not_surpassed(accuracy: float, text: str) -> None:
    steps = {"test/steps_by_lag/2": 500.0, "test/steps_by_lag/30": 500.0}  # three standard errors are 0.047
    metrics = TEMPORAL_ORDER["metrics"] | steps | {"test/accuracy": accuracy}
    assert verdict_text({**TEMPORAL_ORDER, "metrics": metrics}) == text


def test_references_are_not_called_plateaus() -> None:
    plateaus = [{"name": "best possible", "accuracy": 0.52, "kind": "reference"}]
    baseline = {**TEMPORAL_ORDER["baseline"], "plateaus": plateaus}
    rows = rows_of({**TEMPORAL_ORDER, "baseline": baseline})
    assert rows["reference"] == "accuracy 0.5200: best possible"
    assert "plateau" not in rows
    assert plateau_text(TEMPORAL_ORDER["metrics"], baseline) == ""
    assert rows["test accuracy"] == "0.5120 (chance 0.2500)"  # exact match is not possible
    assert "worst lag" not in rows


def test_longer_lengths_have_the_best_plateau_and_baseline() -> None:
    at_length = {"loss": 1, "accuracy": 0.25, "name": "position", "plateaus": [{"name": "b", "accuracy": 0.5}]}
    baseline = {**TEMPORAL_ORDER["baseline"], "by_length": {"64": at_length, "128": {**at_length, "plateaus": []}}}
    longer = rows_of({**TEMPORAL_ORDER, "baseline": baseline})["longer"]
    assert longer == "accuracy at length 64: 0.3750, 128: 0.2500 (position 0.2500, plateau 0.5000)"


def test_verdict_and_stop_of_real_values_name_errors() -> None:
    summary = {**ADDING, "verdict": "at_baseline", "stopped": "accuracy", "solved_at": None}
    assert "guessing" not in closing_lines(summary, Path("run"))
    assert rows_of(summary)["training"].endswith("stopped: error reached")
