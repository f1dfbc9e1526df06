from pathlib import Path

import pytest

from rnn_tasks.explorer.facts import facts
from rnn_tasks.tasks import Adding
from tests.helpers.explorer_runs import GENERATED_TASKS, small_run

TASK = GENERATED_TASKS["echo"]


@pytest.mark.parametrize(
    ("checkpoint", "text"),
    [
        ("best.ckpt", "those with the lowest validation loss (best.ckpt)"),
        ("last.ckpt", "the last saved ones (last.ckpt)"),
        ("step=7.ckpt", "step=7.ckpt"),
    ],
)
def test_facts_say_which_weights_the_page_has(checkpoint: str, text: str) -> None:
    known = dict(facts(small_run(TASK, checkpoint=Path("folder", checkpoint))))
    assert known["weights"] == text
    assert "checkpoint" not in known


def test_results_of_other_weights_are_marked() -> None:
    results = [dict(facts(small_run(TASK, checkpoint=Path(name))))["test loss"] for name in ("best.ckpt", "last.ckpt")]
    assert results == ["1.2500", "1.2500 (of best.ckpt)"]


def test_results_of_real_values_are_errors() -> None:
    summary = {"metrics": {"test/loss": 0.02, "test/loss_share": 0.125}}
    known = dict(facts(small_run(Adding(length=12), summary=summary)))
    assert (known["test loss"], known["test loss share"]) == ("0.0200", "0.1250")
    assert "test accuracy" not in known
