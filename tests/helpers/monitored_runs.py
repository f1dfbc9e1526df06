"""Small tasks, models and trainers for tests of monitors."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.loggers import Logger
from lightning.pytorch.loggers.logger import DummyLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn

from rnn_tasks.cores import GRU, LSTM, RNN, Core, Elman, Foreign, Orthogonal, ScratchGRU
from rnn_tasks.models import LanguageModel, RecurrentModel, SequenceTagger
from rnn_tasks.runs.logger import RunLogger
from rnn_tasks.tasks import Echo, ElmanGrammar, Task

ELMAN: Callable[[int], Core] = partial(Elman, hidden_size=7)
GATED: Callable[[int], Core] = partial(GRU, hidden_size=5, num_layers=2, dropout=0.5)
CORES: dict[str, Callable[[int], Core]] = {
    "Elman": ELMAN,
    "orthogonal": partial(Elman, hidden_size=6, orthogonal_map="cayley"),
    "RNN": partial(RNN, hidden_size=6, nonlinearity="relu"),
    "GRU": GATED,
    "LSTM": partial(LSTM, hidden_size=5),
    "ScratchGRU": partial(ScratchGRU, hidden_size=5),
    "Foreign": partial(Foreign, hidden_size=5, layer=nn.LSTM, options={"num_layers": 2}),
}


class UnsupportedLayer(nn.Module):
    """A layer without named recurrent matrices, and with a state that contains a step count."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.read = nn.Linear(input_size, hidden_size)
        self.keep = nn.Linear(hidden_size, hidden_size)

    def forward(self, inputs: torch.Tensor, state: Any = None) -> tuple[torch.Tensor, Any]:
        hidden, steps = (inputs.new_zeros(len(inputs), self.keep.in_features), 0) if state is None else state
        outputs = []
        for step_inputs in inputs.unbind(1):
            hidden = torch.tanh(self.read(step_inputs) + self.keep(hidden))
            outputs.append(hidden)
        return torch.stack(outputs, 1), (hidden, steps + inputs.shape[1])


UNSUPPORTED: Callable[[int], Core] = partial(Foreign, hidden_size=5, layer=UnsupportedLayer)


class RecordingLogger(DummyLogger):
    """A logger that keeps all metrics."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[tuple[int | None, dict[str, float]]] = []

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        self.rows.append((step, dict(metrics)))

    def values(self, name: str) -> list[float]:
        return [row[name] for _, row in self.rows if name in row]

    def steps(self, name: str) -> list[int | None]:
        return [step for step, row in self.rows if name in row]

    def names(self) -> set[str]:
        return {name for _, row in self.rows for name in row}


def echo() -> Echo:
    return Echo(delay=1, sequence_length=5, min_eval_length=5, max_eval_length=6, alphabet_size=3, batch_size=8,
                val_sequences=20, eval_batch_size=12)  # fmt: skip


def grammar() -> ElmanGrammar:
    return ElmanGrammar(num_sentences=40, batch_size=3, sequence_length=12, eval_batch_size=2)


def small_task() -> Echo:
    return Echo(delay=1, sequence_length=5, min_eval_length=5, max_eval_length=6, alphabet_size=3, batch_size=8)


def small_model(core: Callable[[int], Core] | None = None) -> SequenceTagger:
    core = core or partial(Elman, hidden_size=12, recurrent_init=Orthogonal())
    return SequenceTagger(core, small_task().spec, partial(torch.optim.Adam, lr=0.05))


def task_layer_pairs(names: Iterable[str]) -> list[tuple[Callable[[], Task], str]]:
    """Return pairs of a task and a layer: every layer with an echo, and every second layer with a text."""
    names = list(names)
    return [(echo, name) for name in names] + [(grammar, name) for name in names[::2]]


def model_for(task: Task, core: Callable[[int], Core] = ELMAN) -> RecurrentModel:
    torch.manual_seed(3)
    optimizer = partial(torch.optim.Adam, lr=0.02)
    if isinstance(task, Echo):
        return SequenceTagger(core, task.spec, optimizer)
    return LanguageModel(core, task.spec, optimizer, dropout=0.3)


def trainer(
    *callbacks: Callback,
    folder: Path | None = None,
    logger: RecordingLogger | None = None,
    loggers: Sequence[Logger] = (),
    **options: Any,
) -> Any:
    loggers = [
        *([RunLogger(str(folder), "run", "version_0")] if folder else []),
        *([logger] if logger else []),
        *loggers,
    ]
    settings: dict[str, Any] = {
        "max_steps": 6,
        "val_check_interval": 2,
        "check_val_every_n_epoch": None,
        "log_every_n_steps": 1,
        "num_sanity_val_steps": 0,
        "logger": loggers or False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    return Trainer(callbacks=list(callbacks), accelerator="cpu", **{**settings, **options})


def events(folder: Path) -> Any:
    """Return the TensorBoard events of a run."""
    return EventAccumulator(str(folder / "run/version_0"), size_guidance={"images": 0, "histograms": 0}).Reload()
