from dataclasses import replace
from typing import Any

from rnn_tasks.studies.plan import Plan, Range, Search, Variant
from rnn_tasks.studies.queue import DRAWN, RESULT, State
from rnn_tasks.studies.ranking import SHOWN, best_so_far, ranked, search_table
from rnn_tasks.studies.table import Row, rows_of

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


def rows(plan: Plan, *results: dict[str, Any], **attributes: Any) -> list[Row]:
    names = [cell.name for cell in plan.cells()]
    ended = {name: {RESULT: of, **attributes} for name, of in zip(names, results, strict=False)}
    return rows_of(plan, {name: State.DONE if name in ended else State.TO_COME for name in names}, ended)


def test_the_best_is_the_one_that_solved_soonest_or_else_the_one_with_the_least_loss() -> None:
    assert best_so_far(GRID, rows(GRID)) == ""
    assert best_so_far(GRID, rows(GRID, result(1.0), result(0.5))) == "best qr-seed0: 0.250 of the baseline's loss"
    solved = rows(GRID, result(0.1), result(1.0, 80), result(0.9, 90))
    assert best_so_far(GRID, solved) == "best qr-seed0: solved in 80 steps"


def test_the_best_language_model_has_the_least_perplexity() -> None:
    texts = rows(GRID, result(1.0, perplexity=3.5), result(1.1, perplexity=3.25))
    assert best_so_far(GRID, texts) == "best qr-seed0: perplexity 3.250"


def test_a_search_shows_its_best_runs_first_and_has_all_of_them() -> None:
    found = rows(SEARCH, *(result(abs(12 - index) + 0.5) for index in range(24)), **{DRAWN: {"rate": 0.01}})
    first, *_, last = ranked(SEARCH, found)
    assert (first.cell.name, last.state) == ("run0013", State.TO_COME)
    columns, body = search_table(SEARCH, found)
    assert columns[:3] == ["run", "rate", "validation loss"]
    assert body[0][:3] == ["run0013", "0.01", "0.5"]
    assert len(body) == SHOWN
    assert best_so_far(SEARCH, found) == "best run0013 (rate 0.01): 0.5 validation loss"
    assert best_so_far(SEARCH, rows(SEARCH)) == ""


def test_a_search_for_few_steps_ranks_by_them() -> None:
    plan = replace(SEARCH, search=Search("random", 3, "steps"), max_steps=100)
    found = rows(plan, result(0.5), result(3.0, 90), result(1.0, 30))
    assert [row.cell.name for row in ranked(plan, found)] == ["run0003", "run0002", "run0001"]
