"""4: sequences a second of the counted generators against data made one sequence at a time; their share of a step."""

import statistics
from collections.abc import Callable, Iterator

from torch.utils.data import DataLoader

from benchmarks.cores import times
from benchmarks.interleaved import CASES, step_laps
from benchmarks.peers.samples import CopySamples, EchoSamples
from benchmarks.rows import Bound, Row
from benchmarks.turns import Setting, in_turn, ratio_row, repeated
from rnn_tasks.tasks import Copy, Echo, VariableDelayEcho

BATCHES = 20
"""Batches that a peer makes in a turn."""


def measure(setting: Setting) -> Iterator[Row]:
    """Rows of both."""
    copy, echo, variable = Copy(batch_size=128), Echo(batch_size=64), VariableDelayEcho(batch_size=64)
    pairs: dict[str, tuple[Copy | Echo | VariableDelayEcho, Callable[[], DataLoader[object]]]] = {
        "copy": (copy, lambda: DataLoader(CopySamples(BATCHES * 128), 128, shuffle=True)),
        "echo": (echo, lambda: DataLoader(EchoSamples(BATCHES * 64, 15, (4, 4)), 64)),
        "variable_delay_echo": (variable, lambda: DataLoader(EchoSamples(BATCHES * 64, 20, (0, 8)), 64)),
    }
    for name, (task, loader) in pairs.items():
        yield generator_row(setting, name, task, loader)
    for case in CASES:
        laps = step_laps(case, ["plain", "data"], setting.count(7, 3), setting.quick)
        row = ratio_row("data", f"{case.what}: share of a plain step", laps, "data", "plain", Bound("<=", 0.03))
        yield row


def generator_row(
    setting: Setting,
    name: str,
    task: Copy | Echo | VariableDelayEcho,
    loader: Callable[[], DataLoader[object]],
) -> Row:
    """Time of a sequence of the peer over that of one of ours.

    Args:
        setting: How thoroughly.
        name: The task.
        task: Ours.
        loader: Makes a loader that gives ``BATCHES`` batches, each of the size of ours.
    """
    index = iter(range(10**9))
    ours, count = repeated(lambda: task.train_batch(next(index)), 0.05)
    laps = in_turn({"ours": ours, "samples": times(lambda: list(loader()), 1)}, setting.count(11, 5))
    each = {
        "ours": [found.each(count * task.batch_size) for found in laps["ours"]],
        "samples": [found.each(BATCHES * task.batch_size) for found in laps["samples"]],
    }
    rates = [f"{who} {1 / statistics.median(found.seconds for found in some):,.0f}" for who, some in each.items()]
    note = f"sequences/s: {', '.join(rates)}"
    return ratio_row("data", name, each, "samples", "ours", Bound(">=", 200), ours="ours", note=note)
