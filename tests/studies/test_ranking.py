from dataclasses import replace
from typing import Any

import pandas as pd

from rnn_tasks.studies.plan import Plan, Range, Search, Variant
from rnn_tasks.studies.queue import RunState
from rnn_tasks.studies.ranking import SHOWN, best_so_far, ranked, search_table
from rnn_tasks.studies.rows import DRAWN, RESULT
from rnn_tasks.studies.table import run_names, runs_table

GRID = Plan("grid", "", (), {}, {"network": (Variant("rnn"), Variant("qr"), Variant("gru"))}, (0,), None, None)
SEARCH = Plan(
    "search", "", (), {}, {"rate": ()}, (0,), None, None,
    ranges={"rate": Range("model.optimizer.lr", 0.001, 0.1)}, search=Search("random", 25, "loss"),
)  # fmt: skip


def result(loss: float, solved_at: int | None = None, perplexity: float | None = None) -> dict[str, Any]:
    return {
        "verdict": "learning" if solved_at is None else "solved",
        "solved_at": solved_at,
        "steps": 100,
        "metrics": {"val/loss": loss, "test/loss": 2 * loss, "test/perplexity": perplexity},
        "baseline": {"loss": 4.0},
    }


def table(plan: Plan, *results: dict[str, Any], **attributes: Any) -> pd.DataFrame:
    names = [run.name for run in plan.runs()]
    ended = {name: {RESULT: of, **attributes} for name, of in zip(names, results, strict=False)}
    return runs_table(plan, {name: RunState.DONE if name in ended else RunState.PENDING for name in names}, ended)


def test_best_run_solved_soonest_or_has_the_least_loss() -> None:
    assert best_so_far(GRID, table(GRID)) == ""
    assert best_so_far(GRID, table(GRID, result(1.0), result(0.5))) == "best qr-seed0: 0.250 of the baseline loss"
    solved = table(GRID, result(0.1), result(1.0, 80), result(0.9, 90))
    assert best_so_far(GRID, solved) == "best qr-seed0: solved in 80 steps"


def test_best_language_model_has_the_least_perplexity() -> None:
    texts = table(GRID, result(1.0, perplexity=3.5), result(1.1, perplexity=3.25))
    assert best_so_far(GRID, texts) == "best qr-seed0: perplexity 3.250"


def test_search_table_shows_the_best_runs_first() -> None:
    runs = table(SEARCH, *(result(abs(12 - index) + 0.5) for index in range(24)), **{DRAWN: {"rate": 0.01}})
    order = ranked(runs)
    assert (run_names(order)[0], order["state"].iloc[-1]) == ("run0013", RunState.PENDING.value)
    columns, body = search_table(runs)
    assert columns[:3] == ["run", "rate", "validation loss"]
    assert body[0][:3] == ["run0013", "0.01", "0.5"]
    assert len(body) == SHOWN
    assert best_so_far(SEARCH, runs) == "best run0013 (rate 0.01): 0.5 validation loss"
    assert best_so_far(SEARCH, table(SEARCH)) == ""


def test_search_for_few_steps_ranks_by_steps() -> None:
    plan = replace(SEARCH, search=Search("random", 3, "steps"), max_steps=100)
    runs = table(plan, result(0.5), result(3.0, 90), result(1.0, 30))
    assert run_names(ranked(runs)) == ["run0003", "run0002", "run0001"]
