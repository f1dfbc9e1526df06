import csv
import io
import math
from dataclasses import replace
from typing import Any

import pytest

from rnn_tasks.errors import UsageError
from rnn_tasks.studies.plan import Plan, Variant
from rnn_tasks.studies.published import Comparison, PublishedResult, RunCost, Verdict, compare
from rnn_tasks.studies.published_file import published_from
from rnn_tasks.studies.published_report import count_of, notes_of, results_csv, table_of
from rnn_tasks.studies.published_values import metric_values
from rnn_tasks.studies.queue import RunState
from rnn_tasks.studies.rows import RESULT
from rnn_tasks.studies.table import runs_table

TINY: dict[str, Any] = {
    "about": "Two runs.",
    "runs": {
        "slow": {"configs": "copy", "minutes": 9, "slow": True},
        "quick": {"configs": "echo", "set": {"data.delay": 2}, "minutes": 0.5, "seeds": [0, 3]},
    },
    "results": {
        "loss": {"what": "a", "run": "quick", "metric": "val/loss", "published": 1.2, "tolerance": 0, "source": "x"},
        "norm": {"what": "b", "run": "slow", "curve": "n", "published": [1, 2], "tolerance": 0.5, "source": "y"},
        "count": {"what": "c", "function": "f", "published": 7, "tolerance": 1, "source": "z", "decimals": 0},
    },
}


def published_result(
    low: float, high: float, tolerance: float, known_deviation: str = "", decimals: int = 2
) -> PublishedResult:
    return PublishedResult(
        "name", "what", "run", "metric", "m", low, high, tolerance, decimals, "book", known_deviation
    )


def metric_of(name: str, **result: Any) -> float:
    """Return a value of a study with a single run."""
    plan = Plan("one", "", (), {}, {"run": (Variant("quick"),)}, (0,), None, None)
    runs = runs_table(plan, {"quick-seed0": RunState.DONE}, {"quick-seed0": {RESULT: result}})
    (value,) = metric_values(runs, name)
    return value


def changed(*path: str, to: Any) -> dict[str, Any]:
    """Return TINY with one value replaced, or removed if the new value is None."""

    def inside(section: dict[str, Any], keys: tuple[str, ...]) -> dict[str, Any]:
        if len(keys) > 1:
            return {**section, keys[0]: inside(section[keys[0]], keys[1:])}
        return {**section, keys[0]: to} if to is not None else {k: v for k, v in section.items() if k != keys[0]}

    return inside(TINY, path)


def test_run_has_its_own_seeds_and_configs() -> None:
    published = published_from(TINY, "tiny")
    assert published.costs == {"slow": RunCost(9, (0,), True), "quick": RunCost(0.5, (0, 3), False)}
    plan = published.plan({"slow", "quick"})
    assert [run.name for run in plan.runs()] == ["slow-seed0", "quick-seed0", "quick-seed3"]
    assert plan.arguments(plan.runs()[2]) == ["fit", "--config", "echo", "--data.delay=2", "--seed_everything=3"]
    assert [run.name for run in published.plan({"quick"}).runs()] == ["quick-seed0", "quick-seed3"]
    assert published.plan({"quick"}).axes == plan.axes  # all selections of runs share one study


def test_slow_results_are_chosen_only_on_request() -> None:
    published = published_from(TINY, "tiny")

    def names(*of: str, include_slow: bool = False) -> list[str]:
        return [chosen.name for chosen in published.choose(of, include_slow)]

    assert names() == ["loss", "count"]
    assert names(include_slow=True) == ["loss", "norm", "count"]
    assert names("slow") == names("norm") == ["norm"]
    assert names("count", "quick") == ["loss", "count"]
    with pytest.raises(UsageError, match="no result or run norn; did you mean norm"):
        names("norn")


@pytest.mark.parametrize(
    ("value", "expected"), [(0.5, -0.5), (1.0, 0.0), (1.5, 0.0), (2.0, 0.0), (2.25, 0.25), (math.inf, math.inf)]
)
def test_distance_is_measured_from_the_nearer_bound(value: float, expected: float) -> None:
    assert published_result(1, 2, 0).distance(value) == expected


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        ([5.97], Verdict.WITHIN),
        ([5.77], Verdict.WITHIN),
        ([5.98], Verdict.OUTSIDE),
        ([5.76], Verdict.OUTSIDE),
        ([5.87, 5.88, 9.0], Verdict.WITHIN),
        ([1.0, 9.0, math.inf], Verdict.OUTSIDE),
    ],
)
def test_median_at_the_edge_of_tolerance_is_within(values: list[float], verdict: Verdict) -> None:
    assert compare(published_result(5.87, 5.87, 0.1), values).verdict is verdict


def test_only_values_outside_have_a_note() -> None:
    deviating = published_result(1, 1, 0.1, known_deviation="the text is a different one")
    assert compare(deviating, [1.05]).note == ""
    assert compare(deviating, [2.0]).note == "the text is a different one"
    assert compare(published_result(1, 1, 0.1), [2.0]).note == "the reason is not known"


