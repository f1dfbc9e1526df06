"""Specs of tasks with strings, as fixtures."""

import pytest

from rnn_tasks.spec import Codec, TaskSpec
from rnn_tasks.tasks import Copy, Echo, Task, VariableDelayEcho

TASKS: list[Task] = [
    *(Copy(layout) for layout in ("plain", "arjovsky", "exprnn", "recall")),
    Copy("recall", num_symbols=3, alphabet_size=62, delay=9, min_delay=2),
    Echo(),
    Echo(delay=0),
    Echo(delay=14),
    VariableDelayEcho(),
    VariableDelayEcho(max_delay=19),
]


@pytest.fixture(params=TASKS, ids=lambda task: task.name)
def spec(request: pytest.FixtureRequest) -> TaskSpec:
    task: Task = request.param
    return task.spec


@pytest.fixture
def codec(spec: TaskSpec) -> Codec:
    assert spec.codec is not None
    return spec.codec
