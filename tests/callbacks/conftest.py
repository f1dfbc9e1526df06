"""A fixture that trains a small network in a fraction of a second."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from lightning.pytorch import Callback, Trainer

from rnn_tasks.cores import GRU, Core
from rnn_tasks.models import SequenceTagger
from tests.helpers.monitored_runs import small_model, small_task, trainer

Fit = Callable[..., tuple[Trainer, SequenceTagger]]


@pytest.fixture
def fit() -> Fit:
    """Return a function that trains a small network with callbacks; its options are those of the trainer."""

    def run(*callbacks: Callback, core: Callable[[int], Core] | None = None, **options: Any) -> Any:
        running, model = trainer(*callbacks, **options), small_model(core)
        running.fit(model, small_task())
        return running, model

    return run


@pytest.fixture
def gru() -> Callable[[int], Core]:
    return partial(GRU, hidden_size=6)
