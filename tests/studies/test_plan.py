import math
from pathlib import Path
from typing import Any

import pytest
import yaml

from rnn_tasks.errors import UsageError
from rnn_tasks.studies.pictures import numeric_axis
from rnn_tasks.studies.plan import Search, as_argument, as_time
from rnn_tasks.studies.plan_file import STUDIES, read_plan, study_names

SMALL: dict[str, Any] = {
    "about": "Which is it?",
    "configs": "echo",
    "set": {"data.batch_size": 8, "trainer.val_check_interval": None},
    "axes": {
        "network": {
            "rnn": {"configs": "models/rnn"},
            "gru": {"configs": ["models/gru"], "set": {"data.batch_size": 4}, "overlay": {"model": {"a": 1}}},
            "plain": None,
        },
        "delay": {"option": "data.delay", "values": [1, 2]},
    },
    "seeds": [0, 3],
    "budget": {"steps": 20, "minutes": 1.5},
}


RATE = {"option": "model.optimizer.lr", "low": "1e-4", "high": 0.1, "log": True}


def written(folder: Path, values: object) -> str:
    path = folder / "small.yaml"
    path.write_text(values if isinstance(values, str) else yaml.safe_dump(values, sort_keys=False))
    return str(path)


def test_plan_has_a_run_for_each_combination_and_seed(tmp_path: Path) -> None:
    plan = read_plan(written(tmp_path, SMALL))
    runs = plan.runs()
    assert [run.name for run in runs][:5] == [
        "rnn-1-seed0", "rnn-1-seed3", "rnn-2-seed0", "rnn-2-seed3", "gru-1-seed0",
    ]  # fmt: skip
    assert len(runs) == 12
    assert plan.arguments(runs[4], ["own.yaml"]) == [
        "fit", "--config", "echo", "--config", "models/gru", "--config", "own.yaml",
        "--data.batch_size=4", "--trainer.val_check_interval=null", "--data.delay=1",
        "--trainer.max_steps=20", "--trainer.max_time=00:00:01:30", "--seed_everything=0",
    ]  # fmt: skip
    assert plan.overlay(runs[4]) == {"model": {"a": 1}}
    assert plan.overlay(runs[0]) == {}
    assert [variant.value for variant in plan.axes["delay"]] == [1, 2]


def test_large_setting_replaces_parts_and_name(tmp_path: Path) -> None:
    path = written(tmp_path, {**SMALL, "large": {"seeds": [0, 1, 2]}})
    assert (read_plan(path).name, read_plan(path, large=True).name) == ("small", "small_large")
    assert len(read_plan(path, large=True).runs()) == 18
    with pytest.raises(UsageError, match="no larger setting"):
        read_plan(written(tmp_path, SMALL), large=True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sedes": [1]}, "unknown key sedes"),
        ({"axes": {}}, "at least one axis"),
        ({"axes": {"a": {"x": {"sett": 1}}}}, "unknown key sett"),
        ({"axes": {"a": {"option": "data.delay", "values": 3}}}, "values must be a list"),
        ({"axes": {"a": {"x y": None, "x_y": None}}}, "the same name"),
        ({"axes": {"a": 3}}, "must have named variants"),
        ({"seeds": [-1]}, "seeds must be whole numbers"),
        ({"seeds": [1, 1]}, "repeat a seed"),
        ({"budget": {"hours": 1}}, "unknown key hours"),
        ({"configs": 3}, "name of a config or a list of names"),
        ({"minutes": "long"}, "numbers above 0"),
        ({"budget": {"steps": 0}}, "numbers above 0"),
        ({"set": [1]}, "dotted option names"),
        ({"axes": {"rate": RATE}}, "need a search"),
        ({"search": {}}, "a search has a single seed"),
        ({"search": {"sampler": "grid"}, "seeds": [0]}, "random or tpe"),
        ({"search": {"objective": "test"}, "seeds": [0]}, "loss or steps"),
        ({"search": {"objective": "steps"}, "seeds": [0], "budget": {}}, "needs budget"),
        ({"search": {"runs": 0}, "seeds": [0]}, "runs must be a whole number"),
        ({"search": {"trials": 3}, "seeds": [0]}, "unknown key trials"),
        ({"search": {}, "seeds": [0], "axes": {"rate": {**RATE, "high": 1.0e-5}}}, "low below high"),
        ({"search": {}, "seeds": [0], "axes": {"rate": {**RATE, "high": "ten"}}}, "must be numbers"),
        ({"search": {}, "seeds": [0], "axes": {"rate": {**RATE, "low": 0}}}, "above 0"),
        ({"search": {}, "seeds": [0], "axes": {"rate": {"low": 0, "high": 1}}}, "option must name"),
    ],
)
def test_mistake_is_reported_on_one_line(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read_plan(written(tmp_path, {**SMALL, **change}))


OLD_LAYOUT = {"data": {"init_args": {"layout": "seed"}}}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"configs": "seeds/copy_rnn"}, "no config seeds/copy_rnn; it was renamed to published/copy_rnn"),
        ({"axes": {"a": {"x": {"configs": "seeds/echo_gru"}}}}, "it was renamed to published/echo_gru"),
        (
            {"set": {"model.quiet_blank": True}},
            "no option model.quiet_blank; it was renamed to model.zero_blank_weights",
        ),
        ({"axes": {"a": {"x": {"overlay": OLD_LAYOUT}}}}, "no layout seed; it was renamed to plain"),
        ({"axes": {"a": {"option": "data.layout", "values": ["recall", "seed"]}}}, "it was renamed to plain"),
    ],
)
def test_old_name_is_reported_with_the_new_one(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read_plan(written(tmp_path, {**SMALL, **change}))


def test_own_config_may_have_an_old_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "seeds").mkdir()
    (tmp_path / "seeds/copy_rnn").touch()
    assert read_plan(written(tmp_path, {**SMALL, "configs": "seeds/copy_rnn"})).configs == ("seeds/copy_rnn",)


