"""Runs with small untrained networks, and the data of their pages, for tests of the explorer."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import nn

from rnn_tasks.analysis.snapshots import Snapshots, joined, take_snapshot
from rnn_tasks.cores import (
    GRU,
    LRU,
    LSTM,
    RNN,
    Core,
    DeltaNet,
    Elman,
    Foreign,
    MinGRU,
    Orthogonal,
    ResetOnlyGRU,
    ScratchGRU,
    ScratchLSTM,
    UpdateOnlyGRU,
)
from rnn_tasks.explorer.arrays import decoded
from rnn_tasks.explorer.export import page_data, page_sequences, with_weights
from rnn_tasks.networks import LanguageNetwork, Network, RegressorNetwork, TaggerNetwork
from rnn_tasks.report.run_data import RunData
from rnn_tasks.spec import Batch
from rnn_tasks.tasks import Copy, Echo, ElmanGrammar, Task, VariableDelayEcho
from rnn_tasks.tasks.language_task import LanguageTask
from tests.helpers.report_runs import make_run

LIVE_CORES: dict[str, Callable[[int], Core]] = {
    "RNN": partial(RNN, hidden_size=5),
    "RNN with relu and two layers": partial(RNN, hidden_size=5, nonlinearity="relu", num_layers=2),
    "Elman": partial(Elman, hidden_size=5),
    "Elman with sigmoid": partial(Elman, hidden_size=5, activation="sigmoid"),
    "Elman with one bias": partial(Elman, hidden_size=5, activation="identity", single_bias=True),
    "Elman with matrix_exp and two layers": partial(Elman, hidden_size=5, orthogonal_map="matrix_exp", num_layers=2),
    "Elman with cayley": partial(Elman, hidden_size=5, orthogonal_map="cayley"),
    "Elman with householder": partial(Elman, hidden_size=5, orthogonal_map="householder"),
    "Elman with a frozen matrix": partial(Elman, hidden_size=5, recurrent_init=Orthogonal(), freeze_recurrent=True),
    "GRU with two layers": partial(GRU, hidden_size=5, num_layers=2),
    "ScratchGRU after": partial(ScratchGRU, hidden_size=5),
    "ScratchGRU before": partial(ScratchGRU, hidden_size=5, reset="before", single_bias=True),
    "ResetOnlyGRU": partial(ResetOnlyGRU, hidden_size=5, reset="before"),
    "UpdateOnlyGRU": partial(UpdateOnlyGRU, hidden_size=5, num_layers=2),
    "LSTM with two layers": partial(LSTM, hidden_size=5, num_layers=2),
    "ScratchLSTM": partial(ScratchLSTM, hidden_size=5, single_bias=True),
    "MinGRU": partial(MinGRU, hidden_size=5, positive=True),
    "LRU": partial(LRU, hidden_size=5, num_states=3),
    "DeltaNet": partial(DeltaNet, hidden_size=6, heads=2, window=3, max_beta=2.0, decay="learned", products=2),
    "linear attention": partial(DeltaNet, hidden_size=5, window=1, delta=False, decay="fixed"),
}
"""A layer of each class that a page can run, with the options that change its equations."""

RECORDED_CORES: dict[str, Callable[[int], Core]] = {
    "foreign GRU with two layers": partial(Foreign, hidden_size=5, layer=nn.GRU, options={"num_layers": 2}),
    "foreign LSTM": partial(Foreign, hidden_size=5, layer=nn.LSTM),
}
"""Layers that a page shows by recorded traces."""

GENERATED_TASKS: dict[str, Task] = {
    "echo": Echo(delay=2, sequence_length=7, min_eval_length=4, max_eval_length=9, alphabet_size=4, val_sequences=30),
    "variable_delay_echo": VariableDelayEcho(
        max_delay=3, sequence_length=7, alphabet_size=4, val_sequences=32, every_delay=True
    ),
    "copy": Copy("arjovsky", num_symbols=3, alphabet_size=4, delay=4, val_sequences=30),
    "copy with several delays": Copy("recall", num_symbols=3, alphabet_size=4, delay=4, min_delay=2, val_sequences=30),
}
"""A small task of each kind, with generated sequences."""


def small_grammar() -> ElmanGrammar:
    """Return a task on a short text of Elman's grammar."""
    return ElmanGrammar(val_characters=3000, test_characters=9000, baseline_characters=5000)


def small_network(task: Task, core: Callable[[int], Core] = LIVE_CORES["Elman"], **options: Any) -> Network:
    """Return a small untrained network for a task.

    Args:
        task: The task.
        core: Function that builds the recurrent layer from the size of its input.
        **options: Further arguments of the network.
    """
    other = RegressorNetwork if task.spec.real_targets else TaggerNetwork
    kind = LanguageNetwork if isinstance(task, LanguageTask) else other
    return kind(core, task.spec, **options).eval()


def small_run(task: Task, network: Network | None = None, **parts: Any) -> RunData:
    """Return a run with a small network.

    Args:
        task: The task.
        network: The network; None for an Elman network.
        **parts: Attributes of the run that replace the defaults.
    """
    config = {"model": {"init_args": {"core": {"class_path": "rnn_tasks.cores.Elman"}}}}
    baseline = {"loss": 1.5, "accuracy": 0.25}
    summary = {"task": task.name, "baseline": baseline, "metrics": {"test/accuracy": 0.5, "test/loss": 1.25}}
    return make_run(
        task,
        **{"config": config, "summary": summary, "network": network or small_network(task), "batch": None, **parts},
    )


def data_of(*runs: RunData, most_bytes: int = 10**9) -> dict[str, Any]:
    """Return the data of the page of one or two runs.

    Args:
        *runs: The runs.
        most_bytes: The number of bytes that weights and moments of the training should not exceed.
    """
    sequences = page_sequences(runs)
    batch = None if sequences is None else sequences.batch
    return with_weights(page_data(runs, sequences), runs, batch, most_bytes)


def decoded_tensors(arrays: Mapping[str, dict[str, Any]]) -> dict[str, torch.Tensor]:
    """Return stored arrays as tensors, by name."""
    return {name: torch.from_numpy(decoded(array)) for name, array in arrays.items()}


def snapshots_of(network: Network, batch: Batch, steps: range, change: float = 1.0) -> Snapshots:
    """Return snapshots of a network whose weights grow from step to step; the network ends with its first weights.

    Args:
        network: The network; it needs at least one free weight.
        batch: The sequences of the snapshots.
        steps: The steps of the snapshots.
        change: What is added to each weight of the readout between two snapshots.
    """
    weights = [weight.detach().clone() for weight in network.readout.parameters()]
    parts = []
    with torch.no_grad():
        for number, step in enumerate(steps):
            for weight, original in zip(network.readout.parameters(), weights, strict=True):
                weight.copy_(original + change * (len(steps) - number))
            parts.append(take_snapshot(network, batch, step))
        for weight, original in zip(network.readout.parameters(), weights, strict=True):
            weight.copy_(original)
    return joined(parts)
