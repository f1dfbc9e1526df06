import csv
import io
import re
from typing import Any

import pandas as pd
import pytest

from rnn_tasks.studies.plan import Plan, Variant
from rnn_tasks.studies.queue import RunState
from rnn_tasks.studies.ranking import best_so_far
from rnn_tasks.studies.rows import REASON, RESULT
from rnn_tasks.studies.table import (
    as_csv,
    as_markdown,
    censored_median,
    csv_text,
    runs_table,
    steps_table,
    steps_to_solve,
    summary_table,
)

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


def table(*results: dict[str, Any], reasons: dict[str, str] | None = None) -> pd.DataFrame:
    """Return the runs of PLAN: the first are done, runs with reasons have failed, and the others are pending."""
    names = [run.name for run in PLAN.runs()]
    done: dict[str, dict[str, Any]] = {name: {RESULT: value} for name, value in zip(names, results, strict=False)}
    failed: dict[str, dict[str, Any]] = {name: {REASON: reason} for name, reason in (reasons or {}).items()}
    states = dict.fromkeys(names, RunState.PENDING) | dict.fromkeys(done, RunState.DONE)
    return runs_table(PLAN, states | dict.fromkeys(failed, RunState.FAILED), done | failed)


def test_median_counts_unsolved_runs_as_more_than_budget() -> None:
    of_rnn = [result(None, 400), result(None, 300), result(30, 35)]
    of_qr = [result(30, 35, 0.9), result(None, 400, 0.8), result(50, 55, 1.0)]
    columns, body = summary_table(table(*of_rnn, *of_qr))
    first, second = (dict(zip(columns, cells, strict=True)) for cells in body)
    assert (first["network"], first["solved"], first["steps to solve"]) == ("rnn", "1 of 3", "> 300")
    assert (second["solved"], second["steps to solve"]) == ("2 of 3", "50")
    assert second["accuracy"] == "0.9000 (0.8000 to 1.0000)"
    assert second["loss / baseline"] == "0.250"
    assert "perplexity" not in columns


def test_run_solved_only_in_validation_is_unsolved() -> None:
    assert steps_to_solve(table({**result(30, 35), "verdict": "learning"})).isna().all()


def test_median_of_two_seeds_is_the_worse_one() -> None:
    assert censored_median([10, 20], [10, 20]) == "20"
    assert censored_median([10, None], [10, 400]) == "> 400"


def test_csv_has_a_row_for_each_run() -> None:
    runs = table(result(30, 35), reasons={"rnn-seed1": 'it said "no", twice'})
    read = list(csv.DictReader(io.StringIO(as_csv(runs))))
    assert len(read) == 6
    assert (read[0]["network"], read[0]["seed"], read[0]["state"], read[0]["solved_at"]) == ("rnn", "0", "done", "30")
    assert (read[1]["state"], read[1]["reason"], read[1]["steps"]) == ("failed", 'it said "no", twice', "")
    assert read[2]["state"] == "pending"


CSV = """\
run,network,seed,state,verdict,stopped,steps,solved_at,sequences,seconds,parameters,state_size,data_digest,machine,\
test/accuracy,test/loss,reason
rnn-seed0,rnn,0,done,solved,,35,30,,1.5,100,,,,0.5,0.5,
rnn-seed1,rnn,1,failed,,,,,,,,,,,,,"a, b"
rnn-seed2,rnn,2,pending,,,,,,,,,,,,,
"""


def test_csv_has_fixed_columns_and_number_formats() -> None:
    text = as_csv(table(result(30, 35), reasons={"rnn-seed1": "a, b"}))
    assert "".join(text.splitlines(keepends=True)[:4]) == CSV


def test_table_of_pending_runs_has_no_values() -> None:
    columns, body = summary_table(table())
    assert columns == ["network", "solved"]
    assert as_markdown(columns, body).splitlines()[2] == "| rnn | 0 of 3 |"