def test_search_has_numbered_runs_without_values(tmp_path: Path) -> None:
    axes = {"network": SMALL["axes"]["network"], "rate": RATE}
    plan = read_plan(written(tmp_path, {**SMALL, "axes": axes, "seeds": [3], "search": {"runs": 2}}))
    assert plan.search == Search("tpe", 2, "loss")
    assert [(run.name, run.group, run.seed) for run in plan.runs()] == [
        ("run0001", ("", ""), 3), ("run0002", ("", ""), 3),
    ]  # fmt: skip
    run = plan.with_values(plan.runs()[1], {"network": "gru", "rate": 0.02})
    assert (run.name, run.group) == ("run0002", ("gru", "0.02"))
    assert {"models/gru", "--model.optimizer.lr=0.02", "--data.batch_size=4"} <= {*plan.arguments(run)}


def test_missing_or_broken_study_is_reported(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no study nothing: give the path of a file, or one of copy_constraints"):
        read_plan("nothing")
    with pytest.raises(UsageError, match="not valid YAML"):
        read_plan(written(tmp_path, "axes: ["))
    with pytest.raises(UsageError, match="must be a section"):
        read_plan(written(tmp_path, "- 1"))


def test_arguments_and_times_are_formatted() -> None:
    assert [as_argument(value) for value in ("a b", 3, None, True, [1, 2], 0.5)] == [
        "a b",
        "3",
        "null",
        "true",
        "[1, 2]",
        "0.5",
    ]
    assert [as_time(minutes) for minutes in (3, 0.5, 90)] == ["00:00:03:00", "00:00:00:30", "00:01:30:00"]


def test_all_shipped_studies_are_valid() -> None:
    assert study_names() == sorted(path.stem for path in STUDIES.glob("*.yaml")) != []
    for name in study_names():
        plan = read_plan(name)
        assert plan.about
        assert len(plan.runs()) > 1


def test_numbers_that_yaml_reads_as_text_are_numbers(tmp_path: Path) -> None:
    axes = "{rate: {option: model.optimizer.lr, values: [1e-3, 1.0e-2, 1E5]}}"
    plan = read_plan(written(tmp_path, f"configs: echo\naxes: {axes}\n"))
    assert [(variant.name, variant.value) for variant in plan.axes["rate"]] == [
        ("1e-3", 0.001), ("0.01", 0.01), ("1E5", 100_000)
    ]  # fmt: skip
    assert "--model.optimizer.lr=1e-3" in plan.arguments(plan.runs()[0])
    assert numeric_axis(plan) == "rate"


@pytest.mark.parametrize("value", [True, "one", "nan", ".inf", None, [1], "", "1 2"])
def test_other_values_of_an_axis_are_not_numbers(tmp_path: Path, value: object) -> None:
    plan = read_plan(written(tmp_path, {**SMALL, "axes": {"a": {"option": "data.delay", "values": [value, 2]}}}))
    assert plan.axes["a"][0].value is None
    assert numeric_axis(plan) is None


def test_key_that_occurs_twice_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="line 3"):
        read_plan(written(tmp_path, "configs: echo\naxes: {a: {option: b, values: [1]}}\nconfigs: copy\n"))


def test_infinite_budget_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="must be numbers above 0"):
        read_plan(written(tmp_path, {**SMALL, "budget": {"minutes": math.inf}}))
