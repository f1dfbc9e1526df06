"""4: sequences a second of the counted generators against data made one sequence at a time; their share of a step."""

import statistics
from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

from torch.utils.data import DataLoader

from benchmarks.cores import times
from benchmarks.interleaved import CASES, COPY, GRAMMAR, step_laps
from benchmarks.peers.samples import CopySamples, EchoSamples
from benchmarks.rows import Bound, Row
from benchmarks.turns import Setting, in_turn, ratio_row, repeated, threads
from rnn_tasks.tasks import Copy, Echo, VariableDelayEcho
from rnn_tasks.tasks.generated import GeneratedTask

BATCHES = 20
"""Batches that a peer makes in a turn."""

MANY = 4_096
"""Sequences at a time at which a generator's rate is measured: what a batch costs of itself is then little of it."""

QUICK_CASES = (COPY, GRAMMAR)
FASTER = Bound(">=", 200)


class Samples(NamedTuple):
    """The peer of a generator.

    Attributes:
        loader: Makes a loader of its sequences, in batches.
        sequences: Sequences that such a loader gives.
    """

    loader: Callable[[], DataLoader[object]]
    sequences: int


def measure(setting: Setting) -> Iterator[Row]:
    """Rows of both."""
    pairs: dict[str, tuple[Callable[..., GeneratedTask], int, Callable[[int], DataLoader[object]]]] = {
        "copy": (Copy, 128, lambda size: DataLoader(CopySamples(BATCHES * size), size, shuffle=True)),
        "echo": (Echo, 64, lambda size: DataLoader(EchoSamples(BATCHES * size, 15, (4, 4)), size)),
        "variable_delay_echo": (
            VariableDelayEcho,
            64,
            lambda size: DataLoader(EchoSamples(BATCHES * size, 20, (0, 8)), size),
        ),
    }
    for name, (task, size, loader) in pairs.items():
        samples = Samples(partial(loader, size), BATCHES * size)
        yield generator_row(setting, f"{name}, {MANY:,} at a time", task(batch_size=MANY), samples, FASTER)
        yield generator_row(setting, f"{name}, {size} at a time", task(batch_size=size), samples)
    for case in QUICK_CASES if setting.quick else CASES:
        laps = step_laps(case, ["plain", "data"], setting.count(7, 2), setting.quick)
        row = ratio_row("data", f"{case.what}: share of a plain step", laps, "data", "plain", Bound("<=", 0.03))
        yield row


def generator_row(
    setting: Setting, name: str, task: GeneratedTask, samples: Samples, bound: Bound | None = None
) -> Row:
    """Time of a sequence of the peer over that of one of ours.

    Args:
        setting: How thoroughly.
        name: What is made.
        task: Ours.
        samples: The peer.
        bound: On the ratio.
    """
    index = iter(range(10**9))
    ours, count = repeated(lambda: task.train_batch(next(index)), 0.05)
    with threads(1):  # as the recipes have it; no tensor of the peer is large enough for a second one
        laps = in_turn({"ours": ours, "samples": times(lambda: list(samples.loader()), 1)}, setting.count(11, 3))
    each = {
        "ours": [found.each(count * task.batch_size) for found in laps["ours"]],
        "samples": [found.each(samples.sequences) for found in laps["samples"]],
    }
    rates = [f"{who} {1 / statistics.median(found.seconds for found in some):,.0f}" for who, some in each.items()]
    note = f"sequences/s: {', '.join(rates)}"
    return ratio_row("data", name, each, "samples", "ours", bound, ours="ours", note=note)
