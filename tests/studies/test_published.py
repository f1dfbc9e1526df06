import csv
import io
import math
from typing import Any

import pytest

from rnn_tasks.errors import UsageError
from rnn_tasks.studies.plan import Cell, Variant
from rnn_tasks.studies.published import (
    Comparison,
    Effort,
    Figure,
    Verdict,
    as_csv,
    compare,
    count_of,
    distance,
    metric_of,
    notes_of,
    published_of,
    table_of,
)
from rnn_tasks.studies.queue import State
from rnn_tasks.studies.table import Row

TINY: dict[str, Any] = {
    "about": "Two.",
    "runs": {
        "slow": {"configs": "copy", "minutes": 9, "dear": True},
        "quick": {"configs": "echo", "set": {"data.delay": 2}, "minutes": 0.5, "seeds": [0, 3]},
    },
    "figures": {
        "loss": {"what": "a", "run": "quick", "metric": "val/loss", "published": 1.2, "tolerance": 0, "source": "x"},
        "norm": {"what": "b", "run": "slow", "curve": "n", "published": [1, 2], "tolerance": 0.5, "source": "y"},
        "count": {"what": "c", "function": "f", "published": 7, "tolerance": 1, "source": "z", "decimals": 0},
    },
}


def figure(low: float, high: float, tolerance: float, because: str = "", decimals: int = 2) -> Figure:
    return Figure("name", "what", "run", "metric", "m", low, high, tolerance, decimals, "book", because)


def row(seed: int = 0, **result: Any) -> Row:
    return Row(Cell({"run": Variant("quick")}, seed), State.DONE, result)


def changed(*path: str, to: Any) -> dict[str, Any]:
    """TINY with one value replaced, or left out if it is to be None."""

    def inside(section: dict[str, Any], keys: tuple[str, ...]) -> dict[str, Any]:
        if len(keys) > 1:
            return {**section, keys[0]: inside(section[keys[0]], keys[1:])}
        return {**section, keys[0]: to} if to is not None else {k: v for k, v in section.items() if k != keys[0]}

    return inside(TINY, path)


def test_each_run_has_its_own_seeds_and_configs() -> None:
    published = published_of(TINY, "tiny")
    assert published.efforts == {"slow": Effort(9, (0,), True), "quick": Effort(0.5, (0, 3), False)}
    plan = published.plan({"slow", "quick"})
    assert [cell.name for cell in plan.cells()] == ["slow-seed0", "quick-seed0", "quick-seed3"]
    assert plan.words(plan.cells()[2]) == ["fit", "--config", "echo", "--data.delay=2", "--seed_everything=3"]
    assert [cell.name for cell in published.plan({"quick"}).cells()] == ["quick-seed0", "quick-seed3"]
    assert published.plan({"quick"}).axes == plan.axes  # one study, whichever of its runs are meant


def test_without_names_the_dear_ones_are_left_out() -> None:
    published = published_of(TINY, "tiny")

    def names(*of: str, everything: bool = False) -> list[str]:
        return [chosen.name for chosen in published.chosen(of, everything)]

    assert names() == ["loss", "count"]
    assert names(everything=True) == ["loss", "norm", "count"]
    assert names("slow") == names("norm") == ["norm"]
    assert names("count", "quick") == ["loss", "count"]
    with pytest.raises(UsageError, match="no figure or run norn; did you mean norm"):
        names("norn")


@pytest.mark.parametrize(
    ("value", "expected"), [(0.5, -0.5), (1.0, 0.0), (1.5, 0.0), (2.0, 0.0), (2.25, 0.25), (math.inf, math.inf)]
)
def test_the_distance_of_a_range_is_that_of_its_nearer_end(value: float, expected: float) -> None:
    assert distance(value, figure(1, 2, 0)) == expected


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
def test_the_median_is_judged_and_the_edge_of_the_tolerance_is_within(values: list[float], verdict: Verdict) -> None:
    assert compare(figure(5.87, 5.87, 0.1), values).verdict is verdict


def test_only_what_is_outside_is_explained() -> None:
    known = figure(1, 1, 0.1, because="the text is another one")
    assert compare(known, [1.05]).note == ""
    assert compare(known, [2.0]).note == "the text is another one"
    assert compare(figure(1, 1, 0.1), [2.0]).note == "no reason was known beforehand"