def test_axis_may_be_named_as_a_column() -> None:
    plan = Plan("same", "", (), {}, {"steps": (Variant("10"), Variant("20"))}, (0,), None, None)
    runs = runs_table(
        plan, dict.fromkeys(("10-seed0", "20-seed0"), RunState.DONE), {"10-seed0": {RESULT: result(5, 7)}}
    )
    assert summary_table(runs)[1][0][:3] == ["10", "1 of 1", "5"]
    assert as_csv(runs).startswith("run,steps,seed,state,verdict,stopped,steps,")


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


def test_steps_table_marks_unsolved_runs() -> None:
    values = [result(30, 35), result(50, 55), result(40, 45), result(300, 310), result(None, 400), result(None, 380)]
    names = [run.name for run in DELAYS.runs()]
    results = {name: {RESULT: of} for name, of in zip(names, values, strict=True)}
    runs = runs_table(DELAYS, dict.fromkeys(names, RunState.DONE), results)
    assert steps_table(DELAYS, runs, "delay") == (
        ["method", "1", "50"],
        [["qr", "40 (30 to 50)", "> 380 (300 to > 380)"]],
    )


def test_steps_table_is_empty_without_results() -> None:
    runs = runs_table(DELAYS, {run.name: RunState.PENDING for run in DELAYS.runs()}, {})
    assert steps_table(DELAYS, runs, "delay")[1] == [["qr", "-", "-"]]


STRANGE = [
    "=HYPERLINK(1)",
    "+1+2",
    "-x",
    "@a",
    "-0.5",
    "tanh|relu",
    "<img src=x>",
    "a\\b",
    "![a](http://b)",
    "a\nb\x1b",
]
"""Names of variants that a spreadsheet or Markdown would not show as they are."""


def strange_runs() -> pd.DataFrame:
    plan = Plan("small", "", (), {}, {"=1": tuple(map(Variant, STRANGE))}, (0,), None, None)
    reasons = {run.name: {REASON: "=1+1"} for run in plan.runs()}
    return runs_table(plan, dict.fromkeys(reasons, RunState.FAILED), reasons)


def test_csv_has_no_formulas() -> None:
    rows = list(csv.reader(io.StringIO(as_csv(strange_runs()))))
    assert rows[0][:3] == ["run", "'=1", "seed"]
    assert [row[1] for row in rows[1:]] == [
        "'=HYPERLINK(1)", "'+1+2", "'-x", "'@a", "-0.5", *STRANGE[5:]
    ]  # fmt: skip
    assert {row[-1] for row in rows[1:]} == {"'=1+1"}
    assert "ours\n-1.0 -2.0\n" in csv_text(pd.DataFrame({"ours": ["-1.0 -2.0"]}), index=False)


def test_markdown_shows_names_as_they_are() -> None:
    columns, body = summary_table(strange_runs())
    lines = as_markdown(columns, body).splitlines()
    assert len(lines) == 2 + len(STRANGE)
    for line in lines[2:]:
        assert len(re.split(r"(?<!\\)\|", line)) == 4  # two cells between three borders
    assert "| tanh\\|relu |" in lines[7]
    assert "| \\<img src=x> |" in lines[8]
    assert "| a\\\\b |" in lines[9]
    assert "![a]\\(http://b)" in lines[10]
    assert lines[11].startswith("| a b\\x1b |")


@pytest.mark.parametrize("verdict", ["learning", "at_baseline", "worse_than_baseline", "diverged", None])
def test_run_with_any_other_verdict_is_unsolved(verdict: str | None) -> None:
    runs = table({**result(30, 35), "verdict": verdict}, result(20, 25), result(40, 45))
    assert summary_table(runs)[1][0][1:3] == ["2 of 3", "36 to 40"]
    assert steps_to_solve(runs).isna().tolist()[:3] == [True, False, False]
    assert f",done,{verdict or ''},," in as_csv(runs)
    assert best_so_far(PLAN, runs) == "best rnn-seed1: solved in 20 steps"
