"""A fixture that trains a small network in a fraction of a second."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, Trainer

from rnn_tasks.cores import GRU, Core, Elman, Orthogonal
from rnn_tasks.models import SequenceTagger
from rnn_tasks.tasks import Echo

Fit = Callable[..., tuple[Trainer, SequenceTagger]]


def small_model(core: Callable[[int], Core] | None = None) -> SequenceTagger:
    core = core or partial(Elman, hidden_size=12, recurrent_init=Orthogonal())
    return SequenceTagger(core, small_task().spec, partial(torch.optim.Adam, lr=0.05))


def small_task() -> Echo:
    return Echo(delay=1, sequence_length=5, min_eval_length=5, max_eval_length=6, alphabet_size=3, batch_size=8)


@pytest.fixture
def fit() -> Fit:
    """Return a function that trains a small network with callbacks; its options are those of the trainer."""

    def run(*callbacks: Callback, core: Callable[[int], Core] | None = None, **options: Any) -> Any:
        settings: dict[str, Any] = {
            "max_steps": 6,
            "val_check_interval": 2,
            "check_val_every_n_epoch": None,
            "log_every_n_steps": 1,
            "num_sanity_val_steps": 0,
            "logger": False,
            "enable_checkpointing": False,
            "enable_progress_bar": False,
            "enable_model_summary": False,
        }
        trainer = Trainer(callbacks=list(callbacks), accelerator="cpu", **{**settings, **options})
        model = small_model(core)
        trainer.fit(model, small_task())
        return trainer, model

    return run


@pytest.fixture
def gru() -> Callable[[int], Core]:
    return partial(GRU, hidden_size=6)