def test_unsolved_run_has_never_as_step() -> None:
    assert metric_of("solved_at", verdict="learning", solved_at=None) == math.inf
    assert metric_of("solved_at", verdict="solved", solved_at=30) == 30
    never = compare(published_result(30, 40, 10, decimals=0), [math.inf])
    assert (never.ours, never.verdict) == ("never", Verdict.OUTSIDE)
    assert compare(published_result(30, 40, 10, decimals=0), [math.inf, 35, 1234]).ours == "1,234 (35 to never)"


def test_metric_values_reads_metrics_and_numbers() -> None:
    values: dict[str, Any] = {"seconds": 3, "metrics": {"val/loss": 0.5, "test/loss": math.nan}}
    assert [metric_of(name, **values) for name in ("seconds", "val/loss")] == [3, 0.5]
    assert all(math.isnan(metric_of(name, **values)) for name in ("test/loss", "else"))


def test_table_and_notes_of_comparisons() -> None:
    range_ = published_result(1.0, 1.1, 0.05, known_deviation="it jumps")
    comparisons = [
        compare(published_result(7.19, 7.19, 0.25), [7.3, 7.2, 7.5]),
        compare(range_, [0.9]),
        compare(range_, [0.8]),
        Comparison(published_result(5, 5, 1), Verdict.NOT_RUN, (), "how"),
    ]
    columns, body = table_of(comparisons)
    cells = [dict(zip(columns, line, strict=True)) for line in body]
    assert [cell["published"] for cell in cells] == ["7.19", "1.0 to 1.1", "1.0 to 1.1", "5"]
    assert [cell["ours"] for cell in cells] == ["7.30 (7.20 to 7.50)", "0.90", "0.80", "-"]
    assert [cell["difference"] for cell in cells] == ["+0.11", "-0.10", "-0.20", "-"]
    assert [cell["verdict"] for cell in cells] == ["within", "outside", "outside", "not run"]
    assert (
        table_of([compare(published_result(5.44, 5.44, 0.01), [5.437])])[1][0][4] == "+0.00"
    )  # zero has no minus sign
    assert notes_of(comparisons) == [["name, name", "outside", "it jumps"], ["name", "not run", "how"]]
    assert count_of(comparisons) == "4 published results: 1 within, 2 outside, 1 not run."
    assert count_of(comparisons[:1]) == "1 published result: 1 within."


def test_count_separates_results_that_nobody_published() -> None:
    ours = replace(published_result(1, 1, 0.1), source="not published: our own count")
    comparisons = [compare(published_result(1, 1, 0.1), [1.0]), compare(ours, [1.0]), compare(ours, [2.0])]
    assert count_of(comparisons) == "1 published result: 1 within. 2 unpublished results: 1 within, 1 outside."


def test_csv_has_unrounded_numbers() -> None:
    comparisons = [
        compare(published_result(1, 2, 0), [2.123456, 3.0]),
        Comparison(published_result(5, 5, 1), Verdict.NOT_RUN),
    ]
    one, two = csv.DictReader(io.StringIO(results_csv(comparisons)))
    assert (one["low"], one["high"], one["values"]) == ("1", "2", "2.123456 3.0")
    assert float(one["difference"]) == pytest.approx((2.123456 + 3) / 2 - 2)
    assert (two["ours"], two["difference"], two["verdict"]) == ("", "", "not run")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([], "tiny must be a section"),
        ({**TINY, "axes": {}}, "tiny: unknown key axes"),
        (changed("runs", to={}), "runs must be a section with at least one"),
        (changed("runs", "slow", "minutes", to=None), "runs: slow: minutes must be a number above 0"),
        (changed("runs", "slow", "slow", to="yes"), "slow must be true or false"),
        (changed("runs", "quick", "seeds", to=[1, 1]), "seeds must be whole numbers of at least 0, each once"),
        (changed("runs", "quick", "budget", to=3), "runs: quick: unknown key budget"),
        (changed("results", "loss", "run", to="quack"), "results: loss: there is no run quack"),
        (changed("results", "loss", "run", to=None), "a metric needs the run that it is read from"),
        (changed("results", "loss", "curve", to="n"), "must have exactly one of metric, curve, function"),
        (changed("results", "loss", "metric", to=None), "must have exactly one of metric, curve, function"),
        (changed("results", "loss", "published", to=[2, 1]), "published must be a number, or a list of the least"),
        (changed("results", "loss", "published", to="7"), "published must be a number, or a list of the least"),
        (changed("results", "loss", "tolerance", to=-1), "tolerance must be a number of at least 0"),
        (changed("results", "loss", "decimals", to=1.5), "decimals must be in 0..9"),
        (changed("results", "loss", "source", to=""), "source must be a non-empty text"),
    ],
)
def test_mistake_in_file_is_named(values: Any, message: str) -> None:
    with pytest.raises(UsageError) as error:
        published_from(values, "tiny")
    assert message in str(error.value)
    assert "\n" not in str(error.value)
