"""Explorer pages of tiny networks that were trained for a few steps, for the tests in a browser."""

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.functional import cross_entropy, mse_loss

from rnn_tasks.analysis.snapshots import joined, take_snapshot
from rnn_tasks.cores import GRU, LRU, LSTM, RNN, Core, DeltaNet, Elman, Foreign, MinGRU, ScratchGRU
from rnn_tasks.explorer.write import page_of_runs
from rnn_tasks.networks import LanguageNetwork, Network, RegressorNetwork, TaggerNetwork
from rnn_tasks.report.run_data import RunData
from rnn_tasks.spec import NOT_SCORED
from rnn_tasks.tasks import (
    Adding,
    Automaton,
    Copy,
    Echo,
    ElmanGrammar,
    ElmanLetters,
    GeneratedTask,
    Text,
    VariableDelayEcho,
)
from rnn_tasks.tasks.language_task import LanguageTask
from tests.helpers.explorer_runs import small_run

SNAPSHOT_STEPS = 20
"""Optimizer steps between two snapshots."""


def trained_run(
    task: GeneratedTask | LanguageTask, network: Network, steps: int = 60, snapshots: bool = False
) -> RunData:
    """Train a network for some steps, and return the run.

    Args:
        task: The task.
        network: The network, whose weights change.
        steps: Optimizer steps.
        snapshots: Whether the run has snapshots.
    """
    optimizer = torch.optim.Adam(network.parameters(), 0.01)
    taken = []
    for step in range(steps):
        batch = task.train_batch(step)
        if snapshots and step % SNAPSHOT_STEPS == 0:
            taken.append(take_snapshot(network, task.train_batch(0), step))
        outputs, _ = network(batch.inputs, batch.condition)
        optimizer.zero_grad()
        if task.spec.real_targets:
            loss = mse_loss(outputs[batch.scored], batch.targets[batch.scored])
        else:
            loss = cross_entropy(outputs.flatten(0, 1), batch.targets.flatten(), ignore_index=NOT_SCORED)
        torch.autograd.backward(loss)
        optimizer.step()
    core = network.core.layer if isinstance(network.core, Foreign) else network.core
    config = {"model": {"init_args": {"core": {"class_path": type(core).__name__}}}}
    run = small_run(task, network.eval(), config=config, snapshots=joined(taken) if taken else None)
    return replace(run, folder=Path(f"/runs/{task.name}/version_0"))


def echo_run(core: Callable[[int], Core]) -> RunData:
    """Return a run of echo with a delay of 2."""
    task = Echo(2, 8, min_eval_length=8, max_eval_length=8, alphabet_size=4, batch_size=16, eval_batch_size=100)
    return trained_run(task, TaggerNetwork(core, task.spec))


def delay_run(core: Callable[[int], Core], **options: Any) -> RunData:
    """Return a run of variable_delay_echo with delays from 0 to 3."""
    task = VariableDelayEcho(3, 9, alphabet_size=4, batch_size=16, val_sequences=240)
    return trained_run(task, TaggerNetwork(core, task.spec, **options))


def copy_runs() -> list[RunData]:
    """Return two runs of copy: a short and a longer training of different layers."""
    task = Copy("recall", num_symbols=3, alphabet_size=4, delay=4, min_delay=2, batch_size=16)
    cores: list[Callable[[int], Core]] = [partial(RNN, hidden_size=8), partial(Elman, hidden_size=12)]
    runs = [trained_run(task, TaggerNetwork(core, task.spec), 50 * i) for i, core in enumerate(cores, 1)]
    return [replace(run, label=f"{letter}: {run.core}") for letter, run in zip("AB", runs, strict=True)]


def grammar_run() -> RunData:
    """Return a run of elman_grammar with three snapshots."""
    task = ElmanGrammar(num_sentences=1500, test_characters=9000, batch_size=8, sequence_length=20, eval_batch_size=2)
    core = partial(LSTM, hidden_size=10)
    return trained_run(task, LanguageNetwork(core, task.spec), snapshots=True)


