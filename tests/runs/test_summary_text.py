from pathlib import Path
from typing import Any

import pytest

from rnn_tasks.runs.summary_text import VERDICTS, closing_lines, next_step

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
    ):
        assert piece in text


def test_closing_lines_do_not_need_metrics() -> None:
    bare = {**SUMMARY, "metrics": {}, "solved_at": None, "verdict": "at_baseline"}
    assert "at baseline" in closing_lines(bare, Path("run"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, "respond run abc"),
        ({"stopped": "interrupted"}, "resume run"),
        ({"stopped": "diverged", "verdict": "diverged"}, "smaller --model.optimizer.lr"),
        ({"verdict": "at_baseline"}, "resume run --trainer.max_steps 2000"),
        ({"example": None}, "tensorboard"),
    ],
)
def test_next_step_depends_on_the_outcome(changes: dict[str, Any], message: str) -> None:
    assert message in next_step({**SUMMARY, **changes}, "run")


def test_every_verdict_has_a_text() -> None:
    assert set(VERDICTS) == {"solved", "learning", "at_baseline", "diverged"}


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
    assert "lower bound 0.5000 nats" in text


@pytest.mark.parametrize(
    ("verdict", "text"),
    [("learning", "(better than character frequencies"), ("at_baseline", "no better than character frequencies")],
)
def test_verdict_on_text_names_its_baseline(verdict: str, text: str) -> None:
    assert text in closing_lines({**TEXT, "verdict": verdict}, Path("run")).splitlines()[0]
