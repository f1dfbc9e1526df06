import csv
import io
from typing import Any

from rnn_tasks.studies.plan import Plan, Variant
from rnn_tasks.studies.queue import REASON, RESULT, State
from rnn_tasks.studies.table import Row, as_csv, as_markdown, censored_median, rows_of, steps_table, summary_table

PLAN = Plan("small", "", (), {}, {"network": (Variant("rnn"), Variant("qr"))}, (0, 1, 2), None, None)


def result(solved_at: int | None, steps: int, accuracy: float = 0.5) -> dict[str, Any]:
    return {
        "verdict": "learning" if solved_at is None else "solved",
        "solved_at": solved_at,
        "steps": steps,
        "seconds": 1.5,
        "parameters": 100,
        "metrics": {"test/accuracy": accuracy, "test/loss": 0.5},
        "baseline": {"loss": 2.0},
    }


def rows(*results: dict[str, Any]) -> list[Row]:
    names = [cell.name for cell in PLAN.cells()]
    ended = {name: {RESULT: value} for name, value in zip(names, results, strict=False)}
    return rows_of(PLAN, {name: State.DONE if name in ended else State.TO_COME for name in names}, ended)


def test_runs_that_were_not_solved_are_never_averaged_away() -> None:
    of_rnn = [result(None, 400), result(None, 300), result(30, 35)]
    of_qr = [result(30, 35, 0.9), result(None, 400, 0.8), result(50, 55, 1.0)]
    columns, body = summary_table(PLAN, rows(*of_rnn, *of_qr))
    first, second = (dict(zip(columns, cells, strict=True)) for cells in body)
    assert (first["network"], first["solved"], first["steps to solve"]) == ("rnn", "1 of 3", "> 300")
    assert (second["solved"], second["steps to solve"]) == ("2 of 3", "50")
    assert second["accuracy"] == "0.9000 (0.8000 to 1.0000)"
    assert second["loss / baseline"] == "0.250"
    assert "perplexity" not in columns


def test_a_run_whose_validation_alone_was_solved_is_not() -> None:
    (row, *_) = rows({**result(30, 35), "verdict": "learning"})
    assert row.solved_at is None


def test_an_even_number_of_seeds_takes_the_worse_of_the_two_in_the_middle() -> None:
    assert censored_median([10, 20], [10, 20]) == "20"
    assert censored_median([10, None], [10, 400]) == "> 400"


def test_a_row_for_each_run_in_csv() -> None:
    failed = rows(result(30, 35))
    failed[1] = Row(failed[1].cell, State.FAILED, {}, 'it said "no", twice')
    read = list(csv.DictReader(io.StringIO(as_csv(PLAN, failed))))
    assert len(read) == 6
    assert (read[0]["network"], read[0]["seed"], read[0]["state"], read[0]["solved_at"]) == ("rnn", "0", "done", "30")
    assert (read[1]["state"], read[1]["reason"], read[1]["steps"]) == ("failed", 'it said "no", twice', "")
    assert read[2]["state"] == "to come"


def test_nothing_yet_is_a_table_too() -> None:
    columns, body = summary_table(PLAN, rows())
    assert columns == ["network", "solved"]
    assert as_markdown(columns, body).splitlines()[2] == "| rnn | 0 of 3 |"


def test_what_failed_has_its_reason() -> None:
    names = [cell.name for cell in PLAN.cells()]
    states = {name: State.FAILED for name in names}
    assert rows_of(PLAN, states, {names[0]: {REASON: "no"}})[0].reason == "no"


DELAYS = Plan(
    "delays",
    "",
    (),
    {},
    {"method": (Variant("qr"),), "delay": (Variant("1", value=1), Variant("50", value=50))},
    (0, 1, 2),
    None,
    None,
)


def test_steps_to_solve_stand_by_method_and_delay_with_what_was_not_solved_marked() -> None:
    values = [result(30, 35), result(50, 55), result(40, 45), result(300, 310), result(None, 400), result(None, 380)]
    names = [cell.name for cell in DELAYS.cells()]
    states = dict.fromkeys(names, State.DONE)
    found = rows_of(DELAYS, states, {name: {RESULT: of} for name, of in zip(names, values, strict=True)})
    assert steps_table(DELAYS, found, "delay") == (
        ["method", "1", "50"],
        [["qr", "40 (30 to 50)", "> 380 (300 to > 380)"]],
    )


def test_a_combination_without_a_run_has_no_steps() -> None:
    names = [cell.name for cell in DELAYS.cells()]
    found = rows_of(DELAYS, dict.fromkeys(names, State.TO_COME), {})
    assert steps_table(DELAYS, found, "delay")[1] == [["qr", "-", "-"]]