def text_run(folder: Path) -> RunData:
    """Return a run of a text of random words.

    Args:
        folder: The folder in which the text is written.
    """
    draw = random.Random(0)
    file = folder / "text.txt"
    file.write_text(" ".join(draw.choices(["the", "time", "machine", "by", "h", "g", "wells"], k=4000)))
    task = Text(str(file), batch_size=8, sequence_length=20)
    task.setup("fit")
    return trained_run(task, LanguageNetwork(partial(GRU, hidden_size=12), task.spec))


def adding_run(core: Callable[[int], Core]) -> RunData:
    """Return a run of adding with snapshots: real inputs, and a real target at the last step."""
    task = Adding(length=12, batch_size=32, val_sequences=60)
    run = trained_run(task, RegressorNetwork(core, task.spec), snapshots=not isinstance(core(2), Foreign))
    baseline = {"loss": task.baseline.loss, "name": task.baseline.name}
    return replace(run, summary={"task": task.name, "baseline": baseline, "metrics": {}})


def automaton_run() -> RunData:
    """Return a run of addition modulo five: outputs with characters of their own, and sequences of several lengths."""
    task = Automaton(language="cycle", max_length=9, batch_size=32)
    return trained_run(task, TaggerNetwork(partial(GRU, hidden_size=10), task.spec))


def letters_run() -> RunData:
    """Return a run of Elman's letters as vectors of features: real inputs, and symbols as targets."""
    task = ElmanLetters(inputs="features", length=12, batch_size=32)
    return trained_run(task, TaggerNetwork(partial(LSTM, hidden_size=8), task.spec))


def runs_of(name: str, folder: Path) -> list[RunData]:
    """Return the runs of a page.

    Args:
        name: One of :data:`NAMES`, :data:`OTHER_NAMES` or :data:`LINEAR_NAMES`.
        folder: A folder for files of the task.
    """
    torch.manual_seed(0)
    match name:
        case "echo":
            return [echo_run(partial(Elman, hidden_size=12))]
        case "variable_delay_echo":
            return [delay_run(partial(GRU, hidden_size=10))]
        case "copy":
            return copy_runs()
        case "elman_grammar":
            return [grammar_run()]
        case "text":
            return [text_run(folder)]
        case "layers":
            return [delay_run(partial(ScratchGRU, hidden_size=7, num_layers=2), embedding_size=5, condition_at="both")]
        case "adding":
            return [adding_run(partial(GRU, hidden_size=8))]
        case "recorded adding":
            return [adding_run(partial(Foreign, hidden_size=5, layer=nn.GRU))]
        case "automaton":
            return [automaton_run()]
        case "elman_letters":
            return [letters_run()]
        case "mingru":
            return [echo_run(partial(MinGRU, hidden_size=10))]
        case "lru":
            return [adding_run(partial(LRU, hidden_size=6, num_states=5))]
        case "deltanet":
            return [delay_run(partial(DeltaNet, hidden_size=8, heads=2, max_beta=2.0, decay="learned"))]
        case _:
            return [echo_run(partial(Foreign, hidden_size=9, layer=nn.GRU))]


LIVE = ("echo", "variable_delay_echo", "copy", "elman_grammar", "text", "layers")
"""The pages of five tasks, and of a network with two layers and an embedding."""

NAMES = (*LIVE, "recorded")
"""The pages whose inputs and outputs are the same symbols; in the last one, the page cannot run the layer."""

OTHER_NAMES = ("adding", "recorded adding", "automaton", "elman_letters")
"""The pages of real inputs or targets, and of outputs that are other symbols than the inputs."""

LINEAR_NAMES = ("mingru", "lru", "deltanet")
"""The pages of layers that are linear in their state."""


@dataclass(frozen=True)
class ExplorerPage:
    """A page and the runs that it shows.

    Attributes:
        file: The page.
        runs: The runs; tests do not change them.
    """

    file: Path
    runs: list[RunData]


def write_page(name: str, folder: Path) -> ExplorerPage:
    """Train the networks of a page, and write the page.

    Args:
        name: One of :data:`NAMES`, :data:`OTHER_NAMES` or :data:`LINEAR_NAMES`.
        folder: The folder for the page.
    """
    runs, file = runs_of(name, folder), folder / f"{name}.html"
    file.write_text(page_of_runs(runs), encoding="utf-8")
    return ExplorerPage(file, runs)
