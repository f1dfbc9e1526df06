"""Random edits of the shipped studies and published results: each gives a plan, or an error of one line."""

import copy
import random
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from rnn_tasks.errors import UsageError
from rnn_tasks.studies.plan import Plan
from rnn_tasks.studies.plan_file import STUDIES, plan_from, study_names
from rnn_tasks.studies.published_file import RESULTS_FILE, published_from
from rnn_tasks.studies.settings import settings_of

EDITS = 100
"""The number of edits of each file."""

VALUES: list[Any] = [None, True, -1, 0, 2**70, 1.5, float("nan"), float("inf"), "", "x", "1e-3", "\x1b[31m", "../../x"]
VALUES += [[], {}, [[1]], {"a": 1}, {1: 2}, {None: 1}, ["a", "a"], {"option": 1}, {"low": 1}, "a" * 300]
"""Values that replace a part of a file."""


def parts(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield each mapping or list in a nested value with each of its keys."""
    keys = [*value] if isinstance(value, dict) else [*range(len(value))] if isinstance(value, list) else []
    for key in keys:
        yield value, key
        yield from parts(value[key])


def edited(values: Any, draw: random.Random) -> Any:
    """Return a copy of a nested value with one random edit: a part is removed, renamed or replaced."""
    values = copy.deepcopy(values)
    holder, key = draw.choice([*parts(values)])
    kind = draw.choice(["remove", "rename", "replace", "replace"])
    if kind == "replace":
        holder[key] = draw.choice(VALUES)
    else:
        value = holder.pop(key)
        if kind == "rename" and isinstance(holder, dict):
            holder[draw.choice([f"{key}x", str(key)[:-1], 1, None])] = value
    return values


def use(plan: Plan) -> None:
    """Do with a plan what a study does with it before its first run."""
    for run in plan.runs()[:4]:
        plan.arguments(run)
        settings_of(plan, run)


def read(name: str, values: Any) -> Plan:
    """Return the plan of an edited study, or of the edited results."""
    if name == "results":
        return published_from(values, "a.yaml").study
    return plan_from(values, name, "a.yaml", large="large" in values)


@pytest.mark.parametrize("name", [*study_names(), "results"])
def test_edited_file_gives_a_plan_or_one_line(name: str) -> None:
    path = RESULTS_FILE if name == "results" else STUDIES / f"{name}.yaml"
    values, draw = yaml.safe_load(path.read_text(encoding="utf-8")), random.Random(name)
    messages: list[str] = []
    for _ in range(EDITS):
        try:
            use(read(name, edited(values, draw)))
        except UsageError as error:
            messages.append(str(error))
    assert 0 < len(messages) < EDITS
    assert not any("\n" in message for message in messages)