def test_a_step_that_was_not_reached_is_never_and_not_missing() -> None:
    assert metric_of(row(verdict="learning", solved_at=None), "solved_at") == math.inf
    assert metric_of(row(verdict="solved", solved_at=30), "solved_at") == 30
    found = compare(figure(30, 40, 10, decimals=0), [math.inf])
    assert (found.ours, found.verdict) == ("never", Verdict.OUTSIDE)
    assert compare(figure(30, 40, 10, decimals=0), [math.inf, 35, 1234]).ours == "1,234 (35 to never)"


def test_a_figure_of_a_summary_is_a_metric_or_one_of_its_numbers() -> None:
    one = row(seconds=3, metrics={"val/loss": 0.5, "test/loss": math.nan})
    assert [metric_of(one, name) for name in ("seconds", "val/loss", "test/loss", "else")] == [3, 0.5, None, None]


def test_the_table_and_its_notes() -> None:
    range_ = figure(1.0, 1.1, 0.05, because="it jumps")
    comparisons = [
        compare(figure(7.19, 7.19, 0.25), [7.3, 7.2, 7.5]),
        compare(range_, [0.9]),
        compare(range_, [0.8]),
        Comparison(figure(5, 5, 1), Verdict.NOT_RUN, (), "how"),
    ]
    columns, body = table_of(comparisons)
    cells = [dict(zip(columns, line, strict=True)) for line in body]
    assert [cell["published"] for cell in cells] == ["7.19", "1.0 to 1.1", "1.0 to 1.1", "5"]
    assert [cell["ours"] for cell in cells] == ["7.30 (7.20 to 7.50)", "0.90", "0.80", "-"]
    assert [cell["difference"] for cell in cells] == ["+0.11", "-0.10", "-0.20", "-"]
    assert [cell["verdict"] for cell in cells] == ["within", "outside", "outside", "not run"]
    assert table_of([compare(figure(5.44, 5.44, 0.01), [5.437])])[1][0][4] == "+0.00"  # a sign of nothing would be odd
    assert notes_of(comparisons) == [["name, name", "outside", "it jumps"], ["name", "not run", "how"]]
    assert count_of(comparisons) == "4 figures: 1 within, 2 outside, 1 not run."
    assert count_of(comparisons[:1]) == "1 figure: 1 within."


def test_csv_has_the_numbers_as_they_are() -> None:
    comparisons = [compare(figure(1, 2, 0), [2.123456, 3.0]), Comparison(figure(5, 5, 1), Verdict.NOT_RUN)]
    one, two = csv.DictReader(io.StringIO(as_csv(comparisons)))
    assert (one["low"], one["high"], one["values"]) == ("1", "2", "2.123456 3.0")
    assert float(one["difference"]) == pytest.approx((2.123456 + 3) / 2 - 2)
    assert (two["ours"], two["difference"], two["verdict"]) == ("", "", "not run")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([], "tiny must be a section"),
        ({**TINY, "axes": {}}, "tiny does not know axes"),
        (changed("runs", to={}), "runs must be a section with at least one"),
        (changed("runs", "slow", "minutes", to=None), "runs: slow: minutes must be a number above 0"),
        (changed("runs", "slow", "dear", to="yes"), "dear must be true or false"),
        (changed("runs", "quick", "seeds", to=[1, 1]), "seeds must be numbers, each once"),
        (changed("runs", "quick", "budget", to=3), "runs: quick does not know budget"),
        (changed("figures", "loss", "run", to="quack"), "figures: loss: there is no run quack"),
        (changed("figures", "loss", "run", to=None), "a metric is that of a run: give run"),
        (changed("figures", "loss", "curve", to="n"), "must have one of metric, curve, function"),
        (changed("figures", "loss", "metric", to=None), "must have one of metric, curve, function"),
        (changed("figures", "loss", "published", to=[2, 1]), "published must be a number, or the least and"),
        (changed("figures", "loss", "published", to="7"), "published must be a number, or the least and"),
        (changed("figures", "loss", "tolerance", to=-1), "tolerance must be a number of at least 0"),
        (changed("figures", "loss", "decimals", to=1.5), "decimals must be in 0..9"),
        (changed("figures", "loss", "source", to=""), "source must be a text"),
    ],
)
def test_a_mistake_in_the_file_is_named(values: Any, said: str) -> None:
    with pytest.raises(UsageError) as error:
        published_of(values, "tiny")
    assert said in str(error.value)
    assert "\n" not in str(error.value)
